/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving and placing the payload's descriptors. See fdsetup.h. */
#include "spawn/fdsetup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdbool.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"

#define CHANNEL_TIMEOUT_MS 2000
#define KEEP_MAX 16

void
fdsetup_close_except(const int *keep, size_t n_keep)
{
	int sorted[KEEP_MAX];
	size_t i, j, n = 0;
	int next = 0;

	assert(n_keep <= KEEP_MAX);
	for (i = 0; i < n_keep; i++) {
		if (keep[i] < 0)
			continue;
		for (j = n++; j > 0 && sorted[j - 1] > keep[i]; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = keep[i];
	}
	for (i = 0; i < n; i++) {
		if (sorted[i] > next)
			(void)sys_close_range((unsigned int)next,
					      (unsigned int)sorted[i] - 1, 0);
		if (sorted[i] >= next)
			next = sorted[i] + 1;
	}
	(void)sys_close_range((unsigned int)next, ~0u, 0);
}

int
fdsetup_receive(struct stage_context *context)
{
	uint32_t expected = context->msg->n_channel_fds;
	char body[64];
	ssize_t n;
	int r;

	if (expected == 0)
		return 0;
	if (context->fd_channel < 0)
		return stage_fail(context, NULL, "", EBADF, "no connection");
	/* By now this process is the caller: should closing a descriptor of
	 * its hang in the caller's file system, its own stage hangs. */
	r = fd_wait_readable(context->fd_channel, CHANNEL_TIMEOUT_MS);
	if (r == 0)
		return stage_fail(context, NULL, "poll", ETIMEDOUT,
				  "%u descriptors expected", expected);
	if (r < 0)
		return stage_fail(context, NULL, "poll", -r, "fd channel");
	n = fd_recv(context->fd_channel, body, sizeof(body),
		    context->channel_fds, ARRAY_SIZE(context->channel_fds),
		    &context->n_channel_fds);
	if (n < 0)
		return stage_fail(context, NULL, "recvmsg", (int)-n,
				  "%u descriptors expected", expected);
	if (context->n_channel_fds != expected)
		return stage_fail(context, NULL, "recvmsg", EPROTO,
				  "%u descriptors expected, %u came", expected,
				  (unsigned int)context->n_channel_fds);
	return 0;
}

static bool
is_target(const struct fd_place *places, size_t n, int fd)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (places[i].to == fd)
			return true;
	return false;
}

/* A CLOEXEC copy at a number that nobody asked for. */
static int
park(const struct fd_place *places, size_t n, int fd)
{
	int copy, least = 3;

	for (;;) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, least);
		if (copy < 0)
			return -errno;
		if (!is_target(places, n, copy))
			return copy;
		close(copy);
		least = copy + 1;
	}
}

/* Park every source that stands on a target, all its uses together. */
static int
park_sources(struct fd_place *places, size_t n)
{
	size_t i, j;
	int copy, from;

	for (i = 0; i < n; i++) {
		from = places[i].from;
		if (!is_target(places, n, from))
			continue;
		copy = park(places, n, from);
		if (copy < 0)
			return copy;
		for (j = i; j < n; j++)
			if (places[j].from == from)
				places[j].from = copy;
	}
	return 0;
}

int
fdsetup_place(struct fd_place *places, size_t n_places, int *const *others,
	      size_t n_others)
{
	size_t i;
	int copy, r;

	for (i = 0; i < n_others; i++) {
		if (*others[i] < 0 || !is_target(places, n_places, *others[i]))
			continue;
		copy = park(places, n_places, *others[i]);
		if (copy < 0)
			return copy;
		*others[i] = copy;
	}
	r = park_sources(places, n_places);
	if (r < 0)
		return r;
	for (i = 0; i < n_places; i++)
		if (dup2(places[i].from, places[i].to) < 0)
			return -errno;
	return 0;
}

static void
place_add(struct fd_place *places, size_t *n, int from, int to)
{
	places[*n] = (struct fd_place){ .from = from, .to = to };
	(*n)++;
}

int
fdsetup_finish(struct stage_context *context)
{
	int *const others[] = { &context->init_channel, &context->gate_listener,
				&context->proc_fd,	&context->parent_pidfd,
				&context->exec_block,	&context->ns_fd };
	const struct bootstrap *msg = context->msg;
	struct fd_place places[FD_PLACE_MAX];
	size_t i, n = 0;
	int r;

	/* Everything goes at exec (CVE-2024-21626); what was asked for is put
	 * in place afterwards, without the flag. */
	r = sys_close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	if (r < 0)
		return stage_fail(context, NULL, "close_range", -r, "3-");
	for (i = 0; i < ARRAY_SIZE(context->stdio_fds); i++)
		place_add(places, &n, context->stdio_fds[i], (int)i);
	for (i = 0; i < msg->n_passed_fds; i++) {
		if (msg->passed_fds[i].fd_index >= context->n_channel_fds)
			return stage_fail(context, NULL, "", EBADF,
					  "descriptor %u of %u",
					  msg->passed_fds[i].fd_index,
					  (unsigned int)context->n_channel_fds);
		place_add(places, &n,
			  context->channel_fds[msg->passed_fds[i].fd_index],
			  (int)msg->passed_fds[i].number);
	}
	r = fdsetup_place(places, n, others, ARRAY_SIZE(others));
	if (r < 0)
		return stage_fail(context, NULL, "dup2", -r,
				  "descriptors of the process");
	return 0;
}
