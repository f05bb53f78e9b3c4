/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a start would do, step by step, without doing it: made from the same
 * plan that is sent to the spawner.
 */
#ifndef NSX_DAEMON_EXPLAIN_H
#define NSX_DAEMON_EXPLAIN_H

#include "daemon/plan.h"

#define EXPLAIN_MAX_STEPS 160

struct explain_step {
	const char *stage;   /* "spawner", "relay", "init" */
	const char *step;    /* as it would stand in an error */
	const char *detail;  /* in the arena */
	const char *decides; /* who says yes or no */
	bool refused;	     /* known already; detail has the rule */
};

struct explanation {
	struct arena arena;
	struct explain_step steps[EXPLAIN_MAX_STEPS];
	size_t n_steps;
};

/*
 * Of the plan that was built from input. *ret: all zero before,
 * explain_deinit() after. 0 or -errno with *error.
 */
must_check int explain_build(const struct plan *plan,
			     const struct plan_input *input,
			     struct explanation *ret, struct error *error);
void explain_deinit(struct explanation *explanation);

#endif
