/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a spawner hands to the program that takes its place (spawner_reexec.h):
 * a header, then records, each a structure of fixed size and perhaps bytes of
 * variable number behind it. In host byte order: it never leaves the machine.
 * It names open descriptors by number and children by pid. Pure: nothing here
 * looks at either; state_check() comes before anything is believed.
 *
 *	GLOBAL  TEXT...  KEEPER  CONN {PACKET... LISTED}...  CHILD...  START...
 *	REMOVAL...  DEFERRED...  POLICY  LEFTOVER...  ORPHAN...
 */
#ifndef NSX_SPAWN_SPAWNER_STATE_H
#define NSX_SPAWN_SPAWNER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/fd.h"
#include "spawn/spawner_keeper.h"
#include "spawn/spawner_policy.h"

#define STATE_MAGIC 0x5458534eu /* "NSXT" */
/* Raised with any change of what is below: there is no reading of others. */
#ifndef STATE_VERSION
#define STATE_VERSION 2u
#endif
#define STATE_MAX ((size_t)256 << 20)
#define STATE_WHY_SIZE 160
#define STATE_ID_SIZE 72 /* a container's id with its NUL, and zeros */
#define STATE_NAME_SIZE 80
#define STATE_STORED_SIZE 40

enum state_kind {
	STATE_GLOBAL,
	STATE_TEXT,
	STATE_KEEPER,
	STATE_CONN,
	STATE_PACKET,
	STATE_LISTED,
	STATE_CHILD,
	STATE_START,
	STATE_REMOVAL,
	STATE_DEFERRED,
	STATE_POLICY,
	STATE_LEFTOVER,
	STATE_ORPHAN,
	N_STATE_KINDS
};

struct state_header {
	uint32_t magic, version;
	uint64_t size; /* all of it */
	uint32_t n_records;
	uint32_t checksum; /* crc32c() of what follows */
};

struct state_record {
	uint32_t kind;
	uint32_t size; /* of what follows; then zeros up to 8 */
};

/* Who waits for an answer. */
struct state_waiter {
	uint64_t conn_id; /* 0 = nobody */
	uint32_t seq;
	uint32_t stop; /* of a keeper's: for the end */
};

enum state_global_fd {
	STATE_FD_PROC,
	STATE_FD_RUNDIR,
	STATE_FD_GATES,
	STATE_FD_PID,
	STATE_FD_LISTEN,
	STATE_FD_CGROUP,	   /* may be -1 */
	STATE_FD_CGROUP_PARENT,	   /* may be -1 */
	STATE_FD_CGROUP_HIERARCHY, /* may be -1 */
	N_STATE_GLOBAL_FDS
};

struct state_global {
	uint64_t limits[4]; /* core: soft, hard; descriptors: soft, hard */
	uint64_t last_conn_id;
	struct state_waiter asker; /* of the re-exec */
	struct state_waiter policy_waiters[POLICY_WAITERS];
	int32_t fds[N_STATE_GLOBAL_FDS];
	uint32_t worker_uid, worker_gid, resolver_uid, resolver_gid;
	uint32_t system, has_resolver, policy_first;
	uint32_t cgroup_made, cgroup_memory, cgroup_pids, zero;
	char cgroup_name[STATE_NAME_SIZE];
};

enum state_text_name {
	STATE_TEXT_RUN_DIR,
	STATE_TEXT_CGROUP_PATH, /* as /proc shows it */
	STATE_TEXT_CGROUP_ROOT,
	STATE_TEXT_NOTIFY_SOCKET,
	STATE_TEXT_RESOLVER,
	STATE_TEXT_POLICY_DIR,
	STATE_TEXT_NEWUIDMAP,
	STATE_TEXT_NEWGIDMAP,
	STATE_TEXT_PROGRAM,
	N_STATE_TEXTS
};

struct state_text { /* NUL-ended text behind it */
	uint32_t name, zero;
};

enum state_keeper_fd {
	STATE_FD_WORKER,
	STATE_FD_WORKER_PROGRAM,
	STATE_FD_RPC,
	STATE_FD_CHANNEL,
	STATE_FD_STORED, /* the first of those that it left */
	N_STATE_KEEPER_FDS = STATE_FD_STORED + KEEPER_STORE_MAX
};

