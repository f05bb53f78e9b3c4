/* SPDX-License-Identifier: Apache-2.0 */
/* What a start makes. See stageplan.h. */
#include "spawn/stageplan.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>

#include "lib/sys.h"
#include "spawn/mounts.h"

void
stageplan_know_own(struct stage_context *context, uint32_t changed)
{
	const uint64_t *own = context->input->own_namespaces;
	size_t i;

	for (i = 0; own && i < N_NS_KINDS; i++)
		if (!(changed & ns_kinds[i].clone_flag))
			context->inodes[i] = own[i];
}

int
stageplan_make(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;
	bool offsets = bootstrap_has(msg, BOOTSTRAP_TIME_OFFSETS);
	int r;

	context->create = msg->clone_flags;
	if (context->create & ~(uint32_t)NSPLAN_ALL_FLAGS)
		return stage_fail(context, NULL, "", EINVAL, "clone flags %x",
				  context->create);
	if (offsets && !(context->create & CLONE_NEWTIME))
		return stage_fail(context, "time-offsets", "", EINVAL,
				  "no new time namespace");
	r = mounts_check(context);
	if (r < 0)
		return r;
	context->outside_offsets = offsets && (context->create & CLONE_NEWUSER);
	/* Opened by root, written after unshare(CLONE_NEWTIME): that call is
	 * where the kernel asks for the caller's right; the file then sets
	 * nothing but this process's own, new namespace. */
	if (offsets && !context->outside_offsets) {
		context->offsets_fd =
			openat(context->proc_fd, "self/timens_offsets",
			       O_WRONLY | O_CLOEXEC);
		if (context->offsets_fd < 0)
			return stage_fail(context, "time-offsets", "openat",
					  errno, "self/timens_offsets");
	}
	return 0;
}
