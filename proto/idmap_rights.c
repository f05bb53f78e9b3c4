/* SPDX-License-Identifier: Apache-2.0 */
/* Rights to uid maps, and a refusal in words. See idmap_rights.h. */
#include "proto/idmap_rights.h"

#include <errno.h>
#include <stdio.h>

/* Shown of a caller's ranges in a refusal; the rest is "..." */
#define SHOWN_RANGES 3

static const char *
why_none(const struct resolved_user *user, uint32_t uid, uint32_t gid)
{
	if (!user)
		return "nothing is delegated";
	if (user->uid != uid)
		return "nothing is known of this uid";
	if (!user->has_name)
		return "this uid has no passwd entry";
	if (gid != user->gid && !user->any_group)
		return "the group is not the primary one of passwd";
	return NULL;
}

void
idmap_rights_uid(const struct resolved_user *user, uint32_t uid, uint32_t gid,
		 struct idmap_rights *ret)
{
	*ret = (struct idmap_rights){ .own = uid,
				      .why_none = why_none(user, uid, gid) };
	if (ret->why_none)
		return;
	ret->ranges = user->uid_ranges;
	ret->n_ranges = user->n_uid_ranges;
}

/* One past the last id from id on that is delegated without a gap. */
static uint64_t
delegated_until(const struct idmap_rights *rights, uint64_t id)
{
	bool further = true;
	size_t i;

	while (further) {
		further = false;
		for (i = 0; i < rights->n_ranges; i++) {
			uint64_t first = rights->ranges[i].first;
			uint64_t end = first + rights->ranges[i].size;

			if (id >= first && id < end) {
				id = end;
				further = true;
			}
		}
	}
	return id;
}

static enum idmap_refusal
uid_row(const struct idmap_row *row, const struct idmap_rights *rights,
	bool *delegated)
{
	uint64_t end = (uint64_t)row->host_id + row->size;
	bool own = row->size == 1 && row->host_id == rights->own;

	if (row->size == 0)
		return IDMAP_EMPTY_ROW;
	if (end > UINT32_MAX)
		return IDMAP_BEYOND_LAST;
	if (delegated_until(rights, row->host_id) >= end) {
		if (row->host_id != 0) {
			*delegated = true;
			return IDMAP_ALLOWED;
		}
		if (!own)
			return IDMAP_HOST_ZERO;
	}
	return own ? IDMAP_ALLOWED : IDMAP_NOT_DELEGATED;
}

int
idmap_uid_decide(const struct idmap *map, const struct idmap_rights *rights,
		 struct idmap_verdict *ret)
{
	size_t i;

	*ret = (struct idmap_verdict){ .why = IDMAP_ALLOWED };
	if (map->n_rows == 0)
		ret->why = IDMAP_NO_ROWS;
	for (i = 0; i < map->n_rows && ret->why == IDMAP_ALLOWED; i++) {
		ret->row = i;
		ret->why = uid_row(&map->rows[i], rights, &ret->delegated);
	}
	if (ret->why == IDMAP_ALLOWED && !ret->delegated && map->n_rows > 1) {
		ret->row = 1;
		ret->why = IDMAP_OWN_TWICE;
	}
	return ret->why == IDMAP_ALLOWED ? 0 : -EPERM;
}

static const char *
refusal_text(enum idmap_refusal why)
{
	switch (why) {
	case IDMAP_NO_ROWS:
		return "there are none";
	case IDMAP_EMPTY_ROW:
		return "the count is 0";
	case IDMAP_BEYOND_LAST:
		return "past the last id 4294967294";
	case IDMAP_HOST_ZERO:
		return "host id 0 is never given away";
	case IDMAP_OWN_TWICE:
		return "the own id alone is one row";
	case IDMAP_ALLOWED:
	case IDMAP_NOT_DELEGATED:
	default:
		return "not delegated";
	}
}

void
idmap_verdict_text(const struct idmap_verdict *verdict, const struct idmap *map,
		   const struct idmap_rights *rights, const char *kind,
		   char text[IDMAP_VERDICT_MAX])
{
	const struct idmap_row none = { 0 };
	const struct idmap_row *row =
		verdict->row < map->n_rows ? &map->rows[verdict->row] : &none;
	const size_t size = IDMAP_VERDICT_MAX;
	size_t used, i;

	used = (size_t)snprintf(text, size,
				"%s map row %u: host ids %u+%u: %s; "
				"allowed: %u",
				kind, (unsigned int)verdict->row, row->host_id,
				row->size, refusal_text(verdict->why),
				rights->own);
	for (i = 0; i < rights->n_ranges && i < SHOWN_RANGES && used < size;
	     i++)
		used += (size_t)snprintf(text + used, size - used, ", %u+%u",
					 rights->ranges[i].first,
					 rights->ranges[i].size);
	if (used < size && rights->n_ranges > SHOWN_RANGES)
		snprintf(text + used, size - used, ", ...");
	else if (used < size && rights->why_none)
		snprintf(text + used, size - used, " (%s)", rights->why_none);
}
