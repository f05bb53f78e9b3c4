/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a container against a played spawner: order and outcome. */
#include "daemon/id_block.h"
#include "daemon/identity.h"
#include "tests/unit/core_fixture.h"

#include "daemon/task.h"

#include <unistd.h>

#include "daemon/container_table.h"
#include "daemon/spawner_client.h"
#include "lib/fd.h"

static void
record_comes_before_each_step(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t call = call_run(fixture, "c", NULL);
	char types[128];

	spawner_expect(fixture, OP_START);
	assert_string_equal(fixture->boot.container, "c");
	assert_int_equal(record_stage(fixture, "c"),
			 NSEXEC__RECORD__STAGE__INTENT);
	spawner_say_child(fixture, fixture->seq);
	stage_say_ready(fixture);
	stage_expect_gate(fixture);
	assert_int_equal(record_stage(fixture, "c"),
			 NSEXEC__RECORD__STAGE__COMMIT);
	assert_false(is_answered(fixture, call));
	stage_close(fixture); /* and the process has its memory: it executed */
	assert_false(answer_to(fixture, call)->failed);
	child_kill(fixture);
	spawner_expect(fixture, OP_STATUS);
	spawner_say_status(fixture, &ended);
	spawner_expect(fixture, OP_REAP);
	assert_int_equal(record_stage(fixture, "c"),
			 NSEXEC__RECORD__STAGE__ENDED);
	assert_string_equal(event_types(fixture, types, sizeof(types)),
			    "created started exited");
}

static void
the_gate_opens_with_child_and_created_comes_with_ready(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t call = call_run(fixture, "c", NULL);
	char types[128];

	spawner_expect(fixture, OP_START);
	spawner_say_child(fixture, fixture->seq);
	stage_expect_gate(fixture);
	assert_int_equal(record_stage(fixture, "c"),
			 NSEXEC__RECORD__STAGE__COMMIT);
	assert_string_equal(event_types(fixture, types, sizeof(types)), "");
	stage_say_ready(fixture);
	stage_close(fixture); /* and the process has its memory: it executed */
	assert_false(answer_to(fixture, call)->failed);
	assert_string_equal(event_types(fixture, types, sizeof(types)),
			    "created started");
}

/* It ends with the gate's byte unread: its end of the channel is reset. */
static void
what_a_stage_said_before_a_reset_is_heard(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t call = call_run(fixture, "c", NULL);
	const struct error *error;

	spawner_expect(fixture, OP_START);
	spawner_say_child(fixture, fixture->seq);
	await_fd(fixture, fixture->init_channel);
	stage_say_failed(fixture, "cwd", "chdir", ENOENT);
	stage_close(fixture);
	error = &answer_to(fixture, call)->error;
	assert_string_equal(error->failure.step, "cwd");
	assert_int_equal(error->failure.error, ENOENT);
}

static void
ready_may_come_before_child(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t call = call_run(fixture, "c", NULL);

	spawner_expect(fixture, OP_START);
	stage_say_ready(fixture);
	spawner_say_child(fixture, fixture->seq);
	stage_expect_gate(fixture);
	stage_close(fixture); /* and the process has its memory: it executed */
	assert_false(answer_to(fixture, call)->failed);
}

static void
end_of_file_without_exec_is_no_start(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t call = run_to_gate(fixture, "c");
	char types[128];

	child_kill(fixture);
	stage_close(fixture);
	spawner_expect(fixture, OP_STATUS);
	spawner_say_status(fixture, &died);
	assert_true(answer_to(fixture, call)->failed);
	assert_int_equal(answer_to(fixture, call)->error.code,
			 ERRCODE_STAGE_FAILED);
	assert_string_equal(event_types(fixture, types, sizeof(types)),
			    "created failed");
}

static void
exec_failure_has_its_errno_and_path(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t call = run_to_gate(fixture, "c");
	const struct error *error;

	stage_say_failed(fixture, "exec", "execve", ENOENT);
	error = &answer_to(fixture, call)->error;
	assert_int_equal(error->code, ERRCODE_EXEC_FAILED);
	assert_int_equal(error->failure.error, ENOENT);
	assert_string_equal(error->failure.object, "/bin/true");
}

