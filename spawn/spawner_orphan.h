/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an earlier spawner has left: processes of containers that are no
 * children of ours. A pidfd of each is opened as we begin and kept, since from
 * Linux 6.15 it still says how the process ended after somebody reaped it, and
 * nsexecd may be dead just then. Without one (too many of them, an older
 * kernel) nothing is worse than before: nsexecd says `unknown`.
 */
#ifndef NSX_SPAWN_SPAWNER_ORPHAN_H
#define NSX_SPAWN_SPAWNER_ORPHAN_H

#include <stddef.h>
#include <sys/types.h>

#include "lib/err.h"
#include "spawn/spawner_cgroup.h"

#define ORPHANS_MAX 8192 /* and a quarter of our descriptors */
#define ORPHANS_EACH 64	 /* of one container: its init is the first */

struct spawner;

struct orphan {
	struct container_name name;
	pid_t pid;
	int fd;
};

struct orphan_table {
	struct orphan *rows; /* owned; order has no meaning */
	size_t n, room;
};

/*
 * All that lives in the cgroups that we found, and the zombies that nobody has
 * reaped; once, before we serve.
 */
void orphans_find(struct spawner *spawner);
/* One of a spawner before us; fd is given. 0 or -ENOMEM. */
must_check int orphan_resume(struct orphan_table *table,
			     const struct orphan *row);
/*
 * A pidfd of a process that is in this container, or of one that was when we
 * began and has ended since. -ECHILD: there is none.
 */
must_check int orphan_pidfd(const struct spawner *spawner,
			    const struct container_name *name, pid_t pid);
/* The container is gone. */
void orphans_forget(struct orphan_table *table,
		    const struct container_name *name);
void orphan_table_deinit(struct orphan_table *table);

#endif
