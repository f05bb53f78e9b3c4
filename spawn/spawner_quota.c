/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's bounds of cgroups. See spawner_quota.h. */
#include "spawn/spawner_quota.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "lib/fd.h"
#include "spawn/spawner.h"
#include "spawn/stage.h"

/* security model: what a user without a slice of his own has. */
#define QUOTA_TASKS_DEFAULT 4096u

/* One controller: its quota, and the file that holds it. */
struct quota_row {
	enum policy_quota quota;
	const char *file;
	uint64_t unit; /* of the policy's number, in the file's */
};
static const struct quota_row quota_tasks = { POLICY_QUOTA_TASKS, "pids.max",
					      1 };
static const struct quota_row quota_memory = { POLICY_QUOTA_MEMORY_MIB,
					       "memory.max", 1u << 20 };

uint32_t
quota_bounds(const struct spawner *spawner)
{
	if (spawner->rootless || spawner->cgroups.fd < 0)
		return 0;
	return (spawner->cgroups.pids ? WHO_BOUND_TASKS : 0) |
	       (spawner->cgroups.memory ? WHO_BOUND_MEMORY : 0);
}

/* Half of the memory, in whole pages, as the kernel keeps it. */
static uint64_t
quota_half_of_memory(void)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct sysinfo info;

	if (sysinfo(&info) < 0)
		return 1u << 30;
	return (uint64_t)info.totalram * info.mem_unit / 2 / page * page;
}

/* What the same user has where he logs in; else the default. */
static uint64_t
quota_inherit(const struct cgroup_root *root, uid_t owner,
	      const struct quota_row *row)
{
	char path[64];
	uint64_t value;

	(void)snprintf(path, sizeof(path), "user.slice/user-%u.slice/%s", owner,
		       row->file);
	if (root->hierarchy_fd >= 0 &&
	    cgroup_value_read(root->hierarchy_fd, path, &value) == 0)
		return value;
	return row == &quota_tasks ? QUOTA_TASKS_DEFAULT
				   : quota_half_of_memory();
}

static uint64_t
quota_value(const struct spawner *spawner, const struct caller *caller,
	    const struct quota_row *row)
{
	uint32_t quota = caller->rights->quotas[row->quota];

	if (caller->admin)
		return CGROUP_NO_LIMIT;
	if (quota == POLICY_QUOTA_INHERIT)
		return quota_inherit(&spawner->cgroups, caller->owner, row);
	return quota * row->unit;
}

static int
quota_apply_row(const struct spawner *spawner, const struct caller *caller,
		const struct quota_row *row, struct op_quota *ret)
{
	uint64_t value = quota_value(spawner, caller, row);
	char path[32];

	if (value == 0) {
		*ret = (struct op_quota){ .quota = row->quota };
		return -EDQUOT;
	}
	(void)snprintf(path, sizeof(path), "u%u/%s", caller->owner, row->file);
	return cgroup_value_write(spawner->cgroups.fd, path, value);
}

int
quota_apply(const struct spawner *spawner, const struct caller *caller,
	    struct op_quota *ret)
{
	uint32_t bounds = quota_bounds(spawner);
	int r = 0;

	if (caller->owner == 0)
		return 0; /* root's, and there are no others' in u0 */
	if (bounds & WHO_BOUND_TASKS)
		r = quota_apply_row(spawner, caller, &quota_tasks, ret);
	if (r == 0 && (bounds & WHO_BOUND_MEMORY))
		r = quota_apply_row(spawner, caller, &quota_memory, ret);
	return r;
}

bool
quota_tasks_full(const struct spawner *spawner, uid_t owner, uint64_t wanted,
		 struct op_quota *ret)
{
	uint64_t limit, used;
	char path[32];

	if (!(quota_bounds(spawner) & WHO_BOUND_TASKS))
		return false;
	(void)snprintf(path, sizeof(path), "u%u/pids.max", owner);
	if (cgroup_value_read(spawner->cgroups.fd, path, &limit) < 0)
		return false;
	(void)snprintf(path, sizeof(path), "u%u/pids.current", owner);
	if (cgroup_value_read(spawner->cgroups.fd, path, &used) < 0 ||
	    (used < limit && limit - used >= wanted))
		return false;
	*ret = (struct op_quota){ .quota = POLICY_QUOTA_TASKS,
				  .limit = limit,
				  .used = used };
	return true;
}
