/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nsexecctl idmap check|show: say which row of an id map breaks which rule and
 * what to change, before a kernel says EINVAL or EPERM; print the rows of a
 * preset. Needs no daemon. check holds a map against the kernel's rules and,
 * for an ordinary user, against what /etc/subuid and /etc/subgid delegate. The
 * daemon decides for itself: this only explains. Exit status: 0, 1, 2 (usage).
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/ctl.h"
#include "client/input.h"
#include "lib/text.h"
#include "lib/util.h"
#include "proto/idmap.h"

#define EXIT_WRONG 1
#define INPUT_LIMIT 65536u
#define SUBID_LIMIT (4u * 1024u * 1024u)
#define MAX_RANGES 1024

/* One of the two id spaces. */
struct space {
	const char *name;	    /* "uid" */
	const char *subid_path;	    /* "/etc/subuid" */
	const char *own_map;	    /* "/proc/self/uid_map" */
	uint32_t own;		    /* the user's id in it */
	struct idmap map;	    /* rows given */
	struct idmap_range *ranges; /* delegated; MAX_RANGES of them */
	size_t n_ranges;
};

struct options {
	struct ctl *ctl;
	const char *verb, *operand;
	const char *user; /* --as */
	bool failed;	  /* of a row given: reported */
	struct space uid, gid;
	uint32_t user_uid;
	char user_name[256];
};

static const struct argp_option option_table[] = {
	{ "map-users", 'U', "INNER:OUTER:COUNT", 0,
	  "A row of the uid map; repeatable, or several with commas", 0 },
	{ "map-groups", 'G', "INNER:OUTER:COUNT", 0, "The same for gids", 0 },
	{ "as", 'a', "USER", 0, "Check for this user instead of yourself", 0 },
	{ NULL, 'j', NULL, 0, "The same as --json", 0 },
	{ 0 },
};

static json_t *
json_error(const struct space *space, const struct idmap_error *error)
{
	return json_pack("{s:i, s:s, s:s, s:i, s:s, s:s, s:b}", "v", 1, "code",
			 "MAP_INVALID", "map", space->name, "row", error->row,
			 "rule", error->rule, "hint", error->hint, "retryable",
			 0);
}

static int
report(const struct options *options, const struct space *space,
       const struct idmap_error *error)
{
	json_t *record;

	if (!ctl_json(options->ctl)) {
		fprintf(stderr, "nsexecctl idmap: %s map: %s\n", space->name,
			error->rule);
		if (error->hint[0])
			fprintf(stderr, "hint: %s\n", error->hint);
		return EXIT_WRONG;
	}
	record = json_error(space, error);
	if (record)
		json_dumpf(record, stderr, JSON_COMPACT);
	json_decref(record);
	fputc('\n', stderr);
	return EXIT_WRONG;
}

/* Rows of an option count on from those of the options before it. */
static void
report_row(const struct options *options, const struct space *space,
	   const struct idmap_error *in_option)
{
	const char *rule = strstr(in_option->rule, ": ");
	struct idmap_error error = *in_option;

	if (error.row >= 0 && rule) {
		error.row += (int)space->map.n_rows;
		snprintf(error.rule, sizeof(error.rule), "row %d%s", error.row,
			 rule);
	}
	report(options, space, &error);
}

/* "0:100000:65536,65536:200000:1" appended to the map. */
static void
parse_rows(struct options *options, struct space *space, const char *arg)
{
	free_auto char *text = strdup(arg);
	free_auto struct idmap *rows = malloc(sizeof(*rows));
	struct idmap_error error;
	size_t i;

	for (i = 0; text && text[i]; i++) {
		if (text[i] == ':')
			text[i] = ' ';
		else if (text[i] == ',')
			text[i] = '\n';
	}
	if (!text || !rows ||
	    idmap_parse(text, strlen(text), rows, &error) < 0) {
		if (text && rows)
			report_row(options, space, &error);
		options->failed = true;
		return;
	}
	for (i = 0; i < rows->n_rows; i++) {
		/* one too many is kept, so that the check can say so */
		if (space->map.n_rows < IDMAP_MAX_ROWS)
			space->map.rows[space->map.n_rows] = rows->rows[i];
		space->map.n_rows++;
	}
}

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = options->ctl;
		return 0;
	case 'U':
		parse_rows(options, &options->uid, arg);
		return 0;
	case 'G':
		parse_rows(options, &options->gid, arg);
		return 0;
	case 'a':
		options->user = arg;
		return 0;
	case 'j':
		options->ctl->output = CTL_OUTPUT_JSON;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 1)
			ctl_option_error(state, "too many operands");
		else if (state->arg_num == 1)
			options->operand = arg;
		else
			options->verb = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --as, or whoever calls: the ids, and the name for subuid(5). */
