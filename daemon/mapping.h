/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request's id maps to rows and text: the presets, with the caller's
 * ids and the ranges that are delegated to him. Pure: no account file is read
 * here. What comes out is a wish: the mapper decides again, as newuidmap does.
 */
#ifndef NSX_DAEMON_MAPPING_H
#define NSX_DAEMON_MAPPING_H

#include <sys/types.h>

#include "daemon/error.h"
#include "daemon/id_block.h"
#include "daemon/spec.h"
#include "proto/idmap.h"
#include "proto/policy.h"
#include "proto/resolve.h"

struct identity;

/* What a caller may map on one side, beside his own id. */
struct mapping_ranges {
	struct idmap_range ranges[RESOLVE_MAX_RANGES + POLICY_MAX_RANGES];
	size_t n;
	const char *why_none; /* of the delegated ones; NULL: they count */
};
/*
 * The ranges delegated to him, as the spawner resolved them, then those that a
 * rule of the policy adds. identity NULL: none.
 */
void mapping_uid_ranges(const struct identity *identity,
			struct mapping_ranges *ret);
void mapping_gid_ranges(const struct identity *identity,
			struct mapping_ranges *ret);

/* Whose maps: his ids outside. */
struct mapping_input {
	const struct spec_maps *maps;
	uid_t uid;
	gid_t gid;
	const struct identity *identity;
	struct id_block block; /* for IDMAP_AUTO_PRIVATE */
};

struct mapping {
	bool present;
	struct idmap uid, gid;
	char uid_text[IDMAP_MAX_TEXT + 2];
	size_t uid_size;
	char gid_text[IDMAP_MAX_TEXT + 2];
	size_t gid_size;
};

/*
 * Resolve the maps for this caller. 0 (present false: none asked for)
 * or -EINVAL with *error: MAP_INVALID naming the row or what is missing.
 */
must_check int mapping_build(const struct mapping_input *input,
			     struct mapping *ret, struct error *error);

#endif
