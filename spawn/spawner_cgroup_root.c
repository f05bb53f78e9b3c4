/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where containers' cgroups go: finding, making and leaving the root. How the
 * kernel names it in /proc/PID/cgroup is found by asking, with a child cloned
 * into it, so that any mount of cgroup v2 at any place serves.
 */
#include "spawn/spawner_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/text.h"
#include "lib/util.h"

#define PROBE_NAME "nsexec-probe"
#define MOUNTINFO_MAX (4u * 1024u * 1024u)

/* Set root->path: clone a child into a cgroup below it, look, kill it. */
static int
cgroup_root_probe(struct cgroup_root *root, int proc_fd)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP };
	fd_auto int leaf = -1;
	size_t size;
	char *tail;
	pid_t pid;
	int r;

	if (mkdirat(root->fd, PROBE_NAME, 0755) < 0 && errno != EEXIST)
		return -errno;
	leaf = openat(root->fd, PROBE_NAME,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (leaf < 0)
		return -errno;
	args.cgroup = (unsigned int)leaf;
	pid = sys_clone3(&args);
	if (pid < 0)
		return pid;
	if (pid == 0)
		_exit(0);
	/* Running or a zombie already: its cgroup is readable either way. */
	r = proc_cgroup_read(proc_fd, pid, root->path);
	while (waitid(P_PID, (id_t)pid, NULL, WEXITED | __WALL) < 0 &&
	       errno == EINTR)
		;
	unlinkat(root->fd, PROBE_NAME, AT_REMOVEDIR);
	if (r < 0)
		return r;
	size = strlen(root->path);
	if (size < sizeof(PROBE_NAME))
		return -EBADMSG;
	tail = root->path + size - sizeof(PROBE_NAME);
	if (strcmp(tail, "/" PROBE_NAME) != 0)
		return -EBADMSG;
	*tail = '\0';
	if (tail == root->path)
		memcpy(root->path, "/", 2);
	return 0;
}

/*
 * Pure: where a line of mountinfo says that the whole cgroup2 hierarchy is
 * mounted. A root other than "/" shows only a part, or lies outside our cgroup
 * namespace; a path with an escaped blank is not worth the trouble.
 */
static int
cgroup_mount_parse(const char *line, char *ret, size_t size)
{
	char root[PROC_PATH_MAX], point[PROC_PATH_MAX];
	const char *type = strstr(line, " - ");

	if (!type || strncmp(type, " - cgroup2 ", 11) != 0 ||
	    sscanf(line, "%*d %*d %*s %4095s %4095s", root, point) != 2 ||
	    strcmp(root, "/") != 0 || strchr(point, '\\') ||
	    strlen(point) >= size)
		return -ENOENT;
	memcpy(ret, point, strlen(point) + 1);
	return 0;
}

static int
cgroup_mount_find(char *ret, size_t size)
{
	free_auto char *text = malloc(MOUNTINFO_MAX);
	char *line, *end;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	n = fd_read_file(AT_FDCWD, "/proc/self/mountinfo", text, MOUNTINFO_MAX);
	if (n < 0)
		return (int)n;
	for (line = text; *line; line = end + 1) {
		end = strchrnul(line, '\n');
		if (*end == '\0')
			break; /* the kernel ends each line */
		*end = '\0';
		if (cgroup_mount_parse(line, ret, size) == 0)
			return 0;
	}
	return -ENOTSUP;
}

