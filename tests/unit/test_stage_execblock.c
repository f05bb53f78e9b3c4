/* SPDX-License-Identifier: Apache-2.0 */
/* Splitting an exec block, and the search in PATH: spawn/execblock.h. */
#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

#include "spawn/execblock.h"

static void
block_of_exact_strings_is_split(void **state)
{
	char data[] = "one\0\0three";
	char *pointers[4] = { data, data, data, data };
	size_t used;

	assert_int_equal(execblock_split(data, sizeof(data), 3, pointers, NULL),
			 0);
	assert_string_equal(pointers[0], "one");
	assert_string_equal(pointers[1], "");
	assert_string_equal(pointers[2], "three");
	assert_null(pointers[3]);
	assert_int_equal(
		execblock_split(data, sizeof(data), 2, pointers, &used), 0);
	assert_int_equal(used, 5);
	assert_null(pointers[2]);
}

static void
block_that_does_not_add_up_is_refused(void **state)
{
	char data[] = "one\0two";
	char *pointers[8];

	/* More strings than there are, fewer, and one without its NUL. */
	assert_int_equal(execblock_split(data, sizeof(data), 3, pointers, NULL),
			 -EBADMSG);
	assert_int_equal(execblock_split(data, sizeof(data), 1, pointers, NULL),
			 -EBADMSG);
	assert_int_equal(
		execblock_split(data, sizeof(data) - 1, 2, pointers, NULL),
		-EBADMSG);
	assert_int_equal(execblock_split(data, 0, 1, pointers, NULL), -EBADMSG);
	assert_int_equal(execblock_split(data, 0, 0, pointers, NULL), 0);
}

static void
strings_are_counted_only_if_the_last_ends(void **state)
{
	size_t count = 9;

	assert_int_equal(execblock_count("a\0b", 4, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(execblock_count("a\0b", 3, &count), -EBADMSG);
	assert_int_equal(execblock_count("", 0, &count), 0);
	assert_int_equal(count, 0);
}

static void
path_comes_from_the_given_environment_alone(void **state)
{
	char *const with[] = { "XPATH=/x", "PATH=/a:/b", "PATH=/c", NULL };
	char *const without[] = { "HOME=/", NULL };

	assert_string_equal(execblock_path(with), "/a:/b");
	assert_string_equal(execblock_path(without), EXEC_DEFAULT_PATH);
}

static void
candidates_follow_path_in_order(void **state)
{
	char buf[16];
	size_t offset = 0;

	assert_int_equal(
		execblock_candidate("/a::/b/", "ls", &offset, buf, sizeof(buf)),
		1);
	assert_string_equal(buf, "/a/ls");
	assert_int_equal(
		execblock_candidate("/a::/b/", "ls", &offset, buf, sizeof(buf)),
		1);
	/* An empty element is the current directory. */
	assert_string_equal(buf, "ls");
	assert_int_equal(
		execblock_candidate("/a::/b/", "ls", &offset, buf, sizeof(buf)),
		1);
	assert_string_equal(buf, "/b//ls");
	assert_int_equal(
		execblock_candidate("/a::/b/", "ls", &offset, buf, sizeof(buf)),
		0);
}

static void
candidate_that_does_not_fit_is_passed_over(void **state)
{
	char buf[8];
	size_t offset = 0;

	assert_int_equal(execblock_candidate("/long/er:/b", "ls", &offset, buf,
					     sizeof(buf)),
			 -ENAMETOOLONG);
	assert_int_equal(execblock_candidate("/long/er:/b", "ls", &offset, buf,
					     sizeof(buf)),
			 1);
	assert_string_equal(buf, "/b/ls");
	assert_int_equal(execblock_candidate("/long/er:/b", "ls", &offset, buf,
					     sizeof(buf)),
			 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(block_of_exact_strings_is_split),
		cmocka_unit_test(block_that_does_not_add_up_is_refused),
		cmocka_unit_test(strings_are_counted_only_if_the_last_ends),
		cmocka_unit_test(path_comes_from_the_given_environment_alone),
		cmocka_unit_test(candidates_follow_path_in_order),
		cmocka_unit_test(candidate_that_does_not_fit_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
