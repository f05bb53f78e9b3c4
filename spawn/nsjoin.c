/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining namespaces: open everything, check each descriptor is a namespace of
 * the declared kind, then setns(2) in the order that the kernel's permission
 * rules demand (user_namespaces(7)). See nsjoin.h.
 *
 * A hostile sender gains nothing here: every open() and setns() is done with
 * the credentials of the process that calls, which are the asker's.
 */
#include "spawn/nsjoin.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "proto/nsplan.h"

#define NSFS_SUPER_MAGIC 0x6e736673 /* linux/magic.h: NSFS_MAGIC */

void
nsjoin_init(struct nsjoin_set *set, enum stage stage, int proc_fd)
{
	set->n = 0;
	set->stage = stage;
	set->proc_fd = proc_fd;
}

void
nsjoin_deinit(struct nsjoin_set *set)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		fd_close(&set->items[i].fd);
	set->n = 0;
}

static const char *
join_kind(uint32_t flag)
{
	int i = flag ? ns_kind_by_flag(flag) : -1;

	return i < 0 ? "ns" : ns_kinds[i].name;
}

struct join_place {
	const char *prefix;
	const char *syscall;
};
#define PLACE(p, s) ((struct join_place){ (p), (s) })

/* *failure for "PREFIX-KIND". */
static int
join_fail(const struct nsjoin_set *set, const struct nsjoin *join,
	  struct join_place place, int error, struct failure *failure)
{
	char step[FAILURE_WORD_MAX];

	snprintf(step, sizeof(step), "%s-%s", place.prefix,
		 join_kind(join->flag));
	return failure_set(failure, set->stage, step, place.syscall, error,
			   "%s", join->object);
}

