/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which block of delegated ids a container gets; see id_block.h. Blocks lie in
 * the ranges from their beginnings on, IDMAP_BLOCK apart. A container that was
 * given ids when the ranges were others takes every block that it touches.
 */
#include "daemon/id_block.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/container_table.h"
#include "daemon/mapping.h"
#include "daemon/quota.h"
#include "lib/util.h"

struct side {
	const char *kind;
	struct mapping_ranges ranges;
	size_t n_blocks, n_used;
	uint32_t found; /* the first that is free */
};

static uint32_t
block_of(const struct container *container, const struct side *side)
{
	return side->kind[0] == 'u' ? container->block.uid
				    : container->block.gid;
}

/* Has a live container of this owner an id of the block that begins here? */
static bool
is_taken(struct daemon *daemon, uid_t owner, const struct side *side,
	 uint32_t first)
{
	for (const struct container *c = container_first(daemon->containers); c;
	     c = container_next(c)) {
		uint32_t theirs = block_of(c, side);

		if (theirs && c->owner == owner && task_is_live(&c->init) &&
		    (uint64_t)theirs < (uint64_t)first + IDMAP_BLOCK &&
		    (uint64_t)first < (uint64_t)theirs + IDMAP_BLOCK)
			return true;
	}
	return false;
}

/* Ends with the first free one, so that the last is as cheap as it can be. */
static void
look(struct daemon *daemon, uid_t owner, struct side *side)
{
	for (size_t i = 0; i < side->ranges.n; i++) {
		const struct idmap_range *range = &side->ranges.ranges[i];

		for (uint32_t n = 0; n < range->size / IDMAP_BLOCK; n++) {
			uint32_t first = range->first + n * IDMAP_BLOCK;

			side->n_blocks++;
			if (first == 0 ||
			    is_taken(daemon, owner, side, first)) {
				side->n_used++;
				continue;
			}
			side->found = first;
			return;
		}
	}
}

static int
refuse(const struct side *side, struct error *error)
{
	const struct quota_use use = { QUOTA_ID_BLOCKS, side->n_blocks,
				       side->n_used, 1 };

	if (side->n_blocks > 0)
		return quota_refuse(&use, error);
	(void)error_set(error, ERRCODE_MAP_INVALID, "build-map",
			"spec.id_maps.preset", "",
			"have a range of 65536 ids delegated "
			"(usermod --add-subuids --add-subgids), or use "
			"map-root");
	error_rule(error,
		   "auto-private needs a block of 65536 delegated %ss: 0 "
		   "blocks are delegated, 0 used%s%s",
		   side->kind, side->ranges.why_none ? "; " : "",
		   side->ranges.why_none ? side->ranges.why_none : "");
	return -EINVAL;
}

int
id_block_choose(struct daemon *daemon, const struct rpc_caller *caller,
		const struct spec *spec, struct id_block *ret,
		struct error *error)
{
	struct side uid = { .kind = "uid" }, gid = { .kind = "gid" };

	*ret = (struct id_block){ 0, 0 };
	if (spec->maps.preset != IDMAP_AUTO_PRIVATE)
		return 0;
	mapping_uid_ranges(caller->identity, &uid.ranges);
	mapping_gid_ranges(caller->identity, &gid.ranges);
	look(daemon, caller->owner, &uid);
	look(daemon, caller->owner, &gid);
	if (!uid.found)
		return refuse(&uid, error);
	if (!gid.found)
		return refuse(&gid, error);
	*ret = (struct id_block){ uid.found, gid.found };
	return 0;
}
