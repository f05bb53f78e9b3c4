/* SPDX-License-Identifier: Apache-2.0 */
/*
 * START and EXEC. A start is in flight from the clone of its relay until that
 * relay was reaped:
 *
 *	request -> checks, cgroup, gate, clone of the relay
 *	relay's report {init's pid}    -> verified -> answer CHILD + pidfd
 *	relay's end without a report   -> answer ERROR, remove what was made
 *	30 s gone                      -> kill it; then as above
 */
#ifndef NSX_SPAWN_SPAWNER_START_H
#define NSX_SPAWN_SPAWNER_START_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/ops.h"
#include "spawn/spawner_cgroup.h"
#include "spawn/spawner_loop.h"

#define START_MAX 512
#define START_TIMEOUT_MS 30000

struct request;
struct spawner;

struct start {
	struct container_name name; /* id "" = free */
	uint64_t conn_id;
	uint32_t seq;
	bool is_exec;
	bool gated;	/* GATE_NAMED */
	bool ungated;	/* GATE_NONE */
	bool answered;	/* CHILD or ERROR was sent */
	bool has_child; /* it was CHILD */
	bool by_zygote; /* no relay: spawner_zygote.c ends it */
	pid_t relay;
	int relay_fd;  /* pidfd, owned */
	int report_fd; /* read end, owned; -1 after EOF */
	int64_t deadline_ms;
	struct watch relay_watch, report_watch;
};

struct start_table {
	struct start rows[START_MAX];
	size_t count;
};

void start_table_init(struct start_table *table);
void start_table_deinit(struct spawner *spawner);
/* Is a start of this container in flight? */
bool start_is_in(const struct start_table *table,
		 const struct container_name *name);
bool start_is_relay(const struct start_table *table, pid_t pid);
void start_on_timer(struct spawner *spawner);

void op_start(struct spawner *spawner, const struct request *request,
	      const struct op_message *msg);
void op_exec(struct spawner *spawner, const struct request *request,
	     const struct op_message *msg);

/* spawner_sweep.c: reap children that payloads cloned into us. */
void sweep_soon(struct spawner *spawner);
void sweep_on_timer(struct spawner *spawner);

#endif