static void
failure_before_child_kills_what_comes_later(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t call = call_run(fixture, "c", NULL);
	uint32_t seq;

	spawner_expect(fixture, OP_START);
	seq = fixture->seq;
	stage_say_failed(fixture, "join-net", "setns", EPERM);
	assert_int_equal(answer_to(fixture, call)->error.code,
			 ERRCODE_NS_DENIED);
	spawner_say_child(fixture, seq);
	spawner_expect(fixture, OP_KILL_ALL);
	assert_int_equal(fixture->msg.signal, 9);
}

static void
refusal_of_the_spawner_is_the_answer(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t call = call_run(fixture, "c", NULL);

	spawner_expect(fixture, OP_START);
	spawner_say_error(fixture, "make-cgroup", ENOSPC);
	assert_true(answer_to(fixture, call)->failed);
	assert_int_equal(answer_to(fixture, call)->error.failure.stage,
			 STAGE_SPAWNER);
	spawner_expect(fixture, OP_CGROUP_REMOVE);
}

static void
wait_is_answered_at_the_exit(void **state)
{
	struct core_fixture *fixture = *state;
	Nsexec__V1__WaitResponse *response;
	struct answer *answer;
	uint64_t wait;

	run_to_gate(fixture, "c");
	wait = call_id_only(fixture, "Wait", "c");
	stage_close(fixture); /* and the process has its memory: it executed */
	end_it(fixture);
	answer = answer_to(fixture, wait);
	response = nsexec__v1__wait_response__unpack(NULL, answer->size,
						     answer->packed);
	assert_true(response->exit->has_code);
	assert_int_equal(response->exit->code, 7);
	assert_int_equal(response->exit->rusage->max_rss_kib, 3);
	assert_int_equal(response->exit->oom_kills, 4);
	nsexec__v1__wait_response__free_unpacked(response, NULL);
}

static void
repeated_key_gives_the_first_result(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t first = call_run(fixture, "c", "0123456789abcdef");
	uint64_t again = call_run(fixture, "c", "0123456789abcdef");
	uint64_t other = call_run(fixture, "d", "0123456789abcdef");

	assert_int_equal(answer_to(fixture, other)->error.code,
			 ERRCODE_CONFLICT);
	spawner_expect(fixture, OP_START);
	spawner_say_error(fixture, "make-cgroup", ENOSPC);
	assert_true(answer_to(fixture, first)->failed);
	assert_true(answer_to(fixture, again)->failed);
	assert_int_equal(answer_to(fixture, again)->error.failure.error,
			 ENOSPC);
}

static void
gate_that_does_not_open_leaves_it_created(void **state)
{
	struct core_fixture *fixture = *state;
	uint64_t start;

	create(fixture, "c");
	start = call_id_only(fixture, "Start", "c");
	spawner_expect(fixture, OP_OPEN);
	assert_int_equal(record_stage(fixture, "c"),
			 NSEXEC__RECORD__STAGE__COMMIT);
	spawner_say_error(fixture, "open-gate", EPERM);
	assert_true(answer_to(fixture, start)->failed);
	assert_int_equal(record_stage(fixture, "c"),
			 NSEXEC__RECORD__STAGE__CREATED);
	start = call_id_only(fixture, "Start", "c");
	spawner_expect(fixture, OP_OPEN);
	spawner_say_done(fixture);
	stage_close(fixture); /* and the process has its memory: it executed */
	assert_false(answer_to(fixture, start)->failed);
}

static void
another_owner_sees_no_container(void **state)
{
	struct core_fixture *fixture = *state;
	Nsexec__V1__StateRequest request = NSEXEC__V1__STATE_REQUEST__INIT;
	uint64_t call;

	create(fixture, "c");
	request.id = (char *)"c";
	call = call_as(fixture, 1234, "State", &request.base);
	assert_int_equal(answer_to(fixture, call)->error.code,
			 ERRCODE_NOT_FOUND);
}

