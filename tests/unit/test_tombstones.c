/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long an ended container is remembered: by a boot clock that the test
 * moves (--wrap=clock_gettime), with the limits that are the default.
 */
#include "tests/unit/core_fixture.h"

#include <stdlib.h>
#include <time.h>

#include "daemon/task.h"
#include "lib/clock.h"

#define HOUR_S 3600
#define KEEP 1024
#define ALICE 1000
#define BOB 1001

static time_t later_s;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int
__wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (clock != CLOCK_BOOTTIME)
		return __real_clock_gettime(clock, ret);
	/* It stands still but for the test. */
	*ret = (struct timespec){ .tv_sec = 1000000 + later_s };
	return 0;
}

static int
tombstone_setup(void **state)
{
	later_s = 0;
	return core_setup(state);
}

static bool
is_kept(const struct core_fixture *fixture, uid_t owner, const char *id)
{
	return container_find_id(fixture->daemon.containers, owner, id);
}

/* Ended, reaped and without a cgroup, so many seconds from the begin on. */
static void
tombstone_add(struct core_fixture *fixture, uid_t uid, const char *id,
	      unsigned int ended_s)
{
	struct container_table *table = fixture->daemon.containers;
	struct container *container;

	assert_int_equal(container_new(&container), 0);
	container->owner = uid;
	snprintf(container->id, sizeof(container->id), "%s", id);
	task_init(&container->init, &fixture->daemon, container,
		  container_table_task_id(table));
	container->init.state = TASK_ENDED;
	container->init.reaped = true;
	container->cgroup_gone = true;
	container->ended_ns =
		clock_ns(CLOCK_BOOTTIME) + ended_s * UINT64_C(1000000000);
	assert_int_equal(container_add(table, container), 0);
	owner_counts(table, uid)->ended++;
}

static void
tombstones_add(struct core_fixture *fixture, uid_t uid, unsigned int n)
{
	char id[16];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "t%u", i);
		tombstone_add(fixture, uid, id, i);
	}
}

static void
ended_container_and_its_key_are_kept_for_an_hour(void **state)
{
	struct core_fixture *fixture = *state;
	const char *key = "0123456789abcdef";
	uint64_t call = call_run(fixture, "c", key);
	const struct answer *answer;

	spawner_expect(fixture, OP_START);
	spawner_say_child(fixture, fixture->seq);
	stage_say_ready(fixture);
	stage_expect_gate(fixture);
	stage_close(fixture);
	assert_false(answer_to(fixture, call)->failed);
	/* It counts from the end, not from the start. */
	later_s = HOUR_S;
	end_it(fixture);
	/* What is said after it is heard after it: its cgroup is gone. */
	call_run(fixture, "d", NULL);
	spawner_expect(fixture, OP_START);
	spawner_say_error(fixture, "make-cgroup", ENOSPC);
	assert_true(answer_to(fixture, fixture->last_call)->failed);
	later_s += HOUR_S - 1;
	containers_trim(&fixture->daemon);
	assert_true(is_kept(fixture, 0, "c"));
	assert_int_equal(record_stage(fixture, "c"),
			 NSEXEC__RECORD__STAGE__ENDED);
	assert_false(answer_to(fixture, call_run(fixture, "c", key))->failed);
	assert_false(
		answer_to(fixture, call_id_only(fixture, "Wait", "c"))->failed);
	later_s += 1;
	containers_trim(&fixture->daemon);
	assert_false(is_kept(fixture, 0, "c"));
	assert_int_equal(record_stage(fixture, "c"), 0);
	answer = answer_to(fixture, call_run(fixture, "c", key));
	assert_int_equal(answer->error.code, ERRCODE_GONE);
	answer = answer_to(fixture, call_id_only(fixture, "Wait", "c"));
	assert_int_equal(answer->error.code, ERRCODE_NOT_FOUND);
}

static void
one_too_many_is_the_oldest_of_its_owner_alone(void **state)
{
	struct core_fixture *fixture = *state;
	struct container_table *table = fixture->daemon.containers;

	assert_int_equal(fixture->config.limits.ended_per_owner, KEEP);
	/* Bob's are older than all of alice's, and as many as he may have. */
	tombstones_add(fixture, BOB, KEEP);
	tombstones_add(fixture, ALICE, KEEP);
	containers_trim(&fixture->daemon);
	assert_int_equal(owner_counts(table, BOB)->ended, KEEP);
	assert_int_equal(owner_counts(table, ALICE)->ended, KEEP);
	tombstone_add(fixture, ALICE, "last", KEEP);
	containers_trim(&fixture->daemon);
	assert_int_equal(owner_counts(table, ALICE)->ended, KEEP);
	assert_false(is_kept(fixture, ALICE, "t0"));
	assert_true(is_kept(fixture, ALICE, "t1"));
	assert_true(is_kept(fixture, ALICE, "last"));
	assert_int_equal(owner_counts(table, BOB)->ended, KEEP);
	assert_true(is_kept(fixture, BOB, "t0"));
}

/* What ran for long was made before all the others, and its end is news. */
static void
oldest_is_who_ended_first_not_who_was_made_first(void **state)
{
	struct core_fixture *fixture = *state;

	tombstone_add(fixture, ALICE, "long-lived", KEEP);
	tombstones_add(fixture, ALICE, KEEP);
	containers_trim(&fixture->daemon);
	assert_true(is_kept(fixture, ALICE, "long-lived"));
	assert_false(is_kept(fixture, ALICE, "t0"));
	assert_true(is_kept(fixture, ALICE, "t1"));
}

#define TOMBSTONE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, tombstone_setup, core_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TOMBSTONE_TEST(
			ended_container_and_its_key_are_kept_for_an_hour),
		TOMBSTONE_TEST(one_too_many_is_the_oldest_of_its_owner_alone),
		TOMBSTONE_TEST(
			oldest_is_who_ended_first_not_who_was_made_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
