/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted: of the instance (core's) and of each owner (in
 * container_table.h), the same struct. Fixed size, plain increments, no
 * allocation but that of an owner's row. Numbers begin at 0 with each nsexecd.
 *
 * Labels are of fixed enumerations alone: no text of a caller becomes one.
 */
#ifndef NSX_DAEMON_METRICS_H
#define NSX_DAEMON_METRICS_H

#include <stdint.h>
#include <sys/types.h>

#include "daemon/openmetrics.h"
#include "daemon/quota.h"
#include "lib/err.h"
#include "proto/errcode.h"

struct error;
struct task;

/* The methods that start something, or let it run. */
enum metrics_method {
	METRICS_CREATE,
	METRICS_RUN,
	METRICS_EXEC,
	METRICS_START, /* of what Create made: counted there */
	N_METRICS_METHODS,
};

/* Parts of a start, each measured once it has come as far as it was asked. */
enum metrics_phase {
	METRICS_ADMIT,	/* received, to sent to the spawner */
	METRICS_SPAWN,	/* to: init exists */
	METRICS_SETUP,	/* to: init is set up */
	METRICS_EXECVE, /* from set up and its gate open, to exec is proven */
	N_METRICS_PHASES,
};

enum metrics_exit {
	METRICS_EXIT_ZERO,
	METRICS_EXIT_CODE,
	METRICS_EXIT_SIGNAL,
	METRICS_EXIT_UNKNOWN,
	N_METRICS_EXITS,
};

/* An init, or a process of Exec. */
#define METRICS_PROCESSES 2

struct metrics {
	uint64_t starts[METRICS_START]; /* on record and sent */
	uint64_t started[METRICS_PROCESSES];
	uint64_t failures[N_STAGES][N_ERRCODES];
	uint64_t exits[METRICS_PROCESSES][N_METRICS_EXITS];
	uint64_t oom_kills;
	uint64_t errors[N_ERRCODES]; /* calls answered so */
	uint64_t quotas[N_QUOTAS];   /* of those, by bound */
	struct om_histogram phases[N_METRICS_PHASES];
	struct om_histogram methods[N_METRICS_METHODS];
	struct om_histogram lives; /* from exec to the end */
};

extern const struct om_bounds metrics_start_bounds, metrics_life_bounds;

/* A task: sent, at its gate for Start, running, failed, exited. */
void metrics_on_sent(struct task *task);
void metrics_on_created(struct task *task);
void metrics_on_started(struct task *task);
void metrics_on_failed(struct task *task, const struct error *error);
void metrics_on_exited(struct task *task);
/* A caller is told this error. */
void metrics_on_error(struct daemon *daemon, const struct rpc_caller *caller,
		      const struct error *error);

#endif
