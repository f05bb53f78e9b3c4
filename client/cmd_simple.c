/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs that are one call for each id: start, kill, delete, state,
 * inspect, ps. All ids are tried; the exit status is the first failure's.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl.h"
#include "client/lost_signal.h"
#include "lib/text.h"
#include "lib/util.h"

/* Options of all of them; each verb shows its own. */
struct verb_opts {
	struct ctl *ctl;
	bool force, all;
	int signal;
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct verb_opts *opts = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = opts->ctl;
		return 0;
	case 'f':
		opts->force = true;
		return 0;
	case 'a':
		opts->all = true;
		return 0;
	case 's':
		if (ctl_parse_signal(arg, &opts->signal) < 0)
			ctl_option_error(state, "\"%s\" is no signal", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {
	{ &ctl_argp, 0, "Common:", 90 },
	{ 0 },
};
static const struct argp_child list_children[] = {
	{ &ctl_list_argp, 0, "Common:", 90 },
	{ 0 },
};

/* Call fn for every operand; the first failure's status. */
static int
for_each(struct verb_opts *opts, const struct argp *argp, struct ctl_line *line,
	 int (*fn)(const struct verb_opts *opts, const char *id))
{
	struct ctl *ctl = opts->ctl;
	int first = 0, status;

	ctl_parse(ctl, argp, line, opts);
	if (line->index >= line->argc)
		return ctl_usage(ctl, "which container? write %s ID...",
				 ctl->command);
	status = ctl_connect(ctl);
	if (status)
		return status;
	for (int i = line->index; i < line->argc; i++) {
		status = fn(opts, line->argv[i]);
		if (status && !first)
			first = status;
	}
	return first;
}

static int
start_one(const struct verb_opts *opts, const char *id)
{
	struct nsexec_info *info = NULL;
	struct nsexec_call *call = NULL;
	uint64_t sent_us = ctl_trace_now();
	int r, status = 0;

	r = nsexec_call_start(opts->ctl->nsexec, id, &call);
	if (r >= 0) {
		r = nsexec_call_await(call, -1);
		ctl_trace_print(opts->ctl, "Start", call, sent_us);
	}
	if (r >= 0)
		r = nsexec_call_get_info(call, &info);
	if (r < 0)
		status = ctl_report_call(opts->ctl, r, call);
	nsexec_call_free(call);
	if (r < 0)
		return status;
	if (ctl_json(opts->ctl))
		ctl_print_json(opts->ctl, ctl_json_info(info));
	nsexec_info_free(info);
	return 0;
}

const struct argp start_argp = {
	.parser = on_option,
	.args_doc = "ID...",
	.doc = "Let a created container run its program.",
	.children = children,
};

int
cmd_start(struct ctl *ctl, int argc, char **argv)
{
	struct verb_opts opts = { .ctl = ctl };
	struct ctl_line line = { argc, argv, false, 0 };

	return for_each(&opts, &start_argp, &line, start_one);
}

static int
delete_one(const struct verb_opts *opts, const char *id)
{
	int r = nsexec_delete(opts->ctl->nsexec, id, opts->force);

	return r < 0 ? ctl_report_last(opts->ctl) : 0;
}

static const struct argp_option delete_options[] = {
	{ "force", 'f', NULL, 0, "Kill it first", 5 },
	{ 0 },
};

const struct argp delete_argp = {
	.options = delete_options,
	.parser = on_option,
	.args_doc = "ID...",
	.doc = "Remove a container that is over, or was only created.",
	.children = children,
};

int
cmd_delete(struct ctl *ctl, int argc, char **argv)
{
	struct verb_opts opts = { .ctl = ctl };
	struct ctl_line line = { argc, argv, false, 0 };

	return for_each(&opts, &delete_argp, &line, delete_one);
}

/* Looked at before it is sent: afterwards there may be no process. */
static bool
kill_is_lost(const struct verb_opts *opts, const char *id)
{
	struct nsexec_info *info = NULL;
	bool lost;

	if (opts->all || opts->signal == SIGKILL ||
	    nsexec_state(opts->ctl->nsexec, id, &info) < 0)
		return false;
	lost = info->pid > 0 && signal_is_lost(info->pid, opts->signal);
	nsexec_info_free(info);
	return lost;
}

static int
kill_one(const struct verb_opts *opts, const char *id)
{
	bool lost = kill_is_lost(opts, id);
	int r = nsexec_signal(opts->ctl->nsexec, id, opts->signal, opts->all);

	if (r < 0)
		return ctl_report_last(opts->ctl);
	if (lost)
		ctl_warn(opts->ctl,
			 "%s: signal %d is dropped by the kernel: pid 1 of a "
			 "pid namespace has no handler for it (-s KILL works)",
			 id, opts->signal);
	return 0;
}

/* -9 and -KILL: not what getopt knows; the argument becomes "-sKILL". */
static int
rewrite_signals(const struct ctl *ctl, int argc, char **argv, char **ret_copy)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];
		int sig;

