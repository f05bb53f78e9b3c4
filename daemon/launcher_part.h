/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the launcher is made of: the instance it is about, as far as it stands
 * on disk, and how to start a spawner there. Inside launcher*.c only.
 */
#ifndef NSX_DAEMON_LAUNCHER_PART_H
#define NSX_DAEMON_LAUNCHER_PART_H

#include <limits.h>
#include <sys/types.h>

#include "daemon/launcher.h"
#include "lib/err.h"

struct launch {
	const struct launcher_config *config; /* lent */
	char dir[PATH_MAX];		      /* canonical */
	int dir_fd;
	uid_t uid; /* the worker's */
	gid_t gid;
	char newuidmap[PATH_MAX], newgidmap[PATH_MAX]; /* rootless; "": none */
	int program_fd; /* sealed memfd of this program */
	int args_fd;	/* sealed memfd of the worker's further arguments */
};
#define LAUNCH_NULL \
	{ \
		.dir_fd = -1, .program_fd = -1, .args_fd = -1 \
	}

/* Make and check the directory, choose the uid, fill the memfds. */
must_check int launch_init(struct launch *launch,
			   const struct launcher_config *config);
void launch_deinit(struct launch *launch);
/* -ENOENT, -ECONNREFUSED: no spawner lives there. */
must_check int launch_connect(const struct launch *launch, int *ret_fd);
/* 0 = it listens. -EBUSY: another one has the directory. -ECHILD: it ended. */
must_check int launch_start_spawner(const struct launch *launch);

/*
 * Is the program of the spawner behind this connection another one than a start
 * would take? Then a sealed memfd of that. -ENODATA: it is the same, or its own
 * cannot be read.
 */
must_check int launch_newer_spawner(int connection, int *ret_program_fd);

/* One line on standard error. error is a positive errno or 0. */
void launcher_say(int error, const char *what, const char *object);

/* The spawner's program, open. Says what is wrong. */
must_check int launch_open_spawner(int *ret_fd);
/* A sealed memfd that may be executed, with the contents of a file. */
must_check int launcher_memfd_copy(const char *name, int from_fd, int *ret_fd);
must_check int launcher_memfd_text(const char *name, const void *data,
				   size_t size, int *ret_fd);
/* A program on this process's PATH, absolute; "": there is none. */
void launcher_find_tool(const char *name, char ret[PATH_MAX]);
/* Ids of user nsexecd, else of the directory's owner, else free ones. */
must_check int launcher_choose_user(int dir_fd, uid_t *ret_uid, gid_t *ret_gid);

#endif
