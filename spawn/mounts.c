/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts of a container, in the order that keeps everything reachable. See
 * mounts.h.
 *
 *	1  propagation of all that was inherited: nothing made here gets out
 *	2  the root directory, attached over "/": absolute paths still lead
 *	   to the old root, the new one is known by its descriptor
 *	3  the request's mounts and /proc, resolved inside the new root; the
 *	   kernel gives a user namespace a new proc only while it sees another
 *	   that is not covered, so the old root is still there
 *	4  pivot_root, the old root detached, read-only, propagation
 *
 * Why a hostile sender gains nothing: an ordinary caller's mounts are made
 * with the capabilities of its own user namespace alone, its paths are
 * resolved with its own ids; an admin's sources are an admin's.
 */
#include "spawn/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "spawn/devices.h"
#include "spawn/mountfs.h"
#include "spawn/mountpoint.h"

/* A row per kind: file system, step, default options. */
static const struct {
	const char *fs_name;
	const char *step;
	const char *data;
} kinds[] = {
	[BOOTSTRAP_MOUNT_KIND_BIND] = { NULL, "mount-bind", NULL },
	[BOOTSTRAP_MOUNT_KIND_TMPFS] = { "tmpfs", "mount-tmpfs", NULL },
	[BOOTSTRAP_MOUNT_KIND_PROC] = { "proc", "mount-proc", NULL },
	[BOOTSTRAP_MOUNT_KIND_SYSFS] = { "sysfs", "mount-sysfs", NULL },
	[BOOTSTRAP_MOUNT_KIND_DEV] = { NULL, "mount-dev", NULL },
	[BOOTSTRAP_MOUNT_KIND_DEVPTS] = { "devpts", "mount-devpts",
					  "ptmxmode=0666,mode=0620" },
	[BOOTSTRAP_MOUNT_KIND_MQUEUE] = { "mqueue", "mount-mqueue", NULL },
	[BOOTSTRAP_MOUNT_KIND_CGROUP2] = { "cgroup2", "mount-cgroup2", NULL },
};

static const uint64_t propagations[] = {
	[BOOTSTRAP_PROPAGATION_PRIVATE] = MS_PRIVATE,
	[BOOTSTRAP_PROPAGATION_SLAVE] = MS_SLAVE,
	[BOOTSTRAP_PROPAGATION_SHARED] = MS_SLAVE, /* shared at the end */
	[BOOTSTRAP_PROPAGATION_UNCHANGED] = 0,
};

static bool
has_rootfs(const struct stage_context *context)
{
	return bootstrap_has(context->msg, BOOTSTRAP_ROOTFS);
}

/* What inherited mounts and bound ones are set to while we work. */
static uint64_t
working_propagation(const struct stage_context *context)
{
	uint32_t asked = BOOTSTRAP_PROPAGATION_PRIVATE;

	if (bootstrap_has(context->msg, BOOTSTRAP_PROPAGATION))
		asked = context->msg->propagation;
	/* pivot_root refuses a shared parent (pivot_root(2)). */
	if (asked == BOOTSTRAP_PROPAGATION_UNCHANGED && has_rootfs(context))
		asked = BOOTSTRAP_PROPAGATION_SLAVE;
	return asked < ARRAY_SIZE(propagations) ? propagations[asked]
						: MS_PRIVATE;
}

int
mounts_check(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;
	const char *what = NULL;

	if (context->create & CLONE_NEWNS)
		return 0;
	if (has_rootfs(context))
		what = "rootfs";
	else if (msg->n_mounts > 0)
		what = "mounts";
	else if (msg->root_readonly)
		what = "read-only root";
	else if (bootstrap_has(msg, BOOTSTRAP_PROPAGATION))
		what = "propagation";
	if (!what)
		return 0;
	return stage_fail(context, "mounts", "", EINVAL,
			  "%s without a new mnt namespace", what);
}

/* A detached copy with the propagation that suits a container. */
static int
clone_source(struct stage_context *context, const char *path, bool recursive,
	     const char *step)
{
	const char *syscall;
	int fd, r;

	fd = mountfs_clone(AT_FDCWD, path, recursive, &syscall);
	if (fd < 0)
		return stage_fail(context, step, syscall, -fd, "%s", path);
	r = mountfs_set(fd, true, 0, working_propagation(context));
	if (r < 0) {
		close(fd);
		return stage_fail(context, step, "mount_setattr", -r, "%s",
				  path);
	}
	return fd;
}

