/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nsexec, the stand-alone program: a drop-in for runc's bootstrap program of
 * every era. One struct is handed through all its processes:
 *
 *  parent --message-> stage-0 --clone-> stage-1 --clone-> stage-2
 *         <- pids ---    |   <- C: maps, pid --|            |
 *                        |   <----------------- G: done ----|
 *
 * stage-0 stays outside every new namespace: it writes maps and offsets and
 * reports. stage-1 joins and creates; stage-2 is the container's init and
 * becomes the program of the command line. Stage-1 and stage-2 are the
 * parent's children (CLONE_PARENT), which must know both pids to reap them.
 * Eras that report only one pid get no stage-1 of their own: there stage-0
 * does its work, and a helper, its own child, stays outside in its place.
 *
 * Only functions named die_* exit; the errno they print is positive or 0.
 */
#ifndef NSX_SPAWN_NSEXEC_PROGRAM_H
#define NSX_SPAWN_NSEXEC_PROGRAM_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "proto/bootstrap.h"
#include "proto/nlmsg.h"
#include "spawn/nsjoin.h"

/* A step of one process that another waits for: a tool, an exec, a byte. */
#define NSEXEC_STEP_TIMEOUT_MS 5000
/* A stage, which may itself wait for steps; its death ends the wait at once. */
#define NSEXEC_STAGE_TIMEOUT_MS 30000
/* From our start to the first byte (the parent sets up cgroups meanwhile);
 * from there to the last, in which no byte may take longer than a step. */
#define NSEXEC_FIRST_BYTE_TIMEOUT_MS 30000
#define NSEXEC_MESSAGE_TIMEOUT_MS 30000

/* What the parent is told, and when. */
enum nsexec_report {
	NSEXEC_REPORT_PID,	 /* {"pid": N} once stage-2 is ready */
	NSEXEC_REPORT_PID_FIRST, /* {"pid": N, "pid_first": N}, same moment */
	NSEXEC_REPORT_STAGES,	 /* {"stage1_pid":N,"stage2_pid":N}, at once */
};

enum nsexec_setgroups {
	NSEXEC_SETGROUPS_2016,	 /* setgroup: write "allow" */
	NSEXEC_SETGROUPS_RC5,	 /* rootless: "deny", with setgroup refused */
	NSEXEC_SETGROUPS_MODERN, /* rootless without setgroup: "deny" */
};

/* What a dialect's release does, as a row (contracts: dialects). */
struct nsexec_era {
	enum dialect dialect;
	bool nul_byte;	   /* one 0x00 to the parent before reading */
	bool cgroup_byte;  /* stage-2 awaits 0x80 before its cgroup ns */
	bool json_log;	   /* else "nsenter: ..." on stderr */
	bool drops_groups; /* setgroups(0) whatever the message says */
	enum nsexec_report report;
	enum nsexec_setgroups setgroups;
};

enum nsexec_log_level {
	NSEXEC_LOG_PANIC,
	NSEXEC_LOG_FATAL,
	NSEXEC_LOG_ERROR,
	NSEXEC_LOG_WARNING,
	NSEXEC_LOG_INFO,
	NSEXEC_LOG_DEBUG,
	NSEXEC_LOG_TRACE,
	N_NSEXEC_LOG_LEVELS,
};

struct nsexec_log {
	int fd; /* -1: fatal records only, on stderr */
	uint32_t level;
	bool json;
	const char *stage; /* "nsexec", "nsexec-0", ... */
};

#define NSEXEC_MAX_KEEP 1024

/* Descriptors that the program inherits; all others are closed. */
struct nsexec_keep {
	int fds[NSEXEC_MAX_KEEP];
	size_t n_fds;
};

/* Between stages: one fixed packet. The values are those of runc's pipes. */
enum nsexec_sync {
	SYNC_USERMAP_PLS = 0x40,
	SYNC_USERMAP_ACK,
	SYNC_RECVPID_PLS,
	SYNC_RECVPID_ACK,
	SYNC_GRANDCHILD,
	SYNC_CHILD_FINISH,
	SYNC_MOUNTSOURCES_PLS,
	SYNC_MOUNTSOURCES_ACK,
	SYNC_TIMEOFFSETS_PLS = 0x4a, /* runc 1.2 re-used 0x46 and 0x47 */
	SYNC_TIMEOFFSETS_ACK,
	SYNC_ERR = 0xff, /* the sender logged why, and exits */
};

/* A process that a fatal error must not leave behind. */
struct nsexec_known {
	int pidfd; /* -1 = none */
	bool own;  /* our child: reap it too */
};

struct nsexec {
	const struct nsexec_era *era;
	struct nsexec_log log;
	struct nsexec_keep keep;
	char **argv; /* the program, or NULL-terminated nothing */

	int init_fd;			/* the parent's socket, lent by it */
	int mount_fds[NSEXEC_MAX_KEEP]; /* M2, -1 = that mount has none */
	size_t n_mount_fds;

