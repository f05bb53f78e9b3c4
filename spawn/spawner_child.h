/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spawner's children that are container processes: an init or an exec
 * child each. The table holds what was reported to nsexecd as CHILD and was
 * not reaped since; it never holds a relay or the worker. Whether a child
 * lives, how it ended and whether it exec'd is asked of the kernel each time.
 * A pid in the table cannot be reused: only we reap it.
 */
#ifndef NSX_SPAWN_SPAWNER_CHILD_H
#define NSX_SPAWN_SPAWNER_CHILD_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "lib/err.h"
#include "proto/ops.h"
#include "spawn/spawner_cgroup.h"

#define CHILD_BUCKETS 1024

struct child {
	struct child *next_pid;	 /* same bucket of by_pid */
	struct child *next_name; /* same bucket of by_name */
	struct container_name name;
	uint64_t start_time;
	pid_t pid;
	bool gated;  /* created: gates/ID is its own, not opened yet */
	bool execed; /* seen once; it stays so */
};

struct child_table {
	struct child *by_pid[CHILD_BUCKETS];
	struct child *by_name[CHILD_BUCKETS];
	size_t count;
};

/* 0 or -ENOMEM. A pid that is in the table already is an error of ours. */
must_check int child_add(struct child_table *table, pid_t pid,
			 const struct container_name *name, uint64_t start_time,
			 bool gated);
/* NULL: not one of ours. */
struct child *child_find(const struct child_table *table, pid_t pid);
/* Any child of this container. */
struct child *child_find_in(const struct child_table *table,
			    const struct container_name *name);
/* The child of this container that waits at its gate. */
struct child *child_find_gated(const struct child_table *table,
			       const struct container_name *name);
void child_remove(struct child_table *table, struct child *child);
void child_table_deinit(struct child_table *table);

bool container_name_equal(const struct container_name *a,
			  const struct container_name *b);

/* How a child ended. */
struct child_exit {
	bool exited;	      /* else it still runs */
	uint32_t wait_status; /* as wait(2) gives it */
	struct op_rusage rusage;
};
/* Without reaping. -ECHILD: no child of ours. */
must_check int child_peek(pid_t pid, struct child_exit *ret);
/* -ECHILD, -EBUSY: it still runs. */
must_check int child_reap(pid_t pid, struct child_exit *ret);

#endif
