/* SPDX-License-Identifier: Apache-2.0 */
/* Is this process the init that this start has just made? */
#ifndef NSX_SPAWN_MAPTARGET_H
#define NSX_SPAWN_MAPTARGET_H

#include <sys/types.h>

#include "lib/err.h"

/*
 * dir_fd: its /proc/PID directory, which stays that process's whatever becomes
 * of the pid. 0 if it is a child of parent (by pid) and in exactly the cgroups
 * of the calling process; -ESRCH if it is gone, -EPERM if it is another.
 */
must_check int maptarget_check(int dir_fd, int proc_fd, pid_t parent);

/* Pure: the parent in the text of /proc/PID/stat; -EBADMSG. */
must_check int maptarget_parse_parent(const char *stat, pid_t *ret);

#endif
