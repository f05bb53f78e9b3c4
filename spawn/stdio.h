/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard input, output and error of the payload: null, a descriptor of the
 * fd channel, or a path that the relay opens as the caller, before any join,
 * so that it means what it means to the caller.
 */
#ifndef NSX_SPAWN_STDIO_H
#define NSX_SPAWN_STDIO_H

#include "lib/err.h"
#include "spawn/stagectx.h"

/*
 * Fill context->stdio_fds. A FIFO is opened without waiting for its other end
 * in any particular order; then its other end is waited for, at most until the
 * stage's deadline. No terminal becomes controlling. Steps "stdio-open".
 */
must_check int stdio_open(struct stage_context *context);

#endif
