/* SPDX-License-Identifier: Apache-2.0 */
/* exec: a further process in a running container's namespaces. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/foreground.h"
#include "client/input.h"
#include "client/opts.h"
#include "client/process_file.h"
#include "client/start_opts.h"
#include "lib/util.h"

enum {
	KEY_PID_FILE = OPTS_COMMAND_KEYS,
	KEY_TIMEOUT,
	KEY_NO_FORWARD,
	KEY_PIDFD_SOCKET,
	KEY_COMPAT,
};

struct exec_opts {
	struct ctl *ctl;
	struct nsexec_spec *spec;
	struct process_opts process;
	struct stdio_opts stdio;
	const char *process_file, *pid_file, *pidfd_socket;
	uint64_t timeout_ms;
	bool detach, no_forward;
};

static const struct argp_option options[] = {
	{ "detach", 'd', NULL, 0, "Print the exec id and return", 5 },
	{ "process", 'p', "FILE", 0,
	  "The process as OCI's process.json has it, - is stdin; no COMMAND "
	  "then, other options win",
	  5 },
	{ "pid-file", KEY_PID_FILE, "FILE", 0, "Write the pid here", 5 },
	{ "timeout", KEY_TIMEOUT, "TIME", 0,
	  "Kill after this time and exit 124", 5 },
	{ "no-forward", KEY_NO_FORWARD, NULL, 0, "Do not pass signals on", 5 },
	{ "pidfd-socket", KEY_PIDFD_SOCKET, "PATH", 0,
	  "Send a pidfd to this listening unix socket", 5 },
	{ "compat", KEY_COMPAT, "runc", 0, "Exit 255 where we exit 125", 5 },
	{ 0 },
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct exec_opts *opts = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &opts->process;
		state->child_inputs[1] = &opts->stdio;
		state->child_inputs[2] = &opts->ctl;
		state->child_inputs[3] = opts->ctl;
		return 0;
	case 'd':
		opts->detach = true;
		return 0;
	case 'p':
		opts->process_file = arg;
		return 0;
	case KEY_PID_FILE:
		opts->pid_file = arg;
		return 0;
	case KEY_TIMEOUT:
		if (ctl_parse_duration(arg, &opts->timeout_ms) < 0 ||
		    opts->timeout_ms == 0)
			opts_refuse(state, "--timeout", arg,
				    "write seconds, or 300ms, 2m, 1h");
		return 0;
	case KEY_NO_FORWARD:
		opts->no_forward = true;
		return 0;
	case KEY_PIDFD_SOCKET:
		opts->pidfd_socket = arg;
		return 0;
	case KEY_COMPAT:
		if (strcmp(arg, "runc") != 0)
			opts_refuse(state, "--compat", arg, "write runc");
		opts->ctl->compat_runc = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {
	{ &process_argp, 0, NULL, 0 },
	{ &stdio_argp, 0, NULL, 0 },
	{ &later_argp, 0, NULL, 0 },
	{ &ctl_argp, 0, "Common:", 90 },
	{ 0 },
};

const struct argp exec_argp = {
	.options = options,
	.parser = on_option,
	.args_doc = "ID COMMAND [ARG...]\n-p FILE ID",
	.doc = "Run a program inside a running container. Exit status as of "
	       "run.",
	.children = children,
};

static int
hand_out(const struct exec_opts *opts, const struct foreground *foreground)
{
	int r = 0;

	if (opts->pid_file)
		r = pid_file_write(opts->pid_file, foreground->pid);
	if (r < 0)
		return ctl_report_local(opts->ctl, r, "write", opts->pid_file);
	if (opts->pidfd_socket)
		r = pidfd_socket_send(opts->pidfd_socket, foreground->pidfd);
	if (r < 0)
		return ctl_report_local(opts->ctl, r, "send the pidfd to",
					opts->pidfd_socket);
	return 0;
}

static int
follow(const struct exec_opts *opts, struct foreground *foreground)
{
	struct nsexec_exit exit_info;
	int status = hand_out(opts, foreground);

	if (status)
		return status;
	if (opts->detach) {
		puts(foreground->exec_id);
		return CTL_OK;
	}
	status = foreground_wait(foreground, &exit_info);
	if (status)
		return status;
	if (exit_info.unknown)
		ctl_warn(opts->ctl, "the exit status is not known");
	return ctl_exit_status(&exit_info);
}

/* -p FILE; "-" is standard input. 0 or an exit status. */
static int
apply_process_file(const struct ctl *ctl, const char *path,
		   struct process_opts *opts)
{
	struct ctl_complaint complaint;
	free_auto char *text = NULL;
	size_t size;
	int r;

