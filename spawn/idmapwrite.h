/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the id maps of a process from outside its user namespace, below a
 * descriptor of its /proc/PID directory. The kernel takes each map once, in
 * one write(2), and decides with the credentials that opened the file
 * (user_namespaces(7)). What was written is read back and compared.
 */
#ifndef NSX_SPAWN_IDMAPWRITE_H
#define NSX_SPAWN_IDMAPWRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"

enum idmap_side {
	IDMAP_UID,
	IDMAP_GID,
};

/*
 * Write rows of text ("inside outside count\n", NUL not counted, at most
 * IDMAP_MAX_TEXT) and compare with what the kernel then shows.
 * 0, or -errno with *failure: step "map-uid" / "map-gid", syscall open, write
 * or read; -EIO: the kernel shows another map. Object: the file and pid.
 */
must_check int idmap_write(int pid_dir_fd, enum idmap_side side,
			   const char *text, size_t size, enum stage stage,
			   struct failure *failure);

/* What was written by somebody else: the same comparison. */
must_check int idmap_verify(int pid_dir_fd, enum idmap_side side,
			    const char *text, size_t size);

/*
 * "deny" (allow false) or "allow" into setgroups, and read back; only before
 * gid_map. A kernel without the file counts as done. 0 or -errno, step
 * "map-setgroups".
 */
must_check int idmap_setgroups_write(int pid_dir_fd, bool allow,
				     enum stage stage, struct failure *failure);

/* The /proc/PID directory: an O_PATH descriptor (owned by the caller) or
 * -errno. proc_fd -1 = /proc. */
must_check int idmap_process_open(int proc_fd, int pid);

#endif
