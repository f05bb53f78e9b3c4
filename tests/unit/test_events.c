/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and rings of events. */
#include "tests/unit/unit.h"

#include "daemon/events.h"
#include "lib/clock.h"

#define KEEP_NS UINT64_C(3600000000000)

static int
setup(void **state)
{
	static struct daemon daemon;

	memset(&daemon, 0, sizeof(daemon));
	assert_int_equal(event_log_new(&daemon, 8, KEEP_NS, &daemon.events), 0);
	*state = &daemon;
	return 0;
}

static int
teardown(void **state)
{
	struct daemon *daemon = *state;

	daemon->events = event_log_free(daemon->events);
	return 0;
}

static void
publish(struct daemon *daemon, uid_t owner, enum event_type type)
{
	struct event_draft draft = { .type = type,
				     .owner = owner,
				     .container = "c" };

	event_publish(daemon->events, &draft);
}

static void
each_viewer_sees_numbers_without_holes(void **state)
{
	struct daemon *daemon = *state;

	publish(daemon, 1, EVENT_CREATED);
	publish(daemon, 2, EVENT_CREATED);
	publish(daemon, 1, EVENT_STARTED);
	publish(daemon, 0, EVENT_CREATED);
	assert_int_equal(event_last(daemon->events, 1), 2);
	assert_int_equal(event_last(daemon->events, 2), 1);
	assert_int_equal(event_last(daemon->events, 0), 4);
	assert_int_equal(event_last(daemon->events, 3), 0);
	for (uint64_t seq = 1; seq <= 4; seq++)
		assert_int_equal(event_from(daemon->events, 0, seq)->seq, seq);
	assert_null(event_from(daemon->events, 0, 5));
}

static void
number_told_beforehand_is_the_number_given(void **state)
{
	struct daemon *daemon = *state;
	struct event_seqs seqs;

	publish(daemon, 0, EVENT_CREATED);
	seqs = event_next(daemon->events, 1);
	publish(daemon, 1, EVENT_EXITED);
	assert_int_equal(seqs.owner, event_last(daemon->events, 1));
	assert_int_equal(seqs.admin, event_last(daemon->events, 0));
}

static void
terminal_events_outlive_the_ring(void **state)
{
	struct daemon *daemon = *state;

	publish(daemon, 0, EVENT_CREATED);
	publish(daemon, 0, EVENT_EXITED);
	for (int i = 0; i < 20; i++)
		publish(daemon, 0, EVENT_CREATED);
	/* 1 is gone, 2 is kept, then the ring's oldest */
	assert_int_equal(event_from(daemon->events, 0, 1)->seq, 2);
	assert_int_equal(event_from(daemon->events, 0, 3)->seq, 15);
	assert_int_equal(event_last(daemon->events, 0), 22);
}

static void
restored_events_stand_in_order_below_the_new_ones(void **state)
{
	struct daemon *daemon = *state;
	struct event_draft draft = { .type = EVENT_EXITED,
				     .owner = 0,
				     .container = "c" };
	uint64_t now = clock_ns(CLOCK_BOOTTIME);

	event_log_resume(daemon->events, 0, 100);
	event_restore(daemon->events, &draft, &(struct event_seqs){ 40, 40 }, 1,
		      now);
	event_restore(daemon->events, &draft, &(struct event_seqs){ 20, 20 }, 1,
		      now);
	event_restore(daemon->events, &draft, &(struct event_seqs){ 500, 500 },
		      1, now);
	publish(daemon, 0, EVENT_CREATED);
	assert_int_equal(event_from(daemon->events, 0, 1)->seq, 20);
	assert_int_equal(event_from(daemon->events, 0, 21)->seq, 40);
	assert_int_equal(event_from(daemon->events, 0, 41)->seq, 101);
	assert_null(event_from(daemon->events, 0, 102));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			each_viewer_sees_numbers_without_holes, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			number_told_beforehand_is_the_number_given, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			terminal_events_outlive_the_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(
			restored_events_stand_in_order_below_the_new_ones,
			setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
