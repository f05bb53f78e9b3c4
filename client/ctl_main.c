/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nsexecctl: the table of commands, and the options before the command name.
 *
 * Stops parsing at the first operand, here and in every command, so that a
 * payload's options stay its own. Exit status: client/ctl.h.
 */
#include "config.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl.h"
#include "lib/text_stream.h"
#include "lib/util.h"

#define LATER(n, what) \
	{ \
		.name = (n), .missing = (what) \
	}

const struct ctl_command ctl_commands[] = {
	{ .name = "run",
	  .fn = cmd_run,
	  .summary = "create, start and wait for a process",
	  .argp = &run_argp,
	  .operand = CTL_OPERAND_COMMAND,
	  .runs = true },
	{ .name = "create",
	  .fn = cmd_create,
	  .summary = "set a container up and stop before its program runs",
	  .argp = &run_argp,
	  .operand = CTL_OPERAND_COMMAND },
	{ .name = "start",
	  .fn = cmd_start,
	  .summary = "let a created container run",
	  .argp = &start_argp,
	  .operand = CTL_OPERAND_ID,
	  .further = CTL_OPERAND_ID },
	{ .name = "exec",
	  .fn = cmd_exec,
	  .summary = "run a program inside a running container",
	  .argp = &exec_argp,
	  .operand = CTL_OPERAND_ID,
	  .further = CTL_OPERAND_COMMAND,
	  .runs = true },
	{ .name = "enter",
	  .fn = cmd_enter,
	  .summary = "run a program in the namespaces of any process",
	  .argp = &enter_argp,
	  .operand = CTL_OPERAND_COMMAND,
	  .runs = true },
	{ .name = "kill",
	  .alias = "signal",
	  .fn = cmd_kill,
	  .summary = "send a signal",
	  .argp = &kill_argp,
	  .operand = CTL_OPERAND_ID,
	  .further = CTL_OPERAND_ID },
	{ .name = "wait",
	  .fn = cmd_wait,
	  .summary = "wait for an exit and print its code",
	  .argp = &wait_argp,
	  .operand = CTL_OPERAND_ID,
	  .further = CTL_OPERAND_ID },
	{ .name = "list",
	  .alias = "ls",
	  .fn = cmd_list,
	  .summary = "list containers",
	  .argp = &list_argp },
	{ .name = "state",
	  .fn = cmd_state,
	  .summary = "print the OCI state of a container",
	  .argp = &state_argp,
	  .operand = CTL_OPERAND_ID,
	  .further = CTL_OPERAND_ID },
	{ .name = "inspect",
	  .fn = cmd_inspect,
	  .summary = "print all that is known about a container",
	  .argp = &inspect_argp,
	  .operand = CTL_OPERAND_ID,
	  .further = CTL_OPERAND_ID },
	{ .name = "ps",
	  .fn = cmd_ps,
	  .summary = "list the processes of a container",
	  .argp = &ps_argp,
	  .operand = CTL_OPERAND_ID,
	  .further = CTL_OPERAND_ID },
	{ .name = "events",
	  .fn = cmd_events,
	  .summary = "print events as they come",
	  .argp = &events_argp,
	  .operand = CTL_OPERAND_ID,
	  .further = CTL_OPERAND_ID },
	{ .name = "delete",
	  .alias = "rm",
	  .fn = cmd_delete,
	  .summary = "remove a container",
	  .argp = &delete_argp,
	  .operand = CTL_OPERAND_ID,
	  .further = CTL_OPERAND_ID },
	{ .name = "explain",
	  .fn = cmd_explain,
	  .summary = "print the steps of a start without starting",
	  .argp = &run_argp,
	  .words = explain_words,
	  .operand = CTL_OPERAND_COMMAND },
	{ .name = "idmap",
	  .fn = cmd_idmap,
	  .summary = "show and check id maps",
	  .argp = &idmap_argp,
	  .words = idmap_words },
	{ .name = "policy",
	  .fn = cmd_policy,
	  .summary = "check policy files and say what they mean",
	  .argp = &policy_argp,
	  .words = policy_words },
	{ .name = "bootstrap",
	  .fn = cmd_bootstrap,
	  .summary = "encode, decode, compare and check bootstrap messages",
	  .argp = &bootstrap_argp,
	  .words = bootstrap_words },
	{ .name = "features",
	  .fn = cmd_features,
	  .summary = "print OCI features as JSON",
	  .argp = &features_argp },
	{ .name = "doctor",
	  .fn = cmd_doctor,
	  .summary = "check this system and say what each finding breaks",
	  .argp = &doctor_argp },
	{ .name = "metrics",
	  .fn = cmd_metrics,
	  .summary = "print figures in OpenMetrics text",
	  .argp = &metrics_argp },
	{ .name = "completion",
	  .fn = cmd_completion,
	  .summary = "print what makes a shell complete our words",
	  .argp = &completion_argp,
	  .words = completion_words },
	{ .name = "version",
	  .fn = cmd_version,
	  .summary = "print versions",
	  .argp = &version_argp },
	LATER("pause", "RPC Pause"),
	LATER("resume", "RPC Resume"),
	LATER("update", "RPC Update"),
	LATER("stats", "RPC Stats"),
	LATER("attach", "terminals"),
	LATER("resize", "RPC ResizePty"),
	LATER("checkpoint", "RPC Checkpoint"),
	LATER("restore", "RPC Restore"),
	LATER("ns", "pinned namespaces"),
	LATER("pool", "the warm pool"),
	{ 0 },
};

