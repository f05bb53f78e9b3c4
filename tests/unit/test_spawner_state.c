/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises of state_check(): what a spawner leaves to its successor is taken
 * when it is whole, and refused with a reason when any field of it cannot be.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/crc32c.h"
#include "spawn/spawner_state.h"
#include "tests/unit/state_fixture.h"

static struct state_fixture *fixture;

static int
verdict(char why[STATE_WHY_SIZE])
{
	struct state_writer writer = { 0 };
	int r;

	why[0] = '\0';
	state_fixture_write(fixture, &writer);
	assert_int_equal(state_writer_end(&writer), 0);
	r = state_check(writer.data, writer.size, why);
	assert_true(r == 0 || why[0]);
	state_writer_deinit(&writer);
	return r;
}

/* Refused while the field has this value, and taken again afterwards. */
#define REFUSED(field, value, text) \
	do { \
		__typeof__(fixture->field) before = fixture->field; \
		char why[STATE_WHY_SIZE]; \
\
		fixture->field = (value); \
		assert_int_equal(verdict(why), -EBADMSG); \
		assert_non_null(strstr(why, text)); \
		fixture->field = before; \
		assert_int_equal(verdict(why), 0); \
	} while (0)
#define REFUSED_TEXT(field, value, text) \
	do { \
		char before[sizeof(fixture->field)]; \
		char why[STATE_WHY_SIZE]; \
\
		memcpy(before, fixture->field, sizeof(before)); \
		memset(fixture->field, 0, sizeof(before)); \
		memcpy(fixture->field, value, sizeof(value) - 1); \
		assert_int_equal(verdict(why), -EBADMSG); \
		assert_non_null(strstr(why, text)); \
		memcpy(fixture->field, before, sizeof(before)); \
		assert_int_equal(verdict(why), 0); \
	} while (0)

static int
set_up(void **state)
{
	fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	state_fixture_init(fixture);
	return 0;
}

static int
tear_down(void **state)
{
	free(fixture);
	return 0;
}

static void
every_kind_of_record_is_taken_and_read_back(void **state)
{
	struct state_writer writer = { 0 };
	size_t seen[N_STATE_KINDS] = { 0 }, n_fds = 0, i;
	char why[STATE_WHY_SIZE];
	struct state_iter iter;
	struct state_item item;
	const int32_t *fds;

	state_fixture_write(fixture, &writer);
	assert_int_equal(state_writer_end(&writer), 0);
	assert_int_equal(state_check(writer.data, writer.size, why), 0);
	state_iter_init(&iter, writer.data, writer.size);
	while (state_iter_next(&iter, &item)) {
		seen[item.kind]++;
		n_fds += state_item_fds(&item, &fds);
		if (item.kind == STATE_CHILD) {
			assert_string_equal(item.fixed.child.id, "web1");
			assert_int_equal(item.fixed.child.pid, 201);
		}
		if (item.kind == STATE_DEFERRED) {
			assert_int_equal(item.n_tail, 5);
			assert_memory_equal(item.tail, "bytes", 5);
		}
	}
	for (i = 0; i < N_STATE_KINDS; i++)
		assert_true(seen[i] > 0);
	assert_int_equal(n_fds, N_STATE_GLOBAL_FDS + N_STATE_KEEPER_FDS + 1 +
					1 + 2 + FD_MSG_MAX + 1);
	state_writer_deinit(&writer);
}

static void
every_cut_and_every_flipped_bit_is_refused(void **state)
{
	struct state_writer writer = { 0 };
	char why[STATE_WHY_SIZE];
	size_t i;

	state_fixture_write(fixture, &writer);
	assert_int_equal(state_writer_end(&writer), 0);
	for (i = 0; i < writer.size; i += 3)
		assert_int_equal(state_check(writer.data, i, why), -EBADMSG);
	for (i = 0; i < writer.size; i += 97) {
		writer.data[i] ^= 1;
		assert_int_equal(state_check(writer.data, writer.size, why),
				 -EBADMSG);
		writer.data[i] ^= 1;
	}
	assert_int_equal(state_check(writer.data, writer.size, why), 0);
	state_writer_deinit(&writer);
}

/* Sizes that lie, with a checksum that is right. */
static void
records_that_lie_about_themselves_are_refused(void **state)
{
	static const uint32_t sizes[] = { 0,	      1,	  7,
					  0x7fffffff, 0xffffffff, 0xfffffff8 };
	struct state_writer writer = { 0 };
	struct state_header header;
	char why[STATE_WHY_SIZE];
	uint32_t kept;
	size_t i, field;

	state_fixture_write(fixture, &writer);
	assert_int_equal(state_writer_end(&writer), 0);
	/* Kind, then size of the first record. */
	for (field = 0; field < 2; field++)
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			uint8_t *at = writer.data + sizeof(header) + 4 * field;

			if (field == 0 && sizes[i] == STATE_GLOBAL)
				continue;
			memcpy(&kept, at, sizeof(kept));
			memcpy(at, &sizes[i], sizeof(kept));
			assert_int_equal(state_writer_end(&writer), 0);
			assert_int_equal(
				state_check(writer.data, writer.size, why),
				-EBADMSG);
			memcpy(at, &kept, sizeof(kept));
		}
	state_writer_deinit(&writer);
}

