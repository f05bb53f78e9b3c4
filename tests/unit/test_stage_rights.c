/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets which capabilities, and which process a mapper takes for its own:
 * caps_build() and maptarget_check().
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "spawn/caps.h"
#include "spawn/mapset.h"
#include "spawn/maptarget.h"

static void
parent_is_read_past_any_name(void **state)
{
	static const struct {
		const char *text;
		int r;
		pid_t parent;
	} table[] = {
		{ "12 (init) S 7 12 12 0 -1", 0, 7 },
		{ "12 (a) S 9) S 7 12", 0, 7 },
		{ "12 () R 2147483647 1", 0, 2147483647 },
		{ "12 (x) S 0 12", 0, 0 },
		{ "12 (x) S 2147483648 1", -EBADMSG, 0 },
		{ "12 (x) S 99999999999999999999999 1", -EBADMSG, 0 },
		{ "12 (x) S -1 12", -EBADMSG, 0 },
		{ "12 (x) S 7", -EBADMSG, 0 },
		{ "12 (x) S ", -EBADMSG, 0 },
		{ "12 (x)", -EBADMSG, 0 },
		{ "12 x S 7 12", -EBADMSG, 0 },
		{ "", -EBADMSG, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		pid_t parent = 0;

		assert_int_equal(maptarget_parse_parent(table[i].text, &parent),
				 table[i].r);
		assert_int_equal(parent, table[i].parent);
	}
}

static void
target_is_a_child_of_that_parent_in_our_cgroup(void **state)
{
	const int proc_fd = open("/proc", O_PATH | O_DIRECTORY);
	const int dir_fd = open("/proc/self", O_PATH | O_DIRECTORY);

	assert_int_equal(maptarget_check(dir_fd, proc_fd, getppid()), 0);
	assert_int_equal(maptarget_check(dir_fd, proc_fd, getpid()), -EPERM);
	close(dir_fd);
	close(proc_fd);
}

static void
target_that_is_gone_is_no_other(void **state)
{
	const int proc_fd = open("/proc", O_PATH | O_DIRECTORY);
	const pid_t pid = fork();
	char path[32];
	int dir_fd;

	if (pid == 0)
		_exit(0);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir_fd = open(path, O_PATH | O_DIRECTORY);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(maptarget_check(dir_fd, proc_fd, getpid()), -ESRCH);
	close(dir_fd);
	close(proc_fd);
}

/* As it would be with a relay that lies. */
static void
maps_of_another_process_are_not_written(void **state)
{
	const struct mapset set = {
		.uid_map = "0 1 1\n",
		.uid_map_size = 6,
		.proc_fd = open("/proc", O_PATH | O_DIRECTORY),
		.go_write = -1,
		.stage = STAGE_MAPPER,
		.caps = UINT64_C(1) << CAP_SETUID,
		.parent = getppid(),
	};
	struct failure failure = { 0 };
	char path[40], text[64];
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(mapset_write(&set, pid, &failure), -EPERM);
	assert_string_equal(failure.step, "map-target");
	assert_int_equal(failure.error, EPERM);
	/* and nothing was raised on the way */
	snprintf(path, sizeof(path), "/proc/%d/setgroups", pid);
	assert_true(fd_read_file(AT_FDCWD, path, text, sizeof(text)) > 0);
	assert_string_equal(text, "allow\n");
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(set.proc_fd);
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
		cmocka_unit_test(parent_is_read_past_any_name),
		cmocka_unit_test(
			target_is_a_child_of_that_parent_in_our_cgroup),
		cmocka_unit_test(target_that_is_gone_is_no_other),
		cmocka_unit_test(maps_of_another_process_are_not_written),
		cmocka_unit_test(
			absent_sets_stay_for_an_admin_and_go_for_others),
		cmocka_unit_test(named_sets_are_exact),
		cmocka_unit_test(permitted_alone_bounds_effective),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
