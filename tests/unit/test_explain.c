/* SPDX-License-Identifier: Apache-2.0 */
/* Explain tells the plan that would be sent, in the order of its doing. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "daemon/explain.h"
#include "lib/sys.h"

struct sample {
	struct spec *spec;
	struct plan *plan;
	struct explanation *explanation;
	struct error error;
};

static int
setup(void **state)
{
	struct sample *s = calloc(1, sizeof(*s));

	s->plan = calloc(1, sizeof(*s->plan));
	s->explanation = calloc(1, sizeof(*s->explanation));
	s->plan->exec_block = -1;
	*state = s;
	if (spec_new(&s->spec) < 0)
		return -1;
	s->spec->exec_data = strdup("/bin/true");
	s->spec->argv_size = strlen(s->spec->exec_data) + 1;
	s->spec->argc = 1;
	bootstrap_mark(&s->spec->boot, BOOTSTRAP_CLONE_FLAGS);
	return 0;
}

static int
teardown(void **state)
{
	struct sample *s = *state;

	explain_deinit(s->explanation);
	plan_deinit(s->plan);
	spec_free(s->spec);
	free(s->explanation);
	free(s->plan);
	free(s);
	return 0;
}

static void
explain(struct sample *s)
{
	struct plan_input input = { .container = "c", .gate = GATE_CHANNEL };

	assert_int_equal(plan_build(s->spec, &input, s->plan, &s->error), 0);
	assert_int_equal(explain_build(s->plan, s->explanation, &s->error), 0);
}

/* Where a step with this text stands; fails if nowhere. */
static size_t
place(const struct sample *s, const char *step, const char *part)
{
	for (size_t i = 0; i < s->explanation->n_steps; i++) {
		const struct explain_step *at = &s->explanation->steps[i];

		if (strcmp(at->step, step) == 0 && strstr(at->detail, part))
			return i;
	}
	fail_msg("no step %s with %s", step, part);
	return 0;
}

static void
user_namespace_is_cloned_then_mapped_then_the_rest_unshared(void **state)
{
	struct sample *s = *state;
	size_t clone, map, unshare;

	s->spec->boot.clone_flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS;
	s->spec->maps.preset = IDMAP_ROOT;
	explain(s);
	clone = place(s, "clone-init", "user");
	map = place(s, "map", "uid_map: 0 0 1");
	unshare = place(s, "unshare", "mnt");
	assert_true(clone < map && map < unshare);
	assert_true(unshare < place(s, "exec", "/bin/true"));
}

static void
joins_are_told_with_their_target(void **state)
{
	struct sample *s = *state;

	s->spec->boot.joins[0] = (struct bootstrap_join){
		.how = JOIN_PATH,
		.clone_flag = CLONE_NEWNET,
		.path = "/run/netns/a\nb",
	};
	s->spec->boot.n_joins = 1;
	s->spec->join_flags = CLONE_NEWNET;
	bootstrap_mark(&s->spec->boot, BOOTSTRAP_JOINS);
	explain(s);
	place(s, "join", "net: setns to /run/netns/a\\x0ab");
}

static void
every_step_has_stage_step_and_detail(void **state)
{
	struct sample *s = *state;

	explain(s);
	assert_true(s->explanation->n_steps > 5);
	for (size_t i = 0; i < s->explanation->n_steps; i++) {
		assert_true(s->explanation->steps[i].stage[0] != '\0');
		assert_true(s->explanation->steps[i].step[0] != '\0');
		assert_true(s->explanation->steps[i].detail[0] != '\0');
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(user_namespace_is_cloned_then_mapped_then_the_rest_unshared),
		TEST(joins_are_told_with_their_target),
		TEST(every_step_has_stage_step_and_detail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
