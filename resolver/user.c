/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users by getpwuid_r(3), ranges by subid.h, whose id a uid is by libsubid. See
 * user.h.
 */
#include "resolver/user.h"

#include <errno.h>
#include <pwd.h>
#include <shadow/subid.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util.h"
#include "resolver/subid.h"

#define ENTRY_MAX ((size_t)1 << 20)
#define CHAIN_MAX 8

struct entry {
	bool found;
	uint32_t gid;
	char name[256];
};

static int printf_like(2, 3)
	fail(char error_text[USER_ERROR_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error_text, USER_ERROR_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int
entry_find(uint32_t uid, struct entry *ret, char error_text[USER_ERROR_MAX])
{
	struct passwd entry, *found = NULL;
	free_auto char *buf = NULL;
	size_t size;
	int error = ERANGE;

	memset(ret, 0, sizeof(*ret));
	for (size = 4096; error == ERANGE && size <= ENTRY_MAX; size *= 2) {
		free(buf);
		buf = malloc(size);
		if (!buf)
			return fail(error_text, "passwd: out of memory");
		error = getpwuid_r(uid, &entry, buf, size, &found);
	}
	/* getpwnam(3): these say "none" on some services */
	if (!found && (error == 0 || error == ENOENT || error == ESRCH))
		return 0;
	if (!found)
		return fail(error_text,
			    "passwd: cannot look uid %u up: %s (see that "
			    "/etc/passwd and the services of nsswitch.conf "
			    "answer)",
			    uid, strerror(error));
	if (strlen(entry.pw_name) >= sizeof(ret->name))
		return fail(error_text,
			    "passwd: the name of uid %u is too long (at most "
			    "255 bytes)",
			    uid);
	ret->found = true;
	ret->gid = entry.pw_gid;
	memcpy(ret->name, entry.pw_name, strlen(entry.pw_name) + 1);
	return 0;
}

static int
ranges_find(const struct subid_owner *owner, struct resolved_user *user,
	    char error_text[USER_ERROR_MAX])
{
	const struct {
		enum subid_side side;
		struct idmap_range *ranges;
		uint32_t *n;
	} sides[] = {
		{ SUBID_UID, user->uid_ranges, &user->n_uid_ranges },
		{ SUBID_GID, user->gid_ranges, &user->n_gid_ranges },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
		if (subid_ranges_read(sides[i].side, owner, sides[i].ranges,
				      RESOLVE_MAX_RANGES, sides[i].n) < 0)
			return fail(error_text,
				    "%s: cannot be read (see that it is "
				    "readable, or that the service of "
				    "nsswitch.conf answers)",
				    subid_path(sides[i].side));
	return 0;
}

/* *ret stays if uid is nobody's delegated id. */
static int
delegator_find(uint32_t uid, uint32_t *ret, char error_text[USER_ERROR_MAX])
{
	free_auto uid_t *owners = NULL;
	int i, n = subid_get_uid_owners(uid, &owners);

	if (n < 0) {
		if (access("/etc/subuid", F_OK) < 0 && errno == ENOENT)
			return 0;
		return fail(error_text,
			    "/etc/subuid: cannot tell whose id %u is (remove "
			    "lines of users who are no more, and see that it "
			    "is readable)",
			    uid);
	}
	for (i = 1; i < n; i++)
		if (owners[i] != owners[0])
			return fail(error_text,
				    "/etc/subuid: id %u is delegated to uid %u "
				    "and to uid %u (give each a range of its "
				    "own)",
				    uid, owners[0], owners[i]);
	if (n > 0)
		*ret = owners[0];
	return 0;
}

static int
owner_find(uint32_t uid, uint32_t *ret, char error_text[USER_ERROR_MAX])
{
	uint32_t owner = uid, next;
	struct entry entry;
	int r, i;

	for (i = 0; i < CHAIN_MAX; i++) {
		r = entry_find(owner, &entry, error_text);
		if (r < 0)
			return r;
		next = owner;
		if (!entry.found && owner != 0)
			r = delegator_find(owner, &next, error_text);
		if (r < 0)
			return r;
		if (next == owner) {
			*ret = owner;
			return 0;
		}
		owner = next;
	}
	return fail(error_text,
		    "/etc/subuid: id %u belongs to an id that belongs to "
		    "another, and so on (name users who exist)",
		    uid);
}

int
user_resolve(uint32_t uid, struct resolved_user *ret,
	     char error_text[USER_ERROR_MAX])
{
	struct subid_owner owner = { .uid = uid, .n_names = 1 };
	struct entry entry;
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->magic = RESOLVE_MAGIC;
	ret->version = RESOLVE_VERSION;
	ret->uid = uid;
	if (uid == UINT32_MAX)
		return fail(error_text, "uid 4294967295 is no id");
	subid_init("nsexec-resolver", NULL);
	r = entry_find(uid, &entry, error_text);
	if (r == 0)
		r = owner_find(uid, &ret->owner, error_text);
	if (r < 0)
		return r;
	if (!entry.found)
		return 0;
	ret->has_name = 1;
	ret->gid = entry.gid;
	ret->any_group = subid_any_group_read();
	memcpy(owner.names[0], entry.name, sizeof(entry.name));
	subid_owner_find_names(&owner);
	return ranges_find(&owner, ret, error_text);
}
