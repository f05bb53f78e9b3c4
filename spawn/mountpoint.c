/* SPDX-License-Identifier: Apache-2.0 */
/* Resolving and making mount points inside a root. See mountpoint.h. */
#include "spawn/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"

static int
open_in_root(int root_fd, const char *path, uint64_t flags)
{
	return sys_openat2(root_fd, path, O_PATH | O_CLOEXEC | flags, 0,
			   RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/*
 * Make one component below a directory that was resolved inside the root. The
 * name holds no slash and neither call follows a link in it.
 */
static int
make_component(int parent_fd, const char *name, bool directory)
{
	int fd;

	if (directory) {
		if (mkdirat(parent_fd, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		return 0;
	}
	fd = openat(parent_fd, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	close(fd);
	return 0;
}

/* path[0..end) is missing: make its last component in the part before it. */
static int
make_prefix(int root_fd, char *path, size_t end, bool directory)
{
	fd_auto int parent_fd = -1;
	size_t begin = end, name_end = end;
	char saved;
	int r;

	while (begin > 0 && path[begin - 1] != '/')
		begin--;
	saved = path[begin];
	path[begin] = '\0';
	parent_fd = open_in_root(root_fd, begin > 0 ? path : ".", O_DIRECTORY);
	path[begin] = saved;
	if (parent_fd < 0)
		return parent_fd;
	saved = path[name_end];
	path[name_end] = '\0';
	r = make_component(parent_fd, path + begin, directory);
	path[name_end] = saved;
	return r;
}

/* Every prefix of path in turn; those that exist are passed over. */
static int
make_path(int root_fd, char *path, bool directory)
{
	size_t end = 0;
	bool last;
	int fd, r;
	char saved;

	for (;;) {
		while (path[end] == '/')
			end++;
		if (path[end] == '\0')
			return 0;
		end += strcspn(path + end, "/");
		last = path[end + strspn(path + end, "/")] == '\0';
		saved = path[end];
		path[end] = '\0';
		fd = open_in_root(root_fd, path, 0);
		path[end] = saved;
		if (fd >= 0) {
			close(fd);
			continue;
		}
		if (fd != -ENOENT)
			return fd;
		r = make_prefix(root_fd, path, end, directory || !last);
		if (r < 0)
			return r;
	}
}

int
mountpoint_open(int root_fd, const char *path, bool directory)
{
	char copy[PATH_MAX];
	int fd, r;

	fd = open_in_root(root_fd, path, 0);
	if (fd != -ENOENT)
		return fd;
	if (strlen(path) >= sizeof(copy))
		return -ENAMETOOLONG;
	memcpy(copy, path, strlen(path) + 1);
	r = make_path(root_fd, copy, directory);
	if (r < 0)
		return r;
	return open_in_root(root_fd, path, 0);
}
