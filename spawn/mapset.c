/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of a new init, then its go. See mapset.h. */
#include "spawn/mapset.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>

#include "lib/fd.h"
#include "spawn/handover.h"
#include "spawn/idmapwrite.h"

struct mapset
mapset_of(const struct bootstrap *msg)
{
	struct mapset set = { .go_write = -1, .proc_fd = -1 };

	if (bootstrap_has(msg, BOOTSTRAP_UID_MAP)) {
		set.uid_map = msg->uid_map;
		set.uid_map_size = msg->uid_map_size;
	}
	if (bootstrap_has(msg, BOOTSTRAP_GID_MAP)) {
		set.gid_map = msg->gid_map;
		set.gid_map_size = msg->gid_map_size;
	}
	set.deny_setgroups = msg->setgroups_mode == BOOTSTRAP_SETGROUPS_DENY;
	set.outside_offsets = (msg->clone_flags & CLONE_NEWUSER) &&
			      bootstrap_has(msg, BOOTSTRAP_TIME_OFFSETS);
	return set;
}

static int
mapset_write_ids(const struct mapset *set, int dir_fd, struct failure *failure)
{
	int r = 0;

	if (set->deny_setgroups)
		r = idmap_setgroups_write(dir_fd, false, set->stage, failure);
	if (r == 0 && set->uid_map)
		r = idmap_write(dir_fd, IDMAP_UID, set->uid_map,
				set->uid_map_size, set->stage, failure);
	if (r == 0 && set->gid_map)
		r = idmap_write(dir_fd, IDMAP_GID, set->gid_map,
				set->gid_map_size, set->stage, failure);
	return r;
}

int
mapset_write(const struct mapset *set, pid_t pid, struct failure *failure)
{
	fd_auto int offsets_fd = -1;
	fd_auto int dir_fd = -1;
	int r;

	dir_fd = idmap_process_open(set->proc_fd, pid);
	if (dir_fd < 0)
		return failure_set(failure, set->stage, "map-open", "openat",
				   -dir_fd, "pid %d", pid);
	r = mapset_write_ids(set, dir_fd, failure);
	if (r < 0)
		return r;
	if (set->outside_offsets) {
		offsets_fd =
			openat(dir_fd, "timens_offsets", O_WRONLY | O_CLOEXEC);
		if (offsets_fd < 0)
			return failure_set(failure, set->stage, "time-offsets",
					   "openat", errno, "timens_offsets");
	}
	r = handover_send(set->go_write, offsets_fd);
	return r < 0 ? failure_set(failure, set->stage, "go", "sendmsg", -r,
				   "init")
		     : 0;
}
