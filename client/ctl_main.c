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
#include "lib/util.h"

struct command {
	const char *name;
	const char *alias; /* NULL: none */
	int (*fn)(struct ctl *ctl, int argc, char **argv);
	const char *summary; /* NULL: not listed */
	const char *missing; /* refused: what it waits for */
	bool runs;
};

#define LATER(n, what) \
	{ \
		.name = (n), .missing = (what) \
	}

static const struct command commands[] = {
	{ "run", NULL, cmd_run, "create, start and wait for a process", NULL,
	  true },
	{ "create", NULL, cmd_create,
	  "set a container up and stop before its program runs", NULL, false },
	{ "start", NULL, cmd_start, "let a created container run", NULL,
	  false },
	{ "exec", NULL, cmd_exec, "run a program inside a running container",
	  NULL, true },
	{ "enter", NULL, cmd_enter,
	  "run a program in the namespaces of any process", NULL, true },
	{ "kill", "signal", cmd_kill, "send a signal", NULL, false },
	{ "wait", NULL, cmd_wait, "wait for an exit and print its code", NULL,
	  false },
	{ "list", "ls", cmd_list, "list containers", NULL, false },
	{ "state", NULL, cmd_state, "print the OCI state of a container", NULL,
	  false },
	{ "inspect", NULL, cmd_inspect,
	  "print all that is known about a container", NULL, false },
	{ "ps", NULL, cmd_ps, "list the processes of a container", NULL,
	  false },
	{ "events", NULL, cmd_events, "print events as they come", NULL,
	  false },
	{ "delete", "rm", cmd_delete, "remove a container", NULL, false },
	{ "explain", NULL, cmd_explain,
	  "print the steps of a start without starting", NULL, false },
	{ "idmap", NULL, cmd_idmap, "show and check id maps", NULL, false },
	{ "bootstrap", NULL, cmd_bootstrap,
	  "encode, decode, compare and check bootstrap messages", NULL, false },
	{ "features", NULL, cmd_features, "print OCI features as JSON", NULL,
	  false },
	{ "doctor", NULL, cmd_doctor,
	  "check this system and say what each finding breaks", NULL, false },
	{ "version", NULL, cmd_version, "print versions", NULL, false },
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
	LATER("policy", "the policy of nsexecd"),
	LATER("metrics", "RPC Stats"),
	LATER("completion", "generated completions"),
};

static const struct command *
command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *row = &commands[i];

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
	char *help = NULL;
	size_t size;
	FILE *out;

	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	out = open_memstream(&help, &size);
	if (!out)
		return (char *)text;
	fputs("Commands:\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].summary)
			fprintf(out, "  %-10s %s\n", commands[i].name,
				commands[i].summary);
	}
	fputs("\nnsexecctl COMMAND --help tells more; so does nsexecctl(1).",
	      out);
	fclose(out);
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
command_run(struct ctl *ctl, const struct command *command, int argc,
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

int
main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "version", 'V', NULL, 0, "Print versions", 0 },
		{ 0 },
	};
	static const struct argp_child children[] = {
		{ &ctl_argp, 0, NULL, 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = on_option,
		.args_doc = "COMMAND [ARG...]",
		.doc = "Start and watch processes in Linux namespaces through "
		       "nsexecd.\vCommands",
		.children = children,
		.help_filter = help_filter,
	};
	struct ctl ctl = { .command = "nsexecctl" };
	struct main_input input = { .ctl = &ctl };
	const struct command *command;
	struct ctl_line line = { argc, argv, true, argc };

	argp_err_exit_status = CTL_USAGE;
	ctl_parse(&ctl, &argp, &line, &input);
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
