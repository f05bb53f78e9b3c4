/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events: the stream, or with --no-follow what there is by now.
 *
 * Following survives a restart of the daemon (client/resume.c): nothing is
 * printed twice, and what was lost is announced by the daemon as a gap.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/ctl.h"
#include "lib/clock.h"
#include "lib/text.h"
#include "lib/util.h"

#define MAX_FILTERS 64
#define BATCH_SIZE 256u

enum {
	KEY_FROM = 0x2500,
	KEY_SINCE,
	KEY_NO_FOLLOW,
	KEY_TYPE,
	KEY_CONTAINER,
};

struct events_opts {
	struct ctl *ctl;
	uint64_t from_seq;
	uint64_t since_ns;
	bool no_follow, lines;
	const char *containers[MAX_FILTERS];
	size_t n_containers;
	enum nsexec_event_type types[MAX_FILTERS];
	size_t n_types;
	uint8_t epoch[16]; /* of the last event printed */
	bool has_epoch;
};

static void
on_types(struct argp_state *state, char *arg)
{
	struct events_opts *opts = state->input;
	char *save = NULL;

	for (char *word = strtok_r(arg, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		const enum nsexec_event_type type =
			nsexec_event_type_parse(word);

		if (!type || opts->n_types == MAX_FILTERS)
			ctl_option_error(state,
					 "\"%s\" is no event: created, "
					 "started, exec-started, "
					 "exec-exited, exited, deleted, "
					 "failed, gap, snapshot",
					 word);
		opts->types[opts->n_types++] = type;
	}
}

/* 2026-01-01T00:00:00Z, @SECONDS, or a duration before now. */
static bool
parse_since(const char *text, uint64_t *ret_ns)
{
	const uint64_t now = clock_ns(CLOCK_REALTIME);
	struct tm tm = { 0 };
	uint64_t value;
	const char *end;

	if (*text == '@' && text_parse_u64(text + 1, UINT32_MAX, &value) == 0) {
		*ret_ns = value * 1000000000u;
		return true;
	}
	if (ctl_parse_duration(text, &value) == 0) {
		*ret_ns = now - value * 1000000u;
		return true;
	}
	end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end || strcmp(end, "Z") != 0)
		return false;
	*ret_ns = (uint64_t)timegm(&tm) * 1000000000u;
	return true;
}