	uint8_t *data; /* the message; msg borrows from it */
	size_t size;
	struct bootstrap msg;

	struct nsjoin_set joins; /* opened by stage-0, entered by stage-1 */
	int console_fd;
	int stage1_sock[2]; /* C: [0] outside, [1] stage-1 */
	int stage2_sock[2]; /* G: [0] outside, [1] stage-2 */
	int peer_socks[2];  /* where our SYNC_ERR goes, or -1 */
	pid_t mapped_pid;   /* whose maps and offsets the outside writes */
	pid_t stage1_pid, stage2_pid;
	struct nsexec_known known[2];
	bool joins_any;
	int death_signal; /* PR_GET_PDEATHSIG of stage-0, 0 = none */
	int parent_pidfd; /* only with a death_signal */
	struct sigaction old_sigpipe, old_sigchld; /* the program's again */
};

/* How a child of ours ended. */
struct nsexec_exit {
	bool exited; /* else killed by a signal */
	int status;  /* exit status or signal */
};

/* nsexec_main.c: the row of a dialect, NULL for NX and none. */
const struct nsexec_era *nsexec_era_find(enum dialect dialect);

/* nsexec_log.c */
void nsexec_log_write(const struct nsexec_log *log, enum nsexec_log_level level,
		      const char *fmt, ...) printf_like(3, 4);
/* Log, tell the peer, kill (and reap) the known processes, exit 1. */
_Noreturn void die(struct nsexec *self, int error, const char *fmt, ...)
	printf_like(3, 4);
/* The same with what a shared operation recorded. */
_Noreturn void die_failure(struct nsexec *self, const struct failure *failure);
/* The same without a record of its own: the peer has logged the cause. */
_Noreturn void die_quietly(struct nsexec *self);

/* nsexec_env.c: all from _LIBCONTAINER_*; what is wrong is fatal. */
void nsexec_env_log(struct nsexec *self);
/* false: no init pipe, so this process is not to be a container. */
bool nsexec_env_init_pipe(struct nsexec *self);
/* Which descriptors stay; closes all others, makes those CLOEXEC for now. */
void nsexec_env_close_others(struct nsexec *self);
/* Clear CLOEXEC again, right before the exec. */
void nsexec_env_inherit(struct nsexec *self);

/* nsexec_input.c: reads and decodes self->msg; all errors are fatal. */
void nsexec_input_read(struct nsexec *self);
/* D1 only: does the console attribute stand behind the joins? */
bool nsexec_input_console_after_joins(const struct nsexec *self);
/* One byte from the parent within a step's time, or fatal. */
uint8_t nsexec_input_byte(struct nsexec *self, const char *what);

/* nsexec_sync.c: errors are fatal, SYNC_ERR is die_quietly(). */
void nsexec_sync_open(struct nsexec *self);
void nsexec_sync_send(struct nsexec *self, int sock, enum nsexec_sync value,
		      int32_t argument);
/* Wait for any value; peer names the sender in the log. */
enum nsexec_sync nsexec_sync_recv(struct nsexec *self, int sock,
				  const char *peer, int timeout_ms,
				  int32_t *ret_argument);
/* Wait for exactly this value. */
void nsexec_sync_expect(struct nsexec *self, int sock, const char *peer,
			enum nsexec_sync value);
/* Wait until the sender's end is closed by its exec or exit. */
void nsexec_sync_expect_close(struct nsexec *self, int sock, const char *peer);

/* nsexec_outside.c: stage-0, or its helper. */
_Noreturn void nsexec_outside_run(struct nsexec *self);

/* nsexec_map.c: uid_map, gid_map, setgroups, timens_offsets of mapped_pid. */
void nsexec_map_write(struct nsexec *self);
void nsexec_offsets_write(struct nsexec *self);

/* nsexec_mounts.c: M2's bind sources, opened in stage-1's mount namespace. */
void nsexec_mounts_send(struct nsexec *self);
void nsexec_mounts_recv(struct nsexec *self);

/* nsexec_inside.c: the work of stage-1, up to stage-2's pid being known. */
void nsexec_inside_run(struct nsexec *self);
/* 2016 dialects: open the console attribute's path, if there is one. */
void nsexec_console_open(struct nsexec *self);

/* nsexec_init.c: stage-2. */
_Noreturn void nsexec_init_run(struct nsexec *self);

/* nsexec_process.c */
/*
 * A copy of this process. flags: CLONE_PARENT (a sibling) or 0 (a child). 0 in
 * the copy, which knows of no other process; else its pid, and its pidfd
 * for the caller to own. Errors are fatal.
 */
pid_t nsexec_clone(struct nsexec *self, uint64_t flags, int *ret_pidfd);
/* Wait for a child and reap it. -ETIMEDOUT: it took longer, and was killed. */
must_check int nsexec_child_wait(int pidfd, int timeout_ms,
				 struct nsexec_exit *ret);
void nsexec_name_process(const char *name);

#endif
