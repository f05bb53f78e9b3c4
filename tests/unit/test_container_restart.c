/* SPDX-License-Identifier: Apache-2.0 */
/* Containers over a restart of nsexecd, and over the loss of the spawner. */
#include "tests/unit/core_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/container_table.h"
#include "daemon/spawner_client.h"
#include "lib/fd.h"

static void
created_container_is_started_after_a_restart(void **state)
{
	struct core_fixture *fixture = *state;
	uint8_t epoch[16];
	uint64_t start;

	create(fixture, "c");
	memcpy(epoch, fixture->daemon.epoch, sizeof(epoch));
	core_restart(fixture);
	assert_memory_equal(epoch, fixture->daemon.epoch, sizeof(epoch));
	spawner_say_entry(fixture, "c", false, false);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PING);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PIDFD);
	spawner_say_error(fixture, "pidfd", ECHILD);
	spawner_expect(fixture, OP_STATUS);
	spawner_say_status(fixture, &(struct status_answer){ 0 });
	start = call_id_only(fixture, "Start", "c");
	spawner_expect(fixture, OP_OPEN);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_STATUS);
	spawner_say_status(fixture, &running);
	assert_false(answer_to(fixture, start)->failed);
}

static void
intent_without_a_child_is_aborted_after_a_restart(void **state)
{
	struct core_fixture *fixture = *state;
	const struct event *event;
	char types[128];

	call_run(fixture, "c", NULL);
	spawner_expect(fixture, OP_START);
	core_restart(fixture);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PING);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_CGROUP_REMOVE);
	assert_string_equal(event_types(fixture, types, sizeof(types)),
			    "failed");
	event = event_from(fixture->daemon.events, 0, 1);
	assert_int_equal(event->error->code, ERRCODE_ABORTED_RESTART);
	assert_true(event->error->retryable);
}

static void
exit_while_away_is_told_after_a_restart(void **state)
{
	struct core_fixture *fixture = *state;
	char types[128];

	run_to_gate(fixture, "c");
	core_restart(fixture);
	spawner_say_entry(fixture, "c", true, true);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PING);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PIDFD);
	spawner_say_error(fixture, "pidfd", ECHILD);
	spawner_expect(fixture, OP_STATUS);
	spawner_say_status(fixture, &ended);
	spawner_expect(fixture, OP_REAP);
	/* "created" was told before and is in the gap, "started" is new */
	assert_string_equal(event_types(fixture, types, sizeof(types)),
			    "started exited");
}

/* Ten thousand answers to ten thousand questions would take their time. */
static void
entry_with_status_and_pidfd_leaves_nothing_to_ask(void **state)
{
	struct core_fixture *fixture = *state;
	char types[128];

	run_to_gate(fixture, "c");
	core_restart(fixture);
	spawner_say_whole_entry(fixture, "c", &running);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PING);
	spawner_say_done(fixture);
	/* the next question is about its end, which the pidfd told */
	child_kill(fixture);
	spawner_expect(fixture, OP_STATUS);
	spawner_say_status(fixture, &ended);
	spawner_expect(fixture, OP_REAP);
	assert_string_equal(event_types(fixture, types, sizeof(types)),
			    "started exited");
}

static void
exit_while_away_is_told_from_the_entry_alone(void **state)
{
	struct core_fixture *fixture = *state;
	char types[128];

	run_to_gate(fixture, "c");
	core_restart(fixture);
	spawner_say_whole_entry(fixture, "c", &ended);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PING);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_REAP);
	assert_string_equal(event_types(fixture, types, sizeof(types)),
			    "started exited");
}

static void
turn_for_5_ms(struct core_fixture *fixture)
{
	const struct itimerspec time = { .it_value.tv_nsec = 5000000 };
	fd_auto int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(timerfd_settime(fd, 0, &time, NULL), 0);
	await_fd(fixture, fd);
}

/* The commit is on record, and nsexecd died before it could ask for more. */
static void
commit_without_an_open_gate_can_be_started_again(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t start;

	create(fixture, "c");
	call_id_only(fixture, "Start", "c");
	spawner_expect(fixture, OP_OPEN);
	core_restart(fixture);
	spawner_say_whole_entry(fixture, "c", &(struct status_answer){ 0 });
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PING);
	spawner_say_done(fixture);
	while (record_stage(fixture, "c") != NSEXEC__RECORD__STAGE__CREATED) {
		turn_for_5_ms(fixture);
		if (fd_wait_readable(fixture->spawner, 0) == 0)
			continue;
		spawner_expect(fixture, OP_STATUS);
		spawner_say_status(fixture, &(struct status_answer){ 0 });
	}
	start = call_id_only(fixture, "Start", "c");
	spawner_expect(fixture, OP_OPEN);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_STATUS);
	spawner_say_status(fixture, &running);
	assert_false(answer_to(fixture, start)->failed);
}