static void
state_of_another_version_is_named(void **state)
{
	struct state_writer writer = { 0 };
	struct state_header header;
	char why[STATE_WHY_SIZE];

	state_fixture_write(fixture, &writer);
	assert_int_equal(state_writer_end(&writer), 0);
	memcpy(&header, writer.data, sizeof(header));
	header.version = STATE_VERSION + 1;
	memcpy(writer.data, &header, sizeof(header));
	assert_int_equal(state_check(writer.data, writer.size, why), -EBADMSG);
	assert_non_null(strstr(why, "is of version 3, and only 2"));
	state_writer_deinit(&writer);
}

static void
global_fields(void **state)
{
	size_t i;

	for (i = 0; i < STATE_FD_CGROUP; i++)
		REFUSED(global.fds[i], -1, "of its own is missing");
	for (i = 0; i < N_STATE_GLOBAL_FDS; i++) {
		REFUSED(global.fds[i], 2, "a descriptor that is none");
		REFUSED(global.fds[i], fixture->conn.fds[0], "twice");
	}
	REFUSED(global.fds[STATE_FD_CGROUP], -2, "has no directory");
	REFUSED(conn.fds[0], -2, "without a descriptor");
	REFUSED(packet.fds[0], -2, "a descriptor that is none");
	REFUSED(global.fds[STATE_FD_CGROUP], -1, "has no directory");
	REFUSED(global.fds[STATE_FD_CGROUP_PARENT], -1, "has no directory");
	REFUSED(global.system, 2, "a flag");
	REFUSED(global.has_resolver, 2, "a flag");
	REFUSED(global.policy_first, UINT32_MAX, "a flag");
	REFUSED(global.cgroup_made, 3, "a flag");
	REFUSED(global.cgroup_memory, 2, "a flag");
	REFUSED(global.cgroup_pids, 2, "a flag");
	REFUSED(global.worker_uid, 0, "would be root");
	REFUSED(global.worker_uid, UINT32_MAX, "would be root");
	REFUSED(global.worker_gid, UINT32_MAX, "would be root");
	REFUSED(global.last_conn_id, 4, "is not its own");
	REFUSED(global.system, 1, "systemd keeps");
	REFUSED_TEXT(global.cgroup_name, "a/b", "no name");
	REFUSED_TEXT(global.cgroup_name, "..", "no name");
	memset(fixture->global.cgroup_name, 'x', STATE_NAME_SIZE);
	assert_int_equal(verdict((char[STATE_WHY_SIZE]){ 0 }), -EBADMSG);
}

static void
texts(void **state)
{
	REFUSED(texts[STATE_TEXT_RUN_DIR], NULL, "a path is missing");
	REFUSED(texts[STATE_TEXT_RESOLVER], NULL, "a path is missing");
	REFUSED(texts[STATE_TEXT_CGROUP_PATH], NULL, "a path is missing");
	REFUSED(texts[STATE_TEXT_RUN_DIR], "run", "not absolute");
	REFUSED(texts[STATE_TEXT_PROGRAM], "sh", "not absolute");
	REFUSED(texts[STATE_TEXT_POLICY_DIR], "", "does not end");
	REFUSED(text_name, N_STATE_TEXTS, "a text that is not known");
	REFUSED(text_name, STATE_TEXT_RUN_DIR, "a text that is not known");
	REFUSED(text_size, 3, "does not end");
	REFUSED(text_size, 0, "does not end");
}

static void
keeper_fields(void **state)
{
	REFUSED(keeper.state, KEEPER_STOPPING + 1, "no known state");
	REFUSED(keeper.adopted, 2, "no known state");
	REFUSED(keeper.was_ready, 2, "no known state");
	REFUSED(keeper.pid, 0, "do not agree");
	REFUSED(keeper.pid, 1, "a pid that is none");
	REFUSED(keeper.pid, -5, "a pid that is none");
	REFUSED(keeper.pid, 201, "a pid is there twice");
	REFUSED(keeper.fds[STATE_FD_WORKER], -1, "do not agree");
	REFUSED(keeper.fds[STATE_FD_RPC], 0, "a descriptor that is none");
	REFUSED(keeper.waiters[3].stop, 2, "a flag");
	REFUSED(keeper.fds[STATE_FD_STORED], -1, "has no name");
	REFUSED_TEXT(keeper.stored[3], "", "has no name");
	REFUSED_TEXT(keeper.stored[1], "a:b", "has no name");
	REFUSED(keeper.args_size, KEEPER_ARGS_SIZE, "do not end");
	REFUSED(keeper.args_size, 3, "do not end");
	fixture->keeper.args_size = KEEPER_ARGS_MAX + 1;
	memset(fixture->keeper.args, 0, sizeof(fixture->keeper.args));
	assert_int_equal(verdict((char[STATE_WHY_SIZE]){ 0 }), -EBADMSG);
}

