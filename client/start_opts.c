/* SPDX-License-Identifier: Apache-2.0 */
/* See start_opts.h. */
#include "config.h"

#include "client/start_opts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/text.h"
#include "lib/util.h"

enum {
	KEY_NAME = OPTS_COMMAND_KEYS,
	KEY_ID,
	KEY_LABEL,
	KEY_PID_FILE,
	KEY_STATUS_FD,
	KEY_INFO_FD,
	KEY_TIMEOUT,
	KEY_NO_FORWARD,
	KEY_FORWARD,
	KEY_DRY_RUN,
	KEY_KEY,
	KEY_PIDFD_SOCKET,
	KEY_KEEP,
	KEY_RM,
	KEY_MIRROR_SIGNAL,
	KEY_LEASE,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "The start:", 5 },
	{ "name", KEY_NAME, "NAME", 0, "A name, usable wherever an id is", 5 },
	{ "id", KEY_ID, "ID", 0, "The id (default: 32 random digits)", 5 },
	{ "label", KEY_LABEL, "NAME=VALUE", 0, "Shown by inspect; repeatable",
	  5 },
	{ "detach", 'd', NULL, 0, "Print the id and return", 5 },
	{ "keep", KEY_KEEP, NULL, 0,
	  "Keep the record after a foreground run (default: delete it)", 5 },
	{ "rm", KEY_RM, NULL, OPTION_HIDDEN, NULL, 5 },
	{ "timeout", KEY_TIMEOUT, "TIME", 0,
	  "Kill after this time and exit 124 (1.5, 300ms, 2m)", 5 },
	{ "lease", KEY_LEASE, NULL, 0,
	  "Kill it when nsexecctl ends, however (default: it goes on)", 5 },
	{ "no-forward", KEY_NO_FORWARD, NULL, 0, "Do not pass signals on", 5 },
	{ "forward-signals", KEY_FORWARD, NULL, 0,
	  "Pass TERM INT HUP QUIT USR1 USR2 CONT WINCH on (the default)", 5 },
	{ "mirror-signal", KEY_MIRROR_SIGNAL, NULL, 0,
	  "Die of the signal that killed the program", 5 },
	{ "dry-run", KEY_DRY_RUN, NULL, 0, "The same as explain", 5 },
	{ "key", KEY_KEY, "HEX", 0,
	  "32 hexadecimal digits: a repeated key gives the first result", 5 },
	{ "pid-file", KEY_PID_FILE, "FILE", 0, "Write the pid here", 5 },
	{ "pidfd-socket", KEY_PIDFD_SOCKET, "PATH", 0,
	  "Send a pidfd to this listening unix socket", 5 },
	{ "json-status-fd", KEY_STATUS_FD, "N", 0,
	  "JSON lines: child-pid, and exit-code if it was executed", 5 },
	{ "info-fd", KEY_INFO_FD, "N", 0,
	  "One JSON object about the started process", 5 },
	{ 0 },
};

static int
parse_fd(struct argp_state *state, const char *option, const char *arg)
{
	uint64_t fd;

	if (text_parse_u64(arg, INT32_MAX, &fd) < 0 ||
	    fcntl((int)fd, F_GETFD) < 0)
		opts_refuse(state, option, arg, "is no open descriptor");
	return (int)fd;
}

static void
on_key(struct argp_state *state, const char *arg)
{
	struct start_opts *opts = state->input;
	unsigned int byte;

	if (strlen(arg) != 32 || strspn(arg, "0123456789abcdefABCDEF") != 32)
		opts_refuse(state, "--key", arg, "write 32 hexadecimal digits");
	for (size_t i = 0; i < sizeof(opts->key); i++) {
		if (sscanf(arg + 2 * i, "%2x", &byte) == 1)
			opts->key[i] = (uint8_t)byte;
	}
	opts->has_key = true;
}

static void
on_name(struct argp_state *state, const char *option, const char *arg)
{
	struct start_opts *opts = state->input;

	if (!text_is_id(arg, strlen(arg)))
		opts_refuse(state, option, arg,
			    "1 to 64 of [A-Za-z0-9_.-], the first a letter "
			    "or digit");
	if (strcmp(option, "--id") == 0)
		nsexec_spec_id(opts->spec, arg);
	else
		nsexec_spec_name(opts->spec, arg);
	opts->name = arg;
}

