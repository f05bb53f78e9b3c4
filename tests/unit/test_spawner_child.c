/* SPDX-License-Identifier: Apache-2.0 */
/* The table of container processes, and waiting without reaping. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawn/spawner_child.h"

static const struct container_name web1 = { 0, "web1" };
static const struct container_name web1_of_user = { 1000, "web1" };
static const struct container_name web2 = { 0, "web2" };

static struct child_table *
table_new(void)
{
	struct child_table *table = calloc(1, sizeof(*table));

	assert_non_null(table);
	return table;
}

static void
table_free(struct child_table *table)
{
	child_table_deinit(table);
	assert_int_equal(table->count, 0);
	free(table);
}

static void
children_are_found_by_pid_and_by_container(void **state)
{
	struct child_table *table = table_new();

	assert_int_equal(child_add(table, 7, &web1, 70, false), 0);
	assert_int_equal(child_add(table, 7 + CHILD_BUCKETS, &web1, 71, true),
			 0);
	assert_int_equal(child_add(table, 8, &web1_of_user, 72, false), 0);
	assert_int_equal(child_find(table, 7)->start_time, 70);
	assert_int_equal(child_find(table, 7 + CHILD_BUCKETS)->start_time, 71);
	assert_null(child_find(table, 9));
	assert_int_equal(child_find_in(table, &web1_of_user)->pid, 8);
	assert_null(child_find_in(table, &web2));
	assert_int_equal(child_find_gated(table, &web1)->pid,
			 7 + CHILD_BUCKETS);
	assert_null(child_find_gated(table, &web1_of_user));
	table_free(table);
}

static void
removed_child_is_gone_from_both_ways(void **state)
{
	struct child_table *table = table_new();
	pid_t pid;

	for (pid = 1; pid <= 3000; pid++)
		assert_int_equal(child_add(table, pid, &web1, 0, false), 0);
	for (pid = 3000; pid > 0; pid -= 2)
		child_remove(table, child_find(table, pid));
	assert_int_equal(table->count, 1500);
	for (pid = 1; pid <= 3000; pid++)
		assert_int_equal(child_find(table, pid) != NULL, pid % 2);
	while (child_find_in(table, &web1))
		child_remove(table, child_find_in(table, &web1));
	assert_int_equal(table->count, 0);
	table_free(table);
}

static pid_t
child_that(int status, int number)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (number)
			kill(getpid(), number);
		_exit(status);
	}
	return pid;
}

static void
wait_zombie(pid_t pid)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void
status_is_what_wait_would_give(void **state)
{
	static const struct {
		int status, number;
	} rows[] = { { 0, 0 }, { 7, 0 }, { 255, 0 }, { 0, SIGKILL } };
	struct child_exit first, end;
	int status;
	size_t i;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		pid = child_that(rows[i].status, rows[i].number);
		wait_zombie(pid);
		assert_int_equal(child_peek(pid, &first), 0);
		assert_int_equal(child_peek(pid, &end), 0);
		assert_true(first.exited && end.exited);
		assert_true(end.rusage.max_rss_kib > 0);
		status = (int)end.wait_status;
		if (rows[i].number) {
			assert_true(WIFSIGNALED(status));
			assert_int_equal(WTERMSIG(status), rows[i].number);
		} else {
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), rows[i].status);
		}
		assert_int_equal(child_reap(pid, &first), 0);
		assert_int_equal(first.wait_status, end.wait_status);
		assert_int_equal(child_peek(pid, &end), -ECHILD);
		assert_int_equal(child_reap(pid, &end), -ECHILD);
	}
}

static void
living_child_is_busy_and_a_strange_pid_no_child(void **state)
{
	struct child_exit end;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(1);
	}
	assert_int_equal(child_peek(pid, &end), 0);
	assert_false(end.exited);
	assert_int_equal(child_reap(pid, &end), -EBUSY);
	kill(pid, SIGKILL);
	wait_zombie(pid);
	assert_int_equal(child_reap(pid, &end), 0);
	assert_int_equal(child_peek(1, &end), -ECHILD);
	assert_int_equal(child_peek(getpid(), &end), -ECHILD);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_are_found_by_pid_and_by_container),
		cmocka_unit_test(removed_child_is_gone_from_both_ways),
		cmocka_unit_test(status_is_what_wait_would_give),
		cmocka_unit_test(
			living_child_is_busy_and_a_strange_pid_no_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
