/* SPDX-License-Identifier: Apache-2.0 */
/* Containers' processes, with cgroups or without. See spawner_place.h. */
#include "spawn/spawner_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"
#include "spawn/spawner.h"

/* Of a tree of processes: as deep as anything sensible, as many as fit. */
#define PLACE_DEPTH_MAX 32
#define PLACE_PIDS_MAX 4096

bool
place_is_cgroup(const struct spawner *spawner)
{
	return spawner->cgroups.fd >= 0;
}

/* Without cgroups: is anything of this container left? */
static bool
place_is_known(const struct spawner *spawner, const struct container_name *name)
{
	return child_find_in(&spawner->children, name) ||
	       start_is_in(&spawner->starts, name);
}

int
place_make(const struct spawner *spawner, const struct container_name *name,
	   int *ret_fd)
{
	if (place_is_cgroup(spawner))
		return cgroup_make(&spawner->cgroups, name, ret_fd);
	*ret_fd = -1;
	return place_is_known(spawner, name) ? -EEXIST : 0;
}

int
place_open(const struct spawner *spawner, const struct container_name *name,
	   int *ret_fd)
{
	if (place_is_cgroup(spawner))
		return cgroup_open(&spawner->cgroups, name, ret_fd);
	*ret_fd = -1;
	return place_is_known(spawner, name) ? 0 : -ENOENT;
}

int
place_remove(const struct spawner *spawner, const struct container_name *name)
{
	if (place_is_cgroup(spawner))
		return cgroup_remove(&spawner->cgroups, name);
	return place_is_known(spawner, name) ? -EBUSY : 0;
}

int
place_find_owner(const struct spawner *spawner, const char *id, uid_t *ret)
{
	struct container_name name = { .owner = geteuid() };
	size_t size = strlen(id);

	if (place_is_cgroup(spawner))
		return cgroup_find_owner(&spawner->cgroups, id, ret);
	if (size >= sizeof(name.id))
		return -ENOENT;
	memcpy(name.id, id, size + 1);
	if (!place_is_known(spawner, &name))
		return -ENOENT;
	*ret = name.owner;
	return 0;
}

int
place_of(const struct spawner *spawner, pid_t pid, struct container_name *ret)
{
	const struct child *child;
	char path[PROC_PATH_MAX];
	int r;

	if (!place_is_cgroup(spawner)) {
		child = child_find(&spawner->children, pid);
		if (!child)
			return -ENODATA;
		*ret = child->name;
		return 0;
	}
	r = proc_cgroup_read(spawner->proc_fd, pid, path);
	if (r == 0)
		r = cgroup_name_parse(spawner->cgroups.path, path, ret);
	return r;
}

/* A container's processes, parents before their children. */
struct tree {
	int proc_fd;
	size_t n;
	pid_t pids[PLACE_PIDS_MAX];
};

static void
tree_add(void *userdata, pid_t pid)
{
	struct tree *tree = userdata;
	int state = proc_state_read(tree->proc_fd, pid);

	if (tree->n < PLACE_PIDS_MAX && state > 0 && state != 'Z')
		tree->pids[tree->n++] = pid;
}

/* Children are the threads', each thread has its own list. */
static void
tree_add_children(struct tree *tree, pid_t pid)
{
	char path[64];
	fd_auto int dir_fd = -1;
	struct dirent *thread;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "%d/task", pid);
	dir_fd =
		openat(tree->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = dir_fd < 0
		     ? -1
		     : openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		fd_close(&fd);
		return; /* it has ended */
	}
	while ((thread = readdir(dir))) {
		if (thread->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%.20s/children", thread->d_name);
		fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && proc_each_pid(fd, tree_add, tree) < 0)
			tree->n = PLACE_PIDS_MAX; /* no more of it */
		fd_close(&fd);
	}
	closedir(dir);
}

static void
tree_read(const struct place *place, struct tree *tree)
{
	const struct child_table *children = &place->spawner->children;
	const struct child *child = child_find_in(children, place->name);
	size_t i, depth, end;

	tree->proc_fd = place->spawner->proc_fd;
	tree->n = 0;
	for (; child; child = child->next_name)
		if (container_name_equal(&child->name, place->name))
			tree_add(tree, child->pid);
	for (i = 0, depth = 0; i < tree->n && depth < PLACE_DEPTH_MAX; depth++)
		for (end = tree->n; i < end; i++)
			tree_add_children(tree, tree->pids[i]);
}

int
place_each_pid(const struct place *place, proc_pid_fn fn, void *userdata)
{
	free_auto struct tree *tree = NULL;
	size_t i;

	if (place_is_cgroup(place->spawner))
		return cgroup_each_pid(place->leaf_fd, fn, userdata);
	tree = malloc(sizeof(*tree));
	if (!tree)
		return -ENOMEM;
	tree_read(place, tree);
	for (i = 0; i < tree->n; i++)
		fn(userdata, tree->pids[i]);
	return 0;
}

/*
 * A pid that was read a moment ago may be another process's by now: one of our
 * user's, then, for the kernel lets us signal no other's.
 */
static void
place_kill_one(void *userdata, pid_t pid)
{
	fd_auto int pidfd = sys_pidfd_open(pid);

	if (pidfd >= 0)
		(void)sys_pidfd_send_signal(pidfd, SIGKILL);
}

int
place_kill(const struct place *place)
{
	if (place_is_cgroup(place->spawner))
		return cgroup_kill(place->leaf_fd);
	return place_each_pid(place, place_kill_one, NULL);
}
