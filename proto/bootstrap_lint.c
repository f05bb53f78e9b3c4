/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a bootstrap message may say and still go wrong: one small function per
 * subject, each looking at the decoded message and the dialect, with rules
 * that releases of runc were seen to break. doc/BOOTSTRAP.md lists them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys.h"
#include "lib/util.h"
#include "proto/bootstrap_table.h"
#include "proto/bootstrap_text.h"
#include "proto/idmap.h"
#include "proto/nsplan.h"
#include "proto/ops.h"

struct linter {
	const struct bootstrap *msg;
	const uint8_t *data;
	size_t size;
	struct bootstrap_finding *findings;
	size_t n;
};

static void printf_like(4, 5)
	found(struct linter *linter, enum bootstrap_severity severity,
	      const char *rule, const char *fmt, ...)
{
	struct bootstrap_finding *finding;
	va_list ap;

	if (linter->n == BOOTSTRAP_MAX_FINDINGS)
		return;
	finding = &linter->findings[linter->n++];
	finding->severity = severity;
	finding->rule = rule;
	va_start(ap, fmt);
	vsnprintf(finding->text, sizeof(finding->text), fmt, ap);
	va_end(ap);
}

#define trap(linter, ...) found(linter, BOOTSTRAP_TRAP, __VA_ARGS__)
#define note(linter, ...) found(linter, BOOTSTRAP_NOTE, __VA_ARGS__)

bool
bootstrap_is_canonical(const struct bootstrap *msg, const void *data,
		       size_t size)
{
	free_auto uint8_t *again = malloc(NLMSG_MAX);
	struct bootstrap_error error;
	size_t again_size;

	if (!again ||
	    bootstrap_encode(msg, again, NLMSG_MAX, &again_size, &error) < 0)
		return false;
	return again_size == size && memcmp(again, data, size) == 0;
}

static bool
order_is_runcs(const void *data, size_t size, enum dialect dialect)
{
	struct nlmsg_error error;
	struct nlmsg_iter iter;
	struct nlmsg_attr attr;
	size_t at = 0;
	int found_attr;

	nlmsg_iter_init(&iter, data, size);
	while (nlmsg_iter_next(&iter, &attr, &error) > 0) {
		found_attr = bootstrap_attr_find(dialect, attr.type);
		while (at < N_BOOTSTRAP_ATTRS &&
		       bootstrap_order[at] != found_attr)
			at++;
		if (at == N_BOOTSTRAP_ATTRS)
			return false;
	}
	return true;
}

static void
lint_bytes(struct linter *linter)
{
	enum dialect dialect = linter->msg->dialect;
	struct nlmsg_header header;
	struct nlmsg_error error;

	if (nlmsg_header_decode(linter->data, linter->size, &header, &error) <
	    0)
		return;
	if (!order_is_runcs(linter->data, linter->size, dialect))
		trap(linter, "order",
		     "the order of attributes is not that of runc's encoder%s",
		     dialect == DIALECT_D1 ? "; D1 joins while it reads, so "
					     "that order has a meaning"
					   : "");
	else if (!bootstrap_is_canonical(linter->msg, linter->data,
					 linter->size))
		note(linter, "encoding",
		     "legal, but encoded again the bytes differ (header, or "
		     "the value of a bool)");
	if (header.flags != NLMSG_FLAG_REQUEST)
		note(linter, "header-flags",
		     "nlmsg_flags is %u; runc writes 1, and no decoder looks",
		     header.flags);
	if (header.pid != 0)
		note(linter, "header-pid",
		     "nlmsg_pid is %u; runc writes 0, and no decoder looks",
		     header.pid);
	if (linter->size % 4 == 1)
		note(linter, "bool-of-5-bytes",
		     "ends in a bool of 5 bytes without padding: legal in %s "
		     "as the last attribute only",
		     dialect_name(dialect));
	if (dialect == DIALECT_M1 || dialect == DIALECT_M2)
		note(linter, "leading-nul",
		     "the program of %s (from 1.0.0-rc94 on) writes one NUL "
		     "byte on the init fd before it reads this",
		     dialect_name(dialect));
}

static void
lint_flags(struct linter *linter)
{
	const struct bootstrap *msg = linter->msg;
	int known = dialect_n_ns_kinds(msg->dialect), i;

	if (!bootstrap_has(msg, BOOTSTRAP_CLONE_FLAGS))
		trap(linter, "no-clone-flags",
		     "no clone flags: taken as 0, nothing is created");
	for (i = known; i < N_NS_KINDS; i++)
		if (msg->clone_flags & ns_kinds[i].clone_flag)
			trap(linter, "newer-namespace",
			     "a %s namespace is asked for, which runc of %s "
			     "does not know",
			     ns_kinds[i].name, dialect_name(msg->dialect));
}