static void
connections_and_what_they_wait_for(void **state)
{
	REFUSED(conn.id, 0, "is not its own");
	REFUSED(conn.id, 9, "is not its own");
	REFUSED(conn.fds[0], -1, "without a descriptor");
	REFUSED(conn.is_worker, 2, "a flag");
	REFUSED(conn.is_keeper, 2, "a flag");
	REFUSED(conn.was_kept, 2, "a flag");
	REFUSED(conn.closing, 2, "a flag");
	REFUSED(n_conns, 2, "is not its own");
	REFUSED(packet.conn_id, 6, "an answer to nobody");
	REFUSED(packet.fds[0], 1, "a descriptor that is none");
	REFUSED(packet_size, 0, "an answer to nobody");
	REFUSED(n_packets, CONN_QUEUE_MAX + 1, "too many answers");
	REFUSED(listed.conn_id, 6, "a list for nobody");
	REFUSED(listed_size, 6, "half pids");
	REFUSED(n_listed, 2, "a second one");
}

static void
children_starts_and_removals(void **state)
{
	REFUSED(child.pid, 0, "a pid that is none");
	REFUSED(child.pid, 1, "a pid that is none");
	REFUSED(child.pid, -1, "a pid that is none");
	REFUSED(child.pid, 202, "a pid is there twice");
	REFUSED(child.owner, UINT32_MAX, "not an id");
	REFUSED(child.gated, 2, "a flag");
	REFUSED(child.execed, 2, "a flag");
	REFUSED_TEXT(child.id, "../x", "not an id");
	REFUSED_TEXT(child.id, "", "not an id");
	REFUSED(start.pid, 0, "a pid that is none");
	REFUSED(start.fds[0], -1, "without a descriptor");
	REFUSED(start.fds[1], 2, "a descriptor that is none");
	REFUSED(start.is_exec, 2, "a flag");
	REFUSED(start.gated, 2, "a flag");
	REFUSED(start.ungated, 2, "a flag");
	REFUSED(start.answered, 2, "a flag");
	REFUSED(start.has_child, 2, "a flag");
	REFUSED(start.owner, UINT32_MAX, "not an id");
	REFUSED_TEXT(start.id, "a b", "not an id");
	REFUSED_TEXT(removal.id, ".x", "not an id");
	REFUSED(removal.owner, UINT32_MAX, "not an id");
	REFUSED(removal.pause_ms, -1, "a pause");
	memset(fixture->removal.id, 'a', STATE_ID_SIZE);
	assert_int_equal(verdict((char[STATE_WHY_SIZE]){ 0 }), -EBADMSG);
}

static void
requests_policy_and_leftovers(void **state)
{
	REFUSED(deferred.n_fds, FD_MSG_MAX + 1, "without its descriptors");
	REFUSED(deferred.n_fds, 3, "without its descriptors");
	REFUSED(deferred.n_fds, 1, "too many descriptors");
	REFUSED(deferred.fds[1], fixture->deferred.fds[0], "twice");
	REFUSED(deferred_size, 0, "an empty one");
	REFUSED(table.n_rules, POLICY_MAX_RULES + 1, "");
	REFUSED(table.magic, 1, "");
	REFUSED(table_size, sizeof(fixture->table) - 4, "another size");
	REFUSED(n_tables, 2, "one policy");
	REFUSED(leftover.pid, 0, "a pid that is none");
	REFUSED(leftover.pid, 201, "a pid is there twice");
	REFUSED(orphan.number, 1, "a pid that is none");
	REFUSED(orphan.number, -7, "a pid that is none");
	REFUSED(orphan.fds[0], -1, "without a descriptor");
	REFUSED(orphan.fds[0], fixture->start.fds[0], "twice");
	REFUSED(orphan.owner, UINT32_MAX, "not an id");
	REFUSED_TEXT(orphan.id, "a/b", "not an id");
	REFUSED(n_orphans, ORPHANS_MAX + 1, "too many");
	REFUSED(n_keepers, 0, "one keeper");
	REFUSED(n_keepers, 2, "");
	REFUSED(n_globals, 2, "first record");
	REFUSED(n_globals, 0, "first record");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			every_kind_of_record_is_taken_and_read_back, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			every_cut_and_every_flipped_bit_is_refused, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			records_that_lie_about_themselves_are_refused, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			state_of_another_version_is_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(global_fields, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(texts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keeper_fields, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			connections_and_what_they_wait_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(children_starts_and_removals,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(requests_policy_and_leftovers,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
