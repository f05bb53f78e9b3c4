/* SPDX-License-Identifier: Apache-2.0 */
/* What a request joins. See joins.h; the joining itself is nsjoin.c. */
#include "spawn/joins.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "proto/nsplan.h"
#include "proto/policy.h"
#include "spawn/idmapwrite.h"
#include "spawn/nsjoin.h"

/* Field 22 of /proc/PID/stat; the name before it may hold anything but ')'. */
static int
process_start_time(int dir_fd, uint64_t *ret)
{
	char text[1024], *p;
	ssize_t n;
	int field;

	n = fd_read_file(dir_fd, "stat", text, sizeof(text));
	if (n < 0)
		return (int)n;
	p = strrchr(text, ')');
	for (field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return -EIO;
	*ret = strtoull(p + 1, NULL, 10);
	return 0;
}

/*
 * Is this still the process that was meant? The directory was opened first:
 * whatever agrees now holds for everything that is opened below it.
 */
static int
check_process(int dir_fd, const struct bootstrap_join *join)
{
	fd_auto int pidfd = -1;
	uint64_t start = 0;
	struct stat st;
	int r;

	if (join->start_time != 0) {
		r = process_start_time(dir_fd, &start);
		if (r < 0)
			return r;
		if (start != join->start_time)
			return -ESRCH;
	}
	if (join->inode != 0) {
		pidfd = sys_pidfd_open((pid_t)join->number);
		if (pidfd < 0)
			return pidfd;
		/* Unique per boot since pidfs (Linux 6.9). */
		if (fstat(pidfd, &st) < 0)
			return -errno;
		if (st.st_ino != join->inode)
			return -ESRCH;
	}
	return 0;
}

/* What the request's processes were when each was first named. */
struct processes {
	uint32_t numbers[BOOTSTRAP_MAX_JOINS];
	int dirs[BOOTSTRAP_MAX_JOINS];
	size_t n;
};

static void
processes_close(struct processes *processes)
{
	while (processes->n > 0)
		fd_close(&processes->dirs[--processes->n]);
}

/*
 * Its directory, lent, or -errno. One for all joins of a number: else it could
 * become another process's between them, and the user namespace of the one be
 * joined with the mounts of the other.
 */
static int
processes_find(struct processes *processes, int proc_fd, uint32_t number)
{
	size_t i;
	int fd;

	for (i = 0; i < processes->n; i++)
		if (processes->numbers[i] == number)
			return processes->dirs[i];
	if (i == BOOTSTRAP_MAX_JOINS)
		return -E2BIG;
	fd = idmap_process_open(proc_fd, (int)number);
	if (fd < 0)
		return fd == -ENOENT ? -ESRCH : fd;
	processes->numbers[i] = number;
	processes->dirs[i] = fd;
	processes->n++;
	return fd;
}

static int
add_process(struct stage_context *context, struct nsjoin_set *set,
	    struct processes *processes, const struct bootstrap_join *join)
{
	int dir_fd, r;

	dir_fd = processes_find(processes, context->proc_fd, join->number);
	if (dir_fd < 0)
		return stage_fail(context, "join-process", "openat", -dir_fd,
				  "pid %u", join->number);
	r = check_process(dir_fd, join);
	if (r < 0)
		return stage_fail(context, "join-process", "", -r,
				  "pid %u is another process", join->number);
	return nsjoin_add_process(set, join->clone_flag, dir_fd,
				  (pid_t)join->number, &context->failure);
}

static int
add_join(struct stage_context *context, struct nsjoin_set *set,
	 struct processes *processes, const struct bootstrap_join *join)
{
	switch (join->how) {
	case JOIN_PATH:
		return nsjoin_add_path(set, join->clone_flag, join->path,
				       &context->failure);
	case JOIN_PID:
		return add_process(context, set, processes, join);
	case JOIN_FD:
		if (join->number >= context->n_channel_fds)
			return stage_fail(context, "join-fd", "", EBADF,
					  "descriptor %u", join->number);
		return nsjoin_add_fd(set, join->clone_flag,
				     context->channel_fds[join->number],
				     &context->failure);
	default:
		return stage_fail(context, "join-parse", "", EINVAL, "how %u",
				  join->how);
	}
}

/* Who owns the user namespace that a namespace belongs to, or that it is. */
static int
namespace_owner(int fd, uint32_t flag, uint32_t *ret)
{
	fd_auto int user_fd = -1;
	uid_t uid;

	if (flag != CLONE_NEWUSER) {
		user_fd = ioctl(fd, NS_GET_USERNS);
		if (user_fd < 0)
			return -errno;
	}
	if (ioctl(user_fd < 0 ? fd : user_fd, NS_GET_OWNER_UID, &uid) < 0)
		return -errno;
	*ret = uid;
	return 0;
}

/* For the audit log: what is joined, and whose it is. */
static void
note_owners(struct stage_context *context, const struct nsjoin_set *set)
{
	uint32_t *owner;
	int kind;
	size_t i;

	for (i = 0; i < set->n; i++) {
		kind = ns_kind_by_flag(set->items[i].flag);
		if (kind < 0)
			continue;
		owner = &context->joins.owners[kind];
		context->joins.kinds |= set->items[i].flag;
		if (namespace_owner(set->items[i].fd, set->items[i].flag,
				    owner) < 0)
			*owner = UINT32_MAX;
	}
}

/*
 * The policy may narrow whose namespaces are joined. Looked at on the opened
 * descriptors: what is entered is what was looked at. An owner that cannot be
 * found out is none that a rule names.
 */
static int
check_owners(struct stage_context *context, const struct nsjoin_set *set)
{
	const struct caller *caller = context->caller;
	const struct policy_subject subject = { .uid = caller->uid,
						.owner = caller->owner };
	struct policy_refusal refusal;
	uint32_t owner = UINT32_MAX;
	size_t i;
	int r;

	if (!caller->rights || !policy_narrows_owners(caller->rights))
		return 0;
	for (i = 0; i < set->n; i++) {
		r = namespace_owner(set->items[i].fd, set->items[i].flag,
				    &owner);
		if (r < 0)
			return stage_fail(context, "join-owner", "ioctl", EPERM,
					  "%s", set->items[i].object);
		if (policy_join_owner_check(caller->rights, &subject, owner,
					    &refusal) < 0)
			return stage_fail(context, "join-owner", "", EPERM,
					  "%s: %s", set->items[i].object,
					  refusal.rule);
	}
	return 0;
}

/* All that the message lists: opened, then entered. */
static int
enter_listed(struct stage_context *context, struct nsjoin_set *set)
{
	const struct bootstrap *msg = context->msg;
	struct processes processes = { .n = 0 };
	size_t i;
	int r = 0;

	for (i = 0; i < msg->n_joins && r == 0; i++)
		r = add_join(context, set, &processes, &msg->joins[i]);
	processes_close(&processes);
	if (r == 0 && bootstrap_has(msg, BOOTSTRAP_NS_PATHS))
		r = nsjoin_add_texts(set, msg->ns_paths, false,
				     &context->failure);
	if (r == 0)
		r = check_owners(context, set);
	if (r < 0)
		return r;
	note_owners(context, set);
	/* The kernel demands capabilities for every join but that of a user
	 * namespace of one's own, which gives them (setns(2)). */
	r = nsjoin_enter(set,
			 stage_is_admin(context) ? NSJOIN_THREE_PASSES
						 : NSJOIN_USER_FIRST,
			 NSJOIN_BECOME_ROOT_IF_MAPPED, &context->failure);
	if (r < 0)
		return r;
	context->joined = nsjoin_flags(set);
	return 0;
}

/* The eight inodes of a process, by our own procfs. */
static int
process_namespaces(struct stage_context *context, const char *dir,
		   uint64_t *ret)
{
	char text[64], path[64], *open;
	ssize_t n;
	size_t i;

	for (i = 0; i < N_NS_KINDS; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir,
			 ns_kinds[i].proc_name);
		n = readlinkat(context->proc_fd, path, text, sizeof(text) - 1);
		if (n < 0)
			return stage_fail(context, "join-open", "readlinkat",
					  errno, "%s", path);
		text[n] = '\0';
		open = strchr(text, '[');
		ret[i] = open ? strtoull(open + 1, NULL, 10) : 0;
	}
	return 0;
}

