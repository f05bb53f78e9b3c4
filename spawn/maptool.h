/* SPDX-License-Identifier: Apache-2.0 */
/*
 * newuidmap(1) and newgidmap(1), for a spawner that is an ordinary user: it may
 * map its own id alone, and these set-user-ID programs decide about the rest.
 * The one place where a stage executes something that is not the payload.
 */
#ifndef NSX_SPAWN_MAPTOOL_H
#define NSX_SPAWN_MAPTOOL_H

#include <stddef.h>
#include <sys/types.h>

#include "lib/err.h"

struct maptool {
	const char *path; /* absolute, lent */
	const char *text; /* rows, "inside outside count\n"; lent */
	size_t size;
	enum stage stage; /* who asks, for the failure */
};

/*
 * Have the map of a process written. Without an environment, with no descriptor
 * of ours but what it says, which becomes the failure's object; 5 s at most.
 * 0, or -errno with *failure: EPERM, it refused, step "map-check".
 */
must_check int maptool_run(const struct maptool *tool, pid_t pid,
			   struct failure *failure);

#endif
