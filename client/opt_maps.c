/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --map-*: presets are sent by name and built by the daemon; rows are sent as
 * they are. An option that adds rows to what another gives (--map-root-user
 * --map-users 1:100000:65536) turns both into rows. Rows are always
 * inner:outer:count.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/opts.h"
#include "lib/fd.h"
#include "lib/text.h"
#include "lib/util.h"

#define MAX_RANGES 64

enum {
	KEY_MAP_USER = OPTS_MAP_KEYS,
	KEY_MAP_GROUP,
	KEY_MAP_CURRENT,
	KEY_MAP_USERS,
	KEY_MAP_GROUPS,
	KEY_MAP_AUTO,
	KEY_MAP_AUTO_PRIVATE,
	KEY_MAP_PRESET,
	KEY_SETGROUPS,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Id maps (each implies --new user):", 20 },
	{ "map-root-user", 'r', NULL, 0, "You are root inside", 20 },
	{ "map-current-user", KEY_MAP_CURRENT, NULL, 0,
	  "You keep your own ids inside", 20 },
	{ "map-user", KEY_MAP_USER, "UID|NAME", 0, "You are this user inside",
	  20 },
	{ "map-group", KEY_MAP_GROUP, "GID|NAME", 0,
	  "Your group is this one inside", 20 },
	{ "map-users", KEY_MAP_USERS, "ROWS", 0,
	  "inner:outer:count[,...], or auto, subids, all; repeatable", 20 },
	{ "map-groups", KEY_MAP_GROUPS, "ROWS", 0, "The same for groups", 20 },
	{ "map-auto", KEY_MAP_AUTO, NULL, 0,
	  "You are root inside, your delegated ids follow", 20 },
	{ "map-auto-private", KEY_MAP_AUTO_PRIVATE, NULL, 0,
	  "The same with 65536 of them that no other live one has", 20 },
	{ "map-preset", KEY_MAP_PRESET, "NAME", 0,
	  "root, current, identity, keep-id, auto, auto-private or max-uid",
	  20 },
	{ "setgroups", KEY_SETGROUPS, "allow|deny|auto", 0,
	  "setgroups(2) inside (default: auto, deny only where needed)", 20 },
	{ 0 },
};

static void
set_preset(struct argp_state *state, enum nsexec_map preset, const char *why)
{
	struct map_opts *opts = state->input;

	if (opts->preset && opts->preset != preset)
		ctl_option_error(state, "%s and %s ask for different id maps",
				 opts->preset_why, why);
	opts->preset = preset;
	opts->preset_why = why;
	opts->ns->needs_user = true;
	opts->ns->needs_user_why = why;
}

/* How many rows a map may have is the daemon's to say. */
static void
add_row(struct argp_state *state, bool groups, const struct idmap_row *row)
{
	struct map_opts *opts = state->input;

	opts->rows = true;
	if (groups)
		nsexec_spec_map_gid(opts->ns->spec, row->container_id,
				    row->host_id, row->size);
	else
		nsexec_spec_map_uid(opts->ns->spec, row->container_id,
				    row->host_id, row->size);
}

static bool
parse_row(const char *text, size_t size, struct idmap_row *ret)
{
	char buf[64], *outer, *count;

	if (size >= sizeof(buf))
		return false;
	memcpy(buf, text, size);
	buf[size] = '\0';
	outer = strchr(buf, ':');
	if (!outer)
		return false;
	*outer++ = '\0';
	count = strchr(outer, ':');
	if (!count)
		return false;
	*count++ = '\0';
	return text_parse_u32(buf, &ret->container_id) == 0 &&
	       text_parse_u32(outer, &ret->host_id) == 0 &&
	       text_parse_u32(count, &ret->size) == 0;
}