/* The gate was opened, and the exec came after the list was made. */
static void
exec_after_the_list_is_seen(void **state)
{
	struct core_fixture *fixture = *state;
	char types[128];

	create(fixture, "c");
	call_id_only(fixture, "Start", "c");
	spawner_expect(fixture, OP_OPEN);
	core_restart(fixture);
	spawner_say_whole_entry(fixture, "c", &(struct status_answer){ 0 });
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PING);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_STATUS);
	spawner_say_status(fixture, &running);
	child_kill(fixture);
	spawner_expect(fixture, OP_STATUS);
	assert_string_equal(event_types(fixture, types, sizeof(types)),
			    "started");
}

/* The list was made between the START of the dead one and its CHILD. */
static void
child_that_came_after_the_list_is_reaped(void **state)
{
	struct core_fixture *fixture = *state;

	call_run(fixture, "c", NULL);
	spawner_expect(fixture, OP_START);
	spawner_say_child(fixture, fixture->seq);
	core_restart(fixture);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PING);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_CGROUP_REMOVE);
	spawner_say_error(fixture, "rmdir", EBUSY);
	spawner_expect(fixture, OP_KILL_ALL);
	kill(fixture->child_pid, SIGKILL);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_LIST);
	spawner_say_whole_entry(fixture, "c", &died);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_REAP);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_CGROUP_REMOVE);
	spawner_say_done(fixture);
}

/* The aborted start was deleted when its child came and ended. */
static void
child_that_never_ran_of_a_deleted_start_has_no_second_end(void **state)
{
	struct core_fixture *fixture = *state;
	char types[128];

	run_to_gate(fixture, "c");
	core_restart(fixture);
	spawner_say_whole_entry(fixture, "gone", &died);
	spawner_say_whole_entry(fixture, "c", &running);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PING);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_REAP);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_CGROUP_REMOVE);
	spawner_say_done(fixture);
	assert_string_equal(event_types(fixture, types, sizeof(types)),
			    "started");
}

static void
drop_answer(struct daemon *daemon, uint64_t id, const struct op_message *answer,
	    int fd)
{
	fd_close(&fd);
}

/* More exits in one moment than the socket and its queue hold. */
static void
questions_about_own_tasks_are_never_dropped(void **state)
{
	struct core_fixture *fixture = *state;
	struct spawner_small small = {
		.op = OP_STATUS, .pid = 1, .caller_fd = -1, .fn = drop_answer
	};

	for (int i = 0; i < 20000; i++)
		assert_int_equal(
			spawner_send_small(fixture->daemon.spawner, &small), 0);
	/* what a caller asks for has to wait for room */
	small.caller_fd = fixture->caller_fd;
	assert_int_equal(spawner_send_small(fixture->daemon.spawner, &small),
			 -EAGAIN);
}

static void
append_to_record(const struct core_fixture *fixture, const char *id,
		 const char *text, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/0:%s", fixture->config.records_dir,
		 id);
	fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* nsexecd died while it wrote: what it had written before stands. */
static void
record_whose_tail_was_cut_is_gone_on_with(void **state)
{
	struct core_fixture *fixture = *state;

	run_to_gate(fixture, "c");
	append_to_record(fixture, "c", "NSXR\1", O_APPEND);
	append_to_record(fixture, "d", "", O_CREAT);
	core_restart(fixture);
	assert_int_equal(record_stage(fixture, "d"), 0);
	assert_int_equal(record_stage(fixture, "c"),
			 NSEXEC__RECORD__STAGE__COMMIT);
	spawner_say_whole_entry(fixture, "c", &ended);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PING);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_REAP);
	/* and what is written now does not lie behind the tail */
	assert_int_equal(record_stage(fixture, "c"),
			 NSEXEC__RECORD__STAGE__ENDED);
}