static int
open_bind_source(struct stage_context *context, size_t i)
{
	const struct bootstrap_mount *mount = &context->msg->mounts[i];
	int fd;

	fd = clone_source(context, mount->source,
			  mount->flags & BOOTSTRAP_MOUNT_RECURSIVE,
			  "mount-bind");
	if (fd < 0)
		return fd;
	context->mount_trees[i] = fd;
	return 0;
}

static int
open_root_source(struct stage_context *context)
{
	/* Recursive: a copy without the mounts below would uncover what they
	 * cover, which a new user namespace is refused. */
	int fd = clone_source(context, context->msg->rootfs, true, "rootfs");

	if (fd < 0)
		return fd;
	context->root_tree = fd;
	return 0;
}

int
mounts_open_sources(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;
	size_t i;
	int r = 0;

	/* An ordinary caller may not clone mounts here; its init opens the
	 * same paths with the same ids. An admin's init may have become an id
	 * that reaches less. */
	if (!stage_is_admin(context))
		return 0;
	if (has_rootfs(context))
		r = open_root_source(context);
	for (i = 0; i < msg->n_mounts && r == 0; i++)
		if (msg->mounts[i].kind == BOOTSTRAP_MOUNT_KIND_BIND)
			r = open_bind_source(context, i);
	return r;
}

static bool
is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int
attach_at(struct stage_context *context, int root_fd, int mount_fd,
	  const char *step, const char *path)
{
	fd_auto int target_fd = -1;
	int r;

	target_fd = mountpoint_open(root_fd, path, is_directory(mount_fd));
	if (target_fd < 0)
		return stage_fail(context, step, "openat2", -target_fd, "%s",
				  path);
	r = mountfs_attach(mount_fd, target_fd);
	return r < 0 ? stage_fail(context, step, "move_mount", -r, "%s", path)
		     : 0;
}

static int
mount_bind(struct stage_context *context, int root_fd, size_t i)
{
	const struct bootstrap_mount *mount = &context->msg->mounts[i];
	int r = 0;

	if (context->mount_trees[i] < 0)
		r = open_bind_source(context, i);
	if (r < 0)
		return r;
	r = mountfs_set(context->mount_trees[i],
			mount->flags & BOOTSTRAP_MOUNT_RECURSIVE,
			mountfs_attr_flags(mount->flags), 0);
	if (r < 0)
		return stage_fail(context, "mount-bind", "mount_setattr", -r,
				  "%s", mount->source);
	r = attach_at(context, root_fd, context->mount_trees[i], "mount-bind",
		      mount->destination);
	fd_close(&context->mount_trees[i]);
	return r;
}

static int
mount_fs(struct stage_context *context, int root_fd,
	 const struct bootstrap_mount *mount)
{
	const char *step = kinds[mount->kind].step;
	const char *data = kinds[mount->kind].data;
	const char *syscall;
	fd_auto int fd = -1;

	if (mount->data && mount->data[0] != '\0')
		data = mount->data;
	fd = mountfs_make(kinds[mount->kind].fs_name, data,
			  mountfs_attr_flags(mount->flags), &syscall);
	/* The caller's own options are what that call refuses. */
	if (fd < 0 && data && data == mount->data &&
	    strcmp(syscall, "fsconfig") == 0)
		return stage_fail(context, step, syscall, -fd,
				  "%s with data %s", mount->destination, data);
	if (fd < 0)
		return stage_fail(context, step, syscall, -fd, "%s",
				  mount->destination);
	return attach_at(context, root_fd, fd, step, mount->destination);
}

static int
mount_dev(struct stage_context *context, int root_fd,
	  const struct bootstrap_mount *mount)
{
	fd_auto int target_fd = -1;

	target_fd = mountpoint_open(root_fd, mount->destination, true);
	if (target_fd < 0)
		return stage_fail(context, "mount-dev", "openat2", -target_fd,
				  "%s", mount->destination);
	return devices_mount(context, target_fd, mount->flags);
}

