/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presets to rows; see mapping.h. /etc/passwd is read by hand: a name service
 * that asks a network would stall the loop, and newuidmap's files name either
 * local names or numbers.
 */
#include "daemon/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/fd.h"
#include "lib/text.h"
#include "lib/util.h"

#define FILE_MAX_SIZE (256u * 1024u)
#define MAX_RANGES 64

const struct mapping_files mapping_files_default = {
	.passwd = "/etc/passwd",
	.subuid = "/etc/subuid",
	.subgid = "/etc/subgid",
};

/* The name of a uid by passwd(5), "" if it has none. */
static void
user_name(const char *path, uid_t uid, char *buf, char name[64])
{
	ssize_t size = fd_read_file(AT_FDCWD, path, buf, FILE_MAX_SIZE);
	char *rest = buf, *line;

	name[0] = '\0';
	while (size > 0 && (line = strsep(&rest, "\n"))) {
		char *fields = line;
		char *login = strsep(&fields, ":");
		char *password = strsep(&fields, ":");
		char *number = strsep(&fields, ":");
		uint32_t parsed;

		if (!password || !number || strlen(login) >= 64 ||
		    text_parse_u32(number, &parsed) < 0 || parsed != uid)
			continue;
		snprintf(name, 64, "%s", login);
		return;
	}
}

static size_t
delegated(const struct mapping_files *files, const char *path, uid_t uid,
	  struct idmap_range *ranges)
{
	free_auto char *buf = malloc(FILE_MAX_SIZE);
	char name[64];
	ssize_t size;

	if (!buf)
		return 0;
	user_name(files->passwd, uid, buf, name);
	size = fd_read_file(AT_FDCWD, path, buf, FILE_MAX_SIZE);
	if (size <= 0)
		return 0;
	return idmap_ranges_parse(buf, (size_t)size, name, uid, ranges,
				  MAX_RANGES);
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
	const char *kind;	 /* "uid" or "gid" */
	const char *own_map;	 /* of our user namespace */
	const char *delegations; /* file */
	uint32_t own;
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
	struct idmap_range ranges[MAX_RANGES];
	struct idmap_error map_error = { .row = -1 };
	uint32_t max = UINT32_MAX - 1;
	size_t n_ranges = 0;

	if (preset == IDMAP_AUTO || preset == IDMAP_KEEP_ID)
		n_ranges = delegated(input->files, side->delegations,
				     input->uid, ranges);
	if (preset == IDMAP_MAX_UID)
		max = highest_id(side->own_map);
	if (idmap_preset_build(preset, side->own, max, ranges, n_ranges, map,
			       &map_error) < 0 ||
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
		{ "uid", "/proc/self/uid_map", input->files->subuid,
		  input->uid },
		{ "gid", "/proc/self/gid_map", input->files->subgid,
		  input->gid },
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
