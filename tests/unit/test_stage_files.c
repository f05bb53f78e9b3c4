/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stages do with descriptors and paths, as far as it needs no
 * privilege: fdsetup_place(), fdsetup_close_except(), mountpoint_open(),
 * mountfs_option_next(), nsjoin_add_texts().
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#include "lib/fd.h"
#include "spawn/fdsetup.h"
#include "spawn/mountfs.h"
#include "spawn/mountpoint.h"
#include "spawn/nsjoin.h"

/* A pipe's read end that gives back one letter, at exactly this number. */
static void
put_letter(int number, char letter)
{
	int fds[2];

	if (pipe(fds) < 0 || write(fds[1], &letter, 1) != 1)
		_exit(90);
	close(fds[1]);
	if (fds[0] != number) {
		if (dup2(fds[0], number) < 0)
			_exit(91);
		close(fds[0]);
	}
}

static char
get_letter(int number)
{
	char letter = '?';

	return read(number, &letter, 1) == 1 ? letter : '-';
}

/* In a child of its own: 3..9 hold 'd'..'j'. Exit status 0 = as wanted. */
static void
place_in_child(void)
{
	struct fd_place places[] = {
		{ 3, 4 }, { 4, 3 }, { 5, 5 }, { 6, 20 }, { 7, 0 }
	};
	int other = 20, kept = 8;
	int *const others[] = { &other, &kept };
	int i;

	for (i = 3; i <= 9; i++)
		put_letter(i, (char)('a' + i));
	put_letter(20, 'x');
	if (fdsetup_place(places, 5, others, 2) < 0)
		_exit(1);
	/* 3 and 4 changed places, 5 is where it was and not CLOEXEC. */
	if (get_letter(4) != 'd' || get_letter(3) != 'e' ||
	    get_letter(5) != 'f' || (fcntl(5, F_GETFD) & FD_CLOEXEC))
		_exit(2);
	if (get_letter(20) != 'g' || get_letter(0) != 'h')
		_exit(3);
	/* What stood in the way moved, what did not stayed. */
	if (other == 20 || get_letter(other) != 'x' || kept != 8 ||
	    get_letter(8) != 'i')
		_exit(4);
	_exit(0);
}

static void
close_in_child(void)
{
	const int keep[] = { 12, -1, 5, 0, 5 };
	int i;

	for (i = 3; i <= 14; i++)
		put_letter(i, 'a');
	fdsetup_close_except(keep, 5);
	for (i = 0; i <= 14; i++)
		if ((fcntl(i, F_GETFD) >= 0) != (i == 0 || i == 5 || i == 12))
			_exit(1 + i);
	_exit(0);
}

