/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait: one Wait call per id, all on one connection; codes are printed in the
 * order of the operands, with --any only the first that comes.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl.h"
#include "lib/clock.h"
#include "lib/util.h"

enum {
	KEY_ANY = 0x2500,
	KEY_TIMEOUT,
	KEY_EXEC,
};

struct wait_opts {
	struct ctl *ctl;
	const char *exec_id;
	bool any;
	uint64_t timeout_ms;
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct wait_opts *opts = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = opts->ctl;
		return 0;
	case KEY_ANY:
		opts->any = true;
		return 0;
	case KEY_EXEC:
		opts->exec_id = arg;
		return 0;
	case KEY_TIMEOUT:
		if (ctl_parse_duration(arg, &opts->timeout_ms) < 0)
			ctl_option_error(state,
					 "--timeout %s: write seconds, or "
					 "300ms, 2m, 1h",
					 arg);
		/* 0 asks and does not wait; the protocol's 0 is "none". */
		if (opts->timeout_ms == 0)
			opts->timeout_ms = 1;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int
print_exit(struct ctl *ctl, const char *id, const struct nsexec_exit *exit)
{
	json_t *value;

	if (ctl_json(ctl)) {
		value = ctl_json_exit(exit);
		json_object_set_new(value, "container", ctl_json_text(id));
		ctl_print_json_line(value);
	} else if (exit->unknown) {
		puts("unknown");
	} else {
		printf("%d\n", ctl_exit_status(exit));
	}
	fflush(stdout);
	return exit->unknown ? CTL_FAILED : CTL_OK;
}

static int
print_call(struct ctl *ctl, const char *id, const struct nsexec_call *call)
{
	struct nsexec_exit exit;
	int r = nsexec_call_get_exit(call, &exit);

	if (r >= 0)
		return print_exit(ctl, id, &exit);
	/* waitpid(1)'s status for a timeout, which NOT_FOUND shares. */
	if (nsexec_call_error(call)->code == NSEXEC_DEADLINE) {
		ctl_warn(ctl, "%s: still running", id);
		return CTL_NOT_FOUND;
	}
	return ctl_report_call(ctl, r, call);
}

static size_t
count_done(struct nsexec_call *const *calls, size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i < n; i++)
		done += nsexec_call_done(calls[i]);
	return done;
}

/* Dispatch until all (or one) are done. 0 or -errno. */
static int
await(const struct wait_opts *opts, struct nsexec_call *const *calls, size_t n)
{
	struct nsexec *nsexec = opts->ctl->nsexec;
	const size_t wanted = opts->any ? 1 : n;

	while (count_done(calls, n) < wanted) {
		struct pollfd fd = { nsexec_fd(nsexec),
				     nsexec_poll_events(nsexec), 0 };

		if (poll(&fd, 1, -1) < 0 && errno != EINTR)
			return -errno;
		/* A connection that broke has ended every call. */
		(void)!nsexec_dispatch(nsexec);
	}
	return 0;
}

static int
print_all(const struct wait_opts *opts, char **ids,
	  struct nsexec_call *const *calls, size_t n)
{
	int first = 0, status;

	for (size_t i = 0; i < n; i++) {
		if (!nsexec_call_done(calls[i]))
			continue;
		status = print_call(opts->ctl, ids[i], calls[i]);
		if (opts->any)
			return status;
		if (status && !first)
			first = status;
	}
	return first;
}

static int
wait_for(const struct wait_opts *opts, char **ids, size_t n)
{
	struct nsexec_call **calls = calloc(n, sizeof(*calls));
	int r = calls ? 0 : -ENOMEM, status;
	size_t sent = 0;

	while (r >= 0 && sent < n) {
		const struct nsexec_target target = { ids[sent],
						      opts->exec_id };

		r = nsexec_call_wait(opts->ctl->nsexec, &target,
				     (uint32_t)opts->timeout_ms, &calls[sent]);
		if (r >= 0)
			sent++;
	}
	if (r >= 0)
		r = await(opts, calls, n);
	status = r < 0 ? ctl_report_call(opts->ctl, r, NULL)
		       : print_all(opts, ids, calls, n);
	while (sent > 0)
		nsexec_call_free(calls[--sent]);
	free(calls);
	return status;
}

static const struct argp_option wait_options[] = {
	{ "any", KEY_ANY, NULL, 0, "Return at the first exit", 5 },
	{ "timeout", KEY_TIMEOUT, "TIME", 0,
	  "Give up after this time, exit status 3", 5 },
	{ "exec", KEY_EXEC, "EXEC-ID", 0,
	  "Of this process of exec, not of the container", 5 },
	{ 0 },
};

static const struct argp_child wait_children[] = {
	{ &ctl_argp, 0, "Common:", 90 },
	{ 0 },
};

const struct argp wait_argp = {
	.options = wait_options,
	.parser = on_option,
	.args_doc = "ID...",
	.doc = "Wait for exits and print their codes, 128+n for "
	       "signal n.",
	.children = wait_children,
};

int
cmd_wait(struct ctl *ctl, int argc, char **argv)
{
	struct wait_opts opts = { .ctl = ctl };
	struct ctl_line line = { argc, argv, false, 0 };
	int status;

	ctl_parse(ctl, &wait_argp, &line, &opts);
	if (line.index >= argc)
		return ctl_usage(ctl, "which container? write wait ID...");
	status = ctl_connect(ctl);
	if (status)
		return status;
	return wait_for(&opts, argv + line.index, (size_t)(argc - line.index));
}