		if (strcmp(arg, "--") == 0)
			return 0;
		if (arg[0] != '-' || !arg[1] || arg[1] == '-' ||
		    arg[1] == 's' || ctl_parse_signal(arg + 1, &sig) < 0)
			continue;
		if (*ret_copy)
			return ctl_usage(ctl, "one signal at a time");
		if (asprintf(ret_copy, "-s%d", sig) < 0)
			return ctl_report_local(ctl, -ENOMEM, "read",
						"the signal");
		argv[i] = *ret_copy;
	}
	return 0;
}

static const struct argp_option kill_options[] = {
	{ "signal", 's', "SIGNAL", 0,
	  "Name or number (default: TERM); -KILL and -9 work too", 5 },
	{ "all", 'a', NULL, 0, "Every process of the container", 5 },
	{ 0 },
};

const struct argp kill_argp = {
	.options = kill_options,
	.parser = on_option,
	.args_doc = "ID...",
	.doc = "Send a signal.\vThe first process of a pid namespace "
	       "gets only signals that it handles, and KILL and STOP "
	       "from outside (pid_namespaces(7)).",
	.children = children,
};

int
cmd_kill(struct ctl *ctl, int argc, char **argv)
{
	struct verb_opts opts = { .ctl = ctl, .signal = SIGTERM };
	struct ctl_line line = { argc, argv, false, 0 };
	free_auto char *copy = NULL;
	int status = rewrite_signals(ctl, argc, argv, &copy);

	return status ? status : for_each(&opts, &kill_argp, &line, kill_one);
}

static int
state_one(const struct verb_opts *opts, const char *id)
{
	struct nsexec_call *call = NULL;
	free_auto char *text = NULL;
	json_t *value;
	int r, status = 0;

	r = nsexec_call_state(opts->ctl->nsexec, id, &call);
	if (r >= 0)
		r = nsexec_call_await(call, -1);
	if (r >= 0)
		r = nsexec_call_get_oci_state(call, &text);
	if (r < 0)
		status = ctl_report_call(opts->ctl, r, call);
	nsexec_call_free(call);
	if (status)
		return status;
	value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (!value)
		return ctl_report_local(opts->ctl, -EBADMSG, "read",
					"the state");
	ctl_print_json(opts->ctl, value);
	return 0;
}

const struct argp state_argp = {
	.parser = on_option,
	.args_doc = "ID...",
	.doc = "Print the state as OCI's runtime-spec has it (JSON).",
	.children = children,
};

int
cmd_state(struct ctl *ctl, int argc, char **argv)
{
	struct verb_opts opts = { .ctl = ctl };
	struct ctl_line line = { argc, argv, false, 0 };

	return for_each(&opts, &state_argp, &line, state_one);
}

static int
inspect_one(const struct verb_opts *opts, const char *id)
{
	struct nsexec_info *info = NULL;

	if (nsexec_state(opts->ctl->nsexec, id, &info) < 0)
		return ctl_report_last(opts->ctl);
	ctl_print_json(opts->ctl, ctl_json_info(info));
	nsexec_info_free(info);
	return 0;
}

const struct argp inspect_argp = {
	.parser = on_option,
	.args_doc = "ID...",
	.doc = "Print all that is known about a container (JSON).",
	.children = children,
};

int
cmd_inspect(struct ctl *ctl, int argc, char **argv)
{
	struct verb_opts opts = { .ctl = ctl };
	struct ctl_line line = { argc, argv, false, 0 };

	return for_each(&opts, &inspect_argp, &line, inspect_one);
}

static int
ps_one(const struct verb_opts *opts, const char *id)
{
	const struct ctl *ctl = opts->ctl;
	struct nsexec_processes *list = NULL;
	json_t *rows;

	if (nsexec_processes(ctl->nsexec, id, &list) < 0)
		return ctl_report_last(ctl);
	rows = ctl_json(ctl) ? json_array() : NULL;
	if (!rows && !ctl->quiet && !ctl->no_headings)
		puts("PID      NAME");
	for (size_t i = 0; i < list->n_items; i++) {
		const struct nsexec_process *item = &list->items[i];
		json_t *row;

		if (!rows && ctl->quiet) {
			printf("%d\n", item->pid);
		} else if (!rows) {
			printf("%-8d %s\n", item->pid, item->name);
		} else {
			row = json_object();
			json_object_set_new(row, "pid",
					    json_integer(item->pid));
			json_object_set_new(row, "name",
					    ctl_json_text(item->name));
			json_array_append_new(rows, row);
		}
	}
	if (rows)
		ctl_print_json(ctl, rows);
	nsexec_processes_free(list);
	return 0;
}

const struct argp ps_argp = {
	.parser = on_option,
	.args_doc = "ID...",
	.doc = "List the processes of a container.",
	.children = list_children,
};

int
cmd_ps(struct ctl *ctl, int argc, char **argv)
{
	struct verb_opts opts = { .ctl = ctl };
	struct ctl_line line = { argc, argv, false, 0 };

	return for_each(&opts, &ps_argp, &line, ps_one);
}
