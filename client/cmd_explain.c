/* SPDX-License-Identifier: Apache-2.0 */
/* explain: the plan of a start, from the daemon, which starts nothing: its
 * steps in their order, and who decides each. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "client/start_opts.h"
#include "lib/util.h"

static json_t *
plan_to_json(const struct nsexec_plan *plan)
{
	json_t *root = json_object(), *steps = json_array();

	for (size_t i = 0; i < plan->n_steps; i++) {
		json_t *step = json_object();

		json_object_set_new(step, "stage",
				    ctl_json_text(plan->steps[i].stage));
		json_object_set_new(step, "step",
				    ctl_json_text(plan->steps[i].step));
		json_object_set_new(step, "detail",
				    ctl_json_text(plan->steps[i].detail));
		json_object_set_new(step, "decides",
				    ctl_json_text(plan->steps[i].decides));
		json_object_set_new(step, "refused",
				    json_boolean(plan->steps[i].refused));
		json_array_append_new(steps, step);
	}
	json_object_set_new(root, "v", json_integer(1));
	json_object_set_new(root, "steps", steps);
	json_object_set_new(root, "bootstrap_size",
			    json_integer((json_int_t)plan->bootstrap_size));
	return root;
}

int
explain_print(struct ctl *ctl, const struct nsexec_spec *spec)
{
	struct nsexec_plan *plan = NULL;

	if (nsexec_explain(ctl->nsexec, spec, &plan) < 0)
		return ctl_report_last(ctl);
	if (ctl_json(ctl)) {
		ctl_print_json(ctl, plan_to_json(plan));
	} else {
		if (!ctl->no_headings)
			puts("STAGE    STEP             DECIDES                "
			     " DETAIL");
		for (size_t i = 0; i < plan->n_steps; i++)
			printf("%-8s %-16s %-23s %s\n", plan->steps[i].stage,
			       plan->steps[i].step, plan->steps[i].decides,
			       plan->steps[i].detail);
	}
	nsexec_plan_free(plan);
	return 0;
}

static int
explain_run(struct ctl *ctl, int argc, char **argv)
{
	struct start_opts opts;
	int status = start_opts_parse(&opts, ctl, argc, argv);

	if (!status)
		status = ctl_connect(ctl);
	if (!status)
		status = explain_print(ctl, opts.spec);
	start_opts_deinit(&opts);
	return status;
}

const struct ctl_word explain_words[] = {
	{ "run", "of run", &run_argp, CTL_OPERAND_COMMAND },
	{ "create", "of create", &run_argp, CTL_OPERAND_COMMAND },
	{ "enter", "of enter", &enter_argp, CTL_OPERAND_COMMAND },
	{ "idmap", "the rows of an id map, and who may have them",
	  &explain_idmap_argp, CTL_OPERAND_NONE },
	{ 0 },
};

/* In the order of explain_words. */
static const struct {
	const char *command; /* for messages */
	int (*fn)(struct ctl *ctl, int argc, char **argv);
} explainers[] = {
	{ "explain run", explain_run },
	{ "explain create", explain_run },
	{ "explain enter", explain_enter },
	{ "explain idmap", explain_idmap },
};
_Static_assert(ARRAY_SIZE(explainers) + 1 == ARRAY_SIZE(explain_words),
	       "a function for each word");

int
cmd_explain(struct ctl *ctl, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(explainers); i++) {
		if (strcmp(argv[1], explain_words[i].name) != 0)
			continue;
		ctl->command = explainers[i].command;
		return explainers[i].fn(ctl, argc - 1, argv + 1);
	}
	/* "explain ..." is "explain run ...". */
	return explain_run(ctl, argc, argv);
}
