/* SPDX-License-Identifier: Apache-2.0 */
/* READY and FAILED on the init channel. See report.h. */
#include "spawn/report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
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

int
report_ready(struct stage_context *context)
{
	fd_auto int ns_fd = -1;
	uint64_t inodes[N_NS_KINDS] = { 0 };
	struct nlmsg_builder builder;
	const char *name;
	uint8_t buf[128];
	size_t i, size;
	int r;

	ns_fd = openat(context->proc_fd, "self/ns",
		       O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ns_fd < 0)
		return stage_fail(context, NULL, "openat", errno, "self/ns");
	for (i = 0; i < N_NS_KINDS; i++) {
		name = ns_kinds[i].name;
		/* It is entered at exec (Linux 6.1, time_namespaces(7)). */
		if (ns_kinds[i].clone_flag == CLONE_NEWTIME)
			name = "time_for_children";
		r = namespace_inode(ns_fd, name, &inodes[i]);
		if (r < 0)
			return stage_fail(context, NULL, "readlinkat", -r, "%s",
					  name);
	}
	nlmsg_builder_init(&builder, buf, sizeof(buf), REPORT_READY, 0);
	nlmsg_put(&builder, OP_ATTR_NAMESPACES, inodes, sizeof(inodes));
	nlmsg_put_u32(&builder, OP_ATTR_PID, (uint32_t)getpid());
	r = nlmsg_builder_end(&builder, &size);
	if (r < 0)
		return stage_fail(context, NULL, "", -r, "ready");
	channel_send(context->init_channel, buf, size);
	return 0;
}
