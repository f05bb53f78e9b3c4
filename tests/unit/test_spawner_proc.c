/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the spawner reads of the kernel's texts, and which container a cgroup
 * path belongs to: a payload chooses its own name and may choose odd ones.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/fd.h"
#include "spawn/spawner_cgroup.h"
#include "spawn/spawner_proc.h"

#define TAIL \
	" Z 1 2 3 4 -1 4194372 6 7 8 9 10 11 12 13 20 0 1 0 123456789 0 0 0" \
	" 17 0\n"

static void
stat_is_read_behind_any_name(void **state)
{
	static const char *const texts[] = {
		"7 (sleep)" TAIL,
		"7 (a) R 1 (b)" TAIL,
		"7 ()" TAIL,
		"7 (\n) S 9 9)" TAIL,
	};
	struct proc_stat stat;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(proc_stat_parse(texts[i], &stat), 0);
		assert_int_equal(stat.state, 'Z');
		assert_int_equal(stat.flags, 4194372);
		assert_int_equal(stat.start_time, 123456789);
	}
}

static void
stat_that_is_cut_is_refused(void **state)
{
	static const char whole[] = "7 (sleep) Z 1 2 3 4 -1 4194372 6 7 8 9 10 "
				    "11 12 13 20 0 1 0 ";
	char text[sizeof(whole)];
	struct proc_stat stat;
	size_t i;

	for (i = 0; i < sizeof(whole); i++) {
		memcpy(text, whole, i);
		text[i] = '\0';
		assert_int_equal(proc_stat_parse(text, &stat), -EBADMSG);
	}
}

static void
own_stat_is_read(void **state)
{
	struct proc_stat stat;
	int status;
	int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(proc_stat_read(fd, getpid(), &stat), 0);
	assert_int_equal(stat.state, 'R');
	assert_true(stat.start_time > 0);
	assert_int_equal(proc_exit_read(fd, getpid(), &status), -EAGAIN);
	close(fd);
}

static void
unified_line_is_found_and_deleted_is_cut(void **state)
{
	char both[] = "2:cpu:/x\n0::/a/u0/web1 (deleted)\n1:name=:/y\n";
	char last[] = "0::/";
	char none[] = "10::/a\n2:cpu:0::/b\n";
	char empty[] = "";

	assert_string_equal(proc_cgroup_parse(both), "/a/u0/web1");
	assert_string_equal(proc_cgroup_parse(last), "/");
	assert_null(proc_cgroup_parse(none));
	assert_null(proc_cgroup_parse(empty));
}

static void
container_of_a_path_is_its_owner_and_id(void **state)
{
	struct container_name name;

	assert_int_equal(cgroup_name_parse("/a", "/a/u0/web1", &name), 0);
	assert_int_equal(name.owner, 0);
	assert_string_equal(name.id, "web1");
	assert_int_equal(cgroup_name_parse("/a", "/a/u4294967295/x/y/z", &name),
			 0);
	assert_int_equal(name.owner, 4294967295u);
	assert_string_equal(name.id, "x");
	assert_int_equal(cgroup_name_parse("/", "/u1000/web1", &name), 0);
	assert_int_equal(name.owner, 1000);
}

static void
path_that_is_no_container_is_not_found(void **state)
{
	static const char *const paths[] = {
		"/",
		"/a",
		"/a/",
		"/a/u0",
		"/a/u0/",
		"/a/u/web1",
		"/a/u00/web1",
		"/a/u-1/web1",
		"/a/u4294967296/web1",
		"/a/v0/web1",
		"/a/0/web1",
		"/ab/u0/web1",
		"/b/u0/web1",
		"/u0/web1",
		"/a/u0/../web1",
		"/a/u0/.web",
		"/a/u0//web1",
		"/../a/u0/web1",
		"/a/x/u0/web1",
		"/a/u99999999999999999999/web1",
		"/a/u0/"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaa",
	};
	struct container_name name;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		assert_int_equal(cgroup_name_parse("/a", paths[i], &name),
				 -ENOENT);
}

static void
add_pid(void *userdata, pid_t pid)
{
	int64_t *sum = userdata;

	sum[0] += pid;
	sum[1]++;
}

static int
read_pids(const char *text, int64_t *sum)
{
	fd_auto int in = -1, out = -1;
	int fds[2];

	sum[0] = sum[1] = 0;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	in = fds[0];
	out = fds[1];
	assert_int_equal(fd_write_all(out, text, strlen(text)), 0);
	fd_close(&out);
	return proc_each_pid(in, add_pid, sum);
}

static void
pids_are_read_from_lines_and_words(void **state)
{
	int64_t sum[2];

	assert_int_equal(read_pids("1\n20\n300\n", sum), 0);
	assert_int_equal(sum[0], 321);
	assert_int_equal(sum[1], 3);
	assert_int_equal(read_pids("1 20 300", sum), 0);
	assert_int_equal(sum[0], 321);
	assert_int_equal(read_pids("0\n0\n5\n", sum), 0);
	assert_int_equal(sum[1], 1);
	assert_int_equal(read_pids("", sum), 0);
	assert_int_equal(sum[1], 0);
	assert_int_equal(read_pids("99999999999\n", sum), -EBADMSG);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(stat_is_read_behind_any_name),
		cmocka_unit_test(stat_that_is_cut_is_refused),
		cmocka_unit_test(own_stat_is_read),
		cmocka_unit_test(unified_line_is_found_and_deleted_is_cut),
		cmocka_unit_test(container_of_a_path_is_its_owner_and_id),
		cmocka_unit_test(path_that_is_no_container_is_not_found),
		cmocka_unit_test(pids_are_read_from_lines_and_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
