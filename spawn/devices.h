/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small /dev: tmpfs with null, zero, full, random, urandom, tty, the ptmx
 * link, directories for devpts and shm, and the links that /dev has by custom.
 */
#ifndef NSX_SPAWN_DEVICES_H
#define NSX_SPAWN_DEVICES_H

#include <stdint.h>

#include "lib/err.h"
#include "spawn/stagectx.h"

/*
 * Make it and attach it at an O_PATH descriptor. Where the kernel refuses
 * mknod (any new user namespace), the host's nodes are bound instead.
 * Step "mount-dev".
 */
must_check int devices_mount(struct stage_context *context, int target_fd,
			     uint32_t flags);

#endif