static void
delete_is_answered_when_nothing_is_left(void **state)
{
	struct core_fixture *fixture = *state;
	Nsexec__V1__DeleteRequest request = NSEXEC__V1__DELETE_REQUEST__INIT;
	uint64_t call;

	create(fixture, "c");
	request.id = (char *)"c";
	call = call_as(fixture, 0, "Delete", &request.base);
	assert_int_equal(answer_to(fixture, call)->error.code,
			 ERRCODE_FAILED_PRECONDITION);
	request.has_force = request.force = true;
	call = call_as(fixture, 0, "Delete", &request.base);
	spawner_expect(fixture, OP_KILL_ALL);
	spawner_say_done(fixture);
	child_kill(fixture);
	spawner_expect(fixture, OP_REAP);
	assert_false(is_answered(fixture, call));
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_CGROUP_REMOVE);
	spawner_say_done(fixture);
	assert_false(answer_to(fixture, call)->failed);
	assert_int_equal(record_stage(fixture, "c"), 0);
	assert_null(container_find_id(fixture->daemon.containers, 0, "c"));
}

/* The cgroup of a failed start stays busy: whatever is in it ignores a kill. */
static void
killed_task_that_stays_is_charged_until_it_is_gone(void **state)
{
	struct core_fixture *fixture = *state;
	struct owner *owner;
	const struct error *error;
	uint64_t call;

	fixture->config.limits.owner.stuck = 1;
	call = call_create(fixture, 1000, "c");
	spawner_expect(fixture, OP_START);
	spawner_say_error(fixture, "join-net", ENOENT);
	assert_true(answer_to(fixture, call)->failed);
	owner = owner_counts(fixture->daemon.containers, 1000);
	spawner_expect(fixture, OP_CGROUP_REMOVE);
	assert_int_equal(owner->stuck, 0);
	while (owner->stuck == 0) {
		spawner_say_error(fixture, "remove-cgroup", EBUSY);
		spawner_expect(fixture, OP_KILL_ALL);
		spawner_say_done(fixture);
		spawner_expect(fixture, OP_CGROUP_REMOVE);
	}
	assert_int_equal(owner->stuck, 1);
	call = call_create(fixture, 1000, "d");
	error = &answer_to(fixture, call)->error;
	assert_int_equal(error->code, ERRCODE_QUOTA);
	assert_string_equal(error->quota.kind, "stuck");
	assert_int_equal(error->quota.limit, 1);
	assert_int_equal(error->quota.used, 1);
	spawner_say_done(fixture);
	call = call_create(fixture, 1001, "e");
	spawner_expect(fixture, OP_START);
	spawner_say_error(fixture, "join-net", ENOENT);
	assert_int_equal(answer_to(fixture, call)->error.code,
			 ERRCODE_NOT_FOUND);
	assert_int_equal(owner->stuck, 0);
	spawner_expect(fixture, OP_CGROUP_REMOVE);
	spawner_say_done(fixture);
	(void)call_create(fixture, 1000, "d");
	spawner_expect(fixture, OP_START);
}

