/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain idmap: the rows that run would ask for with the same map options, and
 * what will be said of them: by whom, and by which rule. Presets and delegated
 * ranges are the daemon's to resolve: the rows are read from the message that
 * it would send. Exit status 4 if they will be refused.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/start_opts.h"
#include "lib/util.h"
#include "proto/bootstrap.h"
#include "proto/errcode.h"
#include "proto/idmap.h"

struct idmap_opts {
	struct ctl *ctl;
	struct nsexec_spec *spec; /* owned */
	struct ns_opts ns;
	struct map_opts maps;
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct idmap_opts *opts = state->input;

	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = &opts->maps;
	state->child_inputs[1] = opts->ctl;
	return 0;
}

static const struct argp_child children[] = {
	{ &map_argp, 0, NULL, 0 },
	{ &ctl_argp, 0, "Common:", 90 },
	{ 0 },
};

const struct argp explain_idmap_argp = {
	.parser = on_option,
	.doc = "Print the rows that run asks for with these options, who "
	       "decides about them, and what he will say.",
	.children = children,
};

/* One side of the message. */
struct side {
	const char *name, *text;
	size_t size;
	struct idmap map;
};

static bool
is_decision(const struct nsexec_step *step)
{
	return strcmp(step->step, "map-check") == 0;
}

static void
print_json(const struct ctl *ctl, const struct nsexec_plan *plan,
	   const struct side sides[2], const char *setgroups)
{
	json_t *root = json_pack("{s:i, s:s}", "v", 1, "setgroups", setgroups);
	json_t *decisions = json_array();

	for (size_t i = 0; i < 2; i++)
		json_object_set_new(root, sides[i].name,
				    ctl_json_idmap(&sides[i].map));
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct nsexec_step *step = &plan->steps[i];
		json_t *row;

		if (!is_decision(step))
			continue;
		row = json_object();
		json_object_set_new(row, "decides",
				    ctl_json_text(step->decides));
		json_object_set_new(row, "allowed",
				    json_boolean(!step->refused));
		json_object_set_new(row, "rule", ctl_json_text(step->detail));
		json_array_append_new(decisions, row);
	}
	json_object_set_new(root, "decisions", decisions);
	ctl_print_json(ctl, root);
}

static void
print_text(const struct ctl *ctl, const struct nsexec_plan *plan,
	   const struct side sides[2], const char *setgroups)
{
	if (!ctl->no_headings)
		puts("MAP        INSIDE    OUTSIDE      COUNT");
	for (size_t i = 0; i < 2; i++) {
		for (size_t n = 0; n < sides[i].map.n_rows; n++)
			printf("%-6s %10u %10u %10u\n", sides[i].name,
			       sides[i].map.rows[n].container_id,
			       sides[i].map.rows[n].host_id,
			       sides[i].map.rows[n].size);
	}
	printf("setgroups: %s\n", setgroups);
	for (size_t i = 0; i < plan->n_steps; i++) {
		if (is_decision(&plan->steps[i]))
			printf("%s decides: %s\n", plan->steps[i].decides,
			       plan->steps[i].detail);
	}
}

/* The exit status. */
static int
print(const struct ctl *ctl, const struct nsexec_plan *plan)
{
	free_auto struct bootstrap *message = malloc(sizeof(*message));
	free_auto struct side *sides = calloc(2, sizeof(*sides));
	struct bootstrap_error error;
	struct idmap_error map_error;
	const char *setgroups;
	int r = message && sides ? 0 : -ENOMEM;

	if (r >= 0)
		r = bootstrap_decode(DIALECT_NX, BOOTSTRAP_TYPE,
				     plan->bootstrap, plan->bootstrap_size,
				     message, &error);
	for (size_t i = 0; r >= 0 && i < 2; i++) {
		sides[i].name = i ? "gid" : "uid";
		sides[i].text = i ? message->gid_map : message->uid_map;
		sides[i].size =
			i ? message->gid_map_size : message->uid_map_size;
		if (sides[i].size)
			r = idmap_parse(sides[i].text, sides[i].size,
					&sides[i].map, &map_error);
	}
	if (r < 0)
		return ctl_report_local(ctl, r, "read", "the plan");
	setgroups = !bootstrap_has(message, BOOTSTRAP_SETGROUPS_MODE) ? "auto"
		    : message->setgroups_mode == BOOTSTRAP_SETGROUPS_DENY
			    ? "deny"
			    : "allow";
	if (ctl_json(ctl))
		print_json(ctl, plan, sides, setgroups);
	else
		print_text(ctl, plan, sides, setgroups);
	for (size_t i = 0; i < plan->n_steps; i++) {
		if (is_decision(&plan->steps[i]) && plan->steps[i].refused)
			return errcode_row(ERRCODE_MAP_DENIED)->verb_exit;
	}
	return CTL_OK;
}

static int
ask(struct idmap_opts *opts)
{
	struct nsexec_plan *plan = NULL;
	int status = ctl_connect(opts->ctl);

	if (status)
		return status;
	if (nsexec_explain(opts->ctl->nsexec, opts->spec, &plan) < 0)
		return ctl_report_last(opts->ctl);
	status = print(opts->ctl, plan);
	nsexec_plan_free(plan);
	return status;
}

int
explain_idmap(struct ctl *ctl, int argc, char **argv)
{
	struct idmap_opts opts = { .ctl = ctl };
	struct ctl_line line = { argc, argv, false, 0 };
	int status, r;

	r = nsexec_spec_new(&opts.spec);
	if (r < 0)
		return ctl_report_local(ctl, r, "build", "the request");
	opts.ns.spec = opts.spec;
	opts.ns.ctl = opts.maps.ctl = ctl;
	opts.maps.ns = &opts.ns;
	ctl_parse(ctl, &explain_idmap_argp, &line, &opts);
	nsexec_spec_arg(opts.spec, "true");
	if (line.index < argc || !opts.ns.needs_user)
		status = ctl_usage(ctl, "write explain idmap with map options "
					"of run, such as --map-root-user");
	else
		status = ns_opts_apply(ctl, &opts.ns);
	if (!status)
		status = map_opts_apply(ctl, &opts.maps);
	if (!status)
		status = ask(&opts);
	nsexec_spec_free(opts.spec);
	return status;
}
