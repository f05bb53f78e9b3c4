/* SPDX-License-Identifier: Apache-2.0 */
/* OOM kills of a container: spawn/spawner_cgroup.h, over plain directories. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/fd.h"
#include "spawn/spawner_cgroup.h"

static const char *const names[] = { "cgroup.controllers",
				     "cgroup.subtree_control",
				     "memory.events" };

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

	assert_false(cgroup_memory_enable(s->dir_fd));
	put(s, "cgroup.subtree_control", "");
	put(s, "cgroup.controllers", "");
	assert_false(cgroup_memory_enable(s->dir_fd));
	put(s, "cgroup.controllers", "cpu memory.x xmemory pids\n");
	assert_false(cgroup_memory_enable(s->dir_fd));
	assert_int_equal(fd_read_file(s->dir_fd, "cgroup.subtree_control", text,
				      sizeof(text)),
			 0);
	put(s, "cgroup.controllers", "cpuset cpu io memory\n");
	assert_true(cgroup_memory_enable(s->dir_fd));
	assert_true(fd_read_file(s->dir_fd, "cgroup.subtree_control", text,
				 sizeof(text)) > 0);
	assert_string_equal(text, "+memory");
}

static void
controller_that_may_not_be_enabled_is_none(void **state)
{
	const struct sample *s = *state;

	put(s, "cgroup.controllers", "memory\n");
	assert_false(cgroup_memory_enable(s->dir_fd));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memory_is_enabled_only_where_the_controller_is),
		TEST(controller_that_may_not_be_enabled_is_none),
		TEST(oom_kills_are_read_from_their_line_alone),
		TEST(events_without_a_count_are_an_error_and_leave_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
