/* SPDX-License-Identifier: Apache-2.0 */
/* The options that every command has. */
#include "config.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl.h"
#include "lib/util.h"

enum {
	KEY_JSON = 0x1000,
	KEY_NO_HEADINGS,
	KEY_DEBUG,
};

static const struct argp_option options[] = {
	{ "host", 'H', "unix:PATH", 0,
	  "The daemon's socket (default: $NSEXEC_SOCKET, "
	  "else " NSEXEC_DEFAULT_ADDRESS ")",
	  90 },
	{ "output", 'o', "table|json|jsonl", 0,
	  "Form of results (default: $NSEXEC_OUTPUT, else table)", 90 },
	{ "json", KEY_JSON, NULL, 0, "The same as -o json", 90 },
	{ "quiet", 'q', NULL, 0, "Ids only; no talk", 90 },
	{ "no-headings", KEY_NO_HEADINGS, NULL, 0, "Tables without headings",
	  90 },
	{ "noheadings", KEY_NO_HEADINGS, NULL, OPTION_ALIAS, NULL, 90 },
	{ "debug", KEY_DEBUG, NULL, 0,
	  "Trace a start: when it passed each point, on stderr", 90 },
	{ "verbose", 'v', NULL, OPTION_ALIAS, NULL, 90 },
	{ 0 },
};

static const struct argp_option list_options[] = {
	{ NULL, 'n', NULL, 0, "The same as --no-headings", 90 },
	{ 0 },
};

int
ctl_parse_output(const char *text, enum ctl_output *ret)
{
	static const char *const names[] = {
		[CTL_OUTPUT_TABLE] = "table",
		[CTL_OUTPUT_JSON] = "json",
		[CTL_OUTPUT_JSONL] = "jsonl",
	};

	for (size_t i = 1; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum ctl_output)i;
			return 0;
		}
	}
	return -EINVAL;
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct ctl *ctl = state->input;

	switch (key) {
	case 'H':
		ctl->host = arg;
		return 0;
	case 'o':
		if (ctl_parse_output(arg, &ctl->output) < 0)
			exit(ctl_usage(ctl,
				       "output \"%s\" is not table, json or "
				       "jsonl",
				       arg));
		return 0;
	case KEY_JSON:
		/* In a stream json means one object a line anyway. */
		ctl->output = CTL_OUTPUT_JSON;
		return 0;
	case 'q':
		ctl->quiet = true;
		return 0;
	case 'n':
	case KEY_NO_HEADINGS:
		ctl->no_headings = true;
		return 0;
	case KEY_DEBUG:
	case 'v':
		ctl->trace = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp ctl_argp = { .options = options, .parser = on_option };

static error_t
on_list_option(int key, char *arg, struct argp_state *state)
{
	if (key == ARGP_KEY_INIT)
		state->child_inputs[0] = state->input;
	return key == 'n' ? on_option(key, arg, state) : ARGP_ERR_UNKNOWN;
}

static const struct argp_child list_children[] = {
	{ &ctl_argp, 0, NULL, 0 },
	{ 0 },
};
const struct argp ctl_list_argp = { .options = list_options,
				    .parser = on_list_option,
				    .children = list_children };