/* Which of its namespaces are not ours: setns() of our own user ns is EINVAL.
 */
static int
differing_flags(struct stage_context *context, uint32_t *ret)
{
	const uint64_t *own = context->input->own_namespaces;
	uint64_t looked_up[N_NS_KINDS];
	char dir[16];
	size_t i;
	int r;

	if (!own) {
		r = process_namespaces(context, "self", looked_up);
		if (r < 0)
			return r;
		own = looked_up;
	}
	snprintf(dir, sizeof(dir), "%u", context->msg->pid);
	r = process_namespaces(context, dir, context->inodes);
	if (r < 0)
		return r;
	for (i = 0, *ret = 0; i < N_NS_KINDS; i++)
		if (own[i] != context->inodes[i])
			*ret |= ns_kinds[i].clone_flag;
	return 0;
}

/*
 * The spawner opened target_pidfd of msg->pid, its own unreaped child. One
 * setns() for all: the kernel switches credentials last, so namespaces of
 * different owners do not matter, and on an error nothing has changed. It asks
 * for the caller's right to trace that process, as nsenter would be asked.
 */
static int
enter_target(struct stage_context *context)
{
	uint32_t flags = 0;
	int r;

	r = differing_flags(context, &flags);
	if (r < 0 || flags == 0)
		return r;
	if (setns(context->target_pidfd, (int)flags) < 0)
		return stage_fail(context, NULL, "setns", errno,
				  "pid %u flags %x", context->msg->pid, flags);
	context->joined = flags;
	if (!(flags & CLONE_NEWUSER))
		return 0;
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return nsjoin_become_root(NSJOIN_BECOME_ROOT_IF_MAPPED, context->stage,
				  &context->failure);
}

int
joins_enter(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;
	struct nsjoin_set set;
	int r;

	if (context->target_pidfd < 0 && msg->n_joins == 0 &&
	    !bootstrap_has(msg, BOOTSTRAP_NS_PATHS))
		return 0;
	/* At the latest now: see stage_is_rootless(). */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (context->target_pidfd >= 0)
		return enter_target(context);
	nsjoin_init(&set, context->stage, context->proc_fd);
	r = enter_listed(context, &set);
	nsjoin_deinit(&set);
	return r;
}