static int
find_user(struct options *options)
{
	const struct passwd *entry;
	uint32_t uid = getuid();

	options->gid.own = getgid();
	if (options->user && text_parse_u32(options->user, &uid) < 0)
		entry = getpwnam(options->user);
	else
		entry = getpwuid(uid);
	if (options->user && !entry)
		return ctl_usage(options->ctl, "no user \"%s\" here",
				 options->user);
	if (entry) {
		uid = entry->pw_uid;
		snprintf(options->user_name, sizeof(options->user_name), "%s",
			 entry->pw_name);
	}
	if (options->user && entry)
		options->gid.own = entry->pw_gid;
	options->user_uid = uid;
	options->uid.own = uid;
	return 0;
}

/* A file that cannot be read delegates nothing. */
static int
read_ranges(const struct options *options, struct space *space)
{
	free_auto char *text = NULL;
	size_t size;

	space->ranges = calloc(MAX_RANGES, sizeof(*space->ranges));
	if (!space->ranges)
		return -ENOMEM;
	if (input_read(space->subid_path, SUBID_LIMIT, &text, &size) < 0)
		return 0;
	space->n_ranges = idmap_ranges_parse(text, size, options->user_name,
					     options->user_uid, space->ranges,
					     MAX_RANGES);
	return 0;
}

static bool
row_allowed(const struct space *space, const struct idmap_row *row)
{
	size_t i;

	if (row->host_id == space->own && row->size == 1)
		return true;
	for (i = 0; i < space->n_ranges; i++) {
		const struct idmap_range *range = &space->ranges[i];

		if (row->host_id >= range->first &&
		    (uint64_t)row->host_id + row->size <=
			    (uint64_t)range->first + range->size)
			return true;
	}
	return false;
}

/* "100000-165535 and 1000 alone" into buf. */
static void
describe_ranges(const struct space *space, char *buf, size_t size)
{
	size_t i, used;

	used = (size_t)snprintf(buf, size, "%" PRIu32 " alone", space->own);
	for (i = 0; i < space->n_ranges && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used,
					 ", %" PRIu32 "-%" PRIu64,
					 space->ranges[i].first,
					 (uint64_t)space->ranges[i].first +
						 space->ranges[i].size - 1);
}

/* An ordinary user's rows: its own id, or within one delegated range. */
static int
check_delegated(const struct options *options, const struct space *space,
		struct idmap_error *error)
{
	char allowed[96];
	size_t i;

	if (options->user_uid == 0)
		return 0;
	for (i = 0; i < space->map.n_rows; i++) {
		const struct idmap_row *row = &space->map.rows[i];

		if (row_allowed(space, row))
			continue;
		describe_ranges(space, allowed, sizeof(allowed));
		error->row = (int)i;
		snprintf(error->rule, sizeof(error->rule),
			 "row %zu: uid %" PRIu32 " may not map %s %" PRIu32
			 "-%" PRIu64 " (allowed: %s)",
			 i, options->user_uid, space->name, row->host_id,
			 (uint64_t)row->host_id + row->size - 1, allowed);
		snprintf(error->hint, sizeof(error->hint),
			 space->n_ranges
				 ? "use ids of one range of %s in a row"
				 : "have an administrator add a line to %s, or "
				   "map your own id alone",
			 space->subid_path);
		return -EINVAL;
	}
	return 0;
}

static int
check_space(const struct options *options, const struct space *space,
	    json_t *result)
{
	struct idmap_error error;
	uint32_t host;
	bool has_root;

	if (space->map.n_rows == 0)
		return 0;
	if (idmap_check(&space->map, &error) < 0 ||
	    check_delegated(options, space, &error) < 0)
		return report(options, space, &error);
	has_root = idmap_lookup(&space->map, 0, &host);
	if (ctl_json(options->ctl)) {
		json_object_set_new(result, space->name,
				    json_pack("{s:b, s:I, s:b}", "ok", 1,
					      "rows",
					      (json_int_t)space->map.n_rows,
					      "has_0", has_root));
		return 0;
	}
	printf("%s map: %zu row%s, ok\n", space->name, space->map.n_rows,
	       space->map.n_rows == 1 ? "" : "s");
	if (!has_root)
		printf("note: %s map has no container id 0: a program started "
		       "as 0, or runc, fails with it\n",
		       space->name);
	return 0;
}

static int
read_map_file(const struct options *options, struct space *space)
{
	struct idmap_error error;
	free_auto char *text = NULL;
	size_t size;
	int r;

	r = input_read(options->operand, INPUT_LIMIT, &text, &size);
	if (r < 0)
		return ctl_report_local(options->ctl, r, "read",
					options->operand);
	if (idmap_parse(text, size, &space->map, &error) < 0)
		return report(options, space, &error);
	return 0;
}

