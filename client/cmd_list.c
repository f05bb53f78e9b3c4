/* SPDX-License-Identifier: Apache-2.0 */
/* list: a table of containers, their ids, or an array of objects. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl.h"
#include "lib/text.h"
#include "lib/util.h"

enum {
	KEY_COLUMNS = 0x2500,
	KEY_NO_TRUNC,
};

#define CELL_MAX 256

/* A column: what it prints and how wide it is when cut. */
struct column {
	const char *name;
	int width;
	void (*format)(const struct nsexec_info *info, char cell[CELL_MAX]);
};

static void
format_id(const struct nsexec_info *info, char cell[CELL_MAX])
{
	(void)snprintf(cell, CELL_MAX, "%s", info->id);
}

static void
format_name(const struct nsexec_info *info, char cell[CELL_MAX])
{
	(void)snprintf(cell, CELL_MAX, "%s", info->name ? info->name : "-");
}

static void
format_pid(const struct nsexec_info *info, char cell[CELL_MAX])
{
	(void)snprintf(cell, CELL_MAX, "%d", info->pid);
}

static void
format_state(const struct nsexec_info *info, char cell[CELL_MAX])
{
	const char *state = nsexec_state_name(info->state);

	if (!info->exit)
		(void)snprintf(cell, CELL_MAX, "%s", state);
	else
		(void)snprintf(cell, CELL_MAX, "%s (%d)", state,
			       ctl_exit_status(info->exit));
}

static void
format_owner(const struct nsexec_info *info, char cell[CELL_MAX])
{
	(void)snprintf(cell, CELL_MAX, "%u", info->owner_uid);
}

static void
format_created(const struct nsexec_info *info, char cell[CELL_MAX])
{
	char buf[CTL_TIME_MAX];

	/* Seconds are enough for people. */
	(void)snprintf(cell, CELL_MAX, "%.19sZ",
		       ctl_format_time(info->created_realtime_ns, buf));
}

static void
format_command(const struct nsexec_info *info, char cell[CELL_MAX])
{
	const char *command = info->command ? info->command : "";

	text_escape(cell, CELL_MAX, command, strlen(command));
}

static const struct column columns[] = {
	{ "id", 12, format_id },	   { "name", 16, format_name },
	{ "pid", 8, format_pid },	   { "state", 14, format_state },
	{ "owner", 8, format_owner },	   { "created", 20, format_created },
	{ "command", 24, format_command },
};

struct list_opts {
	struct ctl *ctl;
	bool no_trunc;
	const struct column *chosen[ARRAY_SIZE(columns)];
	size_t n_chosen;
};

static void
on_columns(struct argp_state *state, char *arg)
{
	struct list_opts *opts = state->input;
	char *save = NULL;

	opts->n_chosen = 0;
	for (char *word = strtok_r(arg, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		size_t i = 0;

		while (i < ARRAY_SIZE(columns) &&
		       strcasecmp(columns[i].name, word) != 0)
			i++;
		if (i == ARRAY_SIZE(columns) ||
		    opts->n_chosen == ARRAY_SIZE(columns))
			ctl_option_error(state,
					 "column \"%s\": write some of id, "
					 "name, pid, state, owner, created, "
					 "command",
					 word);
		opts->chosen[opts->n_chosen++] = &columns[i];
	}
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct list_opts *opts = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = opts->ctl;
		return 0;
	case KEY_COLUMNS:
		on_columns(state, arg);
		return 0;
	case KEY_NO_TRUNC:
		opts->no_trunc = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The last column is as wide as it is; others are cut unless --no-trunc. */
static void
print_cell(const struct list_opts *opts, size_t i, const char *text)
{
	const int width = opts->chosen[i]->width;
	/* Ids are cut only in the default table, where 12 digits do. */
	const bool whole = opts->no_trunc || i + 1 == opts->n_chosen;

	printf("%-*.*s%s", i + 1 == opts->n_chosen ? 0 : width,
	       whole ? CELL_MAX : width, text,
	       i + 1 == opts->n_chosen ? "\n" : "  ");
}

static void
print_table(const struct list_opts *opts, const struct nsexec_list *list)
{
	char cell[CELL_MAX];

	for (size_t i = 0; i < opts->n_chosen && !opts->ctl->no_headings; i++) {
		size_t n = 0;

		for (; opts->chosen[i]->name[n]; n++)
			cell[n] = (char)(opts->chosen[i]->name[n] - 'a' + 'A');
		cell[n] = '\0';
		print_cell(opts, i, cell);
	}
	for (size_t row = 0; row < list->n_items; row++) {
		for (size_t i = 0; i < opts->n_chosen; i++) {
			opts->chosen[i]->format(list->items[row], cell);
			print_cell(opts, i, cell);
		}
	}
}

static void
print_list(const struct list_opts *opts, const struct nsexec_list *list)
{
	const struct ctl *ctl = opts->ctl;
	json_t *rows;

	if (ctl->quiet) {
		for (size_t i = 0; i < list->n_items; i++)
			puts(list->items[i]->id);
	} else if (ctl->output == CTL_OUTPUT_JSONL) {
		for (size_t i = 0; i < list->n_items; i++)
			ctl_print_json_line(ctl_json_info(list->items[i]));
	} else if (ctl->output == CTL_OUTPUT_JSON) {
		rows = json_array();
		for (size_t i = 0; i < list->n_items; i++)
			json_array_append_new(rows,
					      ctl_json_info(list->items[i]));
		ctl_print_json(ctl, rows);
	} else {
		print_table(opts, list);
	}
}

static const struct argp_option list_options[] = {
	{ "columns", KEY_COLUMNS, "NAME,...", 0,
	  "id, name, pid, state, owner, created, command", 5 },
	{ "no-trunc", KEY_NO_TRUNC, NULL, 0, "Do not cut long texts", 5 },
	{ 0 },
};

static const struct argp_child list_children[] = {
	{ &ctl_list_argp, 0, "Common:", 90 },
	{ 0 },
};

const struct argp list_argp = {
	.options = list_options,
	.parser = on_option,
	.doc = "List your containers (an administrator: all).",
	.children = list_children,
};

int
cmd_list(struct ctl *ctl, int argc, char **argv)
{
	struct list_opts opts = { .ctl = ctl };
	struct ctl_line line = { argc, argv, false, 0 };
	struct nsexec_list *list = NULL;
	int status;

	ctl_parse(ctl, &list_argp, &line, &opts);
	if (line.index < argc)
		return ctl_usage(ctl, "list takes no operands");
	if (opts.n_chosen == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
			opts.chosen[opts.n_chosen++] = &columns[i];
	}
	status = ctl_connect(ctl);
	if (status)
		return status;
	if (nsexec_list(ctl->nsexec, &list) < 0)
		return ctl_report_last(ctl);
	print_list(&opts, list);
	nsexec_list_free(list);
	return 0;
}
