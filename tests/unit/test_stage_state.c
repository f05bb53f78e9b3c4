/* SPDX-License-Identifier: Apache-2.0 */
/* The text of /proc/PID/limits, which root believes:
 * callerstate_parse_limits(). */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <sys/resource.h>

#include <fcntl.h>

#include "lib/fd.h"
#include "spawn/callerstate.h"

static void
read_own(char *text, size_t size)
{
	assert_true(fd_read_file(AT_FDCWD, "/proc/self/limits", text, size) >
		    0);
}

static void
every_limit_is_what_getrlimit_says(void **state)
{
	struct rlimit parsed[RLIM_NLIMITS], own, low;
	char text[4096];
	int i;

	/* Numbers, and not "unlimited" everywhere. */
	for (i = 0; i < RLIM_NLIMITS; i++) {
		if (i == RLIMIT_STACK || i == RLIMIT_AS || i == RLIMIT_DATA)
			continue;
		assert_int_equal(getrlimit((__rlimit_resource_t)i, &low), 0);
		if (low.rlim_cur > (rlim_t)1000000 + (rlim_t)i)
			low.rlim_cur = (rlim_t)1000000 + (rlim_t)i;
		assert_int_equal(setrlimit((__rlimit_resource_t)i, &low), 0);
	}
	read_own(text, sizeof(text));
	assert_int_equal(callerstate_parse_limits(text, parsed), 0);
	for (i = 0; i < RLIM_NLIMITS; i++) {
		assert_int_equal(getrlimit((__rlimit_resource_t)i, &own), 0);
		assert_true(own.rlim_cur == parsed[i].rlim_cur);
		assert_true(own.rlim_max == parsed[i].rlim_max);
	}
}

static void
no_part_of_the_text_passes_for_the_whole(void **state)
{
	struct rlimit parsed[RLIM_NLIMITS];
	char text[4096], *copy, *last;
	size_t size, i, enough;

	read_own(text, sizeof(text));
	/* The last hard limit and a blank; its unit does not matter. */
	last = strstr(text, "Max realtime timeout") + 26 + 21;
	enough = (size_t)(last - text) + strcspn(last, " ") + 1;
	for (i = 0; i <= strlen(text); i++) {
		/* On the heap, so that a sanitizer sees each byte too far. */
		size = i + 1;
		copy = malloc(size);
		assert_non_null(copy);
		memcpy(copy, text, i);
		copy[i] = '\0';
		if (i < enough)
			assert_int_equal(callerstate_parse_limits(copy, parsed),
					 -EBADMSG);
		free(copy);
	}
}

static int
parse_with(const char *line, const char *by)
{
	struct rlimit parsed[RLIM_NLIMITS];
	char text[4096], *p;

	read_own(text, sizeof(text));
	p = strstr(text, line);
	assert_non_null(p);
	memcpy(p, by, strlen(by));
	return callerstate_parse_limits(text, parsed);
}

static void
other_text_is_refused(void **state)
{
	assert_int_equal(parse_with("Max cpu time ", "Max cpu time "), 0);
	assert_int_equal(parse_with("Max cpu time ", "Max gpu time "),
			 -EBADMSG);
	assert_int_equal(parse_with("Max open files ", "Max shut files "),
			 -EBADMSG);
	assert_int_equal(parse_with("Max file size", "Max\nfile size"),
			 -EBADMSG);
#define PROCESSES "Max processes             "
	assert_int_equal(parse_with(PROCESSES, PROCESSES "5                  "
							 "  7 "),
			 0);
	/* soft over hard, sign, word, beyond 64 bits */
	assert_int_equal(parse_with(PROCESSES, PROCESSES "8                  "
							 "  7 "),
			 -EBADMSG);
	assert_int_equal(parse_with(PROCESSES, PROCESSES "-5 "), -EBADMSG);
	assert_int_equal(parse_with(PROCESSES, PROCESSES "+5 "), -EBADMSG);
	assert_int_equal(parse_with(PROCESSES, PROCESSES "0x5 "), -EBADMSG);
	assert_int_equal(parse_with(PROCESSES, PROCESSES "unlimitee "),
			 -EBADMSG);
	assert_int_equal(
		parse_with(PROCESSES, PROCESSES "18446744073709551616 "),
		-EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_limit_is_what_getrlimit_says),
		cmocka_unit_test(no_part_of_the_text_passes_for_the_whole),
		cmocka_unit_test(other_text_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
