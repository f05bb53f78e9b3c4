/* SPDX-License-Identifier: Apache-2.0 */
/* READY and FAILED on the init channel. See report.h. */
#include "spawn/report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "proto/nlmsg.h"
#include "proto/nsplan.h"
#include "proto/ops.h"

/* One datagram; a full queue is waited for, a lost peer is not an error. */
static void
channel_send(int channel, const void *data, size_t size)
{
	struct pollfd p = { .fd = channel, .events = POLLOUT };

	while (fd_send(channel, data, size, NULL, 0) == -EAGAIN)
		if (poll(&p, 1, 1000) < 1)
			return;
}

void
report_failure(int init_channel, const struct failure *failure)
{
	uint8_t buf[512];
	struct nlmsg_builder builder;
	size_t size;

	nlmsg_builder_init(&builder, buf, sizeof(buf), REPORT_FAILED, 0);
	op_put_failure(&builder, failure);
	if (nlmsg_builder_end(&builder, &size) == 0)
		channel_send(init_channel, buf, size);
}

void
stage_die(struct stage_context *context)
{
	report_failure(context->init_channel, &context->failure);
	_exit(1);
}

/*
 * readlink gives "net:[4026531840]" and, unlike stat, makes no inode. Through
 * our own procfs: /proc may be anything, or nothing, in here.
 */
static int
namespace_inode(int ns_fd, const char *name, uint64_t *ret)
{
	char text[64], *open, *end;
	ssize_t n;

	n = readlinkat(ns_fd, name, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	open = strchr(text, '[');
	if (!open)
		return -EINVAL;
	*ret = strtoull(open + 1, &end, 10);
	return *end == ']' ? 0 : -EINVAL;
}

/*
 * All that are in flags. The time namespace is entered at exec (Linux 6.1,
 * time_namespaces(7)): what children get is what the payload gets.
 */
static int
look_up(int ns_fd, uint32_t flags, uint64_t *inodes, const char **ret_name)
{
	size_t i;
	int r;

	for (i = 0; i < N_NS_KINDS; i++) {
		if (!(flags & ns_kinds[i].clone_flag) || inodes[i] != 0)
			continue;
		*ret_name = ns_kinds[i].clone_flag == CLONE_NEWTIME
				    ? "time_for_children"
				    : ns_kinds[i].name;
		r = namespace_inode(ns_fd, *ret_name, &inodes[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int
report_look_up(struct stage_context *context, uint32_t flags)
{
	const char *name = "self/ns";
	int r;

	if (context->ns_fd < 0)
		context->ns_fd = openat(context->proc_fd, name,
					O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (context->ns_fd < 0)
		return stage_fail(context, NULL, "openat", errno, "%s", name);
	r = look_up(context->ns_fd, flags, context->inodes, &name);
	return r < 0 ? stage_fail(context, NULL, "readlinkat", -r, "%s", name)
		     : 0;
}

int
stage_own_namespaces(int proc_fd, uint64_t *ret)
{
	fd_auto int ns_fd = -1;
	const char *name;

	ns_fd = openat(proc_fd, "self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ns_fd < 0)
		return -errno;
	memset(ret, 0, N_NS_KINDS * sizeof(*ret));
	return look_up(ns_fd, NSPLAN_ALL_FLAGS, ret, &name);
}

int
report_ready(struct stage_context *context)
{
	struct nlmsg_builder builder;
	uint8_t buf[256];
	size_t size;
	int r;

	r = report_look_up(context, NSPLAN_ALL_FLAGS);
	if (r < 0)
		return r;
	nlmsg_builder_init(&builder, buf, sizeof(buf), REPORT_READY, 0);
	nlmsg_put(&builder, OP_ATTR_NAMESPACES, context->inodes,
		  sizeof(context->inodes));
	nlmsg_put_u32(&builder, OP_ATTR_PID, (uint32_t)getpid());
	if (context->joins.kinds)
		nlmsg_put(&builder, OP_ATTR_JOINS, &context->joins,
			  sizeof(context->joins));
	if (context->program.inode)
		nlmsg_put(&builder, OP_ATTR_PROGRAM, &context->program,
			  sizeof(context->program));
	r = nlmsg_builder_end(&builder, &size);
	if (r < 0)
		return stage_fail(context, NULL, "", -r, "ready");
	channel_send(context->init_channel, buf, size);
	return 0;
}
