/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a task as a state x event table; see task.h.
 *
 *	STARTING --CHILD and READY--> CREATED --OPEN--> COMMITTED --> RUNNING
 *	    |       (Run, Exec: with CHILD to COMMITTED)   |             |
 *	    +------------------- failed -------------------+--> ENDED <--+
 *
 * Exec is proven by PF_FORKNOEXEC alone, read here or by the spawner for its
 * STATUS: end of file on the init channel is only the moment to look. What a
 *stage says on the channel comes from a process of the caller's uid: it can
 *fail its own start, and nothing else.
 */
#include "daemon/task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/events.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/metrics.h"
#include "daemon/park.h"
#include "daemon/proc_stat.h"
#include "daemon/record_store.h"
#include "daemon/spawner_client.h"
#include "daemon/task_part.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/sys.h"

#define LOOK_AGAIN_MS 100
#define ORPHAN_POLL_MS 50
#define ORPHAN_POLLS 200u /* 10 s: some inits reap slowly */
#define WORDS_POLLS 400u  /* 2 s */

/* Status */

static void
status_on_answer(struct daemon *daemon, uint64_t id,
		 const struct op_message *answer, int fd)
{
	struct task *task = task_find(daemon->containers, id);
	struct task_input input = { .msg = answer, .fd = -1 };

	fd_close(&fd);
	daemon->core->asking--;
	if (!task)
		return;
	task->status_asked = false;
	if (!answer)
		return; /* asked again once the spawner is back */
	if (answer->header.type == ANSWER_STATUS) {
		if (answer->exited)
			task->exited = true;
		task_dispatch(task, TASK_ON_STATUS, &input);
	} else {
		task_dispatch(task, TASK_ON_LOST, &input);
	}
	task = task_find(daemon->containers, id);
	if (task && task->status_again) {
		task->status_again = false;
		if (!task->exited)
			task_ask_status(task);
	}
}

void
task_ask_status(struct task *task)
{
	struct spawner_small small = {
		.op = OP_STATUS,
		.pid = task->pid,
		.caller_fd = -1,
		.fn = status_on_answer,
		.id = task->id,
	};

	if (task->pid == 0)
		return;
	if (task->orphan) {
		small.container = task->container->id;
		small.has_uid = true;
		small.uid = task->container->owner;
	}
	if (task->status_asked) {
		task->status_again = true;
		return;
	}
	if (spawner_send_owed(task->daemon->spawner, &small) < 0)
		return;
	task->status_asked = true;
	task->daemon->core->asking++;
}

static struct task_exit
exit_from(const struct op_message *msg)
{
	return (struct task_exit){
		.wait_status = (int)msg->wait_status,
		.has_rusage = op_has(msg, OP_ATTR_RUSAGE),
		.rusage = msg->rusage,
		.oom_kills = msg->oom_kills,
	};
}

/* Exec is proven: started. */
static void
run(struct task *task)
{
	task->execed = true;
	task->state = TASK_RUNNING;
	task_close_channel(task);
	task->timer = watch_free(task->timer);
	task_count(task, false);
	trace_mark(&task->trace, TRACE_STARTED);
	if (!task->started_told) {
		task->started_ns = clock_ns(CLOCK_REALTIME);
		metrics_on_started(task);
		task_publish(task, task_is_init(task) ? EVENT_STARTED
						      : EVENT_EXEC_STARTED);
	}
	park_started(task);
}

/* States */

static void
starting_child(struct task *task, struct task_input *input)
{
	int r;

	task->answered = true;
	task->pid = (pid_t)input->msg->pid;
	task->start_time = input->msg->start_time;
	r = task_watch_pidfd(task, input->fd);
	if (r < 0) /* its end is looked for: see look_again() */
		log_error("container %s: cannot watch pid %d: %s",
			  task->container->id, task->pid, strerror(-r));
	else
		input->fd = -1;
}

/* nsexecd itself cannot go on with it. */
static void
fail_inside(struct task *task, const char *step, const char *syscall_name,
	    int r)
{
	struct error error;
	struct failure failure;

	failure_set(&failure, STAGE_DAEMON, step, syscall_name, -r, "%s",
		    task->container->id);
	error_from_failure(&error, &failure);
	error.code = ERRCODE_INTERNAL;
	if (r == -ENOSPC || r == -EROFS || r == -EDQUOT)
		error_hint(&error, "is the run directory full or read-only?");
	task_kill(task);
	task_fail(task, &error);
}

