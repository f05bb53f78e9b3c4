/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request's id maps to rows and text: the presets, with the caller's
 * ids and the ranges that subuid(5) and subgid(5) delegate to him. What comes
 * out is a wish: the mapper decides again, as newuidmap does.
 */
#ifndef NSX_DAEMON_MAPPING_H
#define NSX_DAEMON_MAPPING_H

#include <sys/types.h>

#include "daemon/error.h"
#include "daemon/spec.h"
#include "proto/idmap.h"

/* Where delegations and names are read; tests put their own files here. */
struct mapping_files {
	const char *passwd, *subuid, *subgid;
};
extern const struct mapping_files mapping_files_default;

/* Whose maps: his ids outside. */
struct mapping_input {
	const struct spec_maps *maps;
	uid_t uid;
	gid_t gid;
	const struct mapping_files *files;
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
