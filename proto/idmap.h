/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id maps: rows, their rules, ready-made presets, and the text the kernel takes
 * (user_namespaces(7)). Pure: nothing is opened, nobody is asked; delegated
 * ranges come from outside.
 */
#ifndef NSX_PROTO_IDMAP_H
#define NSX_PROTO_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

#define IDMAP_MAX_ROWS 340  /* kernel, since 4.15 */
#define IDMAP_MAX_TEXT 4094 /* bytes without the NUL */

struct idmap_row {
	uint32_t container_id;
	uint32_t host_id;
	uint32_t size;
};

struct idmap {
	struct idmap_row rows[IDMAP_MAX_ROWS];
	size_t n_rows;
};

/* A range that /etc/subuid or /etc/subgid delegates. */
struct idmap_range {
	uint32_t first;
	uint32_t size;
};

enum idmap_preset {
	IDMAP_EXPLICIT = 1,
	IDMAP_ROOT,	/* 0 <own> 1 */
	IDMAP_CURRENT,	/* <own> <own> 1 */
	IDMAP_IDENTITY, /* 0 0 4294967295 */
	IDMAP_KEEP_ID,	/* own -> own, the ranges fill 0..own-1 and own+1.. */
	IDMAP_AUTO,	/* 0 <own> 1, then the ranges from 1 on */
	IDMAP_MAX_UID,	/* 0 MAX 1, 1 1 MAX-1 (garden's executor) */
	IDMAP_AUTO_PRIVATE, /* 0 <own> 1, then IDMAP_BLOCK delegated ids */
	N_IDMAP_PRESETS,
};

/* The ids of auto-private: of the ranges, the first that has so many. */
#define IDMAP_BLOCK 65536u

/* Why a map is wrong. row counts from 0; -1 = the map as a whole. */
struct idmap_error {
	int row;
	char rule[160]; /* "row 2: host ids 100..199 overlap row 0" */
	char hint[160]; /* what to change */
};

/*
 * Build a preset's rows. own: the caller's uid or gid; max: the highest id
 * mapped in the caller's own user namespace (max-uid; 4294967294 on a host).
 * ranges: delegated, in order. 0; -EINVAL with *ret_error (auto and keep-id
 * without ranges, explicit, too many rows).
 */
must_check int idmap_preset_build(enum idmap_preset preset, uint32_t own,
				  uint32_t max,
				  const struct idmap_range *ranges,
				  size_t n_ranges, struct idmap *ret,
				  struct idmap_error *ret_error);

/*
 * The kernel's rules before the kernel sees it: 1 to 340 rows, size > 0,
 * id + size <= 2^32 - 1 on both sides, no overlap inside or outside, text
 * within a page. 0 or -EINVAL with *ret_error.
 */
must_check int idmap_check(const struct idmap *map,
			   struct idmap_error *ret_error);

/* "container host size\n" per row. 0 and *ret_size, or -EMSGSIZE. */
must_check int idmap_format(const struct idmap *map, char *buf, size_t buf_size,
			    size_t *ret_size);

/*
 * Parse that text (also /proc/PID/uid_map's padded form). 0 or -EINVAL with
 * *ret_error. Does not idmap_check().
 */
must_check int idmap_parse(const char *text, size_t size, struct idmap *ret,
			   struct idmap_error *ret_error);

/* Is this id mapped? With the outside id in *ret_host if so. */
bool idmap_lookup(const struct idmap *map, uint32_t container_id,
		  uint32_t *ret_host);

/*
 * Read the ranges of a user from the text of subuid(5): lines
 * "name-or-uid:first:size". Bad lines are skipped as newuidmap skips them.
 * At most max ranges; returns their number.
 */
size_t idmap_ranges_parse(const char *text, size_t size, const char *user_name,
			  uint32_t uid, struct idmap_range *ranges, size_t max);

/* "explicit", "map-root", ... or NULL; and back (0 = unknown). */
const char *idmap_preset_name(enum idmap_preset preset);
enum idmap_preset idmap_preset_parse(const char *name);

#endif
