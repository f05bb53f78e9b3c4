/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of a new init, then its go. See mapset.h. */
#include "spawn/mapset.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>

#include "lib/fd.h"
#include "spawn/caps.h"
#include "spawn/handover.h"
#include "spawn/idmapwrite.h"
#include "spawn/maptarget.h"
#include "spawn/maptool.h"

#define CAP_BIT(cap) (UINT64_C(1) << (cap))

/*
 * For the next open and write: the kernel asks for CAP_SETUID or CAP_SETGID of
 * whoever opened the file and of whoever writes (user_namespaces(7)), and
 * CAP_DAC_OVERRIDE opens what belongs to root since init is not dumpable.
 */
static int
raise_caps(const struct mapset *set, uint64_t wanted, struct failure *failure)
{
	const struct capset_words words = { set->caps & wanted, set->caps, 0 };
	int r = set->caps ? caps_set(&words) : 0;

	return r < 0 ? failure_set(failure, set->stage, "map-caps", "capset",
				   -r, "%lx", (unsigned long)words.effective)
		     : 0;
}

static int
tool_side(const struct mapset *set, int dir_fd, enum idmap_side side,
	  struct failure *failure)
{
	const bool uid = side == IDMAP_UID;
	const struct maptool tool = {
		.path = uid ? set->uid_tool : set->gid_tool,
		.text = uid ? set->uid_map : set->gid_map,
		.size = uid ? set->uid_map_size : set->gid_map_size,
		.stage = set->stage,
	};
	int r = maptool_run(&tool, set->pid, failure);

	if (r < 0)
		return r;
	r = idmap_verify(dir_fd, side, tool.text, tool.size);
	return r < 0 ? failure_set(failure, set->stage, "map-tool", "read", -r,
				   "%s", uid ? "uid_map" : "gid_map")
		     : 0;
}

static int
write_side(const struct mapset *set, int dir_fd, enum idmap_side side,
	   struct failure *failure)
{
	const bool uid = side == IDMAP_UID;
	int r;

	if (uid ? set->uid_tool : set->gid_tool)
		return tool_side(set, dir_fd, side, failure);

	r = raise_caps(set,
		       CAP_BIT(CAP_DAC_OVERRIDE) |
			       CAP_BIT(uid ? CAP_SETUID : CAP_SETGID),
		       failure);
	if (r == 0)
		r = idmap_write(dir_fd, side, uid ? set->uid_map : set->gid_map,
				uid ? set->uid_map_size : set->gid_map_size,
				set->stage, failure);
	return r;
}

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
	int r;

	r = raise_caps(set, CAP_BIT(CAP_DAC_OVERRIDE), failure);
	if (r == 0 && set->deny_setgroups)
		r = idmap_setgroups_write(dir_fd, false, set->stage, failure);
	if (r == 0 && set->uid_map)
		r = write_side(set, dir_fd, IDMAP_UID, failure);
	if (r == 0 && set->gid_map)
		r = write_side(set, dir_fd, IDMAP_GID, failure);
	return r;
}

static int
open_offsets(const struct mapset *set, int dir_fd, int *ret_fd,
	     struct failure *failure)
{
	int r;

	if (!set->outside_offsets)
		return 0;
	r = raise_caps(set, CAP_BIT(CAP_DAC_OVERRIDE), failure);
	if (r < 0)
		return r;
	*ret_fd = openat(dir_fd, "timens_offsets", O_WRONLY | O_CLOEXEC);
	if (*ret_fd < 0)
		return failure_set(failure, set->stage, "time-offsets",
				   "openat", errno, "timens_offsets");
	return 0;
}

static int
check_target(const struct mapset *set, int dir_fd, pid_t pid,
	     struct failure *failure)
{
	int r;

	if (!(set->caps & (CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID))))
		return 0;
	r = maptarget_check(dir_fd, set->proc_fd, set->parent);
	return r < 0 ? failure_set(failure, set->stage, "map-target", "", -r,
				   "pid %d is not the init of this start", pid)
		     : 0;
}

int
mapset_write(const struct mapset *asked, pid_t pid, struct failure *failure)
{
	struct mapset named = *asked, *set = &named;
	fd_auto int offsets_fd = -1;
	fd_auto int dir_fd = -1;
	int r;

	set->pid = pid;
	dir_fd = idmap_process_open(set->proc_fd, pid);
	if (dir_fd < 0)
		return failure_set(failure, set->stage, "map-open", "openat",
				   -dir_fd, "pid %d", pid);
	r = check_target(set, dir_fd, pid, failure);
	if (r == 0)
		r = mapset_write_ids(set, dir_fd, failure);
	if (r == 0)
		r = open_offsets(set, dir_fd, &offsets_fd, failure);
	if (r == 0)
		r = raise_caps(set, 0, failure);
	if (r < 0)
		return r;
	/* In this order: were we killed in between the other way round, the
	 * relay would report a failure of a program that runs. So it ends as
	 * one that succeeded, and init at the end of file, before it runs. */
	if (set->done_channel)
		r = fd_send(*set->done_channel, "k", 1, NULL, 0);
	if (r < 0)
		return failure_set(failure, set->stage, "map-finish", "sendmsg",
				   -r, "relay");
	r = handover_send(set->go_write, offsets_fd);
	return r < 0 ? failure_set(failure, set->stage, "go", "sendmsg", -r,
				   "init")
		     : 0;
}