/* Our own cgroup as a directory in the file system. */
static int
cgroup_own_open(int proc_fd, int *ret_fd)
{
	char path[PROC_PATH_MAX * 2], own[PROC_PATH_MAX];
	size_t size;
	int fd, r;

	r = cgroup_mount_find(path, PROC_PATH_MAX);
	if (r < 0)
		return r;
	r = proc_cgroup_read(proc_fd, getpid(), own);
	if (r < 0)
		return r;
	size = strlen(path);
	memcpy(path + size, own, strlen(own) + 1);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int
cgroup_root_check(struct cgroup_root *root)
{
	struct statfs fs;

	if (fstatfs(root->fd, &fs) < 0)
		return -errno;
	return fs.f_type == CGROUP2_SUPER_MAGIC ? 0 : -ENOTSUP;
}

/* Open name below root->parent_fd, made if it is missing. */
static int
cgroup_root_open_child(struct cgroup_root *root, bool always_ours)
{
	root->made = always_ours;
	if (mkdirat(root->parent_fd, root->name, 0755) == 0)
		root->made = true;
	else if (errno != EEXIST)
		return -errno;
	root->fd = openat(root->parent_fd, root->name,
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return root->fd < 0 ? -errno : cgroup_root_check(root);
}

/* The option --cgroup-root: trusted, it is the administrator's word. */
static int
cgroup_root_open_path(struct cgroup_root *root, const char *path)
{
	char parent[PROC_PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t size;

	if (path[0] != '/')
		return -EINVAL;
	root->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root->fd >= 0)
		return cgroup_root_check(root);
	if (errno != ENOENT)
		return -errno;
	size = (size_t)(slash - path);
	if (size >= sizeof(parent) || strlen(slash + 1) == 0 ||
	    strlen(slash + 1) >= sizeof(root->name))
		return -ENAMETOOLONG;
	memcpy(parent, path, size);
	parent[size] = '\0';
	memcpy(root->name, slash + 1, strlen(slash + 1) + 1);
	root->parent_fd =
		open(size ? parent : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root->parent_fd < 0)
		return -errno;
	return cgroup_root_open_child(root, false);
}

int
cgroup_root_open(struct cgroup_root *root, const char *path,
		 const struct stat *run_dir, int proc_fd)
{
	uint64_t id;
	int r;

	if (path) {
		r = cgroup_root_open_path(root, path);
	} else {
		r = cgroup_own_open(proc_fd, &root->parent_fd);
		if (r < 0)
			return r;
		id = (uint64_t)run_dir->st_ino ^
		     ((uint64_t)run_dir->st_dev << 20);
		snprintf(root->name, sizeof(root->name), "nsexecd-%08x",
			 (unsigned int)(id ^ (id >> 32)));
		/* Named after the run directory: an earlier spawner's. */
		r = cgroup_root_open_child(root, true);
	}
	if (r < 0)
		return r;
	return cgroup_root_probe(root, proc_fd);
}

int
cgroup_root_delegated(struct cgroup_root *root, int proc_fd)
{
	fd_auto int fd = -1;
	size_t size;
	char *tail;
	int r;

	r = cgroup_own_open(proc_fd, &root->fd);
	if (r < 0)
		return r;
	r = proc_cgroup_read(proc_fd, getpid(), root->path);
	if (r < 0)
		return r;
	size = strlen(root->path);
	tail = root->path + (size > 8 ? size - 8 : 0);
	if (strcmp(tail, "/spawner") == 0) { /* there already: a re-exec */
		*tail = '\0';
		fd = fd_steal(&root->fd);
		root->fd = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return root->fd < 0 ? -errno : 0;
	}
	if (mkdirat(root->fd, "spawner", 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(root->fd, "spawner/cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd_write_all(fd, "0", 1);
}

/* Empty leaves and owners' directories. */
static void
cgroup_root_sweep(struct cgroup_root *root)
{
	struct container_name name;
	struct dirent *owner, *leaf;
	DIR *dir, *owned;
	int fd;

	fd = openat(root->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		fd_close(&fd);
		return;
	}
	while ((owner = readdir(dir))) {
		if (owner->d_type != DT_DIR || owner->d_name[0] != 'u' ||
		    text_parse_u32(owner->d_name + 1, &name.owner) < 0)
			continue;
		fd = openat(root->fd, owner->d_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		owned = fd < 0 ? NULL : fdopendir(fd);
		while (owned && (leaf = readdir(owned)))
			if (leaf->d_type == DT_DIR && leaf->d_name[0] != '.')
				unlinkat(fd, leaf->d_name, AT_REMOVEDIR);
		if (owned)
			closedir(owned);
		else
			fd_close(&fd);
		unlinkat(root->fd, owner->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

void
cgroup_root_controllers(struct cgroup_root *root)
{
	char path[PROC_PATH_MAX];

	root->memory = cgroup_enable(root->fd, "memory");
	root->pids = cgroup_enable(root->fd, "pids");
	if (cgroup_mount_find(path, sizeof(path)) == 0)
		root->hierarchy_fd =
			open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void
cgroup_root_deinit(struct cgroup_root *root)
{
	if (root->fd >= 0)
		cgroup_prune(root);
	if (root->fd >= 0 && root->made) {
		cgroup_root_sweep(root);
		unlinkat(root->parent_fd, root->name, AT_REMOVEDIR);
		root->made = false;
	}
	fd_close(&root->fd);
	fd_close(&root->parent_fd);
	fd_close(&root->hierarchy_fd);
}
