/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process has beside its credentials, as the caller has it: resource
 * limits, priorities, CPUs, OOM score, login uid, bounding set. A child of the
 * spawner would have the spawner's, which may be better; a program that is
 * started through us has what the caller's own child would have had, or less.
 *
 * Values come from the kernel, of the process at the other end of the caller's
 * connection, and never from bytes. They are read first and applied only if
 * that process still lived afterwards: its pid was then its own all along.
 *
 * An admin keeps what the spawner has: none of this is done then.
 */
#ifndef NSX_SPAWN_CALLERSTATE_H
#define NSX_SPAWN_CALLERSTATE_H

#include <sys/resource.h>

#include "lib/err.h"
#include "spawn/stagectx.h"

/*
 * Pure: the text of /proc/PID/limits. All RLIM_NLIMITS of them, or -EBADMSG
 * with ret undefined.
 */
must_check int callerstate_parse_limits(const char *text, struct rlimit *ret);

/*
 * Relay, while it is still root: read, and apply what needs a right to. Fills
 * context->limits. ESRCH: the caller's process is gone.
 */
must_check int callerstate_take(struct stage_context *context);

/*
 * Relay, as the caller: the limits that bind the clone of init and the wishes
 * of the request. EPERM: the request asks for more than the caller may have.
 */
must_check int callerstate_limit(struct stage_context *context);

/* Init, right before exec: all limits, those of the request after them. */
must_check int callerstate_finish(struct stage_context *context);

#endif
