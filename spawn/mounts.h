/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file systems of a new mount namespace: propagation, the root directory
 * by pivot_root, the mounts of the request, a fresh /proc. All is done by init
 * inside its own namespaces; sources that only the caller's own place in the
 * host can reach are cloned by an admin's relay beforehand.
 */
#ifndef NSX_SPAWN_MOUNTS_H
#define NSX_SPAWN_MOUNTS_H

#include "lib/err.h"
#include "spawn/stagectx.h"

/*
 * Anything about mounts is refused unless the mount namespace is a new one:
 * nothing here may touch a namespace that others live in. Step "mounts".
 */
must_check int mounts_check(struct stage_context *context);
/* Relay, as the caller, before any join; nothing for an ordinary caller. */
must_check int mounts_open_sources(struct stage_context *context);
/* Init, after unshare. Steps "mounts", "mount-KIND", "rootfs", "mount-proc". */
must_check int mounts_make(struct stage_context *context);

#endif
