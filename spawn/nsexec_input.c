/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's message: read whole, however it is cut into pieces, within a
 * deadline, and decoded strictly. Not one byte more than the header announces
 * is taken from the socket: what follows belongs to the program of the last
 * stage. A message that is refused is drained, because a peer whose bytes were
 * left unread sees ECONNRESET where it should see the end of file.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "spawn/nsexec_program.h"

#define INPUT_TYPE_ERROR 2 /* NLMSG_ERROR */
#define INPUT_DRAIN_MAX (1024u * 1024u)

static void
drain(const struct nsexec *self)
{
	char unread[4096];
	size_t total = 0;
	ssize_t n;

	do {
		n = recv(self->init_fd, unread, sizeof(unread), MSG_DONTWAIT);
		total += n > 0 ? (size_t)n : 0;
	} while (n > 0 && total < INPUT_DRAIN_MAX);
}

/* Poll and one read. 0 = end of file, -ETIMEDOUT, -errno, else the count. */
static ssize_t
read_some(int fd, void *data, size_t size, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t n;
	int r;

	r = poll(&pfd, 1, timeout_ms);
	if (r == 0)
		return -ETIMEDOUT;
	if (r < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	n = read(fd, data, size);
	return n < 0 ? -errno : n;
}

/* All of it before the deadline, each piece within a step's time, or fatal. */
static void
read_exactly(struct nsexec *self, void *data, size_t size, int64_t deadline_ms,
	     const char *what)
{
	size_t used = 0;
	ssize_t n;

	while (used < size) {
		n = read_some(self->init_fd, (char *)data + used, size - used,
			      NSEXEC_STEP_TIMEOUT_MS);
		if (clock_boottime_ms() > deadline_ms)
			n = -ETIMEDOUT;
		if (n <= 0 && n != -EAGAIN && n != -EINTR)
			die(self, (int)-n,
			    "failed to read %s (got %zu of %zu bytes)", what,
			    used, size);
		used += n > 0 ? (size_t)n : 0;
	}
}

uint8_t
nsexec_input_byte(struct nsexec *self, const char *what)
{
	uint8_t byte;

	read_exactly(self, &byte, 1,
		     clock_boottime_ms() + NSEXEC_MESSAGE_TIMEOUT_MS, what);
	return byte;
}

static void
check_header(struct nsexec *self, const struct nlmsg_header *header)
{
	if (header->type == INPUT_TYPE_ERROR)
		die(self, 0,
		    "failed to read netlink message: the parent sent "
		    "an error");
	if (header->type != BOOTSTRAP_TYPE) {
		drain(self);
		die(self, 0, "unexpected netlink message type %u, not %u",
		    header->type, BOOTSTRAP_TYPE);
	}
	if (header->len < NLMSG_HEADER_SIZE || header->len > NLMSG_MAX) {
		drain(self);
		die(self, 0,
		    "invalid netlink message length %u (allowed: %u to %u)",
		    header->len, NLMSG_HEADER_SIZE, NLMSG_MAX);
	}
}

void
nsexec_input_read(struct nsexec *self)
{
	struct bootstrap_error error = { 0 };
	uint8_t raw[NLMSG_HEADER_SIZE];
	struct nlmsg_header header;
	int64_t deadline_ms;

	_Static_assert(sizeof(header) == NLMSG_HEADER_SIZE, "no padding");
	if (fd_wait_readable(self->init_fd, NSEXEC_FIRST_BYTE_TIMEOUT_MS) == 0)
		die(self, ETIMEDOUT,
		    "failed to read netlink header (got 0 of "
		    "%zu bytes)",
		    sizeof(raw));
	deadline_ms = clock_boottime_ms() + NSEXEC_MESSAGE_TIMEOUT_MS;
	read_exactly(self, raw, sizeof(raw), deadline_ms, "netlink header");
	memcpy(&header, raw, sizeof(header));
	check_header(self, &header);
	self->size = header.len;
	self->data = malloc(self->size);
	if (!self->data)
		die(self, ENOMEM, "failed to allocate %u bytes", header.len);
	memcpy(self->data, raw, sizeof(raw));
	read_exactly(self, self->data + sizeof(raw), self->size - sizeof(raw),
		     deadline_ms, "netlink payload");
	if (bootstrap_decode(self->era->dialect, BOOTSTRAP_TYPE, self->data,
			     self->size, &self->msg, &error) < 0) {
		drain(self);
		die(self, 0, "invalid bootstrap message: %s", error.text);
	}
}

bool
nsexec_input_console_after_joins(const struct nsexec *self)
{
	uint16_t console =
		bootstrap_attr_number(self->era->dialect, BOOTSTRAP_CONSOLE);
	uint16_t joins =
		bootstrap_attr_number(self->era->dialect, BOOTSTRAP_NS_PATHS);
	struct nlmsg_error error;
	struct nlmsg_attr attr;
	struct nlmsg_iter iter;

	nlmsg_iter_init(&iter, self->data, self->size);
	while (nlmsg_iter_next(&iter, &attr, &error) > 0) {
		if (attr.type == console)
			return false;
		if (attr.type == joins)
			return true;
	}
	return false;
}
