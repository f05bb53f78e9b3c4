/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that the spawner starts and does not trust: nsexecd and the
 * resolver. From a sealed memfd, so that a file that is replaced meanwhile is
 * neither run by half nor open for writing while it runs; with given
 * descriptors alone, ids of its own, no capability and no way to one.
 */
#ifndef NSX_SPAWN_SPAWNER_PROGRAM_H
#define NSX_SPAWN_SPAWNER_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/err.h"

#define PROGRAM_MAX_FDS 6
#define PROGRAM_LISTEN_PID_SIZE 32

struct spawner;

/* All lent until program_start() returns. */
struct program {
	const char *name; /* for messages */
	int fd;		  /* sealed memfd */
	char *const *argv, *const *env;
	const int *fds; /* become 3, 4, ... in this order */
	size_t n_fds;
	int error_fd; /* becomes standard error; -1: ours stays */
	uid_t uid;
	gid_t gid;
	bool dies_with_us; /* by SIGKILL, until it says otherwise */
	char *listen_pid;  /* "LISTEN_PID=<its pid>" goes here; or NULL */
};

/* Fork and exec it. 0 and *ret_pid, *ret_pidfd (given); -errno. */
must_check int program_start(const struct spawner *spawner,
			     const struct program *program, pid_t *ret_pid,
			     int *ret_pidfd);

/* A sealed memfd that may be executed, with what the file holds now. */
must_check int program_load(const char *path, int *ret_fd);

#endif