/* On record, or it fails and goes. */
static bool
record_or_fail(struct task *task, Nsexec__Record__Stage stage)
{
	int r = record_store_write(task->daemon, task, stage);

	if (r < 0)
		fail_inside(task, "write-record", "rename", r);
	return r == 0;
}

/*
 * Past the gate, which is open before init comes to it: that it may run is on
 * record, and who it is. Nothing is left to wait for; a stage that died
 * meanwhile is seen by its pidfd.
 */
static void
commit(struct task *task)
{
	int r;

	if (!record_or_fail(task, NSEXEC__RECORD__STAGE__COMMIT))
		return;
	task->state = TASK_COMMITTED;
	/* One that died meanwhile has none: its pidfd says so. */
	r = task->channel < 0 ? -EPIPE
			      : fd_send(task->channel, "G", 1, NULL, 0);
	if (r < 0 && r != -EPIPE && r != -ECONNRESET) {
		fail_inside(task, "open-gate", "sendmsg", r);
		return;
	}
	trace_mark(&task->trace, TRACE_OPENED);
	if (task->ready && task_is_init(task))
		task_publish(task, EVENT_CREATED);
}

/* CREATED, on record before it is told. */
static void
wait_at_gate(struct task *task)
{
	if (!record_or_fail(task, NSEXEC__RECORD__STAGE__CREATED))
		return;
	task->state = TASK_CREATED;
	watch_timer_set(task->timer, -1);
	task_count(task, false);
	metrics_on_created(task);
	task_publish(task, EVENT_CREATED);
	park_created(task);
}

static void
starting_on_child(struct task *task, struct task_input *input)
{
	starting_child(task, input);
	trace_mark(&task->trace, TRACE_CHILD);
	if (task->gate == GATE_CHANNEL)
		commit(task);
	else if (task->ready)
		wait_at_gate(task);
}

static void
take_ready(struct task *task, const struct task_input *input)
{
	task->ready = true;
	trace_mark(&task->trace, TRACE_READY);
	task->created_ns = clock_ns(CLOCK_REALTIME);
	memcpy(task->namespaces, input->msg->namespaces,
	       sizeof(task->namespaces));
	task->joins = input->msg->joins;
	task->program = input->msg->program;
}

static void
starting_on_ready(struct task *task, struct task_input *input)
{
	if (task->ready)
		return;
	take_ready(task, input);
	if (task->pid)
		wait_at_gate(task);
}

static void
committed_on_ready(struct task *task, struct task_input *input)
{
	int r;

	if (task->ready)
		return;
	take_ready(task, input);
	if (!task_is_init(task))
		return;
	/* What it is called inside, for State after a restart: nothing that
	 * decides anything. */
	r = record_store_write(task->daemon, task,
			       NSEXEC__RECORD__STAGE__COMMIT);
	if (r < 0)
		log_warning("container %s: cannot record its namespaces: %s",
			    task->container->id, strerror(-r));
	task_publish(task, EVENT_CREATED);
}

static void
starting_on_error(struct task *task, struct task_input *input)
{
	struct error error;

	task->answered = true;
	/* what the stage said itself is nearer to the cause */
	task_drain_channel(task);
	if (task->state != TASK_STARTING)
		return;
	error_from_message(&error, input->msg);
	task_fail(task, &error);
}

static void
any_on_failure(struct task *task, struct task_input *input)
{
	struct error error;

	error_from_message(&error, input->msg);
	task_fail(task, &error);
}

/* The process ended: first what it said, then what the kernel says. */
static void
any_on_pidfd(struct task *task, struct task_input *input)
{
	task_drain_channel(task);
	if (task->state != TASK_ENDED) {
		task_ask_status(task);
		return;
	}
	/* It had said why it fails, and this was the moment to clean up. */
	task->exited = true;
	task_clean_up(task);
}

/*
 * A traced process that ended is told to its tracer first, and the spawner sees
 * no zombie until that one has waited for it (ptrace(2)); the pidfd is readable
 * all the while and says nothing new when it is so far. And where a pidfd could
 * not be watched, nothing tells of the end but the question.
 */