/* A path below proc, whichever procfs we were given. */
static int
proc_open(const struct nsjoin_set *set, const char *path, int flags)
{
	char absolute[64];
	int fd;

	if (set->proc_fd >= 0) {
		fd = openat(set->proc_fd, path, flags | O_CLOEXEC);
	} else {
		snprintf(absolute, sizeof(absolute), "/proc/%s", path);
		fd = open(absolute, flags | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

/* Room for one more; its object is set, its fd is -1. */
static int
set_grow(struct nsjoin_set *set, uint32_t flag, const char *object,
	 struct nsjoin **ret, struct failure *failure)
{
	struct nsjoin *join;

	if (set->n >= NSJOIN_MAX)
		return failure_set(failure, set->stage, "join-parse", "", E2BIG,
				   "%s", object);
	join = &set->items[set->n];
	join->flag = flag;
	join->fd = -1;
	join->joined = false;
	snprintf(join->object, sizeof(join->object), "%s", object);
	*ret = join;
	return 0;
}

static int
check_is_namespace(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	return fs.f_type == NSFS_SUPER_MAGIC ? 0 : -EINVAL;
}

/* The descriptor must be a namespace of the declared kind; keep it. */
static int
set_take_fd(struct nsjoin_set *set, struct nsjoin *join, int fd, bool checked,
	    struct failure *failure)
{
	int kind, r;

	join->fd = fd;
	set->n++;
	if (!checked) {
		r = check_is_namespace(fd);
		if (r < 0)
			return join_fail(set, join,
					 PLACE("join-check", "fstatfs"), -r,
					 failure);
	}
	if (join->flag == 0)
		return 0;
	kind = ioctl(fd, NS_GET_NSTYPE);
	if (kind < 0)
		return join_fail(set, join, PLACE("join-check", "ioctl"), errno,
				 failure);
	if ((uint32_t)kind != join->flag)
		return join_fail(set, join, PLACE("join-check", "ioctl"),
				 EINVAL, failure);
	return 0;
}

int
nsjoin_add_path(struct nsjoin_set *set, uint32_t flag, const char *path,
		struct failure *failure)
{
	fd_auto int path_fd = -1;
	struct nsjoin *join;
	char link[40];
	int fd, r;

	r = set_grow(set, flag, path, &join, failure);
	if (r < 0)
		return r;
	/* O_PATH opens no device, FIFO or automount's server: whatever the
	 * path names, nothing happens to it before it is known to be nsfs. */
	path_fd = open(path, O_PATH | O_CLOEXEC);
	if (path_fd < 0)
		return join_fail(set, join, PLACE("join-open", "open"), errno,
				 failure);
	r = check_is_namespace(path_fd);
	if (r < 0)
		return join_fail(set, join, PLACE("join-check", "fstatfs"), -r,
				 failure);
	snprintf(link, sizeof(link), "self/fd/%d", path_fd);
	fd = proc_open(set, link, O_RDONLY | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return join_fail(set, join, PLACE("join-open", "open"), -fd,
				 failure);
	return set_take_fd(set, join, fd, true, failure);
}

/* One "type:path" or bare path of size bytes. */
static int
add_text(struct nsjoin_set *set, const char *item, size_t size, bool bare,
	 struct failure *failure)
{
	const char *colon = memchr(item, ':', size);
	char path[4096];
	uint32_t flag = 0;
	int kind;

	if (!bare) {
		kind = colon ? ns_kind_by_name(item, (size_t)(colon - item))
			     : -1;
		if (kind < 0)
			return failure_set(failure, set->stage, "join-parse",
					   "", EINVAL, "%.*s", (int)size, item);
		flag = ns_kinds[kind].clone_flag;
		size -= (size_t)(colon + 1 - item);
		item = colon + 1;
	}
	if (size == 0 || size >= sizeof(path))
		return failure_set(failure, set->stage, "join-parse", "",
				   size ? ENAMETOOLONG : EINVAL, "%.100s",
				   item);
	memcpy(path, item, size);
	path[size] = '\0';
	return nsjoin_add_path(set, flag, path, failure);
}

int
nsjoin_add_texts(struct nsjoin_set *set, const char *texts, bool bare,
		 struct failure *failure)
{
	size_t size;
	int r;

	for (;; texts += size + 1) {
		size = strcspn(texts, ",");
		if (size > 0) {
			r = add_text(set, texts, size, bare, failure);
			if (r < 0)
				return r;
		}
		if (texts[size] == '\0')
			return 0;
	}
}

int
nsjoin_add_process(struct nsjoin_set *set, uint32_t flag, int pid_dir_fd,
		   pid_t pid, struct failure *failure)
{
	char object[NSJOIN_OBJECT_MAX];
	struct nsjoin *join;
	int fd, kind, r;

	kind = ns_kind_by_flag(flag);
	snprintf(object, sizeof(object), "pid %d", (int)pid);
	r = set_grow(set, flag, object, &join, failure);
	if (r < 0)
		return r;
	if (kind < 0)
		return join_fail(set, join, PLACE("join-parse", ""), EINVAL,
				 failure);
	fd = openat(pid_dir_fd, ns_kinds[kind].proc_name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return join_fail(set, join, PLACE("join-open", "openat"), errno,
				 failure);
	return set_take_fd(set, join, fd, true, failure);
}

int
nsjoin_add_fd(struct nsjoin_set *set, uint32_t flag, int fd,
	      struct failure *failure)
{
	char object[NSJOIN_OBJECT_MAX];
	struct nsjoin *join;
	int copy, r;

	snprintf(object, sizeof(object), "fd %d", fd);
	r = set_grow(set, flag, object, &join, failure);
	if (r < 0)
		return r;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return join_fail(set, join, PLACE("join-open", "fcntl"), errno,
				 failure);
	return set_take_fd(set, join, copy, false, failure);
}

/* Is this the user namespace that we are in? */
static bool
is_own_user_namespace(const struct nsjoin_set *set, int fd)
{
	fd_auto int own = proc_open(set, "self/ns/user", O_RDONLY);
	struct stat a, b;

	if (own < 0 || fstat(own, &a) < 0 || fstat(fd, &b) < 0)
		return false;
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

int
nsjoin_become_root(enum nsjoin_become become, enum stage stage,
		   struct failure *failure)
{
	bool lenient = become == NSJOIN_BECOME_ROOT_IF_MAPPED;

	if (become == NSJOIN_BECOME_NOTHING)
		return 0;
	/* Inside the joined namespace only: 0 there is whatever its owner
	 * mapped, and all its capabilities were ours at setns() already.
	 * Before anything else is made, so that what is made is owned 0:0.
	 * EINVAL: id 0 is not mapped there (setresuid(2)). */
	if (setresgid(0, 0, 0) < 0 && !(lenient && errno == EINVAL))
		return failure_set(failure, stage, "join-become", "setresgid",
				   errno, "gid 0");
	if (setresuid(0, 0, 0) < 0 && !(lenient && errno == EINVAL))
		return failure_set(failure, stage, "join-become", "setresuid",
				   errno, "uid 0");
	/* A change of ids resets dumpable (PR_SET_DUMPABLE, prctl(2)). */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return 0;
}

/* One setns. defer: EPERM leaves it for a later pass. */
static int
join_one(struct nsjoin_set *set, struct nsjoin *join, bool defer,
	 enum nsjoin_become become, struct failure *failure)
{
	bool user = join->flag == CLONE_NEWUSER;

	if (user && is_own_user_namespace(set, join->fd)) {
		join->joined = true;
		join->flag = 0;
		fd_close(&join->fd);
		return 0;
	}
	if (setns(join->fd, (int)join->flag) < 0) {
		if (defer && errno == EPERM)
			return 0;
		return join_fail(set, join, PLACE("join", "setns"), errno,
				 failure);
	}
	join->joined = true;
	fd_close(&join->fd);
	if (!user)
		return 0;
	/* setns() gave all capabilities there: nobody may look in. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return nsjoin_become_root(become, set->stage, failure);
}

/* Join those that are of the user kind, or those that are not. */
static int
join_pass(struct nsjoin_set *set, bool user, bool defer,
	  enum nsjoin_become become, struct failure *failure)
{
	struct nsjoin *join;
	size_t i;
	int r;

	for (i = 0; i < set->n; i++) {
		join = &set->items[i];
		if (join->joined || (join->flag == CLONE_NEWUSER) != user)
			continue;
		r = join_one(set, join, defer, become, failure);
		if (r < 0)
			return r;
	}
	return 0;
}

int
nsjoin_enter(struct nsjoin_set *set, enum nsjoin_order order,
	     enum nsjoin_become become, struct failure *failure)
{
	size_t i;
	int r = 0;

	if (order == NSJOIN_AS_GIVEN) {
		for (i = 0; i < set->n && r == 0; i++)
			r = join_one(set, &set->items[i], false, become,
				     failure);
		return r;
	}
	/* A namespace that a foreign user namespace owns can only be entered
	 * before ours is given up; one that the joined user namespace owns
	 * perhaps only after (runc #4390). */
	if (order == NSJOIN_THREE_PASSES) {
		r = join_pass(set, false, true, become, failure);
		if (r < 0)
			return r;
	}
	r = join_pass(set, true, false, become, failure);
	if (r < 0)
		return r;
	return join_pass(set, false, false, become, failure);
}

uint32_t
nsjoin_flags(const struct nsjoin_set *set)
{
	uint32_t flags = 0;
	size_t i;

	for (i = 0; i < set->n; i++)
		flags |= set->items[i].flag;
	return flags;
}
