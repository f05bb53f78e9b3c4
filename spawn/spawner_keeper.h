/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper of a private instance's nsexecd, the worker. KEEP gives its
 * program and starts it; it is started again when it crashes, not when it ends
 * with status 0; STOP ends it. The listening sockets are the keeper's and stay
 * open over a restart, so no connection attempt is lost.
 *
 *	NONE --KEEP--> STARTING --PING--> READY --crash--> BACKOFF --> STARTING
 *	  ^---- ended before its first PING, ended with 0, STOPPING ended ----'
 */
#ifndef NSX_SPAWN_SPAWNER_KEEPER_H
#define NSX_SPAWN_SPAWNER_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "proto/ops.h"
#include "spawn/spawner_loop.h"

#define KEEPER_WAITERS 16
/* Exit status of a worker whose successor is to go on at once. */
#define KEEPER_HANDED_OVER 75
#define KEEPER_ARGS_SIZE 4096
#define KEEPER_ARGS_MAX 32

enum keeper_state {
	KEEPER_NONE,
	KEEPER_STARTING,
	KEEPER_READY,
	KEEPER_BACKOFF,
	KEEPER_STOPPING,
};

struct keeper_waiter {
	uint64_t conn_id; /* 0 = free */
	uint32_t seq;
	bool stop; /* for the end; else for readiness */
};

struct conn;
struct request;
struct spawner;

/* What the worker left for its successor; spawner_store.c. */
#define KEEPER_STORE_MAX 4
struct keeper_stored {
	char name[33]; /* empty: free */
	int fd;
};

struct keeper {
	enum keeper_state state;
	pid_t pid; /* 0 = none */
	int pidfd;
	bool adopted;	/* another spawner's child: its status is not ours */
	bool was_ready; /* since the last KEEP */
	int program_fd; /* sealed memfd; -1 = none given yet */
	char args[KEEPER_ARGS_SIZE]; /* NUL-ended texts */
	size_t args_size;
	int rpc_fd, channel_fd; /* listeners; -1 = not bound */
	int64_t started_ms, pause_ms;
	struct keeper_waiter waiters[KEEPER_WAITERS];
	struct watch watch;
	struct keeper_stored stored[KEEPER_STORE_MAX];
};

void keeper_init(struct keeper *keeper);
/* Find a worker that outlived its spawner. */
void keeper_adopt(struct spawner *spawner);
void keeper_deinit(struct spawner *spawner);
static inline bool
keeper_is_worker(const struct keeper *keeper, pid_t pid)
{
	return keeper->pid != 0 && keeper->pid == pid;
}
/* Go on with what a spawner before us kept; its fields are filled. */
must_check int keeper_resume(struct spawner *spawner, int64_t started_ms);
/* A PING: of a fresh worker it says that it is ready. */
void keeper_on_ping(struct spawner *spawner, const struct conn *conn);
/* Ask the worker to end; it is not started again. */
void keeper_stop(struct spawner *spawner);
void keeper_on_timer(struct spawner *spawner);

void op_keep(struct spawner *spawner, const struct request *request,
	     const struct op_message *msg);
void op_stop(struct spawner *spawner, const struct request *request,
	     const struct op_message *msg);

void op_store(struct spawner *spawner, const struct request *request,
	      const struct op_message *msg);
void keeper_store_init(struct keeper *keeper);
/* Close all of it. */
void keeper_store_clear(struct keeper *keeper);

/* spawner_worker.c: fork and exec it. 0 and *ret_pid, *ret_pidfd; -errno. */
must_check int worker_start(struct spawner *spawner, pid_t *ret_pid,
			    int *ret_pidfd);

#endif
