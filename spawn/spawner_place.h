/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a container's processes are. With cgroups it is the kernel's word: the
 * leaf ROOT/u<owner>/<id>, see spawner_cgroup.h. A rootless spawner to which no
 * cgroup was delegated has none; then a container is the children that we know
 * under its name, and what descends from them. Such a spawner serves one uid
 * only, its own, so that a process which leaves that tree (a daemon without a
 * pid namespace) costs order, and gives nobody a right.
 */
#ifndef NSX_SPAWN_SPAWNER_PLACE_H
#define NSX_SPAWN_SPAWNER_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/err.h"
#include "spawn/spawner_cgroup.h"
#include "spawn/spawner_proc.h"

struct spawner;

/* All of a container's processes are in a cgroup of its own. */
bool place_is_cgroup(const struct spawner *spawner);

/* -EEXIST: there is one already. *ret_fd: its cgroup, -1 without cgroups. */
must_check int place_make(const struct spawner *spawner,
			  const struct container_name *name, int *ret_fd);
/* -ENOENT: there is no such container. */
must_check int place_open(const struct spawner *spawner,
			  const struct container_name *name, int *ret_fd);
/* -EBUSY: processes of it are there. -ENOENT. */
must_check int place_remove(const struct spawner *spawner,
			    const struct container_name *name);
/* The one owner that has a container of this id. -ENOENT, -EEXIST: several. */
must_check int place_find_owner(const struct spawner *spawner, const char *id,
				uid_t *ret);
/*
 * The container that a process belongs to. -ENOENT: none. -ENODATA: it is no
 * child that we know, and without cgroups nothing else tells.
 */
must_check int place_of(const struct spawner *spawner, pid_t pid,
			struct container_name *ret);

/* A container's place as place_open() gave it. */
struct place {
	const struct spawner *spawner;
	const struct container_name *name;
	int leaf_fd;
};
/* SIGKILL to all of its processes. */
must_check int place_kill(const struct place *place);
/* Every live process of it. */
must_check int place_each_pid(const struct place *place, proc_pid_fn fn,
			      void *userdata);

#endif
