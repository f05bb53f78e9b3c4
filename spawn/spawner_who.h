/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a connection is: its account, its confinement and its rights, put
 * together at its first request and kept with the connection (SO_COOKIE, never
 * used again). What the files of accounts say later is seen by the next
 * connection; a new policy holds for those that are open as well.
 */
#ifndef NSX_SPAWN_SPAWNER_WHO_H
#define NSX_SPAWN_SPAWNER_WHO_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "proto/who.h"
#include "spawn/spawner_look.h"
#include "spawn/stage.h"

/* Sets of four: 1,024 connections, nsexecd's bound. */
#define WHO_SETS 256
#define WHO_WAYS 4

struct request;
struct spawner;

struct who_row {
	uint64_t cookie; /* 0 = free */
	uint64_t used_at;
	uint32_t generation; /* of the policy */
	bool complete;	     /* who as well as look */
	struct look look;
	struct who who;
};

struct who_table {
	struct who_row rows[WHO_SETS][WHO_WAYS];
	uint64_t clock;
};

/*
 * Attest the caller's connection and say who it is, confined or not. 0 with
 * *ret lent until the next call. -EINPROGRESS: the request was kept and is
 * dispatched again; -EPERM: it was answered. caller_deinit() in any case.
 */
must_check int who_get(struct spawner *spawner, const struct request *request,
		       int connection, struct caller *caller,
		       const struct who **ret);

/* The same for who wants something done: a confined caller is refused, and
 * caller->admin, owner, rights and user are filled. */
must_check int who_admit(struct spawner *spawner, const struct request *request,
			 int connection, struct caller *caller);
/* May he do one of these verbs? -EPERM: refused and answered. */
must_check int who_check_verb(struct spawner *spawner,
			      const struct request *request,
			      const struct caller *caller, uint32_t verbs);
/* May he act on containers of that owner? What is not his is not there. */
bool who_reaches(const struct caller *caller, uint32_t owner);
/* A child of ours has looked at this connection's process. */
void who_looked(struct spawner *spawner, uint64_t cookie,
		const struct look *look);
/* Say no with the policy's words; -EPERM. */
struct policy_refusal;
int who_refuse(struct spawner *spawner, const struct request *request,
	       const struct policy_refusal *refusal);

#endif
