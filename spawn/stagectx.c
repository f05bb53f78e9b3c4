/* SPDX-License-Identifier: Apache-2.0 */
/* The context of a start and the runner of step tables. See stagectx.h. */
#include "spawn/stagectx.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"

void
stage_context_init(struct stage_context *context,
		   const struct stage_input *input)
{
	size_t i;

	/* All but the pointers, which are written before they are read. */
	memset(context, 0, offsetof(struct stage_context, pointers));
	context->input = input;
	context->msg = input->msg;
	context->caller = input->caller;
	context->stage = STAGE_RELAY;
	context->step = "relay-start";
	context->init_channel = input->init_channel;
	context->relay_report = input->relay_report;
	context->fd_channel = input->fd_channel;
	context->exec_block = input->exec_block;
	context->gate_listener = input->gate_listener;
	context->target_pidfd = input->target_pidfd;
	context->proc_fd = input->proc_fd;
	context->go_read = context->go_write = -1;
	context->mapper_channel = -1;
	context->caller_pidfd = input->caller->pidfd;
	context->parent_pidfd = -1;
	context->oom_fd = context->offsets_fd = -1;
	context->init_pidfd = context->ns_fd = -1;
	context->root_tree = -1;
	for (i = 0; i < ARRAY_SIZE(context->stdio_fds); i++)
		context->stdio_fds[i] = -1;
	for (i = 0; i < ARRAY_SIZE(context->mount_trees); i++)
		context->mount_trees[i] = -1;
}

int
stage_steps_run(struct stage_context *context, const struct stage_step *steps,
		size_t n)
{
	size_t i;
	int r;

	for (i = 0; i < n; i++) {
		context->step = steps[i].name;
		r = steps[i].run(context);
		if (r < 0)
			return r;
	}
	return 0;
}

int
stage_fail(struct stage_context *context, const char *step, const char *syscall,
	   int error, const char *fmt, ...)
{
	char object[FAILURE_OBJECT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(object, sizeof(object), fmt, ap);
	va_end(ap);
	return failure_set(&context->failure, context->stage,
			   step ? step : context->step, syscall, error, "%s",
			   object);
}
