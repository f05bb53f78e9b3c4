/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a spawner that lives runs the program that we would start. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/launcher_part.h"
#include "lib/fd.h"

#define CHUNK_SIZE 16384

static bool
renew_is_same(int a, int b)
{
	char left[CHUNK_SIZE], right[CHUNK_SIZE];
	struct stat st_a, st_b;
	off_t at = 0;
	ssize_t n;

	if (fstat(a, &st_a) < 0 || fstat(b, &st_b) < 0 ||
	    st_a.st_size != st_b.st_size)
		return false;
	while ((n = pread(a, left, sizeof(left), at)) > 0) {
		if (pread(b, right, (size_t)n, at) != n ||
		    memcmp(left, right, (size_t)n) != 0)
			return false;
		at += n;
	}
	return n == 0 && at == st_a.st_size;
}

int
launch_newer_spawner(int connection, int *ret_program_fd)
{
	fd_auto int running = -1, file = -1, program = -1;
	socklen_t size = sizeof(struct ucred);
	struct ucred cred;
	char path[64];
	int r;

	/* Who listens; the same as in DIR/spawner.pid, without the race. */
	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%d/exe", cred.pid);
	running = open(path, O_RDONLY | O_CLOEXEC);
	if (running < 0)
		return -ENODATA;
	r = launch_open_spawner(&file);
	if (r < 0)
		return r;
	if (renew_is_same(running, file))
		return -ENODATA;
	r = launcher_memfd_copy("nsexec-spawner", file, &program);
	if (r == 0 && fchmod(program, 0511) < 0)
		r = -errno;
	if (r == 0)
		*ret_program_fd = fd_steal(&program);
	return r;
}
