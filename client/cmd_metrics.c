/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: the daemon's text as it is, whatever -o says: it has one form, and
 * "nsexecctl metrics >nsexecd.prom" is all that a textfile collector needs.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/ctl.h"
#include "lib/util.h"

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = state->input;
	return 0;
}

static const struct argp_child children[] = {
	{ &ctl_argp, 0, "Common:", 90 },
	{ 0 },
};

const struct argp metrics_argp = {
	.parser = on_option,
	.doc = "Print the daemon's figures in OpenMetrics text: an admin those "
	       "of the instance, anybody else his own.",
	.children = children,
};

int
cmd_metrics(struct ctl *ctl, int argc, char **argv)
{
	struct ctl_line line = { argc, argv, false, 0 };
	free_auto char *text = NULL;
	int status;

	ctl_parse(ctl, &metrics_argp, &line, ctl);
	if (line.index < argc)
		return ctl_usage(ctl, "metrics takes no operand: \"%s\"",
				 argv[line.index]);
	status = ctl_connect(ctl);
	if (status)
		return status;
	if (nsexec_metrics(ctl->nsexec, &text) < 0)
		return ctl_report_last(ctl);
	(void)fputs(text, stdout);
	return CTL_OK;
}
