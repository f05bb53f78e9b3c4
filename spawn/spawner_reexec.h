/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spawner's change to another program in the same process: same pid, same
 * children, same connections, and nobody is kept waiting for it.
 *
 *	IDLE --REEXEC--> TRIAL --it can go on--> DRAIN --> execveat --> answered
 *	  ^--------- it cannot, or not in 5 s ----'           |
 *	  ^------------------- it failed ---------------------'
 *
 * TRIAL: a child runs the program with a copy of the state, and says whether it
 * could go on from there. DRAIN: a zygote is telling of an init, 2 s at most.
 * Until the kernel has put the new program in place the old one serves, and
 * nothing of it has ended. What crosses: spawner_carry.h.
 */
#ifndef NSX_SPAWN_SPAWNER_REEXEC_H
#define NSX_SPAWN_SPAWNER_REEXEC_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "spawn/spawner_errand.h"
#include "spawn/spawner_look.h"
#include "spawn/spawner_resolver.h"
#include "spawn/spawner_state.h"
#include "spawn/spawner_zygote.h"

#define REEXEC_TRIAL_MS 5000
#define REEXEC_DRAIN_MS 2000
#define REEXEC_REAP_MS 10
/* What a program says in a trial if it can go on; then its release. */
#define REEXEC_OK "ok nsexec-spawner "
/* Twice: those of an earlier re-exec may take their time to go. */
#define LEFTOVERS_MAX (2 * (ZYGOTES_MAX + RESOLVER_RUNS + LOOKS_MAX))

struct op_message;
struct request;
struct spawner;

/* Children of the old program, killed and not gone yet. */
struct leftovers {
	pid_t pids[LEFTOVERS_MAX];
	size_t n;
};

enum reexec_state {
	REEXEC_IDLE,
	REEXEC_TRIAL,
	REEXEC_DRAIN,
};

struct reexec {
	enum reexec_state state;
	uint64_t conn_id; /* who asked */
	uint32_t seq;
	char **env;		/* lent: ours, for the program */
	char program[PATH_MAX]; /* where we were started from; "": nowhere */
	int program_fd;		/* the new one; owned */
	int state_fd;		/* of the trial; owned */
	struct errand trial;	/* its pipe: what it says */
	int64_t drain_ms;	/* the end of DRAIN */
	struct leftovers leftovers;
	char *texts[N_STATE_TEXTS]; /* owned: options of a resumed spawner */
};

void reexec_init(struct reexec *reexec, char **env);
void reexec_deinit(struct spawner *spawner);
/* Is this pid a child of ours for this purpose? */
bool reexec_has(const struct reexec *reexec, pid_t pid);
/* No zygote gets a start any more. */
bool reexec_is_near(const struct spawner *spawner);
void reexec_on_timer(struct spawner *spawner);
/* After every event: the moment may have come. */
void reexec_after_event(struct spawner *spawner);

/*
 * In the new program, in place of a start: from the state in a descriptor. 0 or
 * -errno with a line on standard error. In a trial nothing outside of this
 * process is touched.
 */
must_check int reexec_resume(struct spawner *spawner);
/* All of it is there: tell who asked, dispatch what waited. */
void reexec_resumed(struct spawner *spawner);

/* "nsexec-spawner --reload": have one that lives do it. run_dir NULL: the
 * system's, with the file that is installed, and the policy read anew; else
 * with this very program. 0, or -errno with a line on standard error. */
must_check int reload_run(const char *run_dir);

void op_reexec(struct spawner *spawner, const struct request *request,
	       const struct op_message *msg);

#endif
