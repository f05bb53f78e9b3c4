/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a task as a state x event table; see task.h.
 *
 *	STARTING --CHILD and READY--> CREATED --OPEN--> COMMITTED --> RUNNING
 *	    |           (Run, Exec: straight to COMMITTED) |             |
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
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/events.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/park.h"
#include "daemon/proc_stat.h"
#include "daemon/record_store.h"
#include "daemon/spawner_client.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/sys.h"

#define PHASE_MS 10000
#define POLL_MS 5
#define ORPHAN_POLL_MS 50
#define ORPHAN_POLLS 200u /* 10 s: some inits reap slowly */
#define REPORT_MAX 4096

static int task_arm(struct task *task, int64_t timeout_ms);
static void task_arm_phase(struct task *task, int64_t now);
static void channel_close(struct task *task);
static void channel_drain(struct task *task);

void
error_from_message(struct error *error, const struct op_message *msg)
{
	struct failure refusal;

	/* A refusal by rule comes without a failed step. */
	(void)failure_set(&refusal, STAGE_SPAWNER,
			  msg->code == ERRCODE_CALLER_GONE ? "attest" : "check",
			  "", 0, "%s", "");
	error_from_failure(error, op_has(msg, OP_ATTR_FAILURE) ? &msg->failure
							       : &refusal);
	if (op_has(msg, OP_ATTR_CODE) && msg->code > ERRCODE_NONE &&
	    msg->code < N_ERRCODES) {
		error->code = (enum errcode)msg->code;
		error->retryable |= errcode_row(msg->code)->retryable;
	}
	if (op_has(msg, OP_ATTR_RULE))
		error_rule(error, "%s", msg->rule);
}

void
error_from_spawner(struct error *error, int r, const char *step)
{
	if (r == -ENOTCONN)
		(void)error_set(error, ERRCODE_OVERLOADED, step,
				"nsexec-spawner",
				"the spawner cannot be reached just now",
				"try again in a second");
	else
		(void)error_set(error, ERRCODE_OVERLOADED, step,
				"nsexec-spawner",
				"too much is waiting for the spawner",
				"try again later");
	error->failure.error = r == -ENOTCONN ? 0 : -r;
}

static void
publish(struct task *task, enum event_type type)
{
	struct container *container = task->container;
	struct event_draft draft = {
		.type = type,
		.owner = container->owner,
		.container = container->id,
		.name = container->name,
		.exec_id = task->exec_id,
		.pid = task->pid,
		.pid_inode = task->pid_inode,
		.exit = task->exit.present ? &task->exit : NULL,
		.error = type == EVENT_FAILED ? task->failure : NULL,
	};

	event_publish(task->daemon->events, &draft);
}

void
task_count(struct task *task, bool counted)
{
	if (task->counted == counted)
		return;
	task->counted = counted;
	container_table_count_in_flight(task->daemon->containers,
					task->container->owner,
					counted ? 1 : -1);
}

/* Ends */

/* The terminal record, written before the event and before the reap. */
static void
record_end(struct task *task)
{
	struct container *container = task->container;
	struct daemon *daemon = task->daemon;
	struct owner *owner;
	int r;

	if (task->restored && task->terminal.owner)
		return;
	if (task_is_init(task)) {
		container->ended_ns = clock_ns(CLOCK_BOOTTIME);
		owner = owner_counts(daemon->containers, container->owner);
		if (owner) {
			owner->live--;
			owner->ended++;
		}
	} else {
		container->n_execs--;
	}
	task->terminal = event_next(daemon->events, container->owner);
	r = record_store_write(daemon, task, NSEXEC__RECORD__STAGE__ENDED);
	if (r < 0)
		log_error("container %s: cannot record its end: %s",
			  container->id, strerror(-r));
}

void
task_fail(struct task *task, const struct error *error)
{
	task->failure = malloc(sizeof(*task->failure));
	if (task->failure)
		*task->failure = *error;
	task->state = TASK_ENDED;
	channel_close(task);
	task_count(task, false);
	record_end(task);
	log_error_record(LOG_LEVEL_INFO, task->container->id, error);
	publish(task, EVENT_FAILED);
	park_failed(task, error);
	task_clean_up(task);
}

void
task_exit(struct task *task, const struct task_exit *exit)
{
	task->exit = *exit;
	task->exit.present = true;
	task->exit.realtime_ns = clock_ns(CLOCK_REALTIME);
	task->state = TASK_ENDED;
	channel_close(task);
	task_count(task, false);
	record_end(task);
	publish(task, task_is_init(task) ? EVENT_EXITED : EVENT_EXEC_EXITED);
	park_exited(task);
	task_clean_up(task);
}

