/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id maps of init's new user namespace. An admin's relay writes them itself;
 * for an ordinary caller a mapper does, forked before the relay gives up root,
 * since init is not dumpable and its files below /proc belong to root.
 *
 *	relay    fork --------> mapper   keeps DAC_OVERRIDE and what the maps
 *					 that were allowed need, waits
 *	relay    clone init
 *	relay    pid ---------> mapper   writes setgroups, uid_map, gid_map
 *	init    <-------- go -- mapper
 *	relay   <------ result- mapper   exits; the relay reaps it
 */
#ifndef NSX_SPAWN_MAPPER_H
#define NSX_SPAWN_MAPPER_H

#include "lib/err.h"
#include "spawn/stagectx.h"

/*
 * Relay, still root: refuse maps that are not the caller's, fork the mapper.
 * Step "map-check": EPERM, with map, row and rule; EINVAL, no map at all.
 */
must_check int mapper_start(struct stage_context *context);
/* Relay, init exists: have the maps written and let init go. */
must_check int mapper_go(struct stage_context *context);
/* Relay, last: the mapper's result; reaps it. */
must_check int mapper_finish(struct stage_context *context);

#endif
