/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of nsexec-resolver, which parses what root must not: the user data base
 * and the policy. Each run is a process of its own under a uid of its own, with
 * nothing but a pipe for one fixed-size record and one for a line of why not.
 * Bytes are collected by the loop; a run that takes longer than 5 s is killed.
 */
#ifndef NSX_SPAWN_SPAWNER_RESOLVER_H
#define NSX_SPAWN_SPAWNER_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "spawn/spawner_errand.h"
#include "spawn/spawner_loop.h"

#define RESOLVER_RUNS 8
#define RESOLVER_TIMEOUT_MS 5000
#define RESOLVER_WHY_SIZE 256

struct spawner;

/* What a run came to. */
struct resolver_result {
	const void *data; /* lent: size bytes as asked for; NULL: none */
	/* It ran and said why not; else the program itself is at fault. */
	bool refused;
	const char *why; /* lent: one line, escaped; if data is NULL */
};
typedef void (*resolver_fn)(struct spawner *spawner, uint32_t key,
			    const struct resolver_result *result);

struct resolver_run {
	resolver_fn fn; /* NULL = free */
	uint32_t key;
	struct errand errand;
	int why_fd;	  /* owned */
	uint8_t *data;	  /* owned; one byte more than size */
	size_t size, got; /* got > size: too much came */
	struct watch out_watch;
};

struct resolver {
	int program_fd; /* sealed memfd; -1 = there is none */
	struct resolver_run runs[RESOLVER_RUNS];
};

void resolver_init(struct resolver *resolver);
/* Load the program. What is missing is said in the log, and every run fails. */
void resolver_open(struct spawner *spawner);
void resolver_deinit(struct spawner *spawner);
bool resolver_has(const struct resolver *resolver, pid_t pid);

/*
 * Run it with these arguments ("user", "1000"); fn is called later, never from
 * here. 0, or -errno: -EAGAIN when all runs are taken.
 */
struct resolver_order {
	char *const *argv; /* NULL-ended, with argv[0]; lent */
	size_t size;	   /* of the record */
	resolver_fn fn;
	uint32_t key;
};
must_check int resolver_start(struct spawner *spawner,
			      const struct resolver_order *order);
/* As errand_check_deadline(), of all runs. */
void resolver_check_deadlines(struct spawner *spawner, int64_t now,
			      int64_t *next);

#endif
