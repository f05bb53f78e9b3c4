/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy in force: one checked table, replaced as a whole when the resolver
 * has read its directory anew, at the start, on SIGHUP and on RELOAD. A
 * directory that cannot be read or a file with a mistake changes nothing: the
 * old rules stay, and if there were none yet, those without a policy.
 */
#ifndef NSX_SPAWN_SPAWNER_POLICY_H
#define NSX_SPAWN_SPAWNER_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "proto/policy.h"
#include "spawn/spawner_resolver.h"

#define POLICY_WAITERS 16

struct op_message;
struct request;
struct spawner;

struct policy_state {
	struct policy_table *table; /* owned; NULL: there are no rules */
	uint32_t generation;	    /* counts tables */
	bool first;		    /* nothing was read yet, and it is due */
	bool reading;
	bool again; /* asked for while one was reading */
	struct {
		uint64_t conn_id; /* 0 = free */
		uint32_t seq;
		bool later; /* of the next reading */
	} waiters[POLICY_WAITERS];
};

/* Begin the first reading. */
void policy_open(struct spawner *spawner);
void policy_deinit(struct spawner *spawner);
/* Read it again: SIGHUP. */
void policy_reload(struct spawner *spawner);
/* No decision may be made yet. */
bool policy_is_due(const struct spawner *spawner);

void op_reload(struct spawner *spawner, const struct request *request,
	       const struct op_message *msg);

#endif
