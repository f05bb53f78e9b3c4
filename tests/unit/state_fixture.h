/* SPDX-License-Identifier: Apache-2.0 */
/* A spawner's state with a record of every kind, which a test may spoil. */
#ifndef NSX_TESTS_UNIT_STATE_FIXTURE_H
#define NSX_TESTS_UNIT_STATE_FIXTURE_H

#include <string.h>

#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_state.h"

struct state_fixture {
	struct state_global global;
	const char *texts[N_STATE_TEXTS];
	uint32_t text_name; /* of one more text */
	size_t text_size;
	struct state_keeper keeper;
	struct state_conn conn;
	struct state_packet packet;
	struct state_listed listed;
	struct state_child child;
	struct state_start start;
	struct state_removal removal;
	struct state_deferred deferred;
	struct state_leftover leftover;
	struct state_orphan orphan;
	struct policy_table table;
	size_t packet_size, listed_size, deferred_size, table_size;
	size_t n_globals, n_keepers, n_conns, n_packets, n_listed, n_tables;
	size_t n_orphans; /* with the descriptors behind the first's */
};

static void
state_fixture_init(struct state_fixture *f)
{
	size_t i;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < N_STATE_GLOBAL_FDS; i++)
		f->global.fds[i] = (int32_t)(10 + i);
	for (i = 0; i < N_STATE_KEEPER_FDS; i++)
		f->keeper.fds[i] = (int32_t)(30 + i);
	for (i = 0; i < KEEPER_STORE_MAX; i++)
		memcpy(f->keeper.stored[i], "ring", 4);
	for (i = 0; i < FD_MSG_MAX; i++)
		f->deferred.fds[i] = i < 2 ? (int32_t)(50 + i) : -1;
	f->global.worker_uid = f->global.worker_gid = 61999;
	f->global.last_conn_id = 8;
	f->global.has_resolver = f->global.cgroup_made = 1;
	memcpy(f->global.cgroup_name, "nsexecd-1", 10);
	for (i = 0; i < N_STATE_TEXTS; i++)
		f->texts[i] = "/some/path";
	f->texts[STATE_TEXT_NOTIFY_SOCKET] = NULL;
	f->text_name = STATE_TEXT_NOTIFY_SOCKET;
	f->text_size = 6;
	f->keeper.pid = 200;
	f->keeper.state = KEEPER_READY;
	f->keeper.args_size = 4; /* two: "a" and "b" */
	memcpy(f->keeper.args, "a\0b", 4);
	f->conn = (struct state_conn){ .id = 7, .fds = { 40 }, .pid = 5 };
	f->packet = (struct state_packet){ .conn_id = 7, .fds = { -1 } };
	f->listed = (struct state_listed){ .conn_id = 7 };
	f->child = (struct state_child){ .pid = 201, .id = "web1" };
	f->start = (struct state_start){ .pid = 202,
					 .id = "web2",
					 .fds = { 41, 42 } };
	f->removal = (struct state_removal){ .id = "web3" };
	f->deferred.n_fds = 2;
	f->deferred.conn_id = 7;
	f->leftover.pid = 203;
	f->orphan = (struct state_orphan){ .number = 201, /* of before */
					   .id = "web4",
					   .fds = { 43 } };
	policy_table_init(&f->table);
	f->packet_size = f->listed_size = 8;
	f->deferred_size = 5;
	f->table_size = sizeof(f->table);
	f->n_globals = f->n_keepers = f->n_conns = 1;
	f->n_packets = f->n_listed = f->n_tables = 1;
	f->n_orphans = 1;
}

static void
state_fixture_write_rest(const struct state_fixture *f,
			 struct state_writer *writer)
{
	static const uint32_t pids[] = { 201, 204, 205 };
	struct state_orphan orphan;
	size_t i;

	for (i = 0; i < f->n_conns; i++)
		state_put(writer, STATE_CONN, &f->conn, NULL, 0);
	for (i = 0; i < f->n_packets; i++)
		state_put(writer, STATE_PACKET, &f->packet, pids,
			  f->packet_size);
	for (i = 0; i < f->n_listed; i++)
		state_put(writer, STATE_LISTED, &f->listed, pids,
			  f->listed_size);
	state_put(writer, STATE_CHILD, &f->child, NULL, 0);
	state_put(writer, STATE_START, &f->start, NULL, 0);
	state_put(writer, STATE_REMOVAL, &f->removal, NULL, 0);
	state_put(writer, STATE_DEFERRED, &f->deferred, "bytes",
		  f->deferred_size);
	for (i = 0; i < f->n_tables; i++)
		state_put(writer, STATE_POLICY, &(struct state_policy){ 0 },
			  &f->table, f->table_size);
	state_put(writer, STATE_LEFTOVER, &f->leftover, NULL, 0);
	for (i = 0; i < f->n_orphans; i++) {
		orphan = f->orphan;
		orphan.fds[0] += i ? 1000 + (int32_t)i : 0;
		state_put(writer, STATE_ORPHAN, &orphan, NULL, 0);
	}
}

static inline void
state_fixture_write(struct state_fixture *f, struct state_writer *writer)
{
	struct state_text text;
	size_t i;

	policy_table_seal(&f->table);
	for (i = 0; i < f->n_globals; i++)
		state_put(writer, STATE_GLOBAL, &f->global, NULL, 0);
	for (i = 0; i < N_STATE_TEXTS; i++) {
		text = (struct state_text){ .name = (uint32_t)i };
		if (f->texts[i])
			state_put(writer, STATE_TEXT, &text, f->texts[i],
				  strlen(f->texts[i]) + 1);
	}
	text.name = f->text_name;
	state_put(writer, STATE_TEXT, &text, "@/sys", f->text_size);
	for (i = 0; i < f->n_keepers; i++)
		state_put(writer, STATE_KEEPER, &f->keeper, NULL, 0);
	state_fixture_write_rest(f, writer);
}

#endif
