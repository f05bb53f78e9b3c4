/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gates of created containers. A socket's address is a path of 108 bytes at
 * most, looked up from the current directory: so the one thread of this
 * process goes there for the moment of the call, whatever the length of the
 * run directory, and back to "/".
 */
#include "spawn/spawner_gate.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"
#include "spawn/spawner_cgroup.h"
#include "spawn/spawner_log.h"

#define GATE_NAME_SIZE (CONTAINER_ID_SIZE + 12)

typedef int (*gate_call)(int sock, const struct sockaddr *address,
			 socklen_t size);

/* bind(2) or connect(2) to a name in a directory. */
static int
gate_in_directory(int dir_fd, const char *name, int sock, gate_call call)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t size = strlen(name);
	int r = 0;

	if (size >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, name, size + 1);
	if (fchdir(dir_fd) < 0)
		return -errno;
	if (call(sock, (const struct sockaddr *)&address,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size +
			     1)) < 0)
		r = -errno;
	if (chdir("/") < 0)
		log_error(errno, "cannot go back to /");
	return r;
}

static void
gate_name(const struct container_name *name, char ret[GATE_NAME_SIZE])
{
	snprintf(ret, GATE_NAME_SIZE, "%u:%s", name->owner, name->id);
}

int
gate_listen(int gates_fd, const struct container_name *name, int *ret_fd)
{
	char id[GATE_NAME_SIZE];
	fd_auto int fd = -1;
	int r;

	gate_name(name, id);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* bind(2) never follows a link: the name must not exist. */
	r = gate_in_directory(gates_fd, id, fd, bind);
	if (r == -EADDRINUSE) {
		gate_remove(gates_fd, name);
		r = gate_in_directory(gates_fd, id, fd, bind);
	}
	if (r < 0)
		return r;
	if (listen(fd, 16) < 0) {
		r = -errno;
		gate_remove(gates_fd, name);
		return r;
	}
	*ret_fd = fd_steal(&fd);
	return 0;
}

int
gate_open(int gates_fd, int proc_fd, const struct container_name *name)
{
	char id[GATE_NAME_SIZE], found_name[64];
	fd_auto int found = -1, fd = -1;
	struct stat st;
	int r;

	/* nsexecd may put a link or a socket of its own there: connect to the
	 * very inode that was looked at, and only to one that root bound. */
	gate_name(name, id);
	found = openat(gates_fd, id, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (found < 0)
		return -errno;
	if (fstat(found, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return -ENOTSOCK;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	snprintf(found_name, sizeof(found_name), "%d/fd/%d", getpid(), found);
	r = gate_in_directory(proc_fd, found_name, fd, connect);
	if (r < 0)
		return r;
	if (send(fd, "G", 1, MSG_NOSIGNAL) != 1)
		return -errno;
	gate_remove(gates_fd, name);
	return 0;
}

void
gate_remove(int gates_fd, const struct container_name *name)
{
	char id[GATE_NAME_SIZE];

	gate_name(name, id);
	/* Who fails once is asked again: nobody else comes to remove it. */
	if (unlinkat(gates_fd, id, 0) < 0 && errno != ENOENT &&
	    unlinkat(gates_fd, id, 0) < 0 && errno != ENOENT)
		log_error(errno, "cannot remove gate %s", id);
}
