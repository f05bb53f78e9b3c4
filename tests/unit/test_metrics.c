/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises of daemon/openmetrics.h and metrics.h: escaped, added up, whole or
 * not at all; every number once with its owner and once with the instance.
 */
#include "tests/unit/core_fixture.h"

#include <stdlib.h>

#include "daemon/core_parts.h"
#include "daemon/metrics_text.h"

static const struct om_family counter = { "a_seconds", OM_COUNTER, "seconds",
					  "One \"two\"\\three\nfour." };
static const struct om_family plain = { "b", OM_GAUGE, NULL, "B." };
static const struct om_family histogram_family = { "c_seconds", OM_HISTOGRAM,
						   "seconds", "C." };
static const struct om_bounds bounds = {
	2, { { 1000000, "0.001" }, { 1000000000, "1.0" } }
};

static void
texts_and_values_are_escaped(void **state)
{
	const struct om_label labels[] = { { "x", "a\\b\"c\nd" },
					   { "y", "" },
					   { NULL, NULL } };
	struct om_writer writer;
	char buf[512];

	om_init(&writer, buf, sizeof(buf));
	om_family(&writer, &counter);
	om_seconds(&writer, labels, 12000000034u);
	om_family(&writer, &plain);
	om_number(&writer, NULL, UINT64_MAX);
	assert_int_equal(om_end(&writer), 0);
	assert_string_equal(
		buf, "# TYPE a_seconds counter\n"
		     "# UNIT a_seconds seconds\n"
		     "# HELP a_seconds One \\\"two\\\"\\\\three\\nfour.\n"
		     "a_seconds_total{x=\"a\\\\b\\\"c\\nd\",y=\"\"} "
		     "12.000000034\n"
		     "# TYPE b gauge\n"
		     "# HELP b B.\n"
		     "b 18446744073709551615\n"
		     "# EOF\n");
}

static void
buckets_are_inclusive_and_added_up(void **state)
{
	const struct om_label labels[] = { { "p", "q" }, { NULL, NULL } };
	struct om_histogram histogram = { .sum_ns = 0 };
	struct om_writer writer;
	char buf[1024];

	om_observe(&histogram, &bounds, 0);
	om_observe(&histogram, &bounds, 1000000);
	om_observe(&histogram, &bounds, 1000001);
	om_observe(&histogram, &bounds, 1000000000);
	om_observe(&histogram, &bounds, 1000000001);
	om_observe(&histogram, &bounds, 7000000000);
	om_init(&writer, buf, sizeof(buf));
	om_family(&writer, &histogram_family);
	om_histogram(&writer, labels, &bounds, &histogram);
	om_histogram(&writer, NULL, &bounds, &histogram);
	assert_int_equal(om_end(&writer), 0);
	assert_string_equal(buf, "# TYPE c_seconds histogram\n"
				 "# UNIT c_seconds seconds\n"
				 "# HELP c_seconds C.\n"
				 "c_seconds_bucket{p=\"q\",le=\"0.001\"} 2\n"
				 "c_seconds_bucket{p=\"q\",le=\"1.0\"} 4\n"
				 "c_seconds_bucket{p=\"q\",le=\"+Inf\"} 6\n"
				 "c_seconds_count{p=\"q\"} 6\n"
				 "c_seconds_sum{p=\"q\"} 9.002000002\n"
				 "c_seconds_bucket{le=\"0.001\"} 2\n"
				 "c_seconds_bucket{le=\"1.0\"} 4\n"
				 "c_seconds_bucket{le=\"+Inf\"} 6\n"
				 "c_seconds_count 6\n"
				 "c_seconds_sum 9.002000002\n"
				 "# EOF\n");
}

static void
a_text_that_does_not_fit_is_refused_at_every_size(void **state)
{
	struct om_writer writer;
	char buf[256], small[256];
	size_t whole;

	om_init(&writer, buf, sizeof(buf));
	om_family(&writer, &plain);
	om_number(&writer, NULL, 1);
	assert_int_equal(om_end(&writer), 0);
	whole = writer.used;
	for (size_t size = 1; size <= whole + 1; size++) {
		memset(small, 'x', sizeof(small));
		om_init(&writer, small, size);
		om_family(&writer, &plain);
		om_number(&writer, NULL, 1);
		assert_int_equal(om_end(&writer), size > whole ? 0 : -ENOBUFS);
		for (size_t i = size; i < sizeof(small); i++)
			assert_int_equal(small[i], 'x');
	}
	assert_string_equal(small, buf);
}

