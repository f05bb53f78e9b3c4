/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stage tells nsexecd on the init channel: READY once, or FAILED once
 * (proto/ops.h). The other end may be gone; that is nobody's error here.
 */
#ifndef NSX_SPAWN_REPORT_H
#define NSX_SPAWN_REPORT_H

#include "lib/err.h"
#include "spawn/stagectx.h"

void report_failure(int init_channel, const struct failure *failure);

/*
 * Look up those of the namespaces in flags (CLONE_NEW*) that are not known in
 * context->inodes yet. Every lookup makes an inode in procfs: the fewer the
 * better, and the earlier.
 */
must_check int report_look_up(struct stage_context *context, uint32_t flags);

/* The eight namespaces of this process and its pid as it sees it. */
must_check int report_ready(struct stage_context *context);

/* Send context->failure and end the process with status 1. */
_Noreturn void stage_die(struct stage_context *context);

#endif
