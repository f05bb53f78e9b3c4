/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay's joins: those that the request lists (by path, by process, by
 * descriptor), or, for a process in a running container, all namespaces of
 * that container's init which differ from our own.
 */
#ifndef NSX_SPAWN_JOINS_H
#define NSX_SPAWN_JOINS_H

#include "lib/err.h"
#include "spawn/stagectx.h"

/* As the caller; the kernel decides. Fills context->joined. */
must_check int joins_enter(struct stage_context *context);

#endif