static void
on_init(struct argp_state *state)
{
	struct start_opts *opts = state->input;
	void *const inputs[] = { &opts->ns,	 &opts->maps,  &opts->mounts,
				 &opts->process, &opts->stdio, &opts->ctl,
				 opts->ctl };

	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++)
		state->child_inputs[i] = inputs[i];
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct start_opts *opts = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		on_init(state);
		return 0;
	case KEY_NAME:
		on_name(state, "--name", arg);
		return 0;
	case KEY_ID:
		on_name(state, "--id", arg);
		return 0;
	case KEY_LABEL:
		nsexec_spec_label(opts->spec, arg);
		return 0;
	case 'd':
		opts->detach = true;
		return 0;
	case KEY_KEEP:
		opts->keep = true;
		return 0;
	case KEY_RM:
	case KEY_FORWARD:
		return 0;
	case KEY_TIMEOUT:
		if (ctl_parse_duration(arg, &opts->timeout_ms) < 0 ||
		    opts->timeout_ms == 0)
			opts_refuse(state, "--timeout", arg,
				    "write seconds, or 300ms, 2m, 1h");
		return 0;
	case KEY_LEASE:
		opts->lease = true;
		return 0;
	case KEY_NO_FORWARD:
		opts->no_forward = true;
		return 0;
	case KEY_MIRROR_SIGNAL:
		opts->mirror_signal = true;
		return 0;
	case KEY_DRY_RUN:
		opts->dry_run = true;
		return 0;
	case KEY_KEY:
		on_key(state, arg);
		return 0;
	case KEY_PID_FILE:
		opts->pid_file = arg;
		return 0;
	case KEY_PIDFD_SOCKET:
		opts->pidfd_socket = arg;
		return 0;
	case KEY_STATUS_FD:
		opts->status_fd = parse_fd(state, "--json-status-fd", arg);
		return 0;
	case KEY_INFO_FD:
		opts->info_fd = parse_fd(state, "--info-fd", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {
	{ &ns_argp, 0, NULL, 0 },	 { &map_argp, 0, NULL, 0 },
	{ &mount_argp, 0, NULL, 0 },	 { &process_argp, 0, NULL, 0 },
	{ &stdio_argp, 0, NULL, 0 },	 { &later_argp, 0, NULL, 0 },
	{ &ctl_argp, 0, "Common:", 90 }, { 0 },
};

const struct argp run_argp = {
	.options = options,
	.parser = on_option,
	.args_doc = "COMMAND [ARG...]",
	.doc = "Start a program. No option: in no new namespace, as you, with "
	       "your environment and streams, in /.\v"
	       "Exit status: the program's own; 128+n if signal n killed it; "
	       "124 after --timeout; 125 if it was not run; 126 if it cannot "
	       "be executed; 127 if it was not found. A program may exit with "
	       "125 itself: --json-status-fd tells.",
	.children = children,
};

static int
apply(struct start_opts *opts)
{
	struct ctl *ctl = opts->ctl;
	int status;

	nsexec_spec_kill_on_disconnect(opts->spec, opts->lease);
	status = ns_opts_apply(ctl, &opts->ns);
	if (!status)
		status = map_opts_apply(ctl, &opts->maps);
	if (!status)
		status = mount_opts_apply(ctl, &opts->mounts);
	if (!status)
		status = process_opts_apply(ctl, &opts->process);
	return status;
}

int
start_opts_parse(struct start_opts *opts, struct ctl *ctl, int argc,
		 char **argv)
{
	struct ctl_line line = { argc, argv, true, 0 };
	int r;

	memset(opts, 0, sizeof(*opts));
	opts->ctl = opts->ns.ctl = opts->maps.ctl = opts->mounts.ctl = ctl;
	opts->process.ctl = opts->stdio.ctl = ctl;
	opts->status_fd = opts->info_fd = -1;
	r = nsexec_spec_new(&opts->spec);
	if (r < 0)
		return ctl_report_local(ctl, r, "build", "the request");
	opts->ns.spec = opts->process.spec = opts->stdio.spec = opts->spec;
	opts->maps.ns = opts->mounts.ns = &opts->ns;
	opts->process.ns = &opts->ns;
	ctl_parse(ctl, &run_argp, &line, opts);
	if (line.index >= argc)
		return ctl_usage(ctl,
				 "no command to run; see nsexecctl %s "
				 "--help",
				 ctl->command);
	for (int i = line.index; i < argc; i++)
		nsexec_spec_arg(opts->spec, argv[i]);
	return apply(opts);
}

void
start_opts_deinit(struct start_opts *opts)
{
	opts->spec = nsexec_spec_free(opts->spec);
	process_opts_deinit(&opts->process);
	stdio_opts_deinit(&opts->stdio);
	free(opts->mounts.rootfs);
	opts->mounts.rootfs = NULL;
}

int
pid_file_write(const char *path, pid_t pid)
{
	free_auto char *temporary = NULL;
	fd_auto int fd = -1;
	int r;

	if (asprintf(&temporary, "%s.%d", path, getpid()) < 0)
		return -ENOMEM;
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = dprintf(fd, "%d", pid) < 0 ? -errno : 0;
	if (r >= 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(temporary);
	return r;
}

int
pidfd_socket_send(const char *path, int pidfd)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	fd_auto int fd = -1;

	if (strlen(path) >= sizeof(name.sun_path))
		return -ENAMETOOLONG;
	memcpy(name.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0)
		return -errno;
	return fd_send(fd, "pidfd", 5, &pidfd, 1);
}