static const struct ctl_command *
command_find(const char *name)
{
	const struct ctl_command *row;

	for (row = ctl_commands; row->name; row++) {
		if (strcmp(row->name, name) == 0 ||
		    (row->alias && strcmp(row->alias, name) == 0))
			return row;
	}
	return NULL;
}

/* The table as the last part of --help. argp frees the result. */
static char *
help_filter(int key, const char *text, void *input)
{
	struct text_stream stream;
	char *help = (char *)text;
	size_t size;
	FILE *out;

	if (key != ARGP_KEY_HELP_POST_DOC || text_stream_open(&stream) < 0)
		return (char *)text;
	out = stream.out;
	fputs("Commands:\n", out);
	for (const struct ctl_command *row = ctl_commands; row->name; row++) {
		if (row->summary)
			fprintf(out, "  %-10s %s\n", row->name, row->summary);
	}
	fputs("\nnsexecctl COMMAND --help tells more; so does nsexecctl(1).",
	      out);
	(void)!text_stream_close(&stream, &help, &size);
	return help;
}

struct main_input {
	struct ctl *ctl;
	bool version;
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct main_input *input = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = input->ctl;
		return 0;
	case 'V':
		input->version = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int
command_run(struct ctl *ctl, const struct ctl_command *command, int argc,
	    char **argv)
{
	int status;

	ctl->command = command->name;
	ctl->runs = command->runs;
	argp_err_exit_status = command->runs ? CTL_NOT_RUN : CTL_USAGE;
	if (command->missing)
		return ctl_usage(ctl,
				 "needs %s, which this release does not "
				 "have",
				 command->missing);
	status = command->fn(ctl, argc, argv);
	ctl->nsexec = nsexec_close(ctl->nsexec);
	if (fflush(stdout) != 0 || ferror(stdout))
		return ctl_report_local(ctl, -errno, "write", "stdout");
	return status;
}

static const struct argp_option options[] = {
	{ "version", 'V', NULL, 0, "Print versions", 0 },
	{ 0 },
};

static const struct argp_child children[] = {
	{ &ctl_argp, 0, NULL, 0 },
	{ 0 },
};

const struct argp main_argp = {
	.options = options,
	.parser = on_option,
	.args_doc = "COMMAND [ARG...]",
	.doc = "Start and watch processes in Linux namespaces through "
	       "nsexecd.\vCommands",
	.children = children,
	.help_filter = help_filter,
};

int
main(int argc, char **argv)
{
	struct ctl ctl = { .command = "nsexecctl" };
	struct main_input input = { .ctl = &ctl };
	const struct ctl_command *command;
	struct ctl_line line = { argc, argv, true, argc };

	argp_err_exit_status = CTL_USAGE;
	ctl_parse(&ctl, &main_argp, &line, &input);
	if (input.version) {
		ctl.command = "version";
		return cmd_version(&ctl, 1, argv);
	}
	if (line.index >= argc)
		return ctl_usage(&ctl, "which command? see nsexecctl --help");
	argv += line.index;
	command = command_find(argv[0]);
	if (!command)
		return ctl_usage(&ctl,
				 "no command \"%s\"; see nsexecctl --help",
				 argv[0]);
	return command_run(&ctl, command, argc - line.index, argv);
}
