/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a task ends: on record, told as its terminal event, answered to whoever
 * waits, then cleaned up (clean_up.c). Each task comes here exactly once.
 */
#include "daemon/task.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/audit.h"
#include "daemon/container_table.h"
#include "daemon/events.h"
#include "daemon/lease.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/metrics.h"
#include "daemon/park.h"
#include "daemon/record_store.h"
#include "daemon/spawner_client.h"
#include "daemon/task_part.h"
#include "lib/clock.h"
#include "lib/fd.h"

#define KILL_AGAIN_MS 100

void
task_publish(struct task *task, enum event_type type)
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
	if (event_is_terminal(type))
		audit_event(task->daemon, &draft, &task->terminal, task);
}

void
task_count(struct task *task, bool counted)
{
	struct owner *owner;

	if (task->counted == counted)
		return;
	task->counted = counted;
	container_table_count_in_flight(task->daemon->containers,
					task->container->owner,
					counted ? 1 : -1);
	owner = owner_counts(task->daemon->containers, task->container->owner);
	if (owner)
		owner->held_fds += counted ? task->n_fds : -(size_t)task->n_fds;
	if (!counted)
		task->n_fds = 0; /* taken by its stages, or gone */
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
		lease_leave(container);
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
	if (r == -ENOMEM)
		memory_out("the record of an end");
	if (r < 0)
		log_error("container %s: cannot record its end: %s",
			  container->id, strerror(-r));
}

void
task_fail(struct task *task, const struct error *error)
{
	task->failure = owed_malloc(sizeof(*task->failure), "an error");
	*task->failure = *error;
	task->state = TASK_ENDED;
	task->ended_ms = clock_boottime_ms();
	task_close_channel(task);
	task_count(task, false);
	trace_mark(&task->trace, TRACE_FAILED);
	metrics_on_failed(task, error);
	record_end(task);
	log_error_record(LOG_LEVEL_INFO, task->container->id, error);
	task_publish(task, EVENT_FAILED);
	park_failed(task, error);
	task_clean_up(task);
}

void
task_exit(struct task *task, const struct task_exit *exit)
{
	task->exit = *exit;
	task->exit.present = true;
	/* If it had not ended by itself just before. */
	task->exit.lease_lost = task->container->lease_lost && !exit->unknown &&
				WIFSIGNALED(exit->wait_status) &&
				WTERMSIG(exit->wait_status) == SIGKILL;
	task->exit.realtime_ns = clock_ns(CLOCK_REALTIME);
	task->state = TASK_ENDED;
	task->ended_ms = clock_boottime_ms();
	task_close_channel(task);
	task_count(task, false);
	metrics_on_exited(task);
	record_end(task);
	task_publish(task,
		     task_is_init(task) ? EVENT_EXITED : EVENT_EXEC_EXITED);
	park_exited(task);
	task_clean_up(task);
}

/* It ended without exec and without saying why. */
void
task_fail_died(struct task *task, const struct op_message *msg)
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
	if (task->container->cancelled)
		(void)error_set(&error, ERRCODE_CANCELLED, "start",
				task->container->id,
				"it was cancelled before it ran", "");
	if (task->container->lease_lost)
		lease_error(&error, task->container);
	task_fail(task, &error);
}

/* The end itself is seen by the pidfd; but it may be that none was sent. */
static void
kill_on_answer(struct daemon *daemon, uint64_t id,
	       const struct op_message *answer, int fd)
{
	struct task *task = task_find(daemon->containers, id);

	fd_close(&fd);
	if (!task || !answer || answer->header.type == ANSWER_DONE ||
	    answer->code == ERRCODE_NOT_FOUND || answer->code == ERRCODE_GONE)
		return;
	task->kill_again = true;
	task_arm(task, KILL_AGAIN_MS);
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
		task_close_channel(task);
		if (!task->pid || task->reaped)
			return;
		small.pid = task->pid;
	}
	task->kill_again = false;
	if (spawner_send_owed(task->daemon->spawner, &small) < 0)
		log_warning("container %s: cannot kill it just now",
			    task->container->id);
}