static void
look_again(struct task *task)
{
	if (task->pidfd < 0 || fd_wait_readable(task->pidfd, 0) > 0)
		task_arm(task, LOOK_AGAIN_MS);
}

/*
 * Init ended, and its channel is open yet: its relay has the other copy, and is
 * about to say why (a map writer that refused, for one).
 */
static bool
wait_for_words(struct task *task)
{
	if (task->channel < 0 || !task->timer || task->polls++ >= WORDS_POLLS)
		return false;
	watch_timer_set(task->timer, TASK_POLL_MS);
	return true;
}

static void
gate_on_status(struct task *task, struct task_input *input)
{
	struct task_exit exit;

	if (input->msg->execed) {
		run(task);
		if (!task->exited) {
			look_again(task);
			return;
		}
		exit = exit_from(input->msg);
		task_exit(task, &exit);
	} else if (task->exited) {
		task_drain_channel(task);
		if (task->state != TASK_ENDED && !wait_for_words(task))
			task_fail_died(task, input->msg);
	} else if (task->state == TASK_COMMITTED && task->channel < 0) {
		/* no channel tells the moment of exec: look again soon */
		task_watch_commit(task);
	} else if (task->state == TASK_CREATED) {
		look_again(task);
	}
}

static void
running_on_status(struct task *task, struct task_input *input)
{
	struct task_exit exit;

	if (!task->exited) {
		look_again(task);
		return;
	}
	exit = exit_from(input->msg);
	task_exit(task, &exit);
}

static void
committed_on_not_opened(struct task *task, struct task_input *input)
{
	task_not_opened(task, input->error);
}

/* How it ended, once somebody has reaped it (PIDFD_GET_INFO, Linux 6.15). */
static bool
exit_by_pidfd(const struct task *task, struct task_exit *ret)
{
	struct sys_pidfd_info info = { .mask = SYS_PIDFD_INFO_EXIT };

	if (task->pidfd < 0 ||
	    ioctl(task->pidfd, SYS_PIDFD_GET_INFO, &info) < 0 ||
	    !(info.mask & SYS_PIDFD_INFO_EXIT))
		return false;
	ret->unknown = false;
	ret->wait_status = info.exit_code;
	return true;
}

/*
 * It has ended, and there is no spawner to ask. If that died, its children are
 * init's; until the next one comes nobody but us has their pidfds, and we may
 * be killed as well: on record as soon as init has reaped it.
 */
static void
running_on_pidfd(struct task *task, struct task_input *input)
{
	struct task_exit exit = { .unknown = true };

	if (spawner_is_connected(task->daemon->spawner)) {
		any_on_pidfd(task, input);
	} else if (exit_by_pidfd(task, &exit)) {
		task->orphan = true;
		task->reaped = true;
		task_exit(task, &exit);
	} else if (task->polls++ < ORPHAN_POLLS) {
		task_arm(task, ORPHAN_POLL_MS);
	}
}

/*
 * The spawner has no such child: it was started anew and the old one's
 * children are init's. Once that has reaped it, the pidfd has the code; before
 * Linux 6.15 it is unknown.
 */
static void
any_on_lost(struct task *task, struct task_input *input)
{
	struct task_exit exit = { .unknown = true };
	struct error error;

	task->orphan = true;
	task->reaped = true;
	if (task->pidfd >= 0 && fd_wait_readable(task->pidfd, 0) == 0) {
		task_lost_at_gate(task);
		return; /* lives on under another parent */
	}
	if (!exit_by_pidfd(task, &exit) && task->pidfd >= 0 &&
	    task->polls++ < ORPHAN_POLLS) {
		task_arm(task, ORPHAN_POLL_MS);
		return; /* its new parent did not reap it yet */
	}
	if (task->state == TASK_STARTING || task->state == TASK_CREATED) {
		(void)error_set(&error, ERRCODE_ABORTED_RESTART, "restore",
				task->container->id,
				"the spawner was restarted before it ran",
				"repeat the request");
		task_fail(task, &error);
		return;
	}
	task_exit(task, &exit);
}

