/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delegated ranges and what login.defs(5) says of them, read as newuidmap(1)
 * and newgidmap(1) of shadow 4.13 read them.
 *
 * libsubid's lists are not theirs: it takes a number at the head of a line of
 * subgid(5) for the gid of the group that is named like the user, and so gives
 * one user what is delegated to another whose uid is that number; newgidmap
 * takes it for a uid. And libsubid leaves out lines of another name of the same
 * uid. It is asked only where nsswitch.conf(5) names a service for "subid",
 * since newuidmap asks the same one then and reads no file.
 */
#ifndef NSX_RESOLVER_SUBID_H
#define NSX_RESOLVER_SUBID_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "proto/idmap.h"

enum subid_side {
	SUBID_UID,
	SUBID_GID,
};

#define SUBID_MAX_NAMES 16

/* Who a line must name: names of one uid, and the number itself. */
struct subid_owner {
	uint32_t uid;
	size_t n_names;
	char names[SUBID_MAX_NAMES][256]; /* the first is getpwuid(3)'s */
};

/* The other names of owner->uid; one without a list has none. */
void subid_owner_find_names(struct subid_owner *owner);

/* "/etc/subuid" or "/etc/subgid". */
const char *subid_path(enum subid_side side);

/*
 * The first max ranges of this owner. 0; a missing file delegates nothing.
 * -errno: the file cannot be read, or the service does not answer.
 */
must_check int subid_ranges_read(enum subid_side side,
				 const struct subid_owner *owner,
				 struct idmap_range *ranges, size_t max,
				 uint32_t *ret_n);

/*
 * GRANT_AUX_GROUP_SUBIDS: may a user whose group is not his primary one use
 * what is delegated to him? False if the file cannot be read.
 */
bool subid_any_group_read(void);

#endif
