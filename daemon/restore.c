/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records and children brought together; see restore.h. A child is ours if its
 * cgroup is named like the container, its pid and start time are those on
 * record. One round of LIST marks every task that was seen; what was not seen
 * at its end has ended without us, or never came to be.
 *
 *	on record	the spawner has it	it has not
 *	INTENT		killed, ABORTED_RESTART	ABORTED_RESTART
 *	CREATED		waits on at its gate	failed
 *	COMMIT		its exec'd bit decides	failed, or exit unknown
 *	ENDED		reaped			nothing to do
 */
#include "daemon/restore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/boot.h"
#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/events.h"
#include "daemon/lease.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/quota.h"
#include "daemon/record_event.h"
#include "daemon/spawner_client.h"
#include "daemon/task.h"
#include "lib/clock.h"
#include "lib/fd.h"

/* Records */

static enum task_state
state_of(Nsexec__Record__Stage stage)
{
	static const enum task_state states[] = {
		[NSEXEC__RECORD__STAGE__INTENT] = TASK_STARTING,
		[NSEXEC__RECORD__STAGE__CREATED] = TASK_CREATED,
		[NSEXEC__RECORD__STAGE__COMMIT] = TASK_COMMITTED,
		[NSEXEC__RECORD__STAGE__ENDED] = TASK_ENDED,
	};

	return states[stage];
}

/* The terminal event, under the number it had. */
static void
restore_event(struct task *task, uint64_t boottime_ns)
{
	const struct container *container = task->container;
	struct event_draft draft = {
		.owner = container->owner,
		.container = container->id,
		.name = container->name,
		.exec_id = task->exec_id,
		.pid = task->pid,
		.pid_inode = task->pid_inode,
		.exit = task->exit.present ? &task->exit : NULL,
		.error = task->failure,
	};

	draft.type = task->failure	  ? EVENT_FAILED
		     : task_is_init(task) ? EVENT_EXITED
					  : EVENT_EXEC_EXITED;
	event_restore(task->daemon->events, &draft, &task->terminal,
		      task->exit.present ? task->exit.realtime_ns
					 : task->created_ns,
		      boottime_ns);
}

static void
restore_state(struct daemon *daemon, struct task *task,
	      const Nsexec__Record__Task *record)
{
	struct container *container = task->container;
	struct owner *owner =
		owner_counts(daemon->containers, container->owner);
	bool same_boot =
		record->boot_id.len == BOOT_ID_SIZE &&
		memcmp(record->boot_id.data, boot_id(), BOOT_ID_SIZE) == 0;

	task->state = state_of(record->stage);
	task->answered = true;
	task->ended_ms = clock_boottime_ms();
	if (!same_boot) {
		/* nothing of another boot lives; its clock means nothing */
		task->orphan = true;
		task->reaped = true;
		container->cgroup_gone = true;
		container->ended_ns = clock_ns(CLOCK_BOOTTIME);
	}
	if (task->state == TASK_ENDED)
		restore_event(task, container->ended_ns);
	if (task_is_init(task) && owner) {
		if (task->state == TASK_ENDED)
			owner->ended++;
		else
			owner->live++;
	} else if (task->state != TASK_ENDED) {
		container->n_execs++;
	}
}

static void
restore_init(struct daemon *daemon, const Nsexec__Record__Task *record)
{
	struct container *container;
	int r;

	r = container_new(&container);
	if (r < 0)
		memory_out("a container on record");
	task_init(&container->init, daemon, container,
		  container_table_task_id(daemon->containers));
	r = record_task_restore(record, container, &container->init);
	if (r == 0)
		r = container_add(daemon->containers, container);
	if (r == -ENOMEM)
		memory_out("a container on record");
	if (r < 0) {
		log_error("container %s: cannot restore: %s", record->id,
			  strerror(-r));
		container_free(container);
		return;
	}
	/* how many he may have is known when he comes: key_add() trims then */
	if (container->has_key)
		r = key_add(daemon->containers, container, SIZE_MAX);
	if (r == -ENOMEM)
		memory_out("a key on record");
	container->has_key &= r == 0;
	restore_state(daemon, &container->init, record);
	lease_restore(container);
}

static void
restore_exec(struct daemon *daemon, const Nsexec__Record__Task *record)
{
	struct container *container = container_find_id(
		daemon->containers, record->owner_uid, record->id);
	unsigned long long number;
	struct task *task;
	int r;

	if (!container) {
		log_warning("container %s: its exec %s has no container",
			    record->id, record->exec_id);
		return;
	}
	task = owed_malloc(sizeof(*task), "an exec on record");
	task_init(task, daemon, container,
		  container_table_task_id(daemon->containers));
	r = record_task_restore(record, container, task);
	if (r == 0)
		r = task_add_exec(daemon->containers, task);
	if (r == -ENOMEM)
		memory_out("an exec on record");
	if (r < 0) {
		task_deinit(task);
		free(task);
		return;
	}
	number = strtoull(task->exec_id, NULL, 10);
	if (number > container->last_exec)
		container->last_exec = number;
	restore_state(daemon, task, record);
}

void
restore_record(struct daemon *daemon, const Nsexec__Record__Task *record)
{
	if (record->exec_id)
		restore_exec(daemon, record);
	else
		restore_init(daemon, record);
}

/* What was told */

struct told {
	struct daemon *daemon;
	uint64_t
		since; /* realtime of the oldest that is still known; 0: none */
};

static struct task *
task_of_event(struct daemon *daemon, const struct event_draft *draft)
{
	struct container *container = container_find_id(
		daemon->containers, draft->owner, draft->container);
	struct task *task;

	if (!container)
		return NULL;
	if (draft->type == EVENT_STARTED)
		return &container->init;
	for (task = container->execs; task; task = task->next)
		if (draft->exec_id &&
		    strcmp(task->exec_id, draft->exec_id) == 0)
			return task;
	return NULL;
}

static void
told_on_event(void *userdata, const struct event_record *record)
{
	struct told *told = userdata;
	struct task *task;

	if (told->since == 0)
		told->since = record->realtime_ns;
	if (record->draft.type != EVENT_STARTED &&
	    record->draft.type != EVENT_EXEC_STARTED)
		return;
	task = task_of_event(told->daemon, &record->draft);
	/* an id may be used again, with another process */
	if (!task || task->pid != record->draft.pid)
		return;
	task->started_told = true;
	task->started_ns = record->realtime_ns;
}

/* Older than all that is in the ring: it was told before. */
static void
told_before(struct task *task, uint64_t since)
{
	if (task->state == TASK_COMMITTED && !task->started_told &&
	    task->created_ns && task->created_ns < since) {
		task->started_told = true;
		task->started_ns = task->created_ns;
	}
}

void
restore_told(struct daemon *daemon)
{
	struct told told = { .daemon = daemon };
	struct container *container;
	struct task *task;

	/* all of it was read once: event_log_attach() */
	if (event_log_walk(daemon->events, told_on_event, &told) < 0)
		memory_out("what was told");
	for (container = container_first(daemon->containers); container;
	     container = container_next(container)) {
		told_before(&container->init, told.since);
		for (task = container->execs; task; task = task->next)
			told_before(task, told.since);
	}
}
