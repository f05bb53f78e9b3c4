/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many tasks and how much memory an owner's containers have together: the
 * policy's quotas "tasks" and "memory_mib", in force on the cgroup u<owner>,
 * which is root's and above everything that a payload can write. Admins have
 * none. Only where the cgroup root has the controllers (cgroup_root.pids,
 * .memory); WHO says of every caller which of them bind.
 */
#ifndef NSX_SPAWN_SPAWNER_QUOTA_H
#define NSX_SPAWN_SPAWNER_QUOTA_H

#include <stdint.h>

#include "lib/err.h"
#include "proto/ops.h"
#include "spawn/spawner_cgroup.h"

struct caller;
struct spawner;

/* WHO_BOUND_* of who.h: what this spawner can hold callers to. */
uint32_t quota_bounds(const struct spawner *spawner);

/*
 * Put in force what the caller's rights say, once the owner's cgroup is there
 * and before anything of the caller's runs in it. 0; -EDQUOT: a quota of
 * nothing, *ret says which; -errno: the kernel refuses, and so must the start.
 */
must_check int quota_apply(const struct spawner *spawner,
			   const struct caller *caller, struct op_quota *ret);
/* Is there no room for so many tasks more below the owner's bound? */
bool quota_tasks_full(const struct spawner *spawner, uid_t owner,
		      uint64_t wanted, struct op_quota *ret);

#endif