static void
add_container(struct argp_state *state, struct events_opts *opts,
	      const char *id)
{
	if (opts->n_containers == MAX_FILTERS)
		ctl_option_error(state, "more than %d containers", MAX_FILTERS);
	opts->containers[opts->n_containers++] = id;
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct events_opts *opts = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = opts->ctl;
		return 0;
	case KEY_FROM:
		if (text_parse_u64(arg, UINT64_MAX, &opts->from_seq) < 0)
			ctl_option_error(state, "--from %s: write a number",
					 arg);
		/* Events count from 1. */
		if (opts->from_seq == 0)
			opts->from_seq = 1;
		return 0;
	case KEY_SINCE:
		if (!parse_since(arg, &opts->since_ns))
			ctl_option_error(state,
					 "--since %s: write "
					 "2026-01-01T00:00:00Z, @SECONDS, or "
					 "a time such as 10m",
					 arg);
		return 0;
	case 'f':
		opts->no_follow = false;
		return 0;
	case KEY_NO_FOLLOW:
		opts->no_follow = true;
		return 0;
	case KEY_TYPE:
		on_types(state, arg);
		return 0;
	case KEY_CONTAINER:
	case ARGP_KEY_ARG:
		add_container(state, opts, arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* "time seq type name pid N exited 3" for people. */
static void
print_text(const struct nsexec_event *event)
{
	const char *type = nsexec_event_type_name(event->type);
	char buf[CTL_TIME_MAX];

	printf("%s %6llu %-12s %s", ctl_format_time(event->realtime_ns, buf),
	       (unsigned long long)event->seq, type ? type : "unknown",
	       event->container ? event->container : "-");
	if (event->name)
		printf(" (%s)", event->name);
	if (event->exec_id)
		printf(" exec %s", event->exec_id);
	if (event->pid)
		printf(" pid %d", event->pid);
	if (event->exit && event->exit->unknown)
		printf(" status unknown");
	else if (event->exit && event->exit->signal)
		printf(" signal %d%s", event->exit->signal,
		       event->exit->core ? " (core)" : "");
	else if (event->exit)
		printf(" code %d", event->exit->code);
	if (event->error)
		printf(": %s", event->error->message);
	if (event->type == NSEXEC_EVENT_GAP)
		printf(" %llu to %llu", (unsigned long long)event->gap_from,
		       (unsigned long long)event->gap_to);
	putchar('\n');
	fflush(stdout);
}

/* Print and remember where we are. Takes the event. */
static void
print_event(struct events_opts *opts, struct nsexec_event *event)
{
	if (event->realtime_ns < opts->since_ns)
		;
	else if (opts->lines)
		ctl_print_json_line(ctl_json_event(event));
	else
		print_text(event);
	if (event->seq >= opts->from_seq)
		opts->from_seq = event->seq + 1;
	memcpy(opts->epoch, event->epoch, sizeof(opts->epoch));
	opts->has_epoch = true;
	nsexec_event_free(event);
}

static struct nsexec_filter
filter_from(const struct events_opts *opts)
{
	return (struct nsexec_filter){
		.epoch = opts->has_epoch ? opts->epoch : NULL,
		.from_seq = opts->from_seq,
		.containers = opts->containers,
		.n_containers = opts->n_containers,
		.types = opts->types,
		.n_types = opts->n_types,
	};
}

/* One batch. *ret_more: there may be another. */
static int
print_batch(struct events_opts *opts, bool *ret_more)
{
	const struct nsexec_filter filter = filter_from(opts);
	struct nsexec_batch *batch = NULL;
	struct nsexec_call *call = NULL;
	uint64_t next;
	int r;

	r = nsexec_call_next_events(opts->ctl->nsexec, &filter, 0, BATCH_SIZE,
				    &call);
	if (r >= 0)
		r = nsexec_call_await(call, -1);
	if (r >= 0)
		r = nsexec_call_get_batch(call, &batch);
	if (r < 0) {
		r = ctl_report_call(opts->ctl, r, call);
		nsexec_call_free(call);
		return r;
	}
	next = batch->next_seq;
	*ret_more = batch->n_items == BATCH_SIZE;
	for (size_t i = 0; i < batch->n_items; i++)
		print_event(opts, ptr_steal(&batch->items[i]));
	if (next > opts->from_seq)
		opts->from_seq = next;
	nsexec_batch_free(batch);
	nsexec_call_free(call);
	return 0;
}

static int
print_past(struct events_opts *opts)
{
	bool more = true;
	int status = 0;

	if (opts->from_seq == 0)
		opts->from_seq = 1;
	while (more && !status)
		status = print_batch(opts, &more);
	return status;
}

/* Until it fails: the library takes the stream up again by itself. */
static int
follow(struct events_opts *opts)
{
	const struct nsexec_filter filter = filter_from(opts);
	struct nsexec_call *stream = NULL;
	struct nsexec_event *event;
	int r;

	r = nsexec_events_open(opts->ctl->nsexec, &filter, &stream);
	while (r >= 0) {
		r = nsexec_await_event(stream, -1, &event);
		if (r >= 0)
			print_event(opts, event);
	}
	r = ctl_report_call(opts->ctl, r, stream);
	nsexec_call_free(stream);
	return r;
}

static const struct argp_option options[] = {
	{ "from", KEY_FROM, "SEQ", 0,
	  "First event wanted (default: new ones; with --no-follow 1)", 5 },
	{ "since", KEY_SINCE, "TIME", 0,
	  "Not older: 2026-01-01T00:00:00Z, @SECONDS, or 10m", 5 },
	{ "follow", 'f', NULL, 0, "Go on for ever (default)", 5 },
	{ "no-follow", KEY_NO_FOLLOW, NULL, 0, "Print what there is and return",
	  5 },
	{ "type", KEY_TYPE, "TYPE,...", 0, "Only these; repeatable", 5 },
	{ "container", KEY_CONTAINER, "ID", 0, "Only of these; repeatable", 5 },
	{ 0 },
};

static const struct argp_child events_children[] = {
	{ &ctl_list_argp, 0, "Common:", 90 },
	{ 0 },
};

const struct argp events_argp = {
	.options = options,
	.parser = on_option,
	.args_doc = "[ID...]",
	.doc = "Print events; one JSON object a line with --json and "
	       "wherever stdout is no terminal.",
	.children = events_children,
};

int
cmd_events(struct ctl *ctl, int argc, char **argv)
{
	struct events_opts opts = { .ctl = ctl };
	struct ctl_line line = { argc, argv, false, 0 };
	int status;

	ctl_parse(ctl, &events_argp, &line, &opts);
	opts.lines = ctl_json(ctl) || (ctl->output == CTL_OUTPUT_DEFAULT &&
				       !isatty(STDOUT_FILENO));
	if (opts.since_ns && opts.from_seq == 0)
		opts.from_seq = 1;
	status = ctl_connect(ctl);
	if (status)
		return status;
	return opts.no_follow ? print_past(&opts) : follow(&opts);
}
