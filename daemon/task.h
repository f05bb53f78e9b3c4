/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a task: what each state does with each event, as one table in
 * task.c. The order everywhere is: record, then event, then replies, then the
 * step that cannot be undone.
 */
#ifndef NSX_DAEMON_TASK_H
#define NSX_DAEMON_TASK_H

#include "daemon/container.h"

enum task_event {
	TASK_ON_CHILD,	    /* the spawner: init exists; gives its pidfd */
	TASK_ON_ERROR,	    /* the spawner: there is none */
	TASK_ON_READY,	    /* init: at the gate */
	TASK_ON_FAILURE,    /* a stage: a step failed */
	TASK_ON_EOF,	    /* the init channel is closed */
	TASK_ON_PIDFD,	    /* the process has ended */
	TASK_ON_STATUS,	    /* the spawner: what the kernel says of it */
	TASK_ON_LOST,	    /* the spawner: not a child of mine */
	TASK_ON_OPENED,	    /* the byte is written to the named gate */
	TASK_ON_NOT_OPENED, /* refused, or it could not be */
	TASK_ON_DEADLINE,
	TASK_ON_CANCEL,
	N_TASK_EVENTS,
};

/* What came with the event; msg is borrowed, fd is given (-1 none). */
struct task_input {
	const struct op_message *msg;
	int fd;
	const struct error *error;
};

/* Look up the row and do it; what a state does not know it ignores. */
void task_dispatch(struct task *task, enum task_event event,
		   struct task_input *input);

/* Callback of START and EXEC, and of OPEN; id is the task's. */
void task_on_start_answer(struct daemon *daemon, uint64_t id,
			  const struct op_message *answer, int fd);
void task_on_open_answer(struct daemon *daemon, uint64_t id,
			 const struct op_message *answer, int fd);

/* Watch our end of the init channel (given on success). */
must_check int task_watch_channel(struct task *task, int fd);
/* Its pidfd said that it ended, if it has one. */
bool task_end_is_seen(const struct task *task);
/* Watch a pidfd (given on success); sets pid_inode. */
must_check int task_watch_pidfd(struct task *task, int fd);
/* Deadline of the whole start from now. */
must_check int task_set_deadline(struct task *task, uint32_t timeout_ms);

/* The timer: looks at the task again (-1: disarmed). -ENOMEM. */
void task_arm(struct task *task, int64_t timeout_ms);

/* Send STATUS if none is under way. */
void task_ask_status(struct task *task);
/* Ended without having run: record, event failed, replies, clean-up. */
void task_fail(struct task *task, const struct error *error);
/* Ended: record, event, replies, reap. exit is copied. */
void task_exit(struct task *task, const struct task_exit *exit);
/* SIGKILL to what there is of it, on our own account. */
void task_kill(struct task *task);
/* REAP, CGROUP_REMOVE: whatever is still to be done after the end. */
void task_clean_up(struct task *task);
/* It counts as a start in flight, or no longer. */
void task_count(struct task *task, bool counted);

/* All ended, reaped and its cgroup gone. */
bool container_is_clean(const struct container *container);
/* Record gone, event deleted, replies, freed. Must be clean. */
void container_delete(struct daemon *daemon, struct container *container);
/* If Delete waits and it is clean now: freed when the stack is unwound. */
void container_check_deleted(struct container *container);
void containers_free_doomed(struct daemon *daemon);
/* Remove ended ones that are too many or too old. */
void containers_trim(struct daemon *daemon);

/* The error of an ERROR answer or FAILED report. */
void error_from_message(struct error *error, const struct op_message *msg);
/* The spawner could not be asked: OVERLOADED, or why. */
void error_from_spawner(struct error *error, int r, const char *step);

#endif
