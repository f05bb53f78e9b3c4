/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id maps of init's new user namespace. An admin's relay writes them itself;
 * for an ordinary caller a mapper does, forked before the relay gives up root,
 * since init is not dumpable and its files below /proc belong to root.
 *
 *	relay    fork --------> mapper   drops to DAC_OVERRIDE, waits
 *	relay    clone init
 *	relay    pid ---------> mapper   writes setgroups, uid_map, gid_map
 *	init    <-------- go -- mapper
 *	relay   <------ result- mapper   exits; the relay reaps it
 */
#ifndef NSX_SPAWN_MAPPER_H
#define NSX_SPAWN_MAPPER_H

#include <stdbool.h>

#include "lib/err.h"
#include "proto/idmap.h"
#include "spawn/stagectx.h"

/*
 * Pure: may this caller have this map? Every row must lie in one range; a range
 * is the caller's own id or one that is delegated to it. 0, or the number of
 * the first row that may not, counted from 1.
 */
int mapper_check(const struct idmap *map, const struct idmap_range *ranges,
		 size_t n_ranges);

/* Relay, still root: refuse maps that are not the caller's, fork the mapper. */
must_check int mapper_start(struct stage_context *context);
/* Relay, init exists: have the maps written and let init go. */
must_check int mapper_go(struct stage_context *context);
/* Relay, last: the mapper's result; reaps it. */
must_check int mapper_finish(struct stage_context *context);

#endif
