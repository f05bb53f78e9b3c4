/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait for the resolver or for a look: whose caller's account or
 * process is not known yet, or that came before the policy was read. Each is
 * kept as it came, bytes and descriptors, and is dispatched again when the
 * answer is there: so there is one path through the checks, and a request that
 * waited was checked no less. A connection that is gone meanwhile takes its
 * requests with it.
 */
#ifndef NSX_SPAWN_SPAWNER_DEFER_H
#define NSX_SPAWN_SPAWNER_DEFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/fd.h"

#define DEFER_MAX 512
#define DEFER_OF_UID 64	       /* so that nobody takes all places */
#define DEFER_TIMEOUT_MS 12000 /* two runs of the resolver, and some */

struct request;
struct spawner;

struct deferred {
	uint64_t conn_id; /* 0 = free */
	uint64_t order;	  /* the first come is the first served */
	uint32_t uid;	  /* whose account it waits for */
	uint32_t seq;
	bool for_policy;
	int64_t deadline_ms;
	uint8_t *data; /* owned */
	size_t size;
	int fds[FD_MSG_MAX]; /* owned */
	size_t n_fds;
};

struct defer_table {
	struct deferred rows[DEFER_MAX];
	uint64_t last_order;
};

/* Keep a request for uid's account. It is answered later, or, if there is no
 * room, refused here. */
void defer_request(struct spawner *spawner, const struct request *request,
		   uint32_t uid);
/* The same, until the policy has been read. */
void defer_for_policy(struct spawner *spawner, const struct request *request);
/* Dispatch what waited for this uid. resolved: its account was what it waited
 * for, see identity_get(). */
void defer_wake(struct spawner *spawner, uint32_t uid, bool resolved);
void defer_wake_policy(struct spawner *spawner);
/* A run of the resolver is free: dispatch again what waited longest. */
void defer_wake_next(struct spawner *spawner);

/* The first that came after this order (0 = all); NULL: none. */
const struct deferred *defer_next(const struct defer_table *table,
				  uint64_t order);
/* Take one of a spawner before us; defer_wake_policy() dispatches it. There is
 * room. */
void defer_resume(struct spawner *spawner, const struct deferred *take_row);

/* For the next deadline, of a run or of a request. */
void defer_set_timer(struct spawner *spawner);
void defer_on_timer(struct spawner *spawner);
void defer_deinit(struct spawner *spawner);

#endif