struct state_keeper {
	int64_t started_ms, pause_ms;
	int64_t timer_ms; /* 0 = not armed */
	struct state_waiter waiters[KEEPER_WAITERS];
	int32_t fds[N_STATE_KEEPER_FDS];
	int32_t pid;
	uint32_t state, adopted, was_ready;
	uint32_t args_size, zero;
	char args[KEEPER_ARGS_SIZE];
	char stored[KEEPER_STORE_MAX][STATE_STORED_SIZE]; /* their names */
};

struct state_conn {
	uint64_t id;
	int32_t fds[1];
	int32_t pid;
	uint32_t uid, keep_seq;
	uint32_t is_worker, is_keeper, was_kept, closing;
};

struct state_packet { /* an answer that waits: the bytes behind it */
	uint64_t conn_id;
	int32_t fds[1]; /* or -1 */
	uint32_t zero;
};

struct state_listed { /* a LIST under way: u32 pids behind it */
	uint64_t conn_id;
	uint32_t seq, zero;
};

struct state_child {
	uint64_t start_time;
	int32_t pid;
	uint32_t owner, gated, execed;
	char id[STATE_ID_SIZE];
};

struct state_start {
	uint64_t conn_id;
	int64_t deadline_ms;
	int32_t fds[2]; /* the relay's pidfd; its report or -1 */
	int32_t pid;	/* the relay */
	uint32_t seq, owner;
	uint32_t is_exec, gated, ungated, answered, has_child, zero;
	char id[STATE_ID_SIZE];
};

struct state_removal {
	uint64_t conn_id;
	int64_t next_ms, end_ms, pause_ms;
	uint32_t seq, owner;
	char id[STATE_ID_SIZE];
};

struct state_deferred { /* the request as it came behind it */
	uint64_t conn_id;
	int64_t deadline_ms;
	uint32_t seq, n_fds;
	int32_t fds[FD_MSG_MAX]; /* n_fds of them, then -1 */
};

struct state_policy { /* a struct policy_table behind it */
	uint64_t zero;
};

/* A child of the old program that serves the new one no more. */
struct state_leftover {
	int32_t pid;
	uint32_t zero;
};

/* What an earlier spawner has left. Its number may be another's by now. */
struct state_orphan {
	int32_t fds[1]; /* its pidfd */
	int32_t number;
	uint32_t owner, zero;
	char id[STATE_ID_SIZE];
};

union state_fixed {
	struct state_global global;
	struct state_text text;
	struct state_keeper keeper;
	struct state_conn conn;
	struct state_packet packet;
	struct state_listed listed;
	struct state_child child;
	struct state_start start;
	struct state_removal removal;
	struct state_deferred deferred;
	struct state_policy policy;
	struct state_leftover leftover;
	struct state_orphan orphan;
};

/* Writing. data is owned; failed: there was no memory, or it is too much. */
struct state_writer {
	uint8_t *data;
	size_t size, room;
	uint32_t n_records;
	bool failed;
};
void state_writer_deinit(struct state_writer *writer);
void state_put(struct state_writer *writer, enum state_kind kind,
	       const void *fixed, const void *tail, size_t n_tail);
/* The header. 0 or -ENOMEM. */
must_check int state_writer_end(struct state_writer *writer);

/* Reading. Of a checked state alone. */
struct state_item {
	enum state_kind kind;
	union state_fixed fixed; /* a copy */
	const uint8_t *tail;	 /* lent */
	size_t n_tail;
};
struct state_iter {
	const uint8_t *at, *end;
};
void state_iter_init(struct state_iter *iter, const uint8_t *data, size_t size);
/* false: there are no more. */
bool state_iter_next(struct state_iter *iter, struct state_item *ret);
/* Its descriptors, -1 among them. How many. */
size_t state_item_fds(const struct state_item *item, const int32_t **ret);

/*
 * May all of it be believed, as far as bytes can tell? Every number is in its
 * range, every text ends, no descriptor and no pid is there twice, and what
 * refers to a connection has one. 0, -ENOMEM, or -EBADMSG with why not.
 */
must_check int state_check(const uint8_t *data, size_t size,
			   char why[STATE_WHY_SIZE]);

#endif
