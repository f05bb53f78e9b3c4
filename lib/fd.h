/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors and their ownership. Every fd is CLOEXEC, -1 when empty and
 * owned by one struct or one cleanup local:
 *
 *	fd_auto int fd = open(...);
 *	...
 *	*ret_fd = fd_steal(&fd);
 */
#ifndef NSX_LIB_FD_H
#define NSX_LIB_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

/* Close *fd if it is >= 0 and set it to -1. Keeps errno. */
void fd_close(int *fd);
/* Give the descriptor away: returns *fd and leaves -1 behind. */
int fd_steal(int *fd);

static inline void
fd_auto_close(int *fd)
{
	fd_close(fd);
}
#define fd_auto __attribute__((cleanup(fd_auto_close)))

/*
 * Of what is called here: EINTR is never returned, and where there is no memory
 * it is tried three times more.
 */

/* The most descriptors that one message may carry. */
#define FD_MSG_MAX 40

/*
 * Send one datagram with n_fds descriptors (lent) on a seqpacket socket,
 * never raising SIGPIPE and never blocking if the socket is non-blocking.
 * 0, or -errno of sendmsg(2); -EINVAL if n_fds > FD_MSG_MAX.
 */
must_check int fd_send(int sock, const void *data, size_t size, const int *fds,
		       size_t n_fds);

/*
 * Receive one datagram of at most size bytes with at most max_fds descriptors,
 * which arrive CLOEXEC and belong to the caller. Returns the datagram's size
 * (0 = end of file) or -errno: -EMSGSIZE if the datagram or its descriptors
 * were cut (those that came are closed), -EPROTO for any control message but
 * SCM_RIGHTS. With max_fds 0 no control buffer is given: descriptors that ride
 * along are dropped unread by the kernel.
 */
must_check ssize_t fd_recv(int sock, void *data, size_t size, int *fds,
			   size_t max_fds, size_t *ret_n_fds);

/* write(2) all of it, retrying EINTR and short writes. 0 or -errno. */
must_check int fd_write_all(int fd, const void *data, size_t size);
/*
 * Read up to size bytes until end of file; -EMSGSIZE if there is more.
 * Returns the count or -errno.
 */
must_check ssize_t fd_read_all(int fd, void *data, size_t size);
/* Open and read a whole small file into buf, NUL-terminated. Count or -errno.
 */
must_check ssize_t fd_read_file(int dir_fd, const char *path, char *buf,
				size_t size);
/* 0 = not readable within timeout_ms, 1 = readable or hung up, -errno. */
must_check int fd_wait_readable(int fd, int timeout_ms);

#endif