/* A map that the kernel or a mapping tool will trip over. */
static void
lint_map(struct linter *linter, const char *name, const char *text, size_t size,
	 const char *tool)
{
	free_auto struct idmap *map = malloc(sizeof(*map));
	struct idmap_error error;
	uint32_t host;

	if (!map || idmap_parse(text, size, map, &error) < 0)
		return;
	if (!idmap_lookup(map, 0, &host))
		trap(linter, "map-without-0",
		     "%s map has no container id 0: becoming root fails with "
		     "EINVAL%s",
		     name, name[0] == 'g' ? " after the pid was reported" : "");
	else if (host == 0 && linter->msg->dialect != DIALECT_NX)
		note(linter, "map-of-host-0",
		     "%s map gives host id 0: its writer needs CAP_SETFCAP "
		     "(Linux 5.12)",
		     name);
	if (tool && map->n_rows > 5)
		trap(linter, "more-than-5-rows-for-a-tool",
		     "%s map has %zu rows: runc passes at most 5 to %s (6 and "
		     "8 fail with EFAULT, of 7 it maps 6)",
		     name, map->n_rows, tool);
	if (linter->msg->rootless && !tool && map->n_rows > 1)
		trap(linter, "rows-without-tool",
		     "%s map has %zu rows and no new%smap is named: an "
		     "ordinary user may write one row, EPERM otherwise",
		     name, map->n_rows, name);
	if (text[size - 1] != '\n')
		note(linter, "map-without-line-feed",
		     "%s map does not end in a line feed, as runc's do", name);
}

static void
lint_maps(struct linter *linter)
{
	const struct bootstrap *msg = linter->msg;
	bool new_user = msg->clone_flags & CLONE_NEWUSER;
	bool has_uid = bootstrap_has(msg, BOOTSTRAP_UID_MAP);
	bool has_gid = bootstrap_has(msg, BOOTSTRAP_GID_MAP);

	if (new_user && !has_uid)
		trap(linter, "user-without-map",
		     "a new user namespace without uid map: becoming root "
		     "fails with EINVAL");
	if (new_user && !has_gid)
		trap(linter, "user-without-map",
		     "a new user namespace without gid map: becoming group 0 "
		     "fails with EINVAL");
	if (!new_user && (has_uid || has_gid))
		trap(linter, "map-without-user",
		     "an id map without a new user namespace is ignored");
	if (has_uid)
		lint_map(linter, "uid", msg->uid_map, msg->uid_map_size,
			 msg->uidmap_path);
	if (has_gid)
		lint_map(linter, "gid", msg->gid_map, msg->gid_map_size,
			 msg->gidmap_path);
	if (bootstrap_has(msg, BOOTSTRAP_SETGROUP) && !has_gid)
		trap(linter, "setgroup-without-gid-map",
		     "setgroup without gid map: runc sends it beside one "
		     "only, and it has no effect");
	if (msg->uidmap_path && !has_uid)
		trap(linter, "tool-without-map",
		     "a path of newuidmap without uid map");
	if (msg->gidmap_path && !has_gid)
		trap(linter, "tool-without-map",
		     "a path of newgidmap without gid map");
}

/* Kinds that ns paths join, and how often. */
static uint32_t
lint_ns_paths(struct linter *linter)
{
	const struct bootstrap *msg = linter->msg;
	const char *item = msg->ns_paths, *colon, *path;
	uint32_t joined = 0;
	size_t size;
	int kind;

	for (; item && *item; item += size) {
		if (*item == ',') {
			trap(linter, "empty-path",
			     "namespace paths: an empty item is jumped over");
			item += strspn(item, ",");
		}
		size = strcspn(item, ",");
		colon = memchr(item, ':', size);
		path = colon ? colon + 1 : NULL;
		if (msg->dialect == DIALECT_D1)
			path = item;
		if (size > 0 && path && *path != '/')
			trap(linter, "relative-path",
			     "namespace path \"%.*s\" is relative",
			     size > 60 ? 60 : (int)size, item);
		kind = colon && colon > item
			       ? ns_kind_by_name(item, (size_t)(colon - item))
			       : -1;
		if (kind >= 0 && (joined & ns_kinds[kind].clone_flag))
			trap(linter, "joined-twice",
			     "namespace paths: %s is joined twice, the last "
			     "one stays",
			     ns_kinds[kind].name);
		if (kind >= 0)
			joined |= ns_kinds[kind].clone_flag;
		item += item[size] == ',' && item[size + 1] != ',';
	}
	return joined;
}

