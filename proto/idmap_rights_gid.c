/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rights to gid maps, by another way than the uid side's. There a row is walked
 * from its first id on; here it is asked where a gap could begin. The first
 * undelegated id of a row is the row's first one, or follows the last id of
 * some range. So if none of these few ids within the row is undelegated, none
 * at all is. See idmap_rights.h.
 */
#include <errno.h>
#include <stdbool.h>

#include "proto/idmap_rights.h"

void
idmap_rights_gid(const struct resolved_user *user, uint32_t uid, uint32_t gid,
		 struct idmap_rights *ret)
{
	ret->own = gid;
	ret->ranges = NULL;
	ret->n_ranges = 0;
	ret->why_none = NULL;
	if (!user)
		ret->why_none = "nothing is delegated";
	else if (uid != user->uid)
		ret->why_none = "nothing is known of this uid";
	else if (user->has_name != 1)
		ret->why_none = "this uid has no passwd entry";
	else if (user->any_group != 1 && user->gid != gid)
		ret->why_none = "the group is not the primary one of passwd";
	else if (user->n_gid_ranges <= RESOLVE_MAX_RANGES) {
		ret->n_ranges = user->n_gid_ranges;
		ret->ranges = user->gid_ranges;
	}
}

static bool
is_delegated(const struct idmap_rights *rights, uint32_t gid)
{
	for (size_t i = 0; i < rights->n_ranges; i++) {
		const struct idmap_range *range = &rights->ranges[i];

		if (gid >= range->first && gid - range->first < range->size)
			return true;
	}
	return false;
}

/* The row is not empty and ends within the id space. */
static bool
has_gap(const struct idmap_rights *rights, const struct idmap_row *row)
{
	const uint32_t last = row->host_id + (row->size - 1);

	if (!is_delegated(rights, row->host_id))
		return true;
	for (size_t i = 0; i < rights->n_ranges; i++) {
		const struct idmap_range *range = &rights->ranges[i];
		uint32_t after;

		if (range->size > UINT32_MAX - range->first)
			return true; /* no range of gids: give nothing */
		after = range->first + range->size;
		if (after > row->host_id && after <= last &&
		    !is_delegated(rights, after))
			return true;
	}
	return false;
}

enum gid_class {
	GID_REFUSED,
	GID_OWN,
	GID_DELEGATED,
};

static enum gid_class
gid_classify(const struct idmap_row *row, const struct idmap_rights *rights,
	     enum idmap_refusal *why)
{
	const bool own = row->size == 1 && row->host_id == rights->own;

	if (row->size < 1)
		*why = IDMAP_EMPTY_ROW;
	else if (row->size > UINT32_MAX - row->host_id)
		*why = IDMAP_BEYOND_LAST;
	else if (own && (row->host_id == 0 || has_gap(rights, row)))
		return GID_OWN;
	else if (has_gap(rights, row))
		*why = IDMAP_NOT_DELEGATED;
	else if (row->host_id == 0)
		*why = IDMAP_HOST_ZERO;
	else
		return GID_DELEGATED;
	return GID_REFUSED;
}

static int
gid_refuse(struct idmap_verdict *ret, size_t row, enum idmap_refusal why)
{
	ret->row = row;
	ret->why = why;
	return -EPERM;
}

int
idmap_gid_decide(const struct idmap *map, const struct idmap_rights *rights,
		 struct idmap_verdict *ret)
{
	size_t n[GID_DELEGATED + 1] = { 0 };

	*ret = (struct idmap_verdict){ .why = IDMAP_ALLOWED };
	for (size_t i = 0; i < map->n_rows; i++) {
		enum idmap_refusal why = IDMAP_NOT_DELEGATED;
		enum gid_class class =
			gid_classify(&map->rows[i], rights, &why);

		if (class == GID_REFUSED)
			return gid_refuse(ret, i, why);
		n[class]++;
		ret->delegated = n[GID_DELEGATED] > 0;
	}
	if (n[GID_OWN] + n[GID_DELEGATED] == 0)
		return gid_refuse(ret, 0, IDMAP_NO_ROWS);
	if (n[GID_DELEGATED] == 0 && n[GID_OWN] > 1)
		return gid_refuse(ret, 1, IDMAP_OWN_TWICE);
	return 0;
}
