/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors: closing, passing, whole reads and writes. See fd.h. */
#include "lib/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"

#define FD_MEMORY_TRIES 3u

void
fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

int
fd_steal(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

union control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int) * FD_MSG_MAX)];
};

/* Interrupted; or without memory, which may be there a moment later. */
static bool
fd_again(unsigned int *tries)
{
	return errno == EINTR || ((errno == ENOMEM || errno == ENOBUFS) &&
				  (*tries)++ < FD_MEMORY_TRIES);
}

int
fd_send(int sock, const void *data, size_t size, const int *fds, size_t n_fds)
{
	union control control;
	struct iovec iov = { .iov_base = (void *)data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	unsigned int tries = 0;
	ssize_t n;

	if (n_fds > FD_MSG_MAX)
		return -EINVAL;
	if (n_fds > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && fd_again(&tries));
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EMSGSIZE;
}

/* Collect the descriptors of one message. 0, or -EPROTO for anything else. */
static int
fd_collect(struct msghdr *msg, int *fds, size_t max_fds, size_t *ret_n)
{
	struct cmsghdr *cmsg;
	size_t i, n, total = 0;
	int fd, r = 0;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS) {
			r = -EPROTO;
			continue;
		}
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int),
			       sizeof(int));
			if (total < max_fds) {
				fds[total++] = fd;
			} else {
				close(fd);
				r = -EMSGSIZE;
			}
		}
	}
	*ret_n = total;
	return r;
}

ssize_t
fd_recv(int sock, void *data, size_t size, int *fds, size_t max_fds,
	size_t *ret_n_fds)
{
	union control control;
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	unsigned int tries = 0;
	size_t i, n_fds = 0;
	ssize_t n;
	int r;

	if (max_fds > FD_MSG_MAX)
		return -EINVAL;
	if (max_fds > 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
	}
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && fd_again(&tries));
	if (n < 0)
		return -errno;
	r = fd_collect(&msg, fds, max_fds, &n_fds);
	if (r == 0 && (msg.msg_flags & MSG_TRUNC))
		r = -EMSGSIZE;
	if (r == 0 && max_fds > 0 && (msg.msg_flags & MSG_CTRUNC))
		r = -EMSGSIZE;
	if (r < 0) {
		for (i = 0; i < n_fds; i++)
			close(fds[i]);
		return r;
	}
	if (ret_n_fds)
		*ret_n_fds = n_fds;
	return n;
}

int
fd_write_all(int fd, const void *data, size_t size)
{
	const char *p = data;
	ssize_t n;

	while (size > 0) {
		n = write(fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

ssize_t
fd_read_all(int fd, void *data, size_t size)
{
	char extra, *p = data;
	size_t have = 0;
	ssize_t n;

	for (;;) {
		if (have < size)
			n = read(fd, p + have, size - have);
		else
			n = read(fd, &extra, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return (ssize_t)have;
		if (have == size)
			return -EMSGSIZE;
		have += (size_t)n;
	}
}

ssize_t
fd_read_file(int dir_fd, const char *path, char *buf, size_t size)
{
	fd_auto int fd = -1;
	ssize_t n;

	if (size == 0)
		return -EINVAL;
	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	n = fd_read_all(fd, buf, size - 1);
	if (n < 0)
		return n;
	buf[n] = '\0';
	return n;
}

int
fd_wait_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t end = clock_boottime_ms() + timeout_ms;
	int64_t left = timeout_ms;
	unsigned int tries = 0;
	int n;

	for (;;) {
		n = poll(&p, 1, timeout_ms < 0 ? -1 : (int)left);
		if (n >= 0)
			return n > 0;
		if (!fd_again(&tries))
			return -errno;
		left = end - clock_boottime_ms();
		if (left < 0)
			left = 0;
	}
}
