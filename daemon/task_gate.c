/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the commit and the exec, where nobody knows whether the gate was
 * opened: the spawner that should have opened it died, or nsexecd did before
 * it could ask for it. Init executes within a moment if it was. If not, it
 * waits at its gate as before, and Start may be called again.
 */
#include <string.h>

#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/memory.h"
#include "daemon/park.h"
#include "daemon/record_store.h"
#include "daemon/task_part.h"

#define LOST_GATE_MS 500

void
task_not_opened(struct task *task, const struct error *error)
{
	int r;

	task->state = TASK_CREATED;
	task_count(task, false);
	if (task->timer)
		watch_timer_set(task->timer, -1);
	r = record_store_write(task->daemon, task,
			       NSEXEC__RECORD__STAGE__CREATED);
	if (r < 0)
		log_error("container %s: cannot record: %s",
			  task->container->id, strerror(-r));
	park_not_opened(task, error);
}

static void
not_opened_by_the_dead(struct task *task, const char *rule)
{
	struct error error;

	(void)error_set(&error, ERRCODE_ABORTED_RESTART, "open-gate",
			task->container->id, rule, "start it again");
	task->polls = 0;
	task_not_opened(task, &error);
}

void
task_lost_at_gate(struct task *task)
{
	if (task->state != TASK_COMMITTED || task->gate != GATE_NAMED)
		return;
	if (task->polls++ == 0 && task->channel < 0) {
		/* From an nsexecd before us: no channel tells of its exec. */
		task_count(task, false);
		task->timer = watch_free(task->timer);
		task_ask_status(task);
		return;
	}
	if (task->polls == 1) {
		task_arm(task, LOST_GATE_MS);
		return;
	}
	not_opened_by_the_dead(
		task, "the spawner was restarted before it opened the gate");
}

/* Whoever committed it is gone, and with him the deadline and the channel. */
static bool
is_restored_commit(const struct task *task)
{
	return task->restored && !task->counted &&
	       task->state == TASK_COMMITTED;
}

void
task_watch_commit(struct task *task)
{
	uint32_t timeout_ms =
		task->gate == GATE_NAMED ? LOST_GATE_MS : SPEC_TIMEOUT_MS;

	if (!task->timer && is_restored_commit(task) &&
	    task_set_deadline(task, timeout_ms) < 0)
		memory_out("a deadline");
	if (task->timer)
		watch_timer_set(task->timer, TASK_POLL_MS);
}

bool
task_gate_stayed_shut(struct task *task)
{
	if (!is_restored_commit(task) || task->gate != GATE_NAMED)
		return false;
	not_opened_by_the_dead(
		task, "nsexecd was restarted before it opened the gate");
	return true;
}
