/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ready-made id maps and the delegated ranges that fill them (subuid(5)).
 * Pure, as idmap.c: the text of the file and the caller's ids come from
 * outside. The result of a preset is always checked by idmap_check() before
 * it is returned. See idmap.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"
#include "proto/idmap.h"

static const char *const preset_names[] = {
	[IDMAP_EXPLICIT] = "explicit",	 [IDMAP_ROOT] = "map-root",
	[IDMAP_CURRENT] = "map-current", [IDMAP_IDENTITY] = "identity",
	[IDMAP_KEEP_ID] = "keep-id",	 [IDMAP_AUTO] = "auto",
	[IDMAP_MAX_UID] = "max-uid",	 [IDMAP_AUTO_PRIVATE] = "auto-private",
};
_Static_assert(ARRAY_SIZE(preset_names) == N_IDMAP_PRESETS,
	       "every preset has a name");

const char *
idmap_preset_name(enum idmap_preset preset)
{
	if ((unsigned int)preset >= N_IDMAP_PRESETS)
		return NULL;
	return preset_names[preset];
}

enum idmap_preset
idmap_preset_parse(const char *name)
{
	unsigned int i;

	for (i = IDMAP_EXPLICIT; i < N_IDMAP_PRESETS; i++)
		if (strcmp(preset_names[i], name) == 0)
			return (enum idmap_preset)i;
	return (enum idmap_preset)0;
}

static int
preset_fail(struct idmap_error *error, const char *rule, const char *hint)
{
	error->row = -1;
	snprintf(error->rule, sizeof(error->rule), "%s", rule);
	snprintf(error->hint, sizeof(error->hint), "%s", hint);
	return -EINVAL;
}

static int
add_row(struct idmap *map, uint32_t container_id, uint32_t host_id,
	uint32_t size, struct idmap_error *error)
{
	if (size == 0)
		return 0;
	if (map->n_rows == IDMAP_MAX_ROWS)
		return preset_fail(
			error, "more than 340 rows from the delegated ranges",
			"join neighbouring ranges in /etc/subuid "
			"and /etc/subgid");
	map->rows[map->n_rows++] = (struct idmap_row){
		.container_id = container_id,
		.host_id = host_id,
		.size = size,
	};
	return 0;
}

/*
 * Lay the ranges onto all container ids but one, which has its row already.
 * What goes beyond the id space is cut.
 */
static int
add_ranges(struct idmap *map, uint32_t hole, const struct idmap_range *ranges,
	   size_t n_ranges, struct idmap_error *error)
{
	uint64_t next = hole == 0 ? 1 : 0;
	size_t i;
	int r;

	for (i = 0; i < n_ranges; i++) {
		uint64_t left = ranges[i].size, host = ranges[i].first;

		while (left > 0 && next < UINT32_MAX) {
			uint64_t end = next < hole ? hole : UINT32_MAX;
			uint64_t take = end - next < left ? end - next : left;

			r = add_row(map, (uint32_t)next, (uint32_t)host,
				    (uint32_t)take, error);
			if (r < 0)
				return r;
			next += take;
			host += take;
			left -= take;
			if (next == hole)
				next++;
		}
	}
	return 0;
}

static int
build_keep_id(uint32_t own, const struct idmap_range *ranges, size_t n_ranges,
	      struct idmap *map, struct idmap_error *error)
{
	int r;

	r = add_row(map, own, own, 1, error);
	if (r < 0)
		return r;
	return add_ranges(map, own, ranges, n_ranges, error);
}

static int
build_max_uid(uint32_t max, struct idmap *map, struct idmap_error *error)
{
	int r;

	if (max == 0 || max == UINT32_MAX)
		return preset_fail(error,
				   "max-uid needs a highest id of 1 or more",
				   "the caller's own user namespace maps too "
				   "few ids; use map-root");
	r = add_row(map, 0, max, 1, error);
	if (r < 0)
		return r;
	return add_row(map, 1, 1, max - 1, error);
}

static int
build_private(uint32_t own, const struct idmap_range *ranges, size_t n_ranges,
	      struct idmap *map, struct idmap_error *error)
{
	size_t i;
	int r;

