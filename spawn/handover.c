/* SPDX-License-Identifier: Apache-2.0 */
/* From relay or mapper to init. See handover.h. */
#include "spawn/handover.h"

#include <errno.h>
#include <sys/socket.h>

#include "lib/fd.h"

int
handover_open(struct stage_context *context)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return stage_fail(context, NULL, "socketpair", errno, "go");
	context->go_read = pair[0];
	context->go_write = pair[1];
	return 0;
}

int
handover_send(int go_write, int offsets_fd)
{
	return fd_send(go_write, "G", 1, &offsets_fd, offsets_fd >= 0 ? 1 : 0);
}

int
handover_wait(struct stage_context *context)
{
	size_t n_fds = 0;
	char byte;
	ssize_t n;

	if (context->go_read < 0)
		return 0;
	n = fd_recv(context->go_read, &byte, 1, &context->offsets_fd,
		    context->outside_offsets ? 1 : 0, &n_fds);
	fd_close(&context->go_read);
	if (n < 0)
		return stage_fail(context, NULL, "recvmsg", (int)-n, "go");
	if (n == 0)
		return -ECANCELED;
	if (n_fds != (context->outside_offsets ? 1u : 0u))
		return stage_fail(context, NULL, "recvmsg", EPROTO, "go");
	return 0;
}
