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
	uid_t uid; /* of the caller, also his gid */
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
	const struct plan_input input = { .container = "c",
					  .gate = GATE_CHANNEL,
					  .uid = s->uid,
					  .admin = s->uid == 0,
					  .no_new_privs = s->uid != 0,
					  .gid = s->uid };

	assert_int_equal(plan_build(s->spec, &input, s->plan, &s->error), 0);
	assert_int_equal(
		explain_build(s->plan, &input, s->explanation, &s->error), 0);
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
		assert_true(s->explanation->steps[i].decides[0] != '\0');
		assert_false(s->explanation->steps[i].refused);
	}
}

static void
every_step_names_who_decides(void **state)
{
	struct sample *s = *state;

	s->spec->boot.clone_flags = CLONE_NEWUSER;
	s->spec->maps.preset = IDMAP_ROOT;
	explain(s);
	assert_string_equal(
		s->explanation->steps[place(s, "attest", "")].decides,
		"spawner");
	assert_string_equal(
		s->explanation->steps[place(s, "map-check", "uid")].decides,
		"mapper");
	assert_string_equal(
		s->explanation->steps[place(s, "clone-init", "user")].decides,
		"kernel, for the caller");
}

static void
one_row(struct sample *s, uint32_t host_id, uint32_t size)
{
	struct spec_maps *maps = &s->spec->maps;

	s->spec->boot.clone_flags = CLONE_NEWUSER;
	maps->preset = IDMAP_EXPLICIT;
	maps->uid.rows[0] = maps->gid.rows[0] =
		(struct idmap_row){ 0, host_id, size };
	maps->uid.n_rows = maps->gid.n_rows = 1;
	explain(s);
}

static void
ordinary_callers_own_id_is_allowed(void **state)
{
	struct sample *s = *state;
	const struct explain_step *steps = s->explanation->steps;

	s->uid = 1000;
	one_row(s, 1000, 1);
	assert_false(steps[place(s, "map-check", "uid map: allowed")].refused);
	assert_false(steps[place(s, "map-check", "gid map: allowed")].refused);
	place(s, "map-check", "setgroups: deny");
}

static void
ordinary_callers_foreign_id_is_refused_with_row_and_rule(void **state)
{
	struct sample *s = *state;
	size_t at;

	s->uid = 1000;
	one_row(s, 1001, 2);
	at = place(s, "map-check",
		   "MAP_DENIED, uid map row 0: "
		   "host ids 1001+2");
	assert_true(s->explanation->steps[at].refused);
	assert_non_null(
		strstr(s->explanation->steps[at].detail, "allowed: 1000"));
}

static void
root_may_map_any_id(void **state)
{
	struct sample *s = *state;

	one_row(s, 100000, 65536);
	place(s, "map-check", "uid map: allowed, root");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(user_namespace_is_cloned_then_mapped_then_the_rest_unshared),
		TEST(joins_are_told_with_their_target),
		TEST(every_step_has_stage_step_and_detail),
		TEST(every_step_names_who_decides),
		TEST(ordinary_callers_own_id_is_allowed),
		TEST(ordinary_callers_foreign_id_is_refused_with_row_and_rule),
		TEST(root_may_map_any_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