	for (i = 0; i < n_ranges && ranges[i].size < IDMAP_BLOCK; i++)
		;
	if (i == n_ranges)
		return preset_fail(error,
				   "auto-private needs 65536 delegated ids in "
				   "one range, on the uid and the gid side",
				   "add a line to /etc/subuid and /etc/subgid "
				   "(usermod --add-subuids), or use map-root");
	r = add_row(map, 0, own, 1, error);
	if (r < 0)
		return r;
	return add_row(map, 1, ranges[i].first, IDMAP_BLOCK, error);
}

int
idmap_preset_build(enum idmap_preset preset, uint32_t own, uint32_t max,
		   const struct idmap_range *ranges, size_t n_ranges,
		   struct idmap *ret, struct idmap_error *ret_error)
{
	int r = -EINVAL;

	ret->n_rows = 0;
	if ((preset == IDMAP_AUTO || preset == IDMAP_KEEP_ID) && n_ranges == 0)
		return preset_fail(ret_error,
				   "no delegated ranges for this user",
				   "add a line to /etc/subuid and /etc/subgid "
				   "(usermod --add-subuids), or use map-root");
	switch (preset) {
	case IDMAP_ROOT:
		r = add_row(ret, 0, own, 1, ret_error);
		break;
	case IDMAP_CURRENT:
		r = add_row(ret, own, own, 1, ret_error);
		break;
	case IDMAP_IDENTITY:
		r = add_row(ret, 0, 0, UINT32_MAX, ret_error);
		break;
	case IDMAP_KEEP_ID:
		r = build_keep_id(own, ranges, n_ranges, ret, ret_error);
		break;
	case IDMAP_AUTO:
		r = add_row(ret, 0, own, 1, ret_error);
		if (r == 0)
			r = add_ranges(ret, 0, ranges, n_ranges, ret_error);
		break;
	case IDMAP_MAX_UID:
		r = build_max_uid(max, ret, ret_error);
		break;
	case IDMAP_AUTO_PRIVATE:
		r = build_private(own, ranges, n_ranges, ret, ret_error);
		break;
	case IDMAP_EXPLICIT:
	case N_IDMAP_PRESETS:
	default:
		return preset_fail(ret_error,
				   "this preset has no rows of its own",
				   "give the rows");
	}
	if (r < 0)
		return r;
	return idmap_check(ret, ret_error);
}

/* Copy the field up to the separator; -EINVAL if empty or too long. */
static int
take_field(const char **at, const char *end, char separator, char *ret,
	   size_t ret_size)
{
	size_t left = (size_t)(end - *at), n;
	const char *stop = left > 0 ? memchr(*at, separator, left) : NULL;

	if (!stop && separator != '\n')
		return -EINVAL;
	n = stop ? (size_t)(stop - *at) : left;
	if (n == 0 || n >= ret_size)
		return -EINVAL;
	memcpy(ret, *at, n);
	ret[n] = '\0';
	*at = stop ? stop + 1 : end;
	return 0;
}

static bool
parse_range_line(const char *line, size_t size, const char *user_name,
		 uint32_t uid, struct idmap_range *ret)
{
	char owner[256], first[16], count[16], number[16];
	const char *at = line, *end = line + size;

	if (memchr(line, '\0', size) ||
	    take_field(&at, end, ':', owner, sizeof(owner)) < 0 ||
	    take_field(&at, end, ':', first, sizeof(first)) < 0 ||
	    take_field(&at, end, '\n', count, sizeof(count)) < 0)
		return false;
	snprintf(number, sizeof(number), "%u", uid);
	if (strcmp(owner, number) != 0 &&
	    (!user_name || strcmp(owner, user_name) != 0))
		return false;
	if (text_parse_u32(first, &ret->first) < 0 ||
	    text_parse_u32(count, &ret->size) < 0)
		return false;
	return ret->size > 0 && (uint64_t)ret->first + ret->size <= UINT32_MAX;
}

size_t
idmap_ranges_parse(const char *text, size_t size, const char *user_name,
		   uint32_t uid, struct idmap_range *ranges, size_t max)
{
	size_t at = 0, n = 0;

	while (at < size && n < max) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t line = end ? (size_t)(end - (text + at)) : size - at;

		if (line > 0 && parse_range_line(text + at, line, user_name,
						 uid, &ranges[n]))
			n++;
		at += line + 1;
	}
	return n;
}
