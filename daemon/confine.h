/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unprivileged nsexecd proves to itself that it is unprivileged, and gives
 * up what is left. Called once, after the sockets are open and before the
 * first byte of a caller is read.
 */
#ifndef NSX_DAEMON_CONFINE_H
#define NSX_DAEMON_CONFINE_H

#include <sys/types.h>

#include "lib/err.h"

/*
 * Become uid and its group for ever (root only): no supplementary groups, no
 * capabilities, verified by reading back. -errno; -EINVAL for uid 0.
 */
must_check int confine_drop(uid_t uid, gid_t gid);

/*
 * no_new_privs, not dumpable, no capability left, no file but its records and
 * what it reads of the kernel (confine_files.h; where the kernel has no
 * Landlock, that is logged and the rest holds), no system call but those of
 * confine_calls.c. -EPERM if this process is root or keeps a capability;
 * -errno.
 */
must_check int confine_self(const char *records_dir);

#endif
