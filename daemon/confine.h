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
 * no_new_privs, not dumpable, no capability left, and a seccomp filter without
 * exec, ptrace, mounts, namespaces, kernel modules and the like. -EPERM if
 * this process is root or has a capability; -errno.
 */
must_check int confine_self(void);

#endif