static void
terminal_event_keeps_its_number_over_a_restart(void **state)
{
	struct core_fixture *fixture = *state;
	const struct event *event;

	run_to_gate(fixture, "c");
	stage_close(fixture); /* and the process has its memory: it executed */
	end_it(fixture);
	assert_int_equal(event_last(fixture->daemon.events, 0), 3);
	core_restart(fixture);
	event = event_from(fixture->daemon.events, 0, 1);
	assert_int_equal(event->type, EVENT_EXITED);
	assert_int_equal(event->seq, 3);
	assert_true(event_last(fixture->daemon.events, 0) > 3);
}

static void
lost_spawner_refuses_starts_as_retryable(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t call;

	fixture->spawner_watch = watch_free(fixture->spawner_watch);
	call = call_run(fixture, "c", NULL);
	fd_close(&fixture->spawner);
	spawner_accept(fixture);
	spawner_say_done(fixture);
	assert_int_equal(answer_to(fixture, call)->error.code,
			 ERRCODE_ABORTED_RESTART);
	assert_true(answer_to(fixture, call)->error.retryable);
}

/* The question was lost with the spawner; init still waits at its gate. */
static void
start_whose_spawner_died_is_told_to_try_again(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t start;

	create(fixture, "c");
	start = call_id_only(fixture, "Start", "c");
	spawner_expect(fixture, OP_OPEN);
	fixture->spawner_watch = watch_free(fixture->spawner_watch);
	fd_close(&fixture->spawner);
	spawner_accept(fixture);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PING);
	spawner_say_done(fixture);
	assert_int_equal(answer_to(fixture, start)->error.code,
			 ERRCODE_ABORTED_RESTART);
	assert_true(answer_to(fixture, start)->error.retryable);
	assert_int_equal(record_stage(fixture, "c"),
			 NSEXEC__RECORD__STAGE__CREATED);
	start = call_id_only(fixture, "Start", "c");
	spawner_expect(fixture, OP_OPEN);
	spawner_say_done(fixture);
	stage_close(fixture);
	assert_false(answer_to(fixture, start)->failed);
}

/* The gate was open when the spawner died: the start counts. */
static void
start_whose_gate_was_open_when_the_spawner_died_is_one(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t start;

	create(fixture, "c");
	start = call_id_only(fixture, "Start", "c");
	spawner_expect(fixture, OP_OPEN);
	fixture->spawner_watch = watch_free(fixture->spawner_watch);
	fd_close(&fixture->spawner);
	spawner_accept(fixture);
	spawner_say_done(fixture);
	stage_close(fixture);
	assert_false(answer_to(fixture, start)->failed);
}

static void
end_of_a_child_that_cannot_be_watched_is_asked_for(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t call = call_run(fixture, "c", NULL);
	char types[128];

	spawner_expect(fixture, OP_START);
	spawner_say_child_unwatched(fixture, fixture->seq);
	stage_say_ready(fixture);
	stage_expect_gate(fixture);
	stage_close(fixture);
	assert_false(answer_to(fixture, call)->failed);
	child_kill(fixture);
	spawner_expect(fixture, OP_STATUS);
	spawner_say_status(fixture, &ended);
	spawner_expect(fixture, OP_REAP);
	assert_string_equal(event_types(fixture, types, sizeof(types)),
			    "created started exited");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CORE_TEST(created_container_is_started_after_a_restart),
		CORE_TEST(intent_without_a_child_is_aborted_after_a_restart),
		CORE_TEST(exit_while_away_is_told_after_a_restart),
		CORE_TEST(entry_with_status_and_pidfd_leaves_nothing_to_ask),
		CORE_TEST(exit_while_away_is_told_from_the_entry_alone),
		CORE_TEST(commit_without_an_open_gate_can_be_started_again),
		CORE_TEST(exec_after_the_list_is_seen),
		CORE_TEST(child_that_came_after_the_list_is_reaped),
		CORE_TEST(
			child_that_never_ran_of_a_deleted_start_has_no_second_end),
		CORE_TEST(questions_about_own_tasks_are_never_dropped),
		CORE_TEST(record_whose_tail_was_cut_is_gone_on_with),
		CORE_TEST(terminal_event_keeps_its_number_over_a_restart),
		CORE_TEST(lost_spawner_refuses_starts_as_retryable),
		CORE_TEST(start_whose_spawner_died_is_told_to_try_again),
		CORE_TEST(
			start_whose_gate_was_open_when_the_spawner_died_is_one),
		CORE_TEST(end_of_a_child_that_cannot_be_watched_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