static void
private_blocks_are_one_live_containers_alone(void **state)
{
	const struct rpc_caller caller = { .uid = 1000, .owner = 1000 };
	struct core_fixture *fixture = *state;
	struct identity *identity = calloc(1, sizeof(*identity));
	struct resolved_user *user = &identity->who.resolved;
	struct rpc_caller known = caller;
	struct container *first;
	struct id_block block;
	struct error error;
	struct spec *spec;

	assert_int_equal(spec_new(&spec), 0);
	spec->maps.preset = IDMAP_AUTO_PRIVATE;
	known.identity = identity;
	identity->who.uid = identity->who.gid = 1000;
	user->uid = user->owner = user->gid = 1000;
	user->has_name = 1;
	user->n_uid_ranges = user->n_gid_ranges = 1;
	user->uid_ranges[0] = (struct idmap_range){ 100000, 2 * IDMAP_BLOCK };
	user->gid_ranges[0] = (struct idmap_range){ 300000, IDMAP_BLOCK };

	/* nothing is delegated to whom nobody knows */
	assert_int_equal(id_block_choose(&fixture->daemon, &caller, spec,
					 &block, &error),
			 -EINVAL);
	assert_int_equal(error.code, ERRCODE_MAP_INVALID);
	assert_non_null(strstr(error.rule, "0 blocks are delegated, 0 used"));

	assert_int_equal(
		id_block_choose(&fixture->daemon, &known, spec, &block, &error),
		0);
	assert_int_equal(block.uid, 100000);
	assert_int_equal(block.gid, 300000);

	(void)call_create(fixture, 1000, "c");
	spawner_expect(fixture, OP_START);
	first = container_find_id(fixture->daemon.containers, 1000, "c");
	first->block = (struct id_block){ 100000, 7 };
	assert_int_equal(
		id_block_choose(&fixture->daemon, &known, spec, &block, &error),
		0);
	assert_int_equal(block.uid, 100000 + IDMAP_BLOCK);
	first->block = (struct id_block){ 7, 300000 };
	assert_int_equal(
		id_block_choose(&fixture->daemon, &known, spec, &block, &error),
		-EINVAL);
	assert_int_equal(error.code, ERRCODE_QUOTA);
	assert_string_equal(error.quota.kind, "id-blocks");
	assert_int_equal(error.quota.limit, 1);
	assert_int_equal(error.quota.used, 1);

	/* free with its end; another owner's was never in the way */
	first->owner = 1001;
	assert_int_equal(
		id_block_choose(&fixture->daemon, &known, spec, &block, &error),
		0);
	first->owner = 1000;
	spawner_say_error(fixture, "join-net", ENOENT);
	while (task_is_live(&first->init))
		spawner_expect(fixture, OP_CGROUP_REMOVE);
	assert_int_equal(
		id_block_choose(&fixture->daemon, &known, spec, &block, &error),
		0);
	spec_free(spec);
	free(identity);
}

static void
oldest_of_too_many_ended_ones_are_forgotten(void **state)
{
	struct core_fixture *fixture = *state;
	const struct container_table *table = fixture->daemon.containers;
	char id[] = "c0";

	for (; id[1] < '5'; id[1]++) {
		run_to_gate(fixture, id);
		stage_close(fixture);
		end_it(fixture);
	}
	containers_trim(&fixture->daemon);
	assert_non_null(container_find_id(table, 0, "c0"));
	fixture->config.limits.ended_per_owner = 2;
	containers_trim(&fixture->daemon);
	assert_null(container_find_id(table, 0, "c2"));
	assert_int_equal(record_stage(fixture, "c2"), 0);
	assert_non_null(container_find_id(table, 0, "c3"));
	fixture->config.limits.ended_seconds = 0;
	containers_trim(&fixture->daemon);
	assert_null(container_find_id(table, 0, "c3"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CORE_TEST(record_comes_before_each_step),
		CORE_TEST(private_blocks_are_one_live_containers_alone),
		CORE_TEST(
			the_gate_opens_with_child_and_created_comes_with_ready),
		CORE_TEST(what_a_stage_said_before_a_reset_is_heard),
		CORE_TEST(ready_may_come_before_child),
		CORE_TEST(end_of_file_without_exec_is_no_start),
		CORE_TEST(exec_failure_has_its_errno_and_path),
		CORE_TEST(failure_before_child_kills_what_comes_later),
		CORE_TEST(refusal_of_the_spawner_is_the_answer),
		CORE_TEST(wait_is_answered_at_the_exit),
		CORE_TEST(killed_task_that_stays_is_charged_until_it_is_gone),
		CORE_TEST(repeated_key_gives_the_first_result),
		CORE_TEST(gate_that_does_not_open_leaves_it_created),
		CORE_TEST(another_owner_sees_no_container),
		CORE_TEST(delete_is_answered_when_nothing_is_left),
		CORE_TEST(oldest_of_too_many_ended_ones_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
