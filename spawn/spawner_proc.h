/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says of a process, read through a procfs of our own: a
 * detached mount that nobody can hide, over-mount or swap (hidepid on /proc
 * breaks anything else). Pids given here are pids of our pid namespace; the
 * caller of these functions has proven that they cannot be reused meanwhile.
 */
#ifndef NSX_SPAWN_SPAWNER_PROC_H
#define NSX_SPAWN_SPAWNER_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

#define PROC_PATH_MAX 4096

struct proc_stat {
	char state;	     /* field 3: R, S, D, T, Z, ... */
	pid_t parent;	     /* field 4 */
	uint32_t flags;	     /* field 9: PF_* */
	uint64_t start_time; /* field 22 */
};

/*
 * stat, and the links ns/, root, cwd, exe, wait for a lock that a process has
 * in the midst of execve(2), while its files are closed: for ever, if one is a
 * FUSE file whose server does not answer (seen on Linux 6.18). So they are read
 * of our own code's processes and of zombies alone, and of others by a child of
 * ours (spawner_look.h). comm, status, statm, cgroup, limits, loginuid, uid_map
 * and children are read without it.
 */

/* A new detached procfs; where the kernel refuses one, the one at /proc. */
must_check int proc_open(int *ret_fd);

/* Pure: the text of /proc/PID/stat. 0 or -EBADMSG. */
must_check int proc_stat_parse(const char *text, struct proc_stat *ret);
must_check int proc_stat_read(int proc_fd, pid_t pid, struct proc_stat *ret);
/* The state letter of /proc/PID/status, or -errno. */
must_check int proc_state_read(int proc_fd, pid_t pid);
/* Is its name one of our stages'? The kernel names a process anew at exec. 1 or
 * 0, or -errno. */
must_check int proc_is_stage(int proc_fd, pid_t pid);

/*
 * How a zombie ended, as wait(2) gives it: field 52, the last, which the
 * kernel shows to who may trace. -EAGAIN: it is no zombie.
 */
must_check int proc_exit_read(int proc_fd, pid_t pid, int *ret_status);

/*
 * The process's v2 cgroup as our cgroup namespace shows it, without the
 * " (deleted)" that a zombie may carry. buf holds PROC_PATH_MAX bytes.
 */
must_check int proc_cgroup_read(int proc_fd, pid_t pid, char *buf);
/* Pure: the "0::" line of text, in place. NULL if there is none. */
char *proc_cgroup_parse(char *text);

/*
 * Has it the id maps that we have? Files that are read without a lock of that
 * process. 1 or 0, or -errno.
 */
must_check int proc_shares_id_map(int proc_fd, pid_t pid);

/*
 * Is the process in our own user namespace? 1 or 0, or -errno: -ENOENT when it
 * is gone.
 */
must_check int proc_shares_user_namespace(int proc_fd, pid_t pid);

/* Real uid of a process. */
must_check int proc_uid_read(int proc_fd, pid_t pid, uid_t *ret);

typedef void (*proc_pid_fn)(void *userdata, pid_t pid);
/* Calls fn for every positive number of a file of pids. 0 or -errno. */
must_check int proc_each_pid(int fd, proc_pid_fn fn, void *userdata);
/* Calls fn for every child of the calling thread, zombies too. */
must_check int proc_children(int proc_fd, proc_pid_fn fn, void *userdata);

#endif