static void
bounds_rise_and_say_what_they_are(void **state)
{
	static const struct om_bounds *const all[] = { &metrics_start_bounds,
						       &metrics_life_bounds };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		uint64_t last = 0;

		assert_in_range(all[i]->n, 1, OM_MAX_BOUNDS);
		for (size_t k = 0; k < all[i]->n; k++) {
			const struct om_bound *bound = &all[i]->items[k];
			double seconds = strtod(bound->le, NULL) * 1e9;

			assert_true(bound->ns > last);
			assert_true((uint64_t)(seconds + 0.5) == bound->ns);
			last = bound->ns;
		}
	}
}

/* Every number there is, as large as it can be. */
static void
the_longest_text_fits_and_others_have_the_instance_not(void **state)
{
	struct metrics *metrics = malloc(sizeof(*metrics));
	char *text = malloc(METRICS_TEXT_MAX);
	struct metrics_instance instance;
	struct metrics_now now;
	struct om_writer writer;

	assert_non_null(metrics);
	assert_non_null(text);
	memset(metrics, 0xff, sizeof(*metrics));
	memset(&now, 0xff, sizeof(now));
	memset(&instance, 0xff, sizeof(instance));
	instance.spawner_connected = true;
	om_init(&writer, text, METRICS_TEXT_MAX);
	assert_int_equal(metrics_text(&writer, metrics, &now, &instance), 0);
	assert_non_null(strstr(text, "nsexecd_process_open_fds"));
	assert_non_null(strstr(text, "nsexecd_start_failures_total{stage="
				     "\"init\",code=\"EXEC_FAILED\"} "));

	om_init(&writer, text, METRICS_TEXT_MAX);
	assert_int_equal(metrics_text(&writer, metrics, &now, NULL), 0);
	assert_null(strstr(text, "process_"));
	assert_null(strstr(text, "spawner_"));
	assert_null(strstr(text, "restarts"));
	free(metrics);
	free(text);
}

static const struct metrics *
of_owner(struct core_fixture *fixture, uid_t uid)
{
	const struct owner *owner = owner_find(fixture->daemon.containers, uid);

	assert_non_null(owner);
	return &owner->metrics;
}

static uint64_t
count_of(const struct om_histogram *histogram)
{
	uint64_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(histogram->buckets); i++)
		n += histogram->buckets[i];
	return n;
}

static void
a_run_is_counted_once_from_its_request_to_its_end(void **state)
{
	struct core_fixture *fixture = *state;
	const struct metrics *all = &fixture->daemon.core->metrics;
	uint64_t call;

	call = run_to_gate(fixture, "web");
	assert_int_equal(all->starts[METRICS_RUN], 1);
	assert_int_equal(all->started[0], 0);
	assert_int_equal(count_of(&all->methods[METRICS_RUN]), 0);
	stage_close(fixture); /* and the process has its memory: it executed */
	assert_false(answer_to(fixture, call)->failed);
	assert_int_equal(all->started[0], 1);
	for (size_t i = 0; i < N_METRICS_PHASES; i++)
		assert_int_equal(count_of(&all->phases[i]), 1);
	assert_int_equal(count_of(&all->methods[METRICS_RUN]), 1);
	end_it(fixture);
	assert_int_equal(all->exits[0][METRICS_EXIT_ZERO] +
				 all->exits[0][METRICS_EXIT_CODE] +
				 all->exits[0][METRICS_EXIT_SIGNAL],
			 1);
	assert_int_equal(count_of(&all->lives), 1);
	assert_memory_equal(all, of_owner(fixture, 0), sizeof(*all));
}

static void
a_failed_start_is_counted_by_stage_and_code_and_for_its_owner(void **state)
{
	struct core_fixture *fixture = *state;
	const struct metrics *all = &fixture->daemon.core->metrics;
	uint64_t call;

	call = call_create(fixture, 1000, "mine");
	spawner_expect(fixture, OP_START);
	spawner_say_error(fixture, "clone", ENOSPC);
	assert_true(answer_to(fixture, call)->failed);
	assert_int_equal(all->starts[METRICS_CREATE], 1);
	assert_int_equal(all->failures[STAGE_SPAWNER]
				      [answer_to(fixture, call)->error.code],
			 1);
	assert_int_equal(count_of(&all->methods[METRICS_CREATE]), 0);
	assert_memory_equal(all, of_owner(fixture, 1000), sizeof(*all));
	assert_null(owner_find(fixture->daemon.containers, 1001));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_and_values_are_escaped),
		cmocka_unit_test(buckets_are_inclusive_and_added_up),
		cmocka_unit_test(
			a_text_that_does_not_fit_is_refused_at_every_size),
		cmocka_unit_test(bounds_rise_and_say_what_they_are),
		cmocka_unit_test(
			the_longest_text_fits_and_others_have_the_instance_not),
		CORE_TEST(a_run_is_counted_once_from_its_request_to_its_end),
		CORE_TEST(
			a_failed_start_is_counted_by_stage_and_code_and_for_its_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