/* It ended without exec and without saying why. */
static void
fail_died(struct task *task, const struct op_message *msg)
{
	struct error error;
	int status = (int)msg->wait_status;

	(void)error_set(&error, ERRCODE_STAGE_FAILED,
			task->state == TASK_STARTING ? "set-up" : "exec",
			task->container->id, "",
			"look for an out-of-memory kill or a signal from "
			"elsewhere");
	error.failure.stage = STAGE_INIT;
	if (WIFSIGNALED(status))
		error_rule(&error, "signal %d killed it before it ran",
			   WTERMSIG(status));
	else
		error_rule(&error, "it exited with %d before it ran",
			   WEXITSTATUS(status));
	if (task->state == TASK_COMMITTED && task->restored) {
		error.code = ERRCODE_ABORTED_RESTART;
		error_hint(&error, "nsexecd was restarted just then; "
				   "repeat the request");
		error.retryable = true;
	}
	task_fail(task, &error);
}

/* Nothing hangs on the answer: the end is seen by the pidfd. */
static void
kill_on_answer(struct daemon *daemon, uint64_t id,
	       const struct op_message *answer, int fd)
{
	fd_close(&fd);
}

void
task_kill(struct task *task)
{
	struct spawner_small small = {
		.op = task_is_init(task) ? OP_KILL_ALL : OP_SIGNAL,
		.container = task->container->id,
		.signal = 9,
		.has_uid = true,
		.uid = task->container->owner,
		.caller_fd = -1,
		.fn = kill_on_answer,
		.id = task->id,
	};

	if (!task_is_init(task)) {
		/* closing the channel ends it at its gate */
		channel_close(task);
		if (!task->pid || task->reaped)
			return;
		small.pid = task->pid;
	}
	if (spawner_send_small(task->daemon->spawner, &small) < 0)
		log_warning("container %s: cannot kill it just now",
			    task->container->id);
}

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
	if (task->status_asked) {
		task->status_again = true;
		return;
	}
	if (spawner_send_small(task->daemon->spawner, &small) < 0)
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
	};
}

/* Exec is proven: started. */
static void
run(struct task *task)
{
	task->execed = true;
	task->state = TASK_RUNNING;
	channel_close(task);
	task->timer = watch_free(task->timer);
	task_count(task, false);
	task->started_ns = clock_ns(CLOCK_REALTIME);
	publish(task, task_is_init(task) ? EVENT_STARTED : EVENT_EXEC_STARTED);
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
	if (r < 0)
		log_error("container %s: cannot watch pid %d: %s",
			  task->container->id, task->pid, strerror(-r));
	else
		input->fd = -1;
}

static void
fail_record(struct task *task, int r)
{
	struct error error;
	struct failure failure;

	failure_set(&failure, STAGE_DAEMON, "write-record", "rename", -r, "%s",
		    task->container->id);
	error_from_failure(&error, &failure);
	error.code = ERRCODE_INTERNAL;
	error_hint(&error, "is the run directory full or read-only?");
	task_kill(task);
	task_fail(task, &error);
}

/* Both CHILD and READY came: on record, then past the gate or told. */
static void
set_up(struct task *task)
{
	bool commit = task->gate == GATE_CHANNEL;
	int r;

	task->created_ns = clock_ns(CLOCK_REALTIME);
	r = record_store_write(task->daemon, task,
			       commit ? NSEXEC__RECORD__STAGE__COMMIT
				      : NSEXEC__RECORD__STAGE__CREATED);
	if (r < 0) {
		fail_record(task, r);
		return;
	}
	if (commit) {
		task->state = TASK_COMMITTED;
		/* a stage that died meanwhile is seen by its pidfd */
		r = fd_send(task->channel, "G", 1, NULL, 0);
		(void)r;
	} else {
		task->state = TASK_CREATED;
		watch_timer_set(task->timer, -1);
		task_count(task, false);
	}
	if (task_is_init(task))
		publish(task, EVENT_CREATED);
	if (!commit)
		park_created(task);
}

static void
starting_on_child(struct task *task, struct task_input *input)
{
	starting_child(task, input);
	if (task->ready)
		set_up(task);
}

static void
starting_on_ready(struct task *task, struct task_input *input)
{
	if (task->ready)
		return;
	task->ready = true;
	memcpy(task->namespaces, input->msg->namespaces,
	       sizeof(task->namespaces));
	if (task->pid)
		set_up(task);
}

