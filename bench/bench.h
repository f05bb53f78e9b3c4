/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark driver: what a contestant is, and what is measured.
 *
 * A profile is a set of namespaces. A contestant starts the same payload in
 * them, once at a time (latency) or with several in flight (rate). Times are
 * CLOCK_MONOTONIC nanoseconds. The driver only measures; bench/run.py brings
 * up the daemon, makes the bundles and prints the tables.
 */
#ifndef NSX_BENCH_H
#define NSX_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

enum profile {
	PROFILE_NONE, /* as with fork */
	PROFILE_PMUI, /* pid, mnt, uts, ipc */
	PROFILE_ALL,  /* all eight, with an id map */
	N_PROFILES,
};

/* One start. pid_ns is 0 where the contestant tells no pid. */
struct sample {
	uint64_t pid_ns;  /* until the caller holds the payload's pid */
	uint64_t exit_ns; /* until the caller knows that it exited */
};

/* Several starts at once, for a while. */
struct load {
	unsigned int in_flight;
	uint64_t duration_ns;
};

/* A runtime may fail a start under load: that is told, and not counted. */
struct rate {
	double per_second;
	unsigned int failed;
};

/* What a command-line contestant is run as; built by bench/run.py. */
struct command {
	char **argv;	     /* NULL-terminated, "%d" stands for a number */
	const char *pid_dir; /* where it writes a pid file; NULL: it does not */
	bool info_fd;	     /* it writes its pid to descriptor 3 */
};

struct client;

/* Who starts: exactly one of client and command is set, or neither: floor. */
struct contestant {
	const char *name;
	struct client *client;
	struct command *commands; /* one for each profile; argv NULL: cannot */
	bool plain;		  /* client: ask for neither /proc nor lo */
};

uint64_t now_ns(void);
/* clone(2) flags of a profile. */
uint64_t profile_flags(enum profile profile);
const char *profile_name(enum profile profile);

/*
 * The floor: clone3 of this small process, maps written by the parent, execve
 * of the payload, wait. Returns the pid, gives its pidfd. -errno.
 */
must_check int floor_start(enum profile profile, const char *payload,
			   pid_t *ret_pid, int *ret_pidfd);
must_check int floor_once(enum profile profile, const char *payload,
			  struct sample *ret);

/* A command: posix_spawn(3) of argv with the number put in. */
must_check int command_start(const struct command *command, unsigned int number,
			     int info_fd, pid_t *ret_pid, int *ret_pidfd);
must_check int command_once(const struct command *command, unsigned int number,
			    struct sample *ret);

/* The daemon, over one connection with an event stream on it. */
must_check int client_open(const char *path, const char *payload,
			   struct client **ret);
struct client *client_free(struct client *client);
must_check int client_once(struct client *client, enum profile profile,
			   bool plain, struct sample *ret);
/* Starts that ended within the time. -errno; the daemon may fail none. */
must_check int client_rate(struct client *client, enum profile profile,
			   bool plain, const struct load *load,
			   struct rate *ret);

/* The same for the floor and for commands: children of this process. */
must_check int process_rate(const struct contestant *contestant,
			    enum profile profile, const char *payload,
			    const struct load *load, struct rate *ret);

#endif
