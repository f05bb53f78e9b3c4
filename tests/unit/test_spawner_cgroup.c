/* SPDX-License-Identifier: Apache-2.0 */
/* Files of cgroups: spawn/spawner_cgroup.h, over plain directories. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/fd.h"
#include "spawn/spawner_cgroup.h"

static const char *const names[] = { "cgroup.controllers",
				     "cgroup.subtree_control", "memory.events",
				     "pids.max" };

struct sample {
	char path[32];
	int dir_fd;
};

static int
setup(void **state)
{
	struct sample *s = calloc(1, sizeof(*s));

	strcpy(s->path, "/tmp/nsxcgroup-XXXXXX");
	assert_non_null(mkdtemp(s->path));
	s->dir_fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s->dir_fd >= 0);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct sample *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlinkat(s->dir_fd, names[i], 0);
	assert_int_equal(rmdir(s->path), 0);
	fd_close(&s->dir_fd);
	free(s);
	return 0;
}

static void
put(const struct sample *s, const char *name, const char *text)
{
	fd_auto int fd = openat(s->dir_fd, name,
				O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static void
memory_is_enabled_only_where_the_controller_is(void **state)
{
	const struct sample *s = *state;
	char text[64];

	assert_false(cgroup_enable(s->dir_fd, "memory"));
	put(s, "cgroup.subtree_control", "");
	put(s, "cgroup.controllers", "");
	assert_false(cgroup_enable(s->dir_fd, "memory"));
	put(s, "cgroup.controllers", "cpu memory.x xmemory pids\n");
	assert_false(cgroup_enable(s->dir_fd, "memory"));
	assert_int_equal(fd_read_file(s->dir_fd, "cgroup.subtree_control", text,
				      sizeof(text)),
			 0);
	put(s, "cgroup.controllers", "cpuset cpu io memory\n");
	assert_true(cgroup_enable(s->dir_fd, "memory"));
	assert_true(fd_read_file(s->dir_fd, "cgroup.subtree_control", text,
				 sizeof(text)) > 0);
	assert_string_equal(text, "+memory");
}

static void
controller_that_may_not_be_enabled_is_none(void **state)
{
	const struct sample *s = *state;

	put(s, "cgroup.controllers", "memory\n");
	assert_false(cgroup_enable(s->dir_fd, "memory"));
}

static void
oom_kills_are_read_from_their_line_alone(void **state)
{
	const struct sample *s = *state;
	uint64_t count = 9;

	put(s, "memory.events",
	    "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n");
	assert_int_equal(cgroup_oom_kills(s->dir_fd, &count), 0);
	assert_int_equal(count, 5);
}

static void
events_without_a_count_are_an_error_and_leave_it(void **state)
{
	const struct sample *s = *state;
	uint64_t count = 9;

	assert_int_equal(cgroup_oom_kills(s->dir_fd, &count), -ENOENT);
	put(s, "memory.events", "low 1\noom_group_kill 6\n");
	assert_int_equal(cgroup_oom_kills(s->dir_fd, &count), -ENODATA);
	put(s, "memory.events", "oom_kill many\n");
	assert_true(cgroup_oom_kills(s->dir_fd, &count) < 0);
	assert_int_equal(count, 9);
}

static void
value_is_a_number_or_no_limit(void **state)
{
	const struct sample *s = *state;
	uint64_t value = 9;

	assert_int_equal(cgroup_value_read(s->dir_fd, "pids.max", &value),
			 -ENOENT);
	put(s, "pids.max", "4096\n");
	assert_int_equal(cgroup_value_read(s->dir_fd, "pids.max", &value), 0);
	assert_int_equal(value, 4096);
	put(s, "pids.max", "max\n");
	assert_int_equal(cgroup_value_read(s->dir_fd, "pids.max", &value), 0);
	assert_true(value == CGROUP_NO_LIMIT);
	put(s, "pids.max", "some\n");
	assert_int_equal(cgroup_value_read(s->dir_fd, "pids.max", &value),
			 -EBADMSG);
	put(s, "pids.max", "");
	assert_int_equal(cgroup_value_read(s->dir_fd, "pids.max", &value),
			 -EBADMSG);
	assert_true(value == CGROUP_NO_LIMIT);
}

static void
value_is_written_where_it_is_another(void **state)
{
	const struct sample *s = *state;
	char text[32];

	assert_int_equal(cgroup_value_write(s->dir_fd, "pids.max", 7), -ENOENT);
	put(s, "pids.max", "max\n");
	assert_int_equal(cgroup_value_write(s->dir_fd, "pids.max", 4096), 0);
	assert_true(fd_read_file(s->dir_fd, "pids.max", text, sizeof(text)) >
		    0);
	assert_string_equal(text, "4096"); /* over the newline as well */
	assert_int_equal(
		cgroup_value_write(s->dir_fd, "pids.max", CGROUP_NO_LIMIT), 0);
	assert_true(fd_read_file(s->dir_fd, "pids.max", text, sizeof(text)) >
		    0);
	assert_string_equal(text, "max6");
	put(s, "pids.max", "max\n");
	assert_int_equal(
		cgroup_value_write(s->dir_fd, "pids.max", CGROUP_NO_LIMIT), 0);
	assert_true(fd_read_file(s->dir_fd, "pids.max", text, sizeof(text)) >
		    0);
	assert_string_equal(text, "max\n"); /* untouched */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memory_is_enabled_only_where_the_controller_is),
		TEST(controller_that_may_not_be_enabled_is_none),
		TEST(oom_kills_are_read_from_their_line_alone),
		TEST(events_without_a_count_are_an_error_and_leave_it),
		TEST(value_is_a_number_or_no_limit),
		TEST(value_is_written_where_it_is_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