static void
starting_on_error(struct task *task, struct task_input *input)
{
	struct error error;

	task->answered = true;
	/* what the stage said itself is nearer to the cause */
	channel_drain(task);
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
	enum task_state before = task->state;

	channel_drain(task);
	if (task->state == before)
		task_ask_status(task);
}

static void
gate_on_status(struct task *task, struct task_input *input)
{
	struct task_exit exit;

	if (input->msg->execed) {
		run(task);
		if (!task->exited)
			return;
		exit = exit_from(input->msg);
		task_exit(task, &exit);
	} else if (task->exited) {
		channel_drain(task);
		if (task->state != TASK_ENDED)
			fail_died(task, input->msg);
	} else if (task->state == TASK_COMMITTED && task->channel < 0 &&
		   task->timer) {
		/* no channel tells the moment of exec: look again soon */
		watch_timer_set(task->timer, POLL_MS);
	}
}

static void
running_on_status(struct task *task, struct task_input *input)
{
	struct task_exit exit;

	if (!task->exited)
		return;
	exit = exit_from(input->msg);
	task_exit(task, &exit);
}

/*
 * The spawner has no such child: it was started anew and the old one's
 * children are init's. Once somebody reaped it, the pidfd still has the code
 * (PIDFD_GET_INFO, Linux 6.15); before that it is unknown.
 */
