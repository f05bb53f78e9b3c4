/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the resolver says of one uid: a fixed-size record over a private pipe to
 * the spawner, in host byte order, never over a network or to a disk. The
 * resolver has a uid of its own and parses files, so the record is checked like
 * any other bytes from outside: resolve_check() before a field is used.
 *
 * Sources: passwd(5) by getpwuid_r(3); subuid(5) and subgid(5) read as
 * newuidmap and newgidmap read them, or libsubid where nsswitch.conf(5) names a
 * service for them; login.defs(5).
 */
#ifndef NSX_PROTO_RESOLVE_H
#define NSX_PROTO_RESOLVE_H

#include <stdint.h>

#include "lib/err.h"
#include "proto/idmap.h"

#define RESOLVE_MAGIC 0x5253584eu /* "NXSR" */
#define RESOLVE_VERSION 2u
/* Ranges of one user and side; a user with more has the first of them. */
#define RESOLVE_MAX_RANGES 64

struct resolved_user {
	uint32_t magic;
	uint32_t version;
	uint32_t uid;	    /* who was asked for */
	uint32_t owner;	    /* whose delegated id that uid is; else the uid */
	uint32_t has_name;  /* bool: passwd has an entry of this uid */
	uint32_t gid;	    /* that entry's primary group; only if has_name */
	uint32_t any_group; /* bool: GRANT_AUX_GROUP_SUBIDS of login.defs(5) */
	uint32_t n_uid_ranges, n_gid_ranges;
	struct idmap_range uid_ranges[RESOLVE_MAX_RANGES];
	struct idmap_range gid_ranges[RESOLVE_MAX_RANGES];
};

/*
 * Does this record answer for this uid, with counts and ranges that can be? 0,
 * or -EBADMSG: magic, version or uid differ, a count is over the limit, a range
 * is empty or ends past 2^32 - 2, a bool is neither 0 nor 1.
 */
must_check int resolve_check(const struct resolved_user *user, uint32_t uid);

#endif
