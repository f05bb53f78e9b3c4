/* SPDX-License-Identifier: Apache-2.0 */
/* A tmpfs with the devices every program expects. See devices.h. */
#include "spawn/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "spawn/mountfs.h"

static const struct {
	const char *name;
	const char *host_path;
	unsigned int minor;
	unsigned int major;
} nodes[] = {
	{ "null", "/dev/null", 3, 1 },	     { "zero", "/dev/zero", 5, 1 },
	{ "full", "/dev/full", 7, 1 },	     { "random", "/dev/random", 8, 1 },
	{ "urandom", "/dev/urandom", 9, 1 }, { "tty", "/dev/tty", 0, 5 },
};
#define N_NODES ARRAY_SIZE(nodes)

static const struct {
	const char *name;
	const char *target;
} links[] = {
	{ "ptmx", "pts/ptmx" },		 { "fd", "/proc/self/fd" },
	{ "stdin", "/proc/self/fd/0" },	 { "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" },
};

static int
dev_fail(struct stage_context *context, const char *syscall, int error,
	 const char *name)
{
	return stage_fail(context, "mount-dev", syscall, error, "%s", name);
}

/* Everything but the nodes. */
static int
fill_tree(struct stage_context *context, int dev_fd)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].target, dev_fd, links[i].name) < 0)
			return dev_fail(context, "symlinkat", errno,
					links[i].name);
	if (mkdirat(dev_fd, "pts", 0755) < 0)
		return dev_fail(context, "mkdirat", errno, "pts");
	if (mkdirat(dev_fd, "shm", 01777) < 0)
		return dev_fail(context, "mkdirat", errno, "shm");
	return 0;
}

/* 1: made; 0: the kernel wants binds instead, *fds holds their sources. */
static int
make_nodes(struct stage_context *context, int dev_fd, int fds[N_NODES])
{
	const char *syscall;
	size_t i;
	int fd;

	for (i = 0; i < N_NODES; i++) {
		if (mknodat(dev_fd, nodes[i].name, S_IFCHR | 0666,
			    makedev(nodes[i].major, nodes[i].minor)) == 0)
			continue;
		if (errno != EPERM)
			return dev_fail(context, "mknodat", errno,
					nodes[i].name);
		/* The source now: the tmpfs may cover it in a moment. */
		fds[i] = mountfs_clone(AT_FDCWD, nodes[i].host_path, false,
				       &syscall);
		if (fds[i] < 0)
			return dev_fail(context, syscall, -fds[i],
					nodes[i].host_path);
		fd = openat(dev_fd, nodes[i].name,
			    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd < 0)
			return dev_fail(context, "openat", errno,
					nodes[i].name);
		close(fd);
	}
	return 0;
}

static int
bind_nodes(struct stage_context *context, int dev_fd, const int fds[N_NODES])
{
	size_t i;
	int r;

	for (i = 0; i < N_NODES; i++) {
		fd_auto int target_fd = -1;

		if (fds[i] < 0)
			continue;
		target_fd = openat(dev_fd, nodes[i].name,
				   O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (target_fd < 0)
			return dev_fail(context, "openat", errno,
					nodes[i].name);
		r = mountfs_set(fds[i], false, 0, MS_PRIVATE);
		if (r == 0)
			r = mountfs_attach(fds[i], target_fd);
		if (r < 0)
			return dev_fail(context, "move_mount", -r,
					nodes[i].name);
	}
	return 0;
}

static int
make_and_attach(struct stage_context *context, int target_fd, uint32_t flags,
		int fds[N_NODES])
{
	uint32_t later = flags & BOOTSTRAP_MOUNT_RDONLY;
	const char *syscall;
	fd_auto int dev_fd = -1;
	int r;

	dev_fd = mountfs_make(
		"tmpfs", "mode=755,size=65536k",
		mountfs_attr_flags(flags & ~later & ~BOOTSTRAP_MOUNT_NODEV),
		&syscall);
	if (dev_fd < 0)
		return dev_fail(context, syscall, -dev_fd, "tmpfs");
	r = fill_tree(context, dev_fd);
	if (r == 0)
		r = make_nodes(context, dev_fd, fds);
	if (r < 0)
		return r;
	r = mountfs_attach(dev_fd, target_fd);
	if (r < 0)
		return dev_fail(context, "move_mount", -r, "tmpfs");
	r = bind_nodes(context, dev_fd, fds);
	if (r < 0)
		return r;
	r = mountfs_set(dev_fd, false, mountfs_attr_flags(later), 0);
	return r < 0 ? dev_fail(context, "mount_setattr", -r, "tmpfs") : 0;
}

int
devices_mount(struct stage_context *context, int target_fd, uint32_t flags)
{
	int fds[N_NODES];
	mode_t saved;
	size_t i;
	int r;

	for (i = 0; i < N_NODES; i++)
		fds[i] = -1;
	saved = umask(0);
	r = make_and_attach(context, target_fd, flags, fds);
	umask(saved);
	for (i = 0; i < N_NODES; i++)
		fd_close(&fds[i]);
	return r;
}
