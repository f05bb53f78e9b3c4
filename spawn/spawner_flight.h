/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A start in flight, from the clone of its relay to the relay's reaping.
 */
#ifndef NSX_SPAWN_SPAWNER_FLIGHT_H
#define NSX_SPAWN_SPAWNER_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

struct container_name;
struct spawner;
struct start;

/* A container process that is known to be our child. */
struct started {
	const struct container_name *name;
	uint64_t conn_id; /* who asked, and by which request */
	uint32_t seq;
	pid_t pid;
	int pidfd;    /* lent */
	bool gated;   /* GATE_NAMED */
	bool ungated; /* GATE_NONE: it may run its program already */
};

/*
 * Takes the relay and the descriptors of *start. There is a free row: the
 * table was looked at before the clone. The row stays where it is.
 */
struct start *flight_begin(struct spawner *spawner, struct start *take_start);

/* The same with one of a spawner before us, which keeps its deadline. */
void flight_resume(struct spawner *spawner, const struct start *take_start);

/* Its child was told of: nothing is in flight any more. */
void flight_end(struct spawner *spawner, struct start *start);

/* It was answered and came to nothing: kill and reap that child (0 = none), and
 * remove what was made for it. */
void flight_drop(struct spawner *spawner, struct start *start, pid_t pid);

/*
 * Enter it among the children and answer its request with CHILD. 0 or -errno,
 * then nothing was answered.
 */
must_check int start_answer_child(struct spawner *spawner,
				  const struct started *started);

#endif
