/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detached mounts by the new mount calls (Linux 5.2): made and configured
 * first, attached by descriptor afterwards. Results: a descriptor or -errno;
 * *ret_syscall names the call that failed (static text).
 */
#ifndef NSX_SPAWN_MOUNTFS_H
#define NSX_SPAWN_MOUNTFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

/* BOOTSTRAP_MOUNT_* flags as MOUNT_ATTR_* ones. */
uint64_t mountfs_attr_flags(uint32_t flags);

/*
 * Pure: one "key" or "key=value" of comma-separated options, from *offset on.
 * 1 and the texts, 0 = no more, -EINVAL = longer than the buffers. *ret_flag:
 * there was no '='.
 */
#define MOUNTFS_KEY_MAX 64
#define MOUNTFS_VALUE_MAX 256
struct mountfs_option {
	char key[MOUNTFS_KEY_MAX];
	char value[MOUNTFS_VALUE_MAX];
	bool flag;
};
int mountfs_option_next(const char *data, size_t *offset,
			struct mountfs_option *ret);

/* A new instance of a file system, detached. data may be NULL. */
must_check int mountfs_make(const char *fs_name, const char *data,
			    uint64_t attr_flags, const char **ret_syscall);
/* A detached copy of the mount at path (and of those below it). */
must_check int mountfs_clone(int dir_fd, const char *path, bool recursive,
			     const char **ret_syscall);
/* Attach at an O_PATH descriptor. 0 or -errno. */
must_check int mountfs_attach(int mount_fd, int target_fd);
/* Add attributes, set propagation (0 = leave). 0 or -errno of mount_setattr. */
must_check int mountfs_set(int mount_fd, bool recursive, uint64_t attr_flags,
			   uint64_t propagation);

#endif
