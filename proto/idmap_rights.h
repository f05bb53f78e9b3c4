/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May this caller have this id map? Decided as newuidmap(1) and newgidmap(1) of
 * shadow 4.13 decide, but for what doc/IDMAPS.md lists. Pure: who the caller is
 * and what is delegated to him come from outside.
 *
 * A row is the caller's if all of its host ids are delegated to him, by one
 * range or by several that touch; or if it is one id and his own. The own id
 * alone needs no delegation at all: the kernel gives it to everybody
 * (user_namespaces(7)).
 *
 * The two sides are decided by two implementations that share nothing but the
 * structures: the kernel refuses host uid 0 to a writer without CAP_SETFCAP,
 * but nothing of the kind stands behind host gid 0 and a mistake of ours. The
 * tests hold one against the other.
 */
#ifndef NSX_PROTO_IDMAP_RIGHTS_H
#define NSX_PROTO_IDMAP_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "proto/idmap.h"
#include "proto/resolve.h"

#define IDMAP_VERDICT_MAX 192 /* bytes of its text, with the NUL */

struct idmap_rights {
	uint32_t own;			  /* the caller's id on this side */
	const struct idmap_range *ranges; /* delegated; lent */
	size_t n_ranges;
	const char *why_none; /* static text; NULL: ranges may be used */
};

enum idmap_refusal {
	IDMAP_ALLOWED,
	IDMAP_NO_ROWS,
	IDMAP_EMPTY_ROW,     /* count 0 */
	IDMAP_BEYOND_LAST,   /* host ids past 4294967294 */
	IDMAP_HOST_ZERO,     /* delegated to him, but never given away */
	IDMAP_NOT_DELEGATED, /* not his */
	IDMAP_OWN_TWICE,     /* the own id alone is one row */
};

struct idmap_verdict {
	enum idmap_refusal why;
	size_t row; /* the first that is refused */
	/* A row came from a delegated range: the writer needs CAP_SETUID or
	 * CAP_SETGID, and on the gid side setgroups(2) may stay allowed. */
	bool delegated;
};

/*
 * What a caller has on one side. user NULL: nothing was looked up, so nothing
 * is delegated. Nor is it where user has no passwd entry, is another uid, or
 * gid is not the primary group of that entry and login.defs(5) has no
 * GRANT_AUX_GROUP_SUBIDS: newuidmap refuses these.
 */
void idmap_rights_uid(const struct resolved_user *user, uint32_t uid,
		      uint32_t gid, struct idmap_rights *ret);
void idmap_rights_gid(const struct resolved_user *user, uint32_t uid,
		      uint32_t gid, struct idmap_rights *ret);

/* 0, or -EPERM; *ret is filled in either case. */
must_check int idmap_uid_decide(const struct idmap *map,
				const struct idmap_rights *rights,
				struct idmap_verdict *ret);
must_check int idmap_gid_decide(const struct idmap *map,
				const struct idmap_rights *rights,
				struct idmap_verdict *ret);

/*
 * A refusal in words: "uid map row 1: host ids 0+65536: not delegated, allowed:
 * 1000, 100000+65536". kind: "uid" or "gid". Cut to fit; allocates nothing.
 */
void idmap_verdict_text(const struct idmap_verdict *verdict,
			const struct idmap *map,
			const struct idmap_rights *rights, const char *kind,
			char text[IDMAP_VERDICT_MAX]);

#endif
