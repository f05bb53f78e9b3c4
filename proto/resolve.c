/* SPDX-License-Identifier: Apache-2.0 */
/* The check of what the resolver says. See resolve.h. */
#include "proto/resolve.h"

#include <errno.h>
#include <stddef.h>

static int
ranges_check(const struct idmap_range *ranges, uint32_t n)
{
	uint32_t i;

	if (n > RESOLVE_MAX_RANGES)
		return -EBADMSG;
	for (i = 0; i < n; i++)
		/* 2^32 - 1 is no id: (uid_t)-1 means "unchanged". */
		if (ranges[i].size == 0 ||
		    (uint64_t)ranges[i].first + ranges[i].size > UINT32_MAX)
			return -EBADMSG;
	return 0;
}

int
resolve_check(const struct resolved_user *user, uint32_t uid)
{
	int r;

	if (user->magic != RESOLVE_MAGIC || user->version != RESOLVE_VERSION ||
	    user->uid != uid || user->has_name > 1 || user->any_group > 1)
		return -EBADMSG;
	r = ranges_check(user->uid_ranges, user->n_uid_ranges);
	if (r == 0)
		r = ranges_check(user->gid_ranges, user->n_gid_ranges);
	return r;
}