static void
any_on_lost(struct task *task, struct task_input *input)
{
	struct sys_pidfd_info info = { .mask = SYS_PIDFD_INFO_EXIT };
	struct task_exit exit = { .unknown = true };
	struct error error;

	task->orphan = true;
	task->reaped = true;
	if (task->pidfd >= 0 && fd_wait_readable(task->pidfd, 0) == 0)
		return; /* lives on under another parent */
	if (task->pidfd >= 0 &&
	    ioctl(task->pidfd, SYS_PIDFD_GET_INFO, &info) == 0 &&
	    (info.mask & SYS_PIDFD_INFO_EXIT)) {
		exit.unknown = false;
		exit.wait_status = info.exit_code;
	} else if (task->pidfd >= 0 && task->polls++ < ORPHAN_POLLS &&
		   task_arm(task, ORPHAN_POLL_MS) == 0) {
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
	if (proc_stat_execed(task->pid, task->start_time))
		run(task);
	else
		task_ask_status(task);
}

static void
committed_on_opened(struct task *task, struct task_input *input)
{
	if (task->channel < 0)
		task_ask_status(task);
}

static void
committed_on_not_opened(struct task *task, struct task_input *input)
{
	int r;

	task->state = TASK_CREATED;
	task_count(task, false);
	watch_timer_set(task->timer, -1);
	r = record_store_write(task->daemon, task,
			       NSEXEC__RECORD__STAGE__CREATED);
	if (r < 0)
		log_error("container %s: cannot record: %s",
			  task->container->id, strerror(-r));
	park_not_opened(task, input->error);
}

static void
any_on_deadline(struct task *task, struct task_input *input)
{
	const char *phase = "set-up";
	struct error error;

	if (task->state == TASK_COMMITTED)
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
		[TASK_ON_PIDFD] = any_on_pidfd,
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

/* The init channel */

static void
channel_close(struct task *task)
{
	task->channel_watch = watch_free(task->channel_watch);
	fd_close(&task->channel);
}

/* 1: something was said; 0: nothing now; -1: end of file or nonsense */
static int
channel_read(struct task *task)
{
	unsigned char data[REPORT_MAX];
	struct nlmsg_error nlmsg_error;
	struct op_message msg;
	struct task_input input = { .msg = &msg, .fd = -1 };
	size_t n_fds;
	ssize_t size;

	if (task->channel < 0)
		return 0;
	size = fd_recv(task->channel, data, sizeof(data), NULL, 0, &n_fds);
	if (size == -EAGAIN || size == -EINTR)
		return 0;
	if (size <= 0 || op_decode(data, (size_t)size, &msg, &nlmsg_error) < 0)
		return -1;
	if (msg.header.type == REPORT_READY)
		task_dispatch(task, TASK_ON_READY, &input);
	else if (msg.header.type == REPORT_FAILED)
		task_dispatch(task, TASK_ON_FAILURE, &input);
	else
		return -1;
	return 1;
}

/* Take everything that is there; a stage says two things at most. */
static void
channel_drain(struct task *task)
{
	for (int i = 0; i < 4; i++) {
		int r = channel_read(task);

		if (r < 0)
			channel_close(task);
		if (r <= 0)
			return;
	}
}

static void
channel_on_fd(void *userdata, int fd, unsigned int events)
{
	struct task *task = userdata;
	struct task_input input = { .fd = -1 };
	int r = channel_read(task);

	if (r >= 0)
		return;
	channel_close(task);
	task_dispatch(task, TASK_ON_EOF, &input);
}

int
task_watch_channel(struct task *task, int fd)
{
	int r = watch_new_fd(task->daemon->loop, fd, LOOP_READ, channel_on_fd,
			     task, &task->channel_watch);

	if (r == 0)
		task->channel = fd;
	return r;
}

static void
pidfd_on_fd(void *userdata, int fd, unsigned int events)
{
	struct task *task = userdata;
	struct task_input input = { .fd = -1 };

	/* level-triggered and said once is enough */
	task->pidfd_watch = watch_free(task->pidfd_watch);
	task_dispatch(task, TASK_ON_PIDFD, &input);
}

int
task_watch_pidfd(struct task *task, int fd)
{
	struct stat st;
	int r;

	if (fd < 0)
		return -EBADF;
	if (task->daemon->core->pidfs && fstat(fd, &st) == 0)
		task->pid_inode = st.st_ino;
	r = watch_new_fd(task->daemon->loop, fd, LOOP_READ, pidfd_on_fd, task,
			 &task->pidfd_watch);
	if (r == 0)
		task->pidfd = fd;
	return r;
}

static void
task_on_timer(void *userdata)
{
	struct task *task = userdata;
	struct task_input input = { .fd = -1 };
	int64_t now = clock_boottime_ms();

	if (task->state == TASK_ENDED) {
		task_clean_up(task);
	} else if (task->orphan) {
		task_dispatch(task, TASK_ON_LOST, &input);
	} else if (now < task->deadline_ms) {
		task_ask_status(task);
		watch_timer_set(task->timer, POLL_MS);
	} else if (task->state != task->armed &&
		   now < task->start_deadline_ms) {
		/* another phase began meanwhile: it has a time of its own */
		task_arm_phase(task, now);
	} else {
		task_dispatch(task, TASK_ON_DEADLINE, &input);
	}
}

static int
task_arm(struct task *task, int64_t timeout_ms)
{
	int r = 0;

	if (!task->timer)
		r = watch_new_timer(task->daemon->loop, task_on_timer, task,
				    &task->timer);
	if (r == 0)
		watch_timer_set(task->timer, timeout_ms);
	return r;
}

int
task_retry_later(struct task *task, int64_t timeout_ms)
{
	return task_arm(task, timeout_ms);
}

static void
task_arm_phase(struct task *task, int64_t now)
{
	int64_t left = task->start_deadline_ms - now;

	if (left > PHASE_MS)
		left = PHASE_MS;
	task->armed = task->state;
	task->deadline_ms = now + left;
	watch_timer_set(task->timer, left);
}

int
task_set_deadline(struct task *task, uint32_t timeout_ms)
{
	int64_t now = clock_boottime_ms();
	int r = task_arm(task, -1);

	if (r < 0)
		return r;
	task->start_deadline_ms = now + timeout_ms;
	task_arm_phase(task, now);
	return 0;
}

/* Answers of START, EXEC and OPEN */

void
task_on_start_answer(struct daemon *daemon, uint64_t id,
		     const struct op_message *answer, int fd)
{
	struct task *task = task_find(daemon->containers, id);
	struct task_input input = { .msg = answer, .fd = fd };

	if (!task || !answer) {
		/* not answered: what became of it is found by LIST */
		fd_close(&fd);
		return;
	}
	task_dispatch(task,
		      answer->header.type == ANSWER_CHILD ? TASK_ON_CHILD
							  : TASK_ON_ERROR,
		      &input);
}

void
task_on_open_answer(struct daemon *daemon, uint64_t id,
		    const struct op_message *answer, int fd)
{
	struct task *task = task_find(daemon->containers, id);
	struct error error;
	struct task_input input = { .msg = answer, .fd = -1, .error = &error };

	fd_close(&fd);
	if (!task)
		return;
	task->opening = false;
	if (!answer)
		return; /* found out by LIST */
	if (answer->header.type == ANSWER_DONE) {
		task_dispatch(task, TASK_ON_OPENED, &input);
		return;
	}
	error_from_message(&error, answer);
	task_dispatch(task, TASK_ON_NOT_OPENED, &input);
}
