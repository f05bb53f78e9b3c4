/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers' cgroups: ROOT/u<uid>/<id> on cgroup v2, made by root, so that
 * their names are the kernel's word on who owns which container. A leaf is
 * always opened by name, beneath the root's own descriptor, never by a path or
 * descriptor that somebody sent; ids were checked by text_is_id().
 */
#ifndef NSX_SPAWN_SPAWNER_CGROUP_H
#define NSX_SPAWN_SPAWNER_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "lib/err.h"
#include "spawn/spawner_proc.h"

#define CONTAINER_ID_SIZE 65 /* NUL counted */

/* A container as the kernel names it. */
struct container_name {
	uid_t owner;
	char id[CONTAINER_ID_SIZE];
};

struct cgroup_root {
	int fd;
	int parent_fd;		  /* -1 unless made is set */
	char name[80];		  /* below parent_fd */
	bool made;		  /* by us: removed at the end */
	bool memory, pids;	  /* what is below has that controller */
	int hierarchy_fd;	  /* its root, as mounted; -1: not found */
	char path[PROC_PATH_MAX]; /* as /proc/PID/cgroup shows it */
};

/*
 * path NULL: "nsexecd-<8 hex of run_dir>" below our own cgroup. A directory
 * that is missing is made. -ENOTSUP: not cgroup v2.
 */
must_check int cgroup_root_open(struct cgroup_root *root, const char *path,
				const struct stat *run_dir, int proc_fd);
/*
 * Our own cgroup (delegated by systemd) as the root: moves us to its child
 * "spawner" first, so that it is no inner node with processes.
 */
must_check int cgroup_root_delegated(struct cgroup_root *root, int proc_fd);
/* Sets memory, pids and hierarchy_fd of an open root. */
void cgroup_root_controllers(struct cgroup_root *root);
/* Removes what is empty, if it was made here; closes. Safe twice. */
void cgroup_root_deinit(struct cgroup_root *root);

/* Pure: which container a cgroup path belongs to. -ENOENT: none of ours. */
must_check int cgroup_name_parse(const char *root_path, const char *path,
				 struct container_name *ret);

/* -EEXIST: there is one already. */
must_check int cgroup_make(const struct cgroup_root *root,
			   const struct container_name *name, int *ret_fd);
must_check int cgroup_open(const struct cgroup_root *root,
			   const struct container_name *name, int *ret_fd);
/* The one owner that has a container of this id. -ENOENT, -EEXIST: several. */
must_check int cgroup_find_owner(const struct cgroup_root *root, const char *id,
				 uid_t *ret);
typedef void (*cgroup_container_fn)(void *userdata,
				    const struct container_name *name,
				    int leaf_fd);
/* Every container there is; what goes meanwhile may be missing. */
void cgroup_each_container(const struct cgroup_root *root,
			   cgroup_container_fn fn, void *userdata);
/* Its nested cgroups and itself. */
must_check int cgroup_remove(const struct cgroup_root *root,
			     const struct container_name *name);
/*
 * The u<uid> of owners without a container. Not done with each removal: an
 * owner's next start would make it again, at 60 us.
 */
void cgroup_prune(const struct cgroup_root *root);

/*
 * Give what is below a cgroup a controller, where it has that itself
 * (cgroup.controllers). false: there is none below, and nothing is asked of it
 * later.
 */
bool cgroup_enable(int dir_fd, const char *controller);
/* oom_kill of memory.events: of it and all below it. 0 or -errno. */
must_check int cgroup_oom_kills(int leaf_fd, uint64_t *ret);

/*
 * The number in a control file, relative to a cgroup; "max" is no limit. 0,
 * -ENOENT: no such cgroup or controller, -EBADMSG, -errno.
 */
#define CGROUP_NO_LIMIT UINT64_MAX
must_check int cgroup_value_read(int dir_fd, const char *path, uint64_t *ret);
/*
 * Set it, if it is another: to lower memory.max below what is in use makes the
 * writer reclaim it on kernels before 6.16 (O_NONBLOCK in memory_max_write()).
 */
must_check int cgroup_value_write(int dir_fd, const char *path, uint64_t value);

/* SIGKILL to every process in and below it, at once (cgroup.kill, 5.14). */
must_check int cgroup_kill(int leaf_fd);
/* Live processes in or below it; a zombie does not count. */
must_check int cgroup_populated(int leaf_fd, bool *ret);

/* Every live process in and below it, nested to a bounded depth. */
must_check int cgroup_each_pid(int leaf_fd, proc_pid_fn fn, void *userdata);

#endif
