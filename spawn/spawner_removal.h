/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups to be removed. The kernel refuses rmdir for the moments that the
 * last process takes to leave, so a removal is tried again for a while, never
 * waited for. Also used for what a failed start leaves behind.
 */
#ifndef NSX_SPAWN_SPAWNER_REMOVAL_H
#define NSX_SPAWN_SPAWNER_REMOVAL_H

#include <stddef.h>
#include <stdint.h>

#include "spawn/spawner_cgroup.h"

#define REMOVAL_MAX 512

struct spawner;

struct removal {
	struct container_name name; /* id "" = free */
	uint64_t conn_id;	    /* whom to answer; 0 = nobody */
	uint32_t seq;
	int64_t next_ms, end_ms;
	int64_t pause_ms;
};

struct removal_table {
	struct removal rows[REMOVAL_MAX];
	size_t count;
};

/* Tries at once; answers the request in the end. conn_id 0: no request. */
void removal_add(struct spawner *spawner, const struct container_name *name,
		 uint64_t conn_id, uint32_t seq);
/* Go on with one of a spawner before us. There is room. */
void removal_resume(struct spawner *spawner, const struct removal *row);
void removal_on_timer(struct spawner *spawner);
void removal_on_prune(struct spawner *spawner);

#endif
