/* SPDX-License-Identifier: Apache-2.0 */
/* fsopen, fsmount, open_tree, move_mount, mount_setattr. See mountfs.h. */
#include "spawn/mountfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "proto/bootstrap.h"

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000 /* linux/fcntl.h */
#endif

uint64_t
mountfs_attr_flags(uint32_t flags)
{
	uint64_t attr = 0;

	if (flags & BOOTSTRAP_MOUNT_RDONLY)
		attr |= MOUNT_ATTR_RDONLY;
	if (flags & BOOTSTRAP_MOUNT_NOSUID)
		attr |= MOUNT_ATTR_NOSUID;
	if (flags & BOOTSTRAP_MOUNT_NODEV)
		attr |= MOUNT_ATTR_NODEV;
	if (flags & BOOTSTRAP_MOUNT_NOEXEC)
		attr |= MOUNT_ATTR_NOEXEC;
	return attr;
}

static int
copy_part(char *out, size_t out_size, const char *text, size_t size)
{
	if (size >= out_size)
		return -EINVAL;
	memcpy(out, text, size);
	out[size] = '\0';
	return 0;
}

int
mountfs_option_next(const char *data, size_t *offset,
		    struct mountfs_option *ret)
{
	size_t size, key_size;
	const char *text;
	int r;

	while (data[*offset] == ',')
		(*offset)++;
	text = data + *offset;
	if (*text == '\0')
		return 0;
	size = strcspn(text, ",");
	key_size = strcspn(text, "=,");
	*offset += size;
	if (key_size == 0)
		return -EINVAL;
	ret->flag = key_size == size;
	ret->value[0] = '\0';
	r = copy_part(ret->key, sizeof(ret->key), text, key_size);
	if (r == 0 && !ret->flag)
		r = copy_part(ret->value, sizeof(ret->value),
			      text + key_size + 1, size - key_size - 1);
	return r < 0 ? r : 1;
}

static int
configure(int fs_fd, const char *data)
{
	struct mountfs_option option;
	size_t offset = 0;
	int r;

	while (data && (r = mountfs_option_next(data, &offset, &option)) != 0) {
		if (r < 0)
			return r;
		if (option.flag)
			r = fsconfig(fs_fd, FSCONFIG_SET_FLAG, option.key, NULL,
				     0);
		else
			r = fsconfig(fs_fd, FSCONFIG_SET_STRING, option.key,
				     option.value, 0);
		if (r < 0)
			return -errno;
	}
	return 0;
}

int
mountfs_make(const char *fs_name, const char *data, uint64_t attr_flags,
	     const char **ret_syscall)
{
	fd_auto int fs_fd = -1;
	int fd, r;

	*ret_syscall = "fsopen";
	fs_fd = fsopen(fs_name, FSOPEN_CLOEXEC);
	if (fs_fd < 0)
		return -errno;
	*ret_syscall = "fsconfig";
	/* What /proc/mounts shows as the device. */
	if (fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", fs_name, 0) < 0)
		return -errno;
	r = configure(fs_fd, data);
	if (r < 0)
		return r;
	if (fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	*ret_syscall = "fsmount";
	fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, (unsigned int)attr_flags);
	return fd < 0 ? -errno : fd;
}

int
mountfs_clone(int dir_fd, const char *path, bool recursive,
	      const char **ret_syscall)
{
	unsigned int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	int fd;

	*ret_syscall = "open_tree";
	if (recursive)
		flags |= AT_RECURSIVE;
	fd = open_tree(dir_fd, path, flags);
	return fd < 0 ? -errno : fd;
}

int
mountfs_attach(int mount_fd, int target_fd)
{
	if (move_mount(mount_fd, "", target_fd, "",
		       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

int
mountfs_set(int mount_fd, bool recursive, uint64_t attr_flags,
	    uint64_t propagation)
{
	struct mount_attr attr = { .attr_set = attr_flags,
				   .propagation = propagation };
	unsigned int flags = AT_EMPTY_PATH;

	if (attr_flags == 0 && propagation == 0)
		return 0;
	if (recursive)
		flags |= AT_RECURSIVE;
	return mount_setattr(mount_fd, "", flags, &attr, sizeof(attr)) < 0
		       ? -errno
		       : 0;
}