/* Our own user namespace's rows, each id onto itself. */
static void
add_all(struct argp_state *state, bool groups)
{
	struct idmap own = { .n_rows = 0 };
	struct idmap_error error = { 0 };
	char text[8192];
	const char *path = groups ? "/proc/self/gid_map" : "/proc/self/uid_map";
	ssize_t n = fd_read_file(AT_FDCWD, path, text, sizeof(text));

	if (n < 0 || idmap_parse(text, (size_t)n, &own, &error) < 0)
		ctl_option_error(state, "cannot read %s: %s", path,
				 n < 0 ? strerror((int)-n) : error.rule);
	for (size_t i = 0; i < own.n_rows; i++) {
		const uint32_t id = own.rows[i].container_id;

		add_row(state, groups,
			&(struct idmap_row){ id, id, own.rows[i].size });
	}
}

/* The whole of subuid(5) or subgid(5): it may be long. */
static size_t
read_ranges(const char *path, struct idmap_range *ranges)
{
	fd_auto int fd = open(path, O_RDONLY | O_CLOEXEC);
	const struct passwd *user = getpwuid(geteuid());
	struct stat st;
	size_t n = 0;
	void *text;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0)
		return 0;
	text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return 0;
	n = idmap_ranges_parse(text, (size_t)st.st_size,
			       user ? user->pw_name : "", geteuid(), ranges,
			       MAX_RANGES);
	munmap(text, (size_t)st.st_size);
	return n;
}

/* auto: own id is 0, then the ranges; subids: each range onto itself. */
static void
add_delegated(struct argp_state *state, bool groups, bool automatic)
{
	const char *path = groups ? "/etc/subgid" : "/etc/subuid";
	struct idmap_range ranges[MAX_RANGES];
	const size_t n = read_ranges(path, ranges);
	uint32_t next = 1;

	if (n == 0)
		ctl_option_error(state,
				 "%s delegates nothing to you: ask an "
				 "administrator for a line there",
				 path);
	if (automatic)
		add_row(state, groups,
			&(struct idmap_row){ 0, groups ? getegid() : geteuid(),
					     1 });
	for (size_t i = 0; i < n; i++) {
		struct idmap_row row = { ranges[i].first, ranges[i].first,
					 ranges[i].size };

		if (automatic)
			row.container_id = next;
		next += ranges[i].size;
		add_row(state, groups, &row);
	}
}

static void
on_rows(struct argp_state *state, const char *arg, bool groups)
{
	struct map_opts *opts = state->input;
	const char *option = groups ? "--map-groups" : "--map-users";
	const char *p = arg;

	opts->ns->needs_user = true;
	opts->ns->needs_user_why = option;
	for (;;) {
		size_t size = strcspn(p, ",");
		struct idmap_row row;

		if (size == 3 && memcmp(p, "all", 3) == 0)
			add_all(state, groups);
		else if (size == 4 && memcmp(p, "auto", 4) == 0)
			add_delegated(state, groups, true);
		else if (size == 6 && memcmp(p, "subids", 6) == 0)
			add_delegated(state, groups, false);
		else if (parse_row(p, size, &row))
			add_row(state, groups, &row);
		else
			opts_refuse(state, option, arg,
				    "rows are inner:outer:count (decimal), "
				    "or auto, subids, all");
		if (!p[size])
			return;
		p += size + 1;
	}
}

static void
on_preset(struct argp_state *state, const char *arg)
{
	static const struct {
		const char *name;
		enum nsexec_map preset;
	} presets[] = {
		{ "root", NSEXEC_MAP_ROOT },
		{ "map-root", NSEXEC_MAP_ROOT },
		{ "current", NSEXEC_MAP_CURRENT },
		{ "map-current", NSEXEC_MAP_CURRENT },
		{ "identity", NSEXEC_MAP_IDENTITY },
		{ "keep-id", NSEXEC_MAP_KEEP_ID },
		{ "auto", NSEXEC_MAP_AUTO },
		{ "auto-private", NSEXEC_MAP_AUTO_PRIVATE },
		{ "max-uid", NSEXEC_MAP_MAX_UID },
	};

	for (size_t i = 0; i < ARRAY_SIZE(presets); i++) {
		if (strcmp(arg, presets[i].name) == 0) {
			set_preset(state, presets[i].preset, "--map-preset");
			return;
		}
	}
	if (strncmp(arg, "keep-id:", 8) == 0 || strcmp(arg, "nsresourced") == 0)
		opts_refuse(state, "--map-preset", arg,
			    "this release does not have it");
	opts_refuse(state, "--map-preset", arg,
		    "write root, current, identity, keep-id, auto, "
		    "auto-private or max-uid");
}

