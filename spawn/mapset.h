/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that is written into the process directory of a new init from outside:
 * setgroups, both id maps, and the go (handover.h) with init's time offsets.
 * Whoever calls it decides with its own credentials what the kernel allows: the
 * spawner and an admin's relay as root, the mapper as the caller.
 */
#ifndef NSX_SPAWN_MAPSET_H
#define NSX_SPAWN_MAPSET_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/err.h"
#include "proto/bootstrap.h"

struct mapset {
	const char *uid_map, *gid_map; /* lent; NULL = none is written */
	size_t uid_map_size, gid_map_size;
	int proc_fd; /* lent: root of a procfs */
	int go_write;
	/* Told "k" when all is written, before init goes on. NULL: nobody. */
	const int *done_channel; /* lent */
	bool deny_setgroups;	 /* asked for, or the caller is no admin */
	bool outside_offsets;	 /* init gets its timens_offsets with the go */
	enum stage stage;	 /* who writes: for the failure */
	/* Permitted to the writer and raised around each write, as far as that
	 * one needs them; 0: it writes with what it has. With CAP_SETUID or
	 * CAP_SETGID the process must be a child of parent in the writer's own
	 * cgroup. */
	uint64_t caps;
	pid_t parent;
	/* Rootless: who writes what is more than the own id; NULL: the writer
	 * itself. See maptool.h. */
	const char *uid_tool, *gid_tool;
	pid_t pid; /* whose maps: mapset_write() sets it */
};

/* What a message says of its maps; the rest is the writer's to fill. */
struct mapset mapset_of(const struct bootstrap *msg);

/*
 * Write the maps of that process, read them back, let it go. 0, or -errno with
 * *failure: init then hears nothing but the end of file.
 */
must_check int mapset_write(const struct mapset *set, pid_t pid,
			    struct failure *failure);

#endif
