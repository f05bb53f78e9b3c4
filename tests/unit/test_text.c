/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of lib/text.h: strict numbers, escapes, UTF-8, ids. */
#include "tests/unit/unit.h"

#include "lib/text.h"

static void
numbers_are_plain_decimals(void **state)
{
	static const char *const bad[] = { "",	 " 1",	"1 ", "+1", "-1",
					   "01", "0x1", "1a", "00", "٣" };
	uint64_t u64 = 0;
	uint32_t u32 = 0;
	int64_t i64 = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(text_parse_u64(bad[i], UINT64_MAX, &u64),
				 -EINVAL);
	assert_int_equal(
		text_parse_u64("18446744073709551615", UINT64_MAX, &u64), 0);
	assert_true(u64 == UINT64_MAX);
	assert_int_equal(
		text_parse_u64("18446744073709551616", UINT64_MAX, &u64),
		-ERANGE);
	assert_int_equal(text_parse_u64("11", 10, &u64), -ERANGE);
	assert_int_equal(text_parse_u32("4294967295", &u32), 0);
	assert_int_equal(text_parse_u32("4294967296", &u32), -ERANGE);
	assert_int_equal(text_parse_i64("-20", -20, 19, &i64), 0);
	assert_int_equal(i64, -20);
	assert_int_equal(text_parse_i64("-21", -20, 19, &i64), -ERANGE);
	assert_int_equal(text_parse_i64("--1", -20, 19, &i64), -EINVAL);
	assert_int_equal(text_parse_i64("-", -20, 19, &i64), -EINVAL);
}

static void
escaped_text_is_printable_and_cut_whole(void **state)
{
	char out[64];

	text_escape(out, sizeof(out), "a\\b\n\x01\xff", 6);
	assert_string_equal(out, "a\\\\b\\x0a\\x01\\xff");
	text_escape(out, sizeof(out), "gr\xc3\xbc\xc3", 5);
	assert_string_equal(out, "gr\xc3\xbc\\xc3");
	text_escape(out, 7, "ab\n\n", 4);
	assert_string_equal(out, "ab\\x0a");
	text_escape(out, 6, "ab\n\n", 4);
	assert_string_equal(out, "ab");
	text_escape(out, 1, "ab", 2);
	assert_string_equal(out, "");
}

static void
utf8_is_checked(void **state)
{
	assert_true(text_is_utf8("", 0));
	assert_true(text_is_utf8("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", 11));
	assert_false(text_is_utf8("a\0b", 3));
	assert_false(text_is_utf8("\xc0\x80", 2));
	assert_false(text_is_utf8("\xed\xa0\x80", 3));
	assert_false(text_is_utf8("\xf4\x90\x80\x80", 4));
	assert_false(text_is_utf8("\xe2\x82", 2));
	assert_false(text_is_utf8("\xe0\x80\x80", 3));
	assert_false(text_is_utf8("\x80", 1));
}

static void
ids_are_safe_file_names(void **state)
{
	static const char *const bad[] = { "",	  ".",	 "..",	"-a", "_a",
					   "a/b", "a b", "a\n", "ü" };
	char longest[65];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(text_is_id(bad[i], strlen(bad[i])));
	memset(longest, 'a', sizeof(longest));
	assert_true(text_is_id(longest, 64));
	assert_false(text_is_id(longest, 65));
	assert_true(text_is_id("Web-1_x.y", 9));
	assert_false(text_is_id("a\0b", 3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_plain_decimals),
		cmocka_unit_test(escaped_text_is_printable_and_cut_whole),
		cmocka_unit_test(utf8_is_checked),
		cmocka_unit_test(ids_are_safe_file_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
