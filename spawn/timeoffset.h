/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offsets of a new time namespace (time_namespaces(7)): written after
 * unshare(CLONE_NEWTIME), before a process runs in it; judged by whoever opened
 * the file.
 */
#ifndef NSX_SPAWN_TIMEOFFSET_H
#define NSX_SPAWN_TIMEOFFSET_H

#include "lib/err.h"

/*
 * Write "monotonic SECS NSECS\nboottime SECS NSECS\n" into an open
 * timens_offsets. The kernel takes at most two lines a write and says how much
 * it took. 0 or -errno.
 */
must_check int timeoffset_write(int fd, const char *text);

#endif