static int
run_child(void (*run)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		run();
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
descriptors_swap_places_without_loss(void **state)
{
	assert_int_equal(run_child(place_in_child), 0);
}

static void
all_but_the_named_are_closed(void **state)
{
	assert_int_equal(run_child(close_in_child), 0);
}

static int
make_root(char *dir)
{
	int fd;

	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void
remove_root(const char *dir)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r '%s'", dir);
	assert_int_equal(system(command), 0);
}

static void
missing_mount_points_are_made(void **state)
{
	char dir[] = "/tmp/nsx-unit-XXXXXX";
	fd_auto int root_fd = make_root(dir);
	fd_auto int fd = mountpoint_open(root_fd, "/a/b//c/", true);
	fd_auto int file = mountpoint_open(root_fd, "/a/b/f", false);
	struct stat st;

	assert_true(fd >= 0 && file >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(fstat(file, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(fstatat(root_fd, "a/b/c", &st, 0), 0);
	remove_root(dir);
}

static void
links_and_dots_stay_inside_the_root(void **state)
{
	char dir[] = "/tmp/nsx-unit-XXXXXX";
	fd_auto int root_fd = make_root(dir);
	fd_auto int first = -1;
	fd_auto int second = -1;
	struct stat st;

	assert_int_equal(symlinkat("/etc", root_fd, "link"), 0);
	assert_int_equal(symlinkat("../../../nowhere", root_fd, "dangling"), 0);
	assert_int_equal(mkdirat(root_fd, "etc", 0755), 0);
	first = mountpoint_open(root_fd, "/link/nsx-test", true);
	assert_true(first >= 0);
	assert_int_equal(fstatat(root_fd, "etc/nsx-test", &st, 0), 0);
	assert_int_equal(access("/etc/nsx-test", F_OK), -1);
	second = mountpoint_open(root_fd, "/../../up", true);
	assert_true(second >= 0);
	assert_int_equal(fstatat(root_fd, "up", &st, 0), 0);
	assert_int_equal(mountpoint_open(root_fd, "/dangling", true), -ENOENT);
	assert_int_equal(access("/nowhere", F_OK), -1);
	remove_root(dir);
}

static void
mount_options_are_split(void **state)
{
	static const char data[] = ",size=1M,,noswap,mode=7=5,";
	struct mountfs_option option;
	size_t offset = 0;

	assert_int_equal(mountfs_option_next(data, &offset, &option), 1);
	assert_string_equal(option.key, "size");
	assert_string_equal(option.value, "1M");
	assert_false(option.flag);
	assert_int_equal(mountfs_option_next(data, &offset, &option), 1);
	assert_string_equal(option.key, "noswap");
	assert_true(option.flag);
	assert_int_equal(mountfs_option_next(data, &offset, &option), 1);
	assert_string_equal(option.key, "mode");
	assert_string_equal(option.value, "7=5");
	assert_int_equal(mountfs_option_next(data, &offset, &option), 0);
}

static void
mount_options_too_long_are_refused(void **state)
{
	char data[600];
	struct mountfs_option option;
	size_t offset = 0;

	memset(data, 'k', sizeof(data));
	data[sizeof(data) - 1] = '\0';
	assert_int_equal(mountfs_option_next(data, &offset, &option), -EINVAL);
	offset = 0;
	data[10] = '=';
	assert_int_equal(mountfs_option_next(data, &offset, &option), -EINVAL);
	offset = 0;
	assert_int_equal(mountfs_option_next("=x", &offset, &option), -EINVAL);
}

static void
mount_flags_are_translated_one_by_one(void **state)
{
	assert_int_equal(mountfs_attr_flags(0), 0);
	assert_int_equal(mountfs_attr_flags(1), 1);  /* MOUNT_ATTR_RDONLY */
	assert_int_equal(mountfs_attr_flags(2), 2);  /* NOSUID */
	assert_int_equal(mountfs_attr_flags(4), 4);  /* NODEV */
	assert_int_equal(mountfs_attr_flags(8), 8);  /* NOEXEC */
	assert_int_equal(mountfs_attr_flags(16), 0); /* recursive is not one */
}

static int
add_texts(const char *texts, bool bare, size_t *ret_n, struct failure *failure)
{
	struct nsjoin_set set;
	int r;

	nsjoin_init(&set, STAGE_RELAY, -1);
	r = nsjoin_add_texts(&set, texts, bare, failure);
	*ret_n = set.n;
	nsjoin_deinit(&set);
	return r;
}

static void
join_texts_are_parsed_as_runc_does(void **state)
{
	struct failure failure;
	size_t n;

	assert_int_equal(add_texts(",net:/proc/self/ns/net,,uts:"
				   "/proc/self/ns/uts",
				   false, &n, &failure),
			 0);
	assert_int_equal(n, 2);
	assert_int_equal(add_texts("/proc/self/ns/net", true, &n, &failure), 0);
	assert_int_equal(n, 1);
	assert_int_equal(add_texts("", false, &n, &failure), 0);
	assert_int_equal(n, 0);
}

static void
wrong_join_texts_name_the_step(void **state)
{
	static const struct {
		const char *text, *step;
		int error;
	} rows[] = {
		{ "mount:/proc/self/ns/mnt", "join-parse", EINVAL },
		{ "/proc/self/ns/mnt", "join-parse", EINVAL },
		{ "net:", "join-parse", EINVAL },
		{ "net:/proc/self/ns/uts", "join-check-net", EINVAL },
		{ "net:/dev/null", "join-check-net", EINVAL },
		{ "net:/nowhere/x", "join-open-net", ENOENT },
	};
	struct failure failure;
	size_t i, n;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(add_texts(rows[i].text, false, &n, &failure),
				 -rows[i].error);
		assert_string_equal(failure.step, rows[i].step);
		assert_int_equal(failure.error, rows[i].error);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_swap_places_without_loss),
		cmocka_unit_test(all_but_the_named_are_closed),
		cmocka_unit_test(missing_mount_points_are_made),
		cmocka_unit_test(links_and_dots_stay_inside_the_root),
		cmocka_unit_test(mount_options_are_split),
		cmocka_unit_test(mount_options_too_long_are_refused),
		cmocka_unit_test(mount_flags_are_translated_one_by_one),
		cmocka_unit_test(join_texts_are_parsed_as_runc_does),
		cmocka_unit_test(wrong_join_texts_name_the_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
