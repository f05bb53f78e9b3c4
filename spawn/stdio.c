/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening of stdin, stdout and stderr. See stdio.h.
 *
 * FIFOs: a blocking open in turn would lock up with a peer that opens in
 * another order. So readers are opened first and at once; writers are tried
 * until a reader is there (ENXIO, fifo(7)); and last each reader waits until
 * somebody writes, for a payload that reads earlier would see end of file.
 */
#include "spawn/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "spawn/guard.h"

#define STDIO_SLICE_MS 20

static const char *const stdio_names[] = { "stdin", "stdout", "stderr" };

static int
stdio_fail(struct stage_context *context, size_t i, int error)
{
	return stage_fail(context, NULL, "open", error, "%s %s", stdio_names[i],
			  context->msg->stdio[i].path);
}

static int
clear_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* O_WRONLY of a FIFO that nobody reads yet: again and again. */
static int
open_path(const char *path, int flags)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	int fd;

	for (;;) {
		fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd >= 0)
			return fd;
		if (errno != ENXIO && errno != EINTR)
			return -errno;
		/* The stage's deadline ends this (spawn/guard.h). */
		nanosleep(&pause, NULL);
	}
}

/*
 * Wait until a FIFO that is open for reading has or had a writer. A second,
 * blocking open returns when one is there; it is interrupted regularly to see
 * whether one came and went (POLLIN, POLLHUP) in between.
 */
static int
fifo_wait_writer(struct stage_context *context, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char link[40];
	int again, r = 0;

	snprintf(link, sizeof(link), "self/fd/%d", fd);
	guard_slice(STDIO_SLICE_MS);
	while (poll(&p, 1, 0) < 1) {
		again = openat(context->proc_fd, link, O_RDONLY | O_CLOEXEC);
		if (again >= 0) {
			close(again);
			break;
		}
		if (errno != EINTR) {
			r = -errno;
			break;
		}
	}
	guard_slice(0);
	return r;
}

static int
open_stdio_path(struct stage_context *context, size_t i)
{
	const char *path = context->msg->stdio[i].path;
	int fd, r;

	fd = open_path(path, i == 0 ? O_RDONLY : O_WRONLY | O_APPEND);
	if (fd < 0)
		return stdio_fail(context, i, -fd);
	context->stdio_fds[i] = fd;
	r = clear_nonblock(fd);
	return r < 0 ? stdio_fail(context, i, -r) : 0;
}

static int
wait_stdin_writer(struct stage_context *context)
{
	int fd = context->stdio_fds[0], r;
	struct stat st;

	if (context->msg->stdio[0].kind != BOOTSTRAP_STDIO_PATH)
		return 0;
	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return 0;
	r = fifo_wait_writer(context, fd);
	return r < 0 ? stdio_fail(context, 0, -r) : 0;
}

static int
open_null(struct stage_context *context, int *null_fd, size_t i)
{
	if (*null_fd < 0)
		*null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (*null_fd < 0)
		return stage_fail(context, NULL, "open", errno, "/dev/null");
	context->stdio_fds[i] = *null_fd;
	return 0;
}

/* One of the three. The null descriptor is opened once and shared. */
static int
open_one(struct stage_context *context, size_t i, int *null_fd)
{
	const struct bootstrap_stdio *stdio = &context->msg->stdio[i];

	switch (stdio->kind) {
	case BOOTSTRAP_STDIO_FD:
		if (stdio->fd_index >= context->n_channel_fds)
			return stage_fail(context, NULL, "", EBADF,
					  "%s: descriptor %u", stdio_names[i],
					  stdio->fd_index);
		context->stdio_fds[i] = context->channel_fds[stdio->fd_index];
		return 0;
	case BOOTSTRAP_STDIO_PATH:
		return open_stdio_path(context, i);
	default:
		return open_null(context, null_fd, i);
	}
}

int
stdio_open(struct stage_context *context)
{
	int null_fd = -1, r;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(context->stdio_fds); i++) {
		r = open_one(context, i, &null_fd);
		if (r < 0)
			return r;
	}
	return wait_stdin_writer(context);
}