static int
mount_one(struct stage_context *context, int root_fd, size_t i)
{
	const struct bootstrap_mount *mount = &context->msg->mounts[i];

	switch (mount->kind) {
	case BOOTSTRAP_MOUNT_KIND_BIND:
		return mount_bind(context, root_fd, i);
	case BOOTSTRAP_MOUNT_KIND_DEV:
		return mount_dev(context, root_fd, mount);
	default:
		if (mount->kind >= ARRAY_SIZE(kinds) ||
		    !kinds[mount->kind].fs_name)
			return stage_fail(context, NULL, "", EINVAL, "kind %u",
					  mount->kind);
		return mount_fs(context, root_fd, mount);
	}
}

/* The request's own mount on /proc counts. */
static bool
wants_fresh_proc(const struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;
	size_t i;

	if (!msg->mount_proc || !(msg->clone_flags & CLONE_NEWPID))
		return false;
	for (i = 0; i < msg->n_mounts; i++)
		if (strcmp(msg->mounts[i].destination, "/proc") == 0)
			return false;
	return true;
}

static int
mount_all(struct stage_context *context, int root_fd)
{
	const struct bootstrap_mount proc = {
		.kind = BOOTSTRAP_MOUNT_KIND_PROC,
		.flags = BOOTSTRAP_MOUNT_NOSUID | BOOTSTRAP_MOUNT_NODEV |
			 BOOTSTRAP_MOUNT_NOEXEC,
		.destination = "/proc",
	};
	size_t i;
	int r;

	if (wants_fresh_proc(context)) {
		r = mount_fs(context, root_fd, &proc);
		if (r < 0)
			return r;
	}
	for (i = 0; i < context->msg->n_mounts; i++) {
		r = mount_one(context, root_fd, i);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The root directory's tree, attached over "/". */
static int
attach_root(struct stage_context *context)
{
	int r = 0;

	if (context->root_tree < 0)
		r = open_root_source(context);
	if (r < 0)
		return r;
	if (move_mount(context->root_tree, "", AT_FDCWD, "/",
		       MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return stage_fail(context, "rootfs", "move_mount", errno, "%s",
				  context->msg->rootfs);
	return 0;
}

/*
 * "." over ".": the old root lies on top of the new one for a moment and is
 * detached; no directory for it is needed (pivot_root(2)).
 */
static int
pivot(struct stage_context *context)
{
	if (fchdir(context->root_tree) < 0)
		return stage_fail(context, "rootfs", "fchdir", errno, "%s",
				  context->msg->rootfs);
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return stage_fail(context, "rootfs", "pivot_root", errno, "%s",
				  context->msg->rootfs);
	if (umount2(".", MNT_DETACH) < 0)
		return stage_fail(context, "rootfs", "umount2", errno, "%s",
				  "old root");
	if (chdir("/") < 0)
		return stage_fail(context, "rootfs", "chdir", errno, "/");
	return 0;
}

/* What may only be set when everything else is done. */
static int
seal_root(struct stage_context *context)
{
	fd_auto int root_fd = -1;
	bool shared = bootstrap_has(context->msg, BOOTSTRAP_PROPAGATION) &&
		      context->msg->propagation == BOOTSTRAP_PROPAGATION_SHARED;
	int r;

	if (!shared && !context->msg->root_readonly)
		return 0;
	root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return stage_fail(context, "rootfs", "open", errno, "/");
	r = mountfs_set(root_fd, true, 0, shared ? MS_SHARED : 0);
	if (r == 0 && context->msg->root_readonly)
		r = mountfs_set(root_fd, false, MOUNT_ATTR_RDONLY, 0);
	return r < 0 ? stage_fail(context, "rootfs", "mount_setattr", -r, "/")
		     : 0;
}

int
mounts_make(struct stage_context *context)
{
	fd_auto int old_root_fd = -1;
	int r, root_fd;

	if (!(context->create & CLONE_NEWNS))
		return 0;
	old_root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (old_root_fd < 0)
		return stage_fail(context, NULL, "open", errno, "/");
	r = mountfs_set(old_root_fd, true, 0, working_propagation(context));
	if (r < 0)
		return stage_fail(context, "propagation", "mount_setattr", -r,
				  "/");
	root_fd = old_root_fd;
	if (has_rootfs(context)) {
		r = attach_root(context);
		if (r < 0)
			return r;
		root_fd = context->root_tree;
	}
	r = mount_all(context, root_fd);
	if (r < 0)
		return r;
	if (has_rootfs(context)) {
		r = pivot(context);
		if (r < 0)
			return r;
		fd_close(&context->root_tree);
	}
	return seal_root(context);
}