static int
run_check(struct options *options)
{
	json_t *result;
	int r = 0;

	if (options->failed)
		return EXIT_WRONG;
	result = json_pack("{s:i}", "v", 1);
	if (options->operand)
		r = read_map_file(options, &options->uid);
	if (r == 0)
		r = check_space(options, &options->uid, result);
	if (r == 0)
		r = check_space(options, &options->gid, result);
	if (r == 0 && ctl_json(options->ctl)) {
		json_dumpf(result, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(result);
	return r;
}

/* The highest id that is mapped where we are. */
static uint32_t
highest_id(const struct space *space)
{
	free_auto struct idmap *own = malloc(sizeof(*own));
	struct idmap_error error;
	free_auto char *text = NULL;
	uint32_t highest = 0;
	size_t size, i;

	if (!own || input_read(space->own_map, INPUT_LIMIT, &text, &size) < 0 ||
	    idmap_parse(text, size, own, &error) < 0)
		return UINT32_MAX - 1;
	for (i = 0; i < own->n_rows; i++) {
		uint32_t last =
			own->rows[i].container_id + (own->rows[i].size - 1);

		if (own->rows[i].size > 0 && last > highest)
			highest = last;
	}
	return highest;
}

static int
show_space(const struct options *options, struct space *space,
	   enum idmap_preset preset, json_t *result)
{
	struct idmap_error error;
	size_t i;

	if (idmap_preset_build(preset, space->own, highest_id(space),
			       space->ranges, space->n_ranges, &space->map,
			       &error) < 0)
		return report(options, space, &error);
	if (ctl_json(options->ctl)) {
		json_object_set_new(result, space->name,
				    ctl_json_idmap(&space->map));
		return 0;
	}
	for (i = 0; i < space->map.n_rows; i++)
		printf("%s %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", space->name,
		       space->map.rows[i].container_id,
		       space->map.rows[i].host_id, space->map.rows[i].size);
	return 0;
}

static int
run_show(struct options *options)
{
	enum idmap_preset preset = idmap_preset_parse(options->operand);
	json_t *result;
	int r;

	if (preset == 0)
		return ctl_usage(options->ctl,
				 "no preset \"%s\": write map-root, "
				 "map-current, identity, keep-id, auto, "
				 "auto-private or max-uid",
				 options->operand);
	result = json_pack("{s:i, s:s}", "v", 1, "preset", options->operand);
	r = show_space(options, &options->uid, preset, result);
	if (r == 0)
		r = show_space(options, &options->gid, preset, result);
	if (r == 0 && ctl_json(options->ctl)) {
		json_dumpf(result, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(result);
	return r;
}

const struct ctl_word idmap_words[] = {
	{ "check", "hold an id map against the rules", NULL, CTL_OPERAND_FILE },
	{ "show", "print the rows of a preset", NULL, CTL_OPERAND_NONE },
	{ 0 },
};

static const struct argp_child children[] = {
	{ &ctl_argp, 0, "Common:", 90 },
	{ 0 },
};

const struct argp idmap_argp = {
	.options = option_table,
	.parser = parse_option,
	.args_doc = "check [FILE|-]\nshow PRESET",
	.doc = "Check an id map, or show the rows of a preset (map-root, "
	       "map-current, identity, keep-id, auto, max-uid)."
	       "\vA FILE holds rows as the kernel has them: container-id "
	       "host-id size. Exit status: 0 right, 1 wrong, 2 usage.",
	.children = children,
};

static int
run(struct options *options)
{
	bool check = options->verb && strcmp(options->verb, "check") == 0;
	bool show = options->verb && strcmp(options->verb, "show") == 0;
	bool rows = options->uid.map.n_rows || options->gid.map.n_rows ||
		    options->failed;
	int r;

	if (!(check && rows != (options->operand != NULL)) &&
	    !(show && options->operand && !rows)) {
		return ctl_usage(options->ctl,
				 "write check FILE, check with rows, or show "
				 "PRESET");
	}
	r = find_user(options);
	if (r != 0)
		return r;
	if (read_ranges(options, &options->uid) < 0 ||
	    read_ranges(options, &options->gid) < 0)
		return ctl_report_local(options->ctl, -ENOMEM, "read",
					"delegated ranges");
	return check ? run_check(options) : run_show(options);
}

int
cmd_idmap(struct ctl *ctl, int argc, char **argv)
{
	struct options *options = calloc(1, sizeof(*options));
	struct ctl_line line = { argc, argv, false, 0 };
	int r;

	if (!options)
		return ctl_report_local(ctl, -ENOMEM, "read", "id maps");
	options->ctl = ctl;
	options->uid.name = "uid";
	options->uid.subid_path = "/etc/subuid";
	options->uid.own_map = "/proc/self/uid_map";
	options->gid.name = "gid";
	options->gid.subid_path = "/etc/subgid";
	options->gid.own_map = "/proc/self/gid_map";
	ctl_parse(ctl, &idmap_argp, &line, options);
	r = run(options);
	free(options->uid.ranges);
	free(options->gid.ranges);
	free(options);
	return r;
}
