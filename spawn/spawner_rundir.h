/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run directory: sockets, gates, pid files. It belongs to root and nobody
 * else may write in it; gates/ and records/ in it are nsexecd's. Everything is
 * reached through its descriptor.
 */
#ifndef NSX_SPAWN_SPAWNER_RUNDIR_H
#define NSX_SPAWN_SPAWNER_RUNDIR_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "lib/err.h"

#define RUNDIR_SPAWNER_SOCKET "spawner.sock"
#define RUNDIR_RPC_SOCKET "nsexecd.sock"
#define RUNDIR_FD_SOCKET "fd.sock"
#define RUNDIR_WORKER_PID "nsexecd.pid"

struct rundir {
	int fd;
	int gates_fd;
	int pid_fd; /* spawner.pid, locked: one spawner to a directory */
	struct stat stat;
};

/*
 * Open it and make what is missing for nsexecd of these ids. -EPERM: others
 * than root may write in it.
 */
must_check int rundir_open(struct rundir *rundir, const char *path, uid_t uid,
			   gid_t gid);
/* spawner.pid. -EAGAIN: another spawner lives here. */
must_check int rundir_lock(struct rundir *rundir);
/* Closes; removes spawner.pid and spawner.sock if we held the lock. */
void rundir_deinit(struct rundir *rundir);

/* A listening socket in the directory, in the place of a leftover. */
struct rundir_socket {
	const char *name;
	int type; /* SOCK_* */
	mode_t mode;
	uid_t uid;
	gid_t gid;
};
must_check int rundir_listen(const struct rundir *rundir,
			     const struct rundir_socket *what, int *ret_fd);
void rundir_remove(const struct rundir *rundir, const char *name);

/* nsexecd.pid, empty and nsexecd's, if it is not there. */
must_check int rundir_make_worker_pid(const struct rundir *rundir, uid_t uid,
				      gid_t gid);
/* Who holds a lock on nsexecd.pid: a pid, 0 = nobody. */
pid_t rundir_worker(const struct rundir *rundir);
/* nsexecd truncates its pid file at a clean end. */
bool rundir_worker_pid_is_empty(const struct rundir *rundir);

#endif
