/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a caller's process. The kernel holds a lock of a process in the
 * midst of execve(2) while its files are closed, and whoever reads its
 * namespaces, root or stat waits for that lock; a file of the user's own FUSE
 * server is closed when that user likes. So the spawner itself never reads
 * these of somebody else's process: a child of ours does, for one caller each,
 * and who cannot be looked at within a second counts as confined in every way.
 *
 * uid 0 is looked at directly, once its id map has shown (a file without that
 * lock) that it is root of our own user namespace.
 */
#ifndef NSX_SPAWN_SPAWNER_LOOK_H
#define NSX_SPAWN_SPAWNER_LOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "proto/policy.h"
#include "spawn/spawner_confine.h"
#include "spawn/spawner_errand.h"

#define LOOKS_MAX 128
#define LOOKS_OF_UID 32 /* connections that one user may have */
#define LOOK_TIMEOUT_MS 1000

struct caller;
struct spawner;

/* What there was to see. */
struct look {
	int32_t error; /* 0, or -errno: nothing of it is known */
	uint32_t loginuid;
	uint64_t start_time;
	char unit[POLICY_UNIT_MAX];
	struct confinement seen; /* without the label */
};

struct look_run {
	uint64_t cookie; /* of the connection; 0 = free */
	uint32_t uid;
	struct errand errand;
};

struct look_table {
	struct look_run runs[LOOKS_MAX];
};

void look_table_init(struct look_table *table);
void look_table_deinit(struct spawner *spawner);
bool look_has(const struct look_table *table, pid_t pid);

/* Look here and now. */
void look_read(int proc_fd, pid_t pid, struct look *ret);
/*
 * Have a child look; who_looked() follows. Of one cookie once at a time. 0, or
 * -errno; -EAGAIN: too many are at it, one of which is waited for.
 */
must_check int look_start(struct spawner *spawner, uint64_t cookie,
			  const struct caller *caller);
/* As errand_check_deadline(), of all runs. */
void look_check_deadlines(struct spawner *spawner, int64_t now, int64_t *next);

#endif
