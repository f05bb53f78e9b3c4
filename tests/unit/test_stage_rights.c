/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets which ids and capabilities, as pure decisions: mapper_check() and
 * caps_build().
 */
#include "tests/unit/unit.h"

#include "spawn/caps.h"
#include "spawn/mapper.h"

static int
check(uint32_t host_id, uint32_t size, uint32_t first, uint32_t range_size)
{
	struct idmap map = { .n_rows = 1 };
	struct idmap_range range = { first, range_size };

	map.rows[0] = (struct idmap_row){ 0, host_id, size };
	return mapper_check(&map, &range, 1);
}

static void
row_must_lie_within_one_range(void **state)
{
	assert_int_equal(check(1000, 1, 1000, 1), 0);
	assert_int_equal(check(1000, 2, 1000, 1), 1);
	assert_int_equal(check(999, 1, 1000, 1), 1);
	assert_int_equal(check(999, 2, 1000, 1), 1);
	assert_int_equal(check(1001, 1, 1000, 1), 1);
	assert_int_equal(check(100000, 65536, 100000, 65536), 0);
	assert_int_equal(check(100000, 65537, 100000, 65536), 1);
	assert_int_equal(check(0, 1, 1000, 1), 1);
}

static void
sums_do_not_wrap(void **state)
{
	assert_int_equal(check(4294967295u, 4294967295u, 1000, 1), 1);
	assert_int_equal(check(1000, 4294967295u, 1000, 1), 1);
	assert_int_equal(check(4294967295u, 2, 4294967295u, 1), 1);
	/* A range up to the last id does not reach around to 0. */
	assert_int_equal(check(0, 1, 4294967290u, 5), 1);
	assert_int_equal(check(4294967294u, 1, 4294967290u, 5), 0);
}

static void
first_row_that_may_not_is_named(void **state)
{
	const struct idmap_range ranges[] = { { 1000, 1 }, { 5000, 100 } };
	struct idmap map = {
		.rows = { { 0, 1000, 1 }, { 1, 5000, 100 }, { 101, 0, 1 } },
		.n_rows = 3,
	};

	assert_int_equal(mapper_check(&map, ranges, 2), 3);
	assert_int_equal(mapper_check(&map, ranges, 1), 2);
	assert_int_equal(mapper_check(&map, ranges, 0), 1);
	map.n_rows = 2;
	assert_int_equal(mapper_check(&map, ranges, 2), 0);
}

static const struct capset_words full = { 0xff, 0xff, 0xf0 };

static void
absent_sets_stay_for_an_admin_and_go_for_others(void **state)
{
	const struct bootstrap_caps none = { 0 };
	struct capset_words words;

	caps_build(&none, true, &full, &words);
	assert_int_equal(words.permitted, 0xff);
	assert_int_equal(words.effective, 0xff);
	/* Inheritable never stays by itself. */
	assert_int_equal(words.inheritable, 0);
	caps_build(&none, false, &full, &words);
	assert_int_equal(words.permitted, 0);
	assert_int_equal(words.effective, 0);
	assert_int_equal(words.inheritable, 0);
}

static void
named_sets_are_exact(void **state)
{
	const struct bootstrap_caps asked = {
		.present = BOOTSTRAP_CAPS_PERMITTED | BOOTSTRAP_CAPS_EFFECTIVE |
			   BOOTSTRAP_CAPS_INHERITABLE,
		.permitted = 3,
		.effective = 1,
		.inheritable = 2,
	};
	struct capset_words words;
	int admin;

	for (admin = 0; admin < 2; admin++) {
		caps_build(&asked, admin, &full, &words);
		assert_int_equal(words.permitted, 3);
		assert_int_equal(words.effective, 1);
		assert_int_equal(words.inheritable, 2);
	}
}

static void
permitted_alone_bounds_effective(void **state)
{
	const struct bootstrap_caps asked = {
		.present = BOOTSTRAP_CAPS_PERMITTED,
		.permitted = 3,
	};
	struct capset_words words;

	caps_build(&asked, true, &full, &words);
	assert_int_equal(words.effective, 3);
	caps_build(&asked, false, &full, &words);
	assert_int_equal(words.effective, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row_must_lie_within_one_range),
		cmocka_unit_test(sums_do_not_wrap),
		cmocka_unit_test(first_row_that_may_not_is_named),
		cmocka_unit_test(
			absent_sets_stay_for_an_admin_and_go_for_others),
		cmocka_unit_test(named_sets_are_exact),
		cmocka_unit_test(permitted_alone_bounds_effective),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
