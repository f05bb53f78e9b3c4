/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for the byte that lets a container go. See gate.h. */
#include "spawn/gate.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fd.h"

#define CONNECTION_TIMEOUT_MS 1000
#define GATE_TRIES 3 /* without memory */

/* 1: the byte, 0: end of file or something else, -errno. */
static int
gate_read(int fd)
{
	unsigned int tries = 0;
	char byte = 0;
	ssize_t n;

	do
		n = recv(fd, &byte, 1, MSG_DONTWAIT);
	while (n < 0 &&
	       (errno == EINTR || (errno == ENOMEM && tries++ < GATE_TRIES)));
	if (n < 0)
		return -errno;
	return n == 1 && byte == GATE_BYTE;
}

static int
wait_channel(struct stage_context *context)
{
	int r;

	for (;;) {
		r = fd_wait_readable(context->init_channel, -1);
		if (r < 0)
			return stage_fail(context, NULL, "poll", -r,
					  "init channel");
		r = gate_read(context->init_channel);
		if (r == -EAGAIN)
			continue;
		return r == 1 ? 0 : -ECANCELED;
	}
}

/*
 * The listener lies in a directory that only nsexecd and root may enter; a
 * connection that says nothing is dropped after a second, so none can keep
 * the others out. A peer that died with data unread gives ECONNRESET: the next
 * one comes.
 */
static int
wait_named(struct stage_context *context)
{
	int r;

	for (;;) {
		fd_auto int connection = -1;

		r = fd_wait_readable(context->gate_listener, -1);
		if (r < 0)
			return stage_fail(context, NULL, "poll", -r, "gate");
		connection = accept4(context->gate_listener, NULL, NULL,
				     SOCK_CLOEXEC);
		if (connection < 0) {
			if (errno == EINTR || errno == EAGAIN ||
			    errno == ECONNABORTED)
				continue;
			return stage_fail(context, NULL, "accept", errno,
					  "gate");
		}
		if (fd_wait_readable(connection, CONNECTION_TIMEOUT_MS) < 1)
			continue;
		if (gate_read(connection) == 1)
			return 0;
	}
}

int
gate_wait(struct stage_context *context)
{
	switch (context->msg->gate) {
	case GATE_CHANNEL:
		return wait_channel(context);
	case GATE_NAMED:
		if (context->gate_listener < 0)
			return stage_fail(context, NULL, "", EBADF,
					  "no listener");
		return wait_named(context);
	default:
		return 0;
	}
}
