/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places to mount on, inside a root that a stranger may have filled: every
 * path is resolved by the kernel as if that root were "/" (openat2(2),
 * RESOLVE_IN_ROOT), without magic links, and used as a descriptor.
 */
#ifndef NSX_SPAWN_MOUNTPOINT_H
#define NSX_SPAWN_MOUNTPOINT_H

#include <stdbool.h>

#include "lib/err.h"

/*
 * An O_PATH descriptor of path below root_fd; what is missing is made, as
 * directories, the last component as an empty file if directory is false.
 * The descriptor, or -errno.
 */
must_check int mountpoint_open(int root_fd, const char *path, bool directory);

#endif