/* --map-user, --map-group: our own id is this one inside. */
static void
on_own(struct argp_state *state, const char *arg, bool group)
{
	struct map_opts *opts = state->input;
	const char *option = group ? "--map-group" : "--map-user";
	struct idmap_row row = { 0, group ? getegid() : geteuid(), 1 };

	if (text_parse_u32(arg, &row.container_id) < 0) {
		const struct passwd *user = group ? NULL : getpwnam(arg);
		const struct group *entry = group ? getgrnam(arg) : NULL;

		if (!user && !entry)
			opts_refuse(state, option, arg, "is not known here");
		row.container_id = user ? user->pw_uid : entry->gr_gid;
	}
	opts->ns->needs_user = true;
	opts->ns->needs_user_why = option;
	add_row(state, group, &row);
}

static void
on_setgroups(struct argp_state *state, const char *arg)
{
	struct map_opts *opts = state->input;
	enum nsexec_setgroups mode = 0;

	if (strcmp(arg, "auto") == 0)
		mode = NSEXEC_SETGROUPS_AUTO;
	else if (strcmp(arg, "allow") == 0)
		mode = NSEXEC_SETGROUPS_ALLOW;
	else if (strcmp(arg, "deny") == 0)
		mode = NSEXEC_SETGROUPS_DENY;
	else
		opts_refuse(state, "--setgroups", arg,
			    "write allow, deny or auto");
	nsexec_spec_setgroups(opts->ns->spec, mode);
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 'r':
		set_preset(state, NSEXEC_MAP_ROOT, "--map-root-user");
		return 0;
	case KEY_MAP_CURRENT:
		set_preset(state, NSEXEC_MAP_CURRENT, "--map-current-user");
		return 0;
	case KEY_MAP_AUTO:
		set_preset(state, NSEXEC_MAP_AUTO, "--map-auto");
		return 0;
	case KEY_MAP_AUTO_PRIVATE:
		set_preset(state, NSEXEC_MAP_AUTO_PRIVATE,
			   "--map-auto-private");
		return 0;
	case KEY_MAP_PRESET:
		on_preset(state, arg);
		return 0;
	case KEY_MAP_USERS:
	case KEY_MAP_GROUPS:
		on_rows(state, arg, key == KEY_MAP_GROUPS);
		return 0;
	case KEY_MAP_USER:
	case KEY_MAP_GROUP:
		on_own(state, arg, key == KEY_MAP_GROUP);
		return 0;
	case KEY_SETGROUPS:
		on_setgroups(state, arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp map_argp = { .options = options, .parser = on_option };

int
map_opts_apply(const struct ctl *ctl, struct map_opts *opts)
{
	struct nsexec_spec *spec = opts->ns->spec;
	const bool root = opts->preset == NSEXEC_MAP_ROOT;

	if (!opts->rows) {
		if (opts->preset)
			nsexec_spec_map_preset(spec, opts->preset);
		return 0;
	}
	if (opts->preset && !root && opts->preset != NSEXEC_MAP_CURRENT)
		return ctl_usage(ctl,
				 "%s gives whole id maps: no rows can be "
				 "added to it",
				 opts->preset_why);
	nsexec_spec_map_preset(spec, NSEXEC_MAP_EXPLICIT);
	if (opts->preset) {
		nsexec_spec_map_uid(spec, root ? 0 : geteuid(), geteuid(), 1);
		nsexec_spec_map_gid(spec, root ? 0 : getegid(), getegid(), 1);
	}
	return 0;
}
