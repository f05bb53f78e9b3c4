/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child of the spawner that is sent for something: it writes what it found to
 * a pipe and ends, and is killed when its time is over. Whoever sends it starts
 * it (by fork, or as a program) and reads the pipe; this is what all have in
 * common.
 */
#ifndef NSX_SPAWN_SPAWNER_ERRAND_H
#define NSX_SPAWN_SPAWNER_ERRAND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "spawn/spawner_loop.h"

struct spawner;

struct errand {
	pid_t pid;
	int pidfd, out_fd; /* owned; out_fd: the pipe's end for reading */
	int64_t deadline_ms;
	bool killed; /* its time was over */
	struct watch watch;
};
#define ERRAND_NULL \
	{ \
		.pidfd = -1, .out_fd = -1, .watch.fd = -1 \
	}

/*
 * pid and pidfd are there: have watch.fn called at its end, which comes by
 * timeout_ms from now at the latest. 0 or -errno.
 */
must_check int errand_watch(struct spawner *spawner, struct errand *errand,
			    int timeout_ms);
/* In watch.fn: reap it. false: it has not ended yet. Status as of wait(2). */
must_check bool errand_reap(struct errand *errand, int *ret_status);
/* Kill it if it is overdue; else its deadline counts for *next (0 = none). */
void errand_check_deadline(struct errand *errand, int64_t now, int64_t *next);
/* Kill it and wait for its end, which nothing of ours can put off: it could not
 * be watched. */
void errand_abandon(struct spawner *spawner, struct errand *errand);
/* Kill it, if it lives, and forget it. Safe twice. */
void errand_end(struct spawner *spawner, struct errand *errand);

#endif
