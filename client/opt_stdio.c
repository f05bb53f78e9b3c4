/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams and further descriptors of a process. In the foreground they are
 * our own three; detached they are /dev/null, because a descriptor that a
 * payload keeps would keep a caller's pipe open long after we are gone.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/opts.h"
#include "lib/text.h"
#include "lib/util.h"

enum {
	KEY_STDIN = OPTS_STDIO_KEYS,
	KEY_STDOUT,
	KEY_STDERR,
	KEY_STDIO,
	KEY_PRESERVE_FDS,
	KEY_FD,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Streams and descriptors:", 50 },
	{ "interactive", 'i', NULL, 0,
	  "Keep stdin when detached (in the foreground it is always kept)",
	  50 },
	{ "stdin", KEY_STDIN, "PATH", 0,
	  "A FIFO or file, opened with your rights", 50 },
	{ "stdout", KEY_STDOUT, "PATH", 0, "The same for output", 50 },
	{ "stderr", KEY_STDERR, "PATH", 0, "The same for errors", 50 },
	{ "stdio", KEY_STDIO, "inherit|null", 0,
	  "All three (default: inherit; null with -d and for create)", 50 },
	{ "preserve-fds", KEY_PRESERVE_FDS, "N", 0,
	  "Pass descriptors 3 to 3+N-1 on; all must be open", 50 },
	{ "fd", KEY_FD, "[NAME=]N", 0,
	  "Pass descriptor N on as 3, 4, ... (after the preserved ones); "
	  "NSEXEC_FDNAMES lists number=name",
	  50 },
	{ 0 },
};

static void
need_open(struct argp_state *state, const char *option, const char *arg, int fd)
{
	if (fcntl(fd, F_GETFD) < 0)
		ctl_option_error(state, "%s %s: descriptor %d is not open",
				 option, arg, fd);
}

static void
on_preserve_fds(struct argp_state *state, const char *arg)
{
	struct stdio_opts *opts = state->input;
	uint64_t count;

	if (text_parse_u64(arg, NSEXEC_MAX_FDS, &count) < 0)
		opts_refuse(state, "--preserve-fds", arg,
			    "write a number from 0 to 32");
	opts->preserve = (int)count;
	for (int fd = 3; fd < 3 + opts->preserve; fd++)
		need_open(state, "--preserve-fds", arg, fd);
}

static void
on_fd(struct argp_state *state, const char *arg)
{
	struct stdio_opts *opts = state->input;
	const char *equals = strrchr(arg, '=');
	char *name = NULL;
	uint64_t fd;

	if (text_parse_u64(equals ? equals + 1 : arg, INT32_MAX, &fd) < 0)
		opts_refuse(state, "--fd", arg, "write NAME=N");
	need_open(state, "--fd", arg, (int)fd);
	if (opts->n_named == NSEXEC_MAX_FDS)
		opts_refuse(state, "--fd", arg, "more than 32 descriptors");
	if (equals) {
		name = strndup(arg, (size_t)(equals - arg));
		if (!name || !text_is_id(name, strlen(name)))
			opts_refuse(state, "--fd", arg,
				    "a name is 1 to 64 of [A-Za-z0-9_.-]");
	}
	opts->named[opts->n_named].fd = (int)fd;
	opts->named[opts->n_named++].name = name;
}

static void
on_path(struct argp_state *state, int number, const char *option,
	const char *arg)
{
	struct stdio_opts *opts = state->input;

	free(opts->paths[number]);
	opts->paths[number] = NULL;
	if (ctl_absolute_path(arg, &opts->paths[number]) < 0)
		opts_refuse(state, option, arg,
			    "the current directory is gone");
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct stdio_opts *opts = state->input;

	switch (key) {
	case 'i':
		opts->interactive = true;
		return 0;
	case KEY_STDIN:
		on_path(state, 0, "--stdin", arg);
		return 0;
	case KEY_STDOUT:
		on_path(state, 1, "--stdout", arg);
		return 0;
	case KEY_STDERR:
		on_path(state, 2, "--stderr", arg);
		return 0;
	case KEY_STDIO:
		opts->inherit = strcmp(arg, "inherit") == 0;
		opts->null = strcmp(arg, "null") == 0;
		if (!opts->inherit && !opts->null)
			opts_refuse(state, "--stdio", arg,
				    "write inherit or null");
		return 0;
	case KEY_PRESERVE_FDS:
		on_preserve_fds(state, arg);
		return 0;
	case KEY_FD:
		on_fd(state, arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp stdio_argp = { .options = options, .parser = on_option };

int
stdio_opts_apply(const struct ctl *ctl, struct stdio_opts *opts,
		 bool foreground)
{
	const bool own = opts->inherit || (foreground && !opts->null);
	int r;

	for (int fd = 0; fd < 3; fd++) {
		if (opts->paths[fd])
			nsexec_spec_stdio_path(opts->spec, fd, opts->paths[fd]);
		else if ((own || (fd == 0 && opts->interactive)) &&
			 fcntl(fd, F_GETFD) >= 0)
			nsexec_spec_stdio_fd(opts->spec, fd, fd);
	}
	for (int fd = 3; fd < 3 + opts->preserve; fd++)
		nsexec_spec_pass_fd(opts->spec, fd, fd, NULL);
	for (size_t i = 0; i < opts->n_named; i++)
		nsexec_spec_pass_fd(opts->spec, opts->named[i].fd,
				    3 + opts->preserve + (int)i,
				    opts->named[i].name);
	r = nsexec_spec_status(opts->spec);
	if (r == -E2BIG)
		return ctl_usage(ctl, "more than %d descriptors to pass on",
				 NSEXEC_MAX_FDS);
	if (r < 0)
		return ctl_report_local(ctl, r, "build", "the request");
	return 0;
}

void
stdio_opts_deinit(struct stdio_opts *opts)
{
	for (int fd = 0; fd < 3; fd++) {
		free(opts->paths[fd]);
		opts->paths[fd] = NULL;
	}
	while (opts->n_named > 0)
		free(opts->named[--opts->n_named].name);
}
