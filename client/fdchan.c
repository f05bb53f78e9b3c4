/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fd channel: a second connection, on which a start's descriptors travel.
 *
 *	us                      nsexecd                 stage (as the caller)
 *	token, 16 bytes    ->   reads it, hands the
 *	                        connection on unread
 *	'F' + descriptors  ->                           takes them
 *	                   <-   'P' + pidfd (if asked for, from the spawner)
 *
 * The request names the token. The daemon never holds a caller's descriptor.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "client/internal.h"
#include "lib/fd.h"
#include "lib/sys.h"

#define PIDFD_TIMEOUT_MS 2000

int
nsexec_key_new(uint8_t key[16])
{
	ssize_t n = getrandom(key, 16, 0);

	if (n < 0)
		return -errno;
	return n == 16 ? 0 : -EIO;
}

bool
fdchan_is_lost(int r)
{
	return r == -EPIPE || r == -ECONNRESET;
}

int
fdchan_open(const char *path, const struct fd_channel *channel, int *ret_fd)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	size_t size = strlen(path);
	fd_auto int fd = -1;
	int r;

	if (size >= sizeof(name.sun_path))
		return -ENAMETOOLONG;
	memcpy(name.sun_path, path, size + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	r = fd_send(fd, channel->token, sizeof(channel->token), NULL, 0);
	if (r < 0)
		return r;
	if (channel->n_fds) {
		r = fd_send(fd, "F", 1, channel->fds, channel->n_fds);
		if (r < 0)
			return r;
	}
	*ret_fd = fd_steal(&fd);
	return 0;
}

/*
 * A start that was sent again was perhaps done by the first: its pidfd went to
 * a channel that is no more. The pid may be another's by now, the inode of its
 * pidfd never is (Linux 6.9).
 */
static int
pidfd_of_answer(const struct nsexec_call *call)
{
	fd_auto int pidfd = -1;
	struct nsexec_info *info = NULL;
	struct stat st;
	pid_t pid = 0;
	uint64_t inode = 0;
	int r = nsexec_call_get_info(call, &info);

	if (r >= 0) {
		pid = info->pid;
		inode = info->pid_inode;
	}
	nsexec_info_free(info);
	if (r < 0 || pid <= 0 || !inode)
		return -EPROTO;
	pidfd = sys_pidfd_open(pid);
	if (pidfd < 0)
		return pidfd;
	if (fstat(pidfd, &st) < 0 || st.st_ino != inode)
		return -ESRCH;
	return fd_steal(&pidfd);
}

int
nsexec_call_take_pidfd(struct nsexec_call *call)
{
	fd_auto int channel = -1;
	int pidfd = -1;
	size_t n_fds = 0;
	char data[16];
	ssize_t n;
	int r;

	if (call->result < 0)
		return call->result;
	if (!call->want_pidfd || call->fd_channel < 0)
		return -ENODATA;
	channel = fd_steal(&call->fd_channel);
	r = fd_wait_readable(channel, PIDFD_TIMEOUT_MS);
	if (r < 0)
		return r;
	if (r == 0)
		return -ETIMEDOUT;
	n = fd_recv(channel, data, sizeof(data), &pidfd, 1, &n_fds);
	if (n < 0 || n_fds == 1)
		return n < 0 ? (int)n : pidfd;
	return call->resumed ? pidfd_of_answer(call) : -EPROTO;
}
