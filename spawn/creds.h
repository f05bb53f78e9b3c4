/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a stage is: first the caller, exactly as the kernel says of its
 * connection; later, inside a user namespace, its root; at last the ids that
 * the request names. Every change is followed by dumpable 0 (prctl(2): the
 * kernel resets it), until exec.
 */
#ifndef NSX_SPAWN_CREDS_H
#define NSX_SPAWN_CREDS_H

#include "lib/err.h"
#include "spawn/stagectx.h"

/* Relay, first of all. Step "caller-credentials". */
must_check int creds_become_caller(struct stage_context *context);
/* Init in its new, mapped user namespace. Step "become-root". */
must_check int creds_become_root(struct stage_context *context);
/* Gid, groups, uid of the process. Steps "setgid" "setgroups" "setuid". */
must_check int creds_become_process(struct stage_context *context);
/*
 * Mapper: real and saved uid 0, effective uid and gids the caller's, no
 * capability but context->mapper_caps, and those permitted, not effective.
 */
must_check int creds_become_mapper(struct stage_context *context);

#endif