	if (opts->has_cap_add || opts->has_cap_drop || opts->has_ambient)
		return ctl_usage(ctl, "--cap-add, --cap-drop and --ambient do "
				      "not go with -p: write the five sets "
				      "into the file");
	r = input_read(path, PROCESS_FILE_MAX, &text, &size);
	if (r < 0)
		return ctl_report_local(ctl, r, "read", path);
	r = process_file_parse(text, size, opts, &complaint);
	if (r == -EINVAL)
		return ctl_usage_option(ctl, &complaint);
	if (r < 0)
		return ctl_report_local(ctl, r, "read", path);
	/* The environment is the file's and -e's. */
	opts->clear_env = true;
	return 0;
}

static int
run(struct exec_opts *opts, const char *container)
{
	struct foreground foreground = {
		.ctl = opts->ctl,
		.spec = opts->spec,
		.exec_container = container,
		.want_pidfd = opts->pidfd_socket != NULL,
		.forward = !opts->no_forward && !opts->detach,
		.timeout_ms = opts->timeout_ms,
	};
	int status = 0, r;

	if (opts->process_file)
		status = apply_process_file(opts->ctl, opts->process_file,
					    &opts->process);
	if (!status)
		status = process_opts_apply(opts->ctl, &opts->process);
	if (!status)
		status = stdio_opts_apply(opts->ctl, &opts->stdio,
					  !opts->detach);
	if (!status)
		status = ctl_connect(opts->ctl);
	if (status)
		return status;
	r = foreground_init(&foreground);
	if (r < 0)
		return ctl_report_local(opts->ctl, r, "set up", "signals");
	status = foreground_start(&foreground);
	if (!status)
		status = follow(opts, &foreground);
	foreground_deinit(&foreground);
	return status;
}

int
cmd_exec(struct ctl *ctl, int argc, char **argv)
{
	struct ctl_line line = { argc, argv, true, 0 };
	struct exec_opts opts = { .ctl = ctl };
	int status, r;

	r = nsexec_spec_new(&opts.spec);
	if (r < 0)
		return ctl_report_local(ctl, r, "build", "the request");
	opts.process.ctl = opts.stdio.ctl = ctl;
	opts.process.spec = opts.stdio.spec = opts.spec;
	ctl_parse(ctl, &exec_argp, &line, &opts);
	if (argc - line.index > 1 && strcmp(argv[line.index + 1], "--") == 0) {
		/* "exec ID -- CMD", as docker's users write it. */
		argv[line.index + 1] = argv[line.index];
		line.index++;
	}
	if (opts.process_file && argc - line.index != 1) {
		status = ctl_usage(ctl, "write exec -p FILE [options] ID: the "
					"command is in the file");
	} else if (!opts.process_file && argc - line.index < 2) {
		status = ctl_usage(ctl, "write exec [options] ID COMMAND..., "
					"or exec -p FILE [options] ID");
	} else {
		for (int i = line.index + 1; i < argc; i++)
			nsexec_spec_arg(opts.spec, argv[i]);
		status = run(&opts, argv[line.index]);
	}
	nsexec_spec_free(opts.spec);
	process_opts_deinit(&opts.process);
	stdio_opts_deinit(&opts.stdio);
	return status;
}