static void
lint_joins(struct linter *linter)
{
	const struct bootstrap *msg = linter->msg;
	uint32_t joined = lint_ns_paths(linter), both;
	int i;

	both = joined & msg->clone_flags;
	for (i = 0; i < N_NS_KINDS; i++)
		if (both & ns_kinds[i].clone_flag)
			trap(linter, "joined-and-created",
			     "%s is joined and then created anew",
			     ns_kinds[i].name);
	if ((joined & CLONE_NEWUSER) &&
	    (msg->uid_map_size || msg->gid_map_size))
		trap(linter, "map-of-joined-user",
		     "an id map beside a joined user namespace: runc sends "
		     "none");
	if ((joined & CLONE_NEWUSER) && (joined & ~(uint32_t)CLONE_NEWUSER) &&
	    msg->dialect >= DIALECT_D2 && msg->dialect <= DIALECT_M2)
		note(linter, "user-first",
		     "%s joins in the order given: what the host owns cannot "
		     "be joined after the user namespace (EPERM)",
		     dialect_name(msg->dialect));
}

static void
lint_rest(struct linter *linter)
{
	const struct bootstrap *msg = linter->msg;
	const struct {
		const char *name, *path;
	} paths[] = {
		{ "console", msg->console },
		{ "newuidmap", msg->uidmap_path },
		{ "newgidmap", msg->gidmap_path },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		if (paths[i].path && paths[i].path[0] != '/')
			trap(linter, "relative-path",
			     "path of %s is relative: it is opened in "
			     "whatever directory the program starts in",
			     paths[i].name);
	if (msg->time_offsets && !(msg->clone_flags & CLONE_NEWTIME))
		trap(linter, "offsets-without-time",
		     "time offsets without a new time namespace: EACCES, "
		     "fatal");
	if (msg->oom_score_adj && msg->oom_score_adj[0] == '-')
		note(linter, "oom-below-0",
		     "a negative oom score adj needs CAP_SYS_RESOURCE: EACCES "
		     "is fatal");
}

static void
lint_dialects(struct linter *linter)
{
	unsigned int others = bootstrap_other_dialects(
		linter->msg->dialect, linter->msg, linter->data, linter->size);
	char names[64];
	size_t used = 0;
	int i;

	names[0] = '\0';
	for (i = DIALECT_D1; i < N_DIALECTS; i++)
		if (others & (1u << i))
			used += (size_t)snprintf(names + used,
						 sizeof(names) - used, "%s%s",
						 used ? ", " : "",
						 dialect_name((enum dialect)i));
	if (used > 0)
		trap(linter, "other-dialect",
		     "a program of %s accepts these bytes too and reads "
		     "something else: tell the dialect beside the message",
		     names);
}

/*
 * Known by experiment: a D2 message whose only join is attribute 27283 is
 * taken by 1.3 with exit 0, as an id map that nobody needs, and joins nothing.
 * Our decoders refuse that text as a map; runc's do not look at it.
 */
static void
lint_misrouting(struct linter *linter)
{
	const struct bootstrap *msg = linter->msg;

	if ((msg->dialect == DIALECT_D1 || msg->dialect == DIALECT_D2) &&
	    bootstrap_has(msg, BOOTSTRAP_NS_PATHS) &&
	    !(msg->clone_flags & CLONE_NEWUSER))
		trap(linter, "joins-nothing-in-M3",
		     "sent to a program of rc3 or later by mistake, 27283 is a "
		     "uid map there: exit 0, and nothing is joined");
	if (msg->dialect == DIALECT_M2 && msg->mount_sources.data)
		note(linter, "mount-sources-in-M3",
		     "sent to a program of 1.2 or later by mistake, 27290 is "
		     "time offsets there: EINVAL");
	if (msg->dialect == DIALECT_M3 && msg->time_offsets)
		note(linter, "time-offsets-in-M2",
		     "sent to a program of 1.1 by mistake, 27290 is mount "
		     "sources there: \"failed to open mount source\"");
}

unsigned int
bootstrap_other_dialects(enum dialect dialect, const struct bootstrap *msg,
			 const void *data, size_t size)
{
	free_auto struct bootstrap *other = malloc(sizeof(*other));
	struct bootstrap_error error;
	unsigned int found_bits = 0;
	int i;

	for (i = DIALECT_D1; i < N_DIALECTS && other; i++) {
		if (i == (int)dialect)
			continue;
		if (bootstrap_decode((enum dialect)i, BOOTSTRAP_TYPE, data,
				     size, other, &error) < 0)
			continue;
		if (!msg || other->present != msg->present)
			found_bits |= 1u << i;
	}
	return found_bits;
}

size_t
bootstrap_lint(const struct bootstrap *msg, const void *data, size_t size,
	       struct bootstrap_finding *findings)
{
	struct linter linter = { msg, data, size, findings, 0 };

	lint_bytes(&linter);
	lint_flags(&linter);
	if (msg->type != OP_EXEC)
		lint_maps(&linter);
	lint_joins(&linter);
	lint_rest(&linter);
	lint_misrouting(&linter);
	lint_dialects(&linter);
	return linter.n;
}
