/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of a mapper that holds CAP_SETUID or CAP_SETGID. See mapper.c for
 * why. Both facts are the kernel's and out of the caller's reach: init is the
 * spawner's child by CLONE_PARENT, and the cgroup of a container is made by
 * root and takes no process from outside.
 */
#include "spawn/maptarget.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fd.h"

/* Up to 14 lines "12:name:/path"; what does not fit is not compared, but
 * refused. */
#define CGROUP_TEXT_MAX 8192
#define STAT_TEXT_MAX 1024

int
maptarget_parse_parent(const char *stat, pid_t *ret)
{
	/* "PID (comm) S PPID ...": the name may hold anything but its end */
	const char *at = strrchr(stat, ')');
	unsigned long parent;
	char *end;

	if (!at || at[1] != ' ' || !at[2] || at[3] != ' ' || at[4] < '0' ||
	    at[4] > '9')
		return -EBADMSG;
	errno = 0;
	parent = strtoul(at + 4, &end, 10);
	if (*end != ' ' || errno || parent > INT32_MAX)
		return -EBADMSG;
	*ret = (pid_t)parent;
	return 0;
}

int
maptarget_check(int dir_fd, int proc_fd, pid_t parent)
{
	char mine[CGROUP_TEXT_MAX], its[CGROUP_TEXT_MAX];
	char stat[STAT_TEXT_MAX];
	ssize_t n, n_mine;
	pid_t its_parent;
	int r;

	n = fd_read_file(dir_fd, "stat", stat, sizeof(stat));
	if (n < 0)
		return n == -ENOENT ? -ESRCH : (int)n;
	r = maptarget_parse_parent(stat, &its_parent);
	if (r < 0)
		return r;
	if (its_parent != parent)
		return -EPERM;
	n_mine = fd_read_file(proc_fd, "self/cgroup", mine, sizeof(mine));
	if (n_mine < 0)
		return (int)n_mine;
	n = fd_read_file(dir_fd, "cgroup", its, sizeof(its));
	if (n < 0)
		return n == -ENOENT ? -ESRCH : (int)n;
	if (n == 0 || n != n_mine || memcmp(mine, its, (size_t)n) != 0)
		return -EPERM;
	return 0;
}
