/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to spawner.sock: nsexecd's, and launchers'. Only uid 0 and
 * nsexecd's uid get one. Answers never block: what the socket does not take is
 * queued, and while anything is queued no further request is read from that
 * connection, so the queue is bounded by the answers that were owed already.
 * Answers are addressed by a connection id that is never used again; an answer
 * to a connection that is gone is dropped.
 */
#ifndef NSX_SPAWN_SPAWNER_CONN_H
#define NSX_SPAWN_SPAWNER_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "lib/fd.h"
#include "proto/errcode.h"
#include "proto/nlmsg.h"
#include "proto/ops.h"
#include "spawn/spawner_loop.h"

#define CONN_MAX 16
/* Starts in flight, and a few: more than can be owed to one connection. */
#define CONN_QUEUE_MAX 1024

/* An answer that the socket did not take yet. */
struct conn_packet {
	struct conn_packet *next;
	int fd; /* owned; -1 = none */
	size_t size;
	uint8_t data[];
};

struct conn {
	uint64_t id; /* 0 = free */
	int fd;
	uid_t uid;
	pid_t pid;
	bool is_worker; /* of nsexecd's uid: the newest one counts */
	bool is_keeper; /* a launcher: sent KEEP, is told of the end */
	bool was_kept;	/* and that was answered DONE */
	uint32_t keep_seq;
	bool closing; /* once the queue is out */
	struct conn_packet *queue, **queue_end;
	size_t n_queued;
	int *listed; /* LIST under way: pids, owned */
	size_t n_listed, list_next;
	uint32_t list_seq;
	struct watch watch;
};

struct conn_table {
	struct conn conns[CONN_MAX];
	uint64_t last_id;
	size_t count;
	int listen_fd;
	struct watch listen_watch;
};

/* One request as it came; fds are the request's, closed after the operation. */
struct request {
	struct conn *conn;
	uint64_t conn_id;
	uint32_t seq;
	uint16_t type;
	const uint8_t *data;
	size_t size;
	int fds[FD_MSG_MAX];
	size_t n_fds;
	/* Of one that waited for the resolver (spawner_defer.h). */
	bool resolved;	     /* its caller's account was */
	int64_t deadline_ms; /* 0: it did not wait */
};

void conn_table_init(struct conn_table *table);
void conn_table_deinit(struct spawner *spawner);
/* Takes the listener. */
must_check int conn_listen(struct spawner *spawner, int take_listen_fd);
void conn_on_timer(struct spawner *spawner);
/* Go on with a connection of a spawner before us: takes what *take_conn holds,
 * its queue not among it. There is room. conn_resume_end(): that was all. */
void conn_resume(struct spawner *spawner, const struct conn *take_conn);
must_check int conn_resume_end(struct spawner *spawner);
/* Behind what waits; fd is given. 0 or -errno. */
must_check int conn_resume_packet(struct conn *conn, const void *data,
				  size_t size, int take_fd);
struct conn *conn_find(struct spawner *spawner, uint64_t id);
void conn_close(struct spawner *spawner, struct conn *conn);
/* Close it when all answers are out. */
void conn_finish(struct spawner *spawner, struct conn *conn);

/* Send what builder holds, with fd (lent) if it is not -1. */
void conn_send(struct spawner *spawner, uint64_t conn_id,
	       struct nlmsg_builder *builder, int fd);
void answer_done(struct spawner *spawner, uint64_t conn_id, uint32_t seq);

/* Another policy is in force: tell nsexecd. */
void conn_tell_policy(struct spawner *spawner);

/* What an ERROR says. failure NULL: a refusal without a system call. */
struct answer_error {
	enum errcode code;
	const char *rule; /* may be NULL */
	const struct failure *failure;
	const struct op_quota *quota; /* code QUOTA; may be NULL */
};
void answer_error(struct spawner *spawner, uint64_t conn_id, uint32_t seq,
		  const struct answer_error *error);

#endif
