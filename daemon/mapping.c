/* SPDX-License-Identifier: Apache-2.0 */
/* Presets to rows; see mapping.h. */
#include "daemon/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/identity.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "proto/idmap_rights.h"

static void
add_ranges(struct mapping_ranges *to, const struct idmap_range *ranges,
	   size_t n)
{
	for (size_t i = 0; i < n && to->n < ARRAY_SIZE(to->ranges); i++)
		to->ranges[to->n++] = ranges[i];
}

/* What is delegated to him, if it may be used, then what the policy adds. */
static void
collect(const struct idmap_rights *delegated, const struct idmap_range *extra,
	size_t n_extra, struct mapping_ranges *ret)
{
	ret->why_none = delegated->why_none;
	if (!delegated->why_none)
		add_ranges(ret, delegated->ranges, delegated->n_ranges);
	add_ranges(ret, extra, n_extra);
}

void
mapping_uid_ranges(const struct identity *identity, struct mapping_ranges *ret)
{
	struct idmap_rights delegated;

	*ret = (struct mapping_ranges){ .n = 0 };
	if (!identity)
		return;
	idmap_rights_uid(&identity->who.resolved, identity->who.uid,
			 identity->who.gid, &delegated);
	collect(&delegated, identity->who.rights.uid_ranges,
		identity->who.rights.n_uid_ranges, ret);
}

void
mapping_gid_ranges(const struct identity *identity, struct mapping_ranges *ret)
{
	struct idmap_rights delegated;

	*ret = (struct mapping_ranges){ .n = 0 };
	if (!identity)
		return;
	idmap_rights_gid(&identity->who.resolved, identity->who.uid,
			 identity->who.gid, &delegated);
	collect(&delegated, identity->who.rights.gid_ranges,
		identity->who.rights.n_gid_ranges, ret);
}

/* The highest id of our own user namespace (/proc/self/uid_map). */
static uint32_t
highest_id(const char *path)
{
	struct idmap_error ignored;
	struct idmap *map = malloc(sizeof(*map));
	char text[IDMAP_MAX_TEXT * 2];
	uint32_t highest = UINT32_MAX - 1;
	ssize_t size = fd_read_file(AT_FDCWD, path, text, sizeof(text));

	if (map && size > 0 &&
	    idmap_parse(text, (size_t)size, map, &ignored) == 0) {
		highest = 0;
		for (size_t i = 0; i < map->n_rows; i++) {
			uint32_t last = map->rows[i].container_id +
					(map->rows[i].size - 1);

			if (last > highest && last != UINT32_MAX)
				highest = last;
		}
	}
	free(map);
	return highest;
}

struct side {
	const char *kind;    /* "uid" or "gid" */
	const char *own_map; /* of our user namespace */
	void (*ranges)(const struct identity *identity,
		       struct mapping_ranges *ret);
	uint32_t own;
	uint32_t block; /* first id of the block that was chosen */
};

static int
side_refuse(const struct side *side, const struct idmap *map,
	    const struct idmap_error *map_error, struct error *error)
{
	char field[96];
	size_t row = (size_t)map_error->row;

	if (map_error->row >= 0 && row < map->n_rows)
		snprintf(field, sizeof(field), "spec.id_maps.%s[%zu] %u:%u:%u",
			 side->kind, row, map->rows[row].container_id,
			 map->rows[row].host_id, map->rows[row].size);
	else
		snprintf(field, sizeof(field), "spec.id_maps.%s", side->kind);
	return error_set(error, ERRCODE_MAP_INVALID, "build-map", field,
			 map_error->rule, map_error->hint);
}

static int
side_build(const struct mapping_input *input, const struct side *side,
	   struct idmap *map, struct error *error)
{
	enum idmap_preset preset = input->maps->preset;
	struct mapping_ranges ranges = { .n = 0 };
	struct idmap_error map_error = { .row = -1 };
	uint32_t max = UINT32_MAX - 1;

	if (preset == IDMAP_AUTO || preset == IDMAP_KEEP_ID)
		side->ranges(input->identity, &ranges);
	if (preset == IDMAP_AUTO_PRIVATE && side->block)
		ranges.ranges[ranges.n++] =
			(struct idmap_range){ side->block, IDMAP_BLOCK };
	if (preset == IDMAP_MAX_UID)
		max = highest_id(side->own_map);
	if (idmap_preset_build(preset, side->own, max, ranges.ranges, ranges.n,
			       map, &map_error) < 0 ||
	    idmap_check(map, &map_error) < 0)
		return side_refuse(side, map, &map_error, error);
	return 0;
}

static int
side_format(const struct idmap *map, const char *kind, char *text,
	    size_t *ret_size, struct error *error)
{
	*ret_size = 0;
	if (map->n_rows == 0)
		return 0;
	if (idmap_format(map, text, IDMAP_MAX_TEXT + 2, ret_size) < 0) {
		char field[48];

		snprintf(field, sizeof(field), "spec.id_maps.%s", kind);
		return error_set(error, ERRCODE_MAP_INVALID, "build-map", field,
				 "the map's text is over 4,094 bytes",
				 "use fewer rows");
	}
	return 0;
}

int
mapping_build(const struct mapping_input *input, struct mapping *ret,
	      struct error *error)
{
	const struct spec_maps *maps = input->maps;
	const struct side sides[2] = {
		{ "uid", "/proc/self/uid_map", mapping_uid_ranges, input->uid,
		  input->block.uid },
		{ "gid", "/proc/self/gid_map", mapping_gid_ranges, input->gid,
		  input->block.gid },
	};
	int r;

	ret->present = maps->preset != 0;
	ret->uid_size = ret->gid_size = 0;
	ret->uid.n_rows = ret->gid.n_rows = 0;
	if (!ret->present)
		return 0;
	if (maps->preset == IDMAP_EXPLICIT) {
		ret->uid = maps->uid;
		ret->gid = maps->gid;
	} else {
		r = side_build(input, &sides[0], &ret->uid, error);
		if (r == 0)
			r = side_build(input, &sides[1], &ret->gid, error);
		if (r < 0)
			return r;
	}
	r = side_format(&ret->uid, "uid", ret->uid_text, &ret->uid_size, error);
	if (r == 0)
		r = side_format(&ret->gid, "gid", ret->gid_text, &ret->gid_size,
				error);
	return r;
}