/* The common case needs no question to the spawner (one way less to wait). */
static void
committed_on_eof(struct task *task, struct task_input *input)
{
	if (!proc_has_memory(task->pid)) {
		task_ask_status(task);
		return;
	}
	run(task);
	if (task->pidfd < 0)
		look_again(task);
}

static void
committed_on_opened(struct task *task, struct task_input *input)
{
	trace_mark(&task->trace, TRACE_OPENED);
	if (task->channel < 0)
		task_ask_status(task);
}

static void
any_on_deadline(struct task *task, struct task_input *input)
{
	const char *phase = "set-up";
	struct error error;

	if (task_gate_stayed_shut(task))
		return;
	if (task->state == TASK_COMMITTED &&
	    (task->ready || task->gate != GATE_CHANNEL))
		phase = "exec";
	else if (!task->answered)
		phase = "spawn";
	(void)error_set(&error, ERRCODE_DEADLINE, phase, task->container->id,
			"", "repeat it, or give it a longer timeout_ms");
	error_rule(&error, "the phase %s did not end in its time", phase);
	task_kill(task);
	task_fail(task, &error);
}

static void
any_on_cancel(struct task *task, struct task_input *input)
{
	task_kill(task);
	task_fail(task, input->error);
}

static void
ended_on_child(struct task *task, struct task_input *input)
{
	starting_child(task, input);
	/* it may be past the step that failed: nothing of it may go on */
	task_kill(task);
}

static void
ended_on_error(struct task *task, struct task_input *input)
{
	task->answered = true;
	task_clean_up(task);
}

static void
ended_on_pidfd(struct task *task, struct task_input *input)
{
	task->exited = true;
	task_clean_up(task);
}

static void
ended_on_lost(struct task *task, struct task_input *input)
{
	task->reaped = true;
	task_clean_up(task);
}

typedef void (*task_fn)(struct task *task, struct task_input *input);

/* A row is a state, a column an event; what is not there is ignored. */
static const task_fn task_table[N_TASK_STATES][N_TASK_EVENTS] = {
	[TASK_STARTING] = {
		[TASK_ON_CHILD] = starting_on_child,
		[TASK_ON_ERROR] = starting_on_error,
		[TASK_ON_READY] = starting_on_ready,
		[TASK_ON_FAILURE] = any_on_failure,
		[TASK_ON_PIDFD] = any_on_pidfd,
		[TASK_ON_STATUS] = gate_on_status,
		[TASK_ON_LOST] = any_on_lost,
		[TASK_ON_DEADLINE] = any_on_deadline,
		[TASK_ON_CANCEL] = any_on_cancel,
	},
	[TASK_CREATED] = {
		[TASK_ON_FAILURE] = any_on_failure,
		[TASK_ON_PIDFD] = any_on_pidfd,
		[TASK_ON_STATUS] = gate_on_status,
		[TASK_ON_LOST] = any_on_lost,
		[TASK_ON_CANCEL] = any_on_cancel,
	},
	[TASK_COMMITTED] = {
		[TASK_ON_READY] = committed_on_ready,
		[TASK_ON_FAILURE] = any_on_failure,
		[TASK_ON_EOF] = committed_on_eof,
		[TASK_ON_PIDFD] = any_on_pidfd,
		[TASK_ON_STATUS] = gate_on_status,
		[TASK_ON_LOST] = any_on_lost,
		[TASK_ON_OPENED] = committed_on_opened,
		[TASK_ON_NOT_OPENED] = committed_on_not_opened,
		[TASK_ON_DEADLINE] = any_on_deadline,
	},
	[TASK_RUNNING] = {
		[TASK_ON_PIDFD] = running_on_pidfd,
		[TASK_ON_STATUS] = running_on_status,
		[TASK_ON_LOST] = any_on_lost,
	},
	[TASK_ENDED] = {
		[TASK_ON_CHILD] = ended_on_child,
		[TASK_ON_ERROR] = ended_on_error,
		[TASK_ON_PIDFD] = ended_on_pidfd,
		[TASK_ON_STATUS] = ended_on_error,
		[TASK_ON_LOST] = ended_on_lost,
	},
};

void
task_dispatch(struct task *task, enum task_event event,
	      struct task_input *input)
{
	task_fn fn = task_table[task->state][event];

	if (fn)
		fn(task, input);
	fd_close(&input->fd);
}
