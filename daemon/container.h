/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container and its tasks. A task is one process that we start and follow:
 * the container's init, or an exec child. The table (container_table.h) owns
 * the containers, a container owns its tasks, a task owns its descriptors and
 * watches. Nothing keeps a pointer to any of them across an asynchronous edge:
 * tasks are found again by their id, containers by their serial or name.
 *
 *	task.c		what happens to a task: state x event
 *	start.c		how one comes to be
 *	restore.c	how one is found again after a restart
 */
#ifndef NSX_DAEMON_CONTAINER_H
#define NSX_DAEMON_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/daemon.h"
#include "daemon/error.h"
#include "daemon/id_block.h"
#include "daemon/spec.h"
#include "daemon/trace.h"
#include "proto/ops.h"

enum task_state {
	TASK_NONE,
	TASK_STARTING,	/* START is sent, or about to be */
	TASK_CREATED,	/* set up, at its gate */
	TASK_COMMITTED, /* on record; the gate opens; exec not proven yet */
	TASK_RUNNING,	/* exec happened */
	TASK_ENDED,	/* exited or failed; perhaps not reaped yet */
	N_TASK_STATES,
};

struct task_exit {
	bool present;
	bool unknown; /* the kernel could not say */
	int wait_status;
	bool has_rusage;
	struct op_rusage rusage;
	uint64_t oom_kills; /* 0 also where nothing counts them */
	uint64_t realtime_ns;
	bool lease_lost; /* that is why we killed it */
};

/* Sequence numbers of a task's terminal event, see events.h. */
struct event_seqs {
	uint64_t owner, admin;
};

struct parked;
struct container;
struct lease;
TAILQ_HEAD(container_queue, container);
struct watch;

struct task {
	uint64_t id; /* never reused */
	struct daemon *daemon;
	struct container *container;
	struct task *next;	       /* of the container's exec tasks */
	char exec_id[SPEC_ID_MAX + 1]; /* empty: the init */
	enum task_state state;
	enum bootstrap_gate gate;

	pid_t pid; /* 0: not known yet */
	uint64_t start_time;
	uint64_t pid_inode;
	int pidfd;
	struct watch *pidfd_watch;
	int channel; /* our end of the init channel */
	struct watch *channel_watch;
	struct watch *timer;	   /* deadline of the start, then of clean-up */
	int64_t deadline_ms;	   /* CLOCK_BOOTTIME, of this phase */
	int64_t start_deadline_ms; /* of the whole start */
	enum task_state armed;	   /* the state deadline_ms is for */
	unsigned int polls; /* of a status without a channel, or clean-up */

	uint32_t n_fds;	  /* of the caller, while it is being started */
	int64_t ended_ms; /* boottime; since then it should be gone */

	bool stuck;	   /* counted: it should be gone and is not */
	bool answered;	   /* START was answered */
	bool ready;	   /* READY came */
	bool execed;	   /* proven by PF_FORKNOEXEC */
	bool status_asked; /* STATUS is under way */
	bool status_again; /* asked meanwhile: its answer may be too old */
	bool reaped;	   /* REAP was sent or is not ours to send */
	bool orphan;	   /* the spawner that was its parent is gone */
	bool kill_again;   /* the spawner could not */
	bool counted;	   /* as a start in flight */
	bool exited;	   /* the kernel says it is a zombie */
	bool opening;	   /* OPEN is under way */
	bool recorded;	   /* a record file exists */
	bool restored;	   /* read from a record; not announced again */
	bool started_told; /* by an earlier nsexecd; started_ns says when */
	uint64_t seen;	   /* round of LIST that found it, restore.c */
	uint64_t namespaces[8];
	struct op_joins joins;		 /* of them; kinds 0: none */
	struct op_program program;	 /* inode 0: not known */
	uint64_t created_ns, started_ns; /* realtime */
	struct trace trace;		 /* of its start, or of Start */
	struct task_exit exit;
	struct error *failure; /* NULL: none; owned */
	struct event_seqs terminal;
	struct parked *parked; /* calls that wait for it; owned by park.c */
};

struct container {
	uint64_t serial; /* order of creation, never reused */
	struct container *prev, *next;
	char id[SPEC_ID_MAX + 1];
	char name[SPEC_ID_MAX + 1];
	uid_t owner;
	gid_t owner_gid;
	char *command; /* args[0] */
	char **labels;
	size_t n_labels;
	bool has_userns;
	bool has_ids; /* uid and gid of init inside are known */
	uint32_t uid, gid;
	struct id_block block; /* until its end; 0: none */
	bool has_key;
	uint8_t key[SPEC_KEY_SIZE];
	uint64_t hash;
	/* lease.c */
	bool has_lease;
	uint8_t lease_token[SPEC_LEASE_SIZE];
	struct lease *lease; /* NULL: none, it has ended, or it is lost */
	bool lease_lost;     /* it is killed for it */
	struct container_queue *lease_queue; /* what it stands in; NULL: none */
	TAILQ_ENTRY(container) lease_link;
	struct task init;
	struct task *execs;
	size_t n_execs;	     /* live ones */
	size_t n_execs_kept; /* all in the list */
	uint64_t ended_ns;   /* boottime, for the tombstone's age */
	bool cgroup_gone;
	bool deleting;	/* Delete waits for the end */
	bool cancelled; /* killed by Cancel, behind its gate */
	bool doomed;	/* in core's list of those to free */
	struct container *next_doomed;
	uint64_t last_exec;
};

/* What a caller sees of a task's state (nsexec.v1.ContainerState). */
enum container_state {
	CONTAINER_CREATING = 1,
	CONTAINER_CREATED,
	CONTAINER_RUNNING,
	CONTAINER_STOPPED,
};
enum container_state container_state(const struct container *container);
/* "creating" ... as in the OCI runtime specification. */
const char *container_state_name(enum container_state state);

/* A task of this container, all zero but its ids and empty descriptors. */
void task_init(struct task *task, struct daemon *daemon,
	       struct container *container, uint64_t id);
/* Watches, descriptors, failure; parked calls must be gone. Safe twice. */
void task_deinit(struct task *task);

must_check int container_new(struct container **ret);
struct container *container_free(struct container *container);

static inline bool
task_is_init(const struct task *task)
{
	return task->exec_id[0] == '\0';
}

/* Is there something of it that the kernel still has? */
static inline bool
task_is_live(const struct task *task)
{
	return task->state != TASK_NONE && task->state != TASK_ENDED;
}

#endif
