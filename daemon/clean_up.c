/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After the end of a task: the zombie is reaped, the container's cgroup
 * removed (what still runs in it is killed: a container ends with its init),
 * and, when asked for or old, the container forgotten. Each step may be tried
 * again; nothing here says anything but "deleted" to anybody.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/events.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/park.h"
#include "daemon/record_store.h"
#include "daemon/restore.h"
#include "daemon/spawner_client.h"
#include "daemon/task.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"

#define RETRY_MS 10
#define SLOW_RETRY_MS 1000
#define QUICK_RETRIES 200u
#define STUCK_MS 2000
#define LOOK_EVERY 20u /* of the retries */

/*
 * A task that was killed and is still there: its process waits in the kernel
 * for something that SIGKILL does not end, such as the answer of a FUSE
 * server to the close of a descriptor that the caller passed. Its owner pays
 * for it until it is gone.
 */
static void
task_mark_stuck(struct task *task, bool stuck)
{
	struct container *container = task->container;
	struct owner *owner =
		owner_counts(task->daemon->containers, container->owner);

	if (task->stuck == stuck)
		return;
	task->stuck = stuck;
	if (owner)
		owner->stuck += stuck ? 1 : (size_t)-1;
	if (stuck)
		log_warning("container %s: it was killed and does not go away",
			    container->id);
	else
		log_notice("container %s: it is gone at last", container->id);
}

/* Milliseconds until it counts as stuck; 0: it does, from now on. */
static int64_t
time_until_stuck(struct task *task)
{
	int64_t left = task->ended_ms + STUCK_MS - clock_boottime_ms();

	if (left > 0)
		return left;
	task_mark_stuck(task, true);
	return 0;
}

/* One step of it is done: perhaps it was the last. */
static void
task_settle(struct task *task)
{
	if (task->reaped &&
	    (!task_is_init(task) || task->container->cgroup_gone))
		task_mark_stuck(task, false);
	container_check_deleted(task->container);
}

static void
retry_later(struct task *task)
{
	int64_t wait = task->polls++ < QUICK_RETRIES ? RETRY_MS : SLOW_RETRY_MS;

	(void)time_until_stuck(task);
	task_arm(task, wait);
}

static void
cgroup_on_answer(struct daemon *daemon, uint64_t id,
		 const struct op_message *answer, int fd)
{
	struct task *task = task_find(daemon->containers, id);

	fd_close(&fd);
	if (!task || !answer)
		return; /* the spawner is gone: again after its return */
	if (answer->header.type == ANSWER_DONE ||
	    answer->failure.error == ENOENT) {
		task->container->cgroup_gone = true;
		task->timer = watch_free(task->timer);
		task_settle(task);
		return;
	}
	/* processes outlived init: no pid namespace held them together; or its
	 * child came to be after we were told that there is none */
	task_kill(task);
	if (task->orphan && task->pid == 0 && task->polls % LOOK_EVERY == 0)
		restore_find_leftovers(daemon);
	retry_later(task);
}

static void
send_cgroup_remove(struct task *task)
{
	struct spawner_small small = {
		.op = OP_CGROUP_REMOVE,
		.container = task->container->id,
		.has_uid = true,
		.uid = task->container->owner,
		.caller_fd = -1,
		.fn = cgroup_on_answer,
		.id = task->id,
	};

	if (spawner_send_owed(task->daemon->spawner, &small) == -EAGAIN)
		retry_later(task);
}

static void
reap_on_answer(struct daemon *daemon, uint64_t id,
	       const struct op_message *answer, int fd)
{
	struct task *task = task_find(daemon->containers, id);

	fd_close(&fd);
	if (!task || !answer)
		return;
	task->reaped = true;
	if (answer->header.type == ANSWER_ERROR &&
	    answer->failure.error == EBUSY) {
		task->reaped = false;
		retry_later(task);
		return;
	}
	task_settle(task);
}

static int
send_reap(struct task *task)
{
	struct spawner_small small = {
		.op = OP_REAP,
		.pid = task->pid,
		.caller_fd = -1,
		.fn = reap_on_answer,
		.id = task->id,
	};

	return spawner_send_owed(task->daemon->spawner, &small);
}

/* Is there a process that has to end, or that we have to hear of, first? */
static bool
process_remains(const struct task *task)
{
	if (task->orphan || task->reaped)
		return false;
	if (task->pid == 0)
		return !task->answered;
	return !task->exited;
}

void
task_clean_up(struct task *task)
{
	struct container *container = task->container;

	int64_t left;

	if (task->state != TASK_ENDED)
		return;
	if (process_remains(task)) {
		/* its end is told by its pidfd or the spawner's answer */
		left = task->stuck ? 0 : time_until_stuck(task);
		if (left > 0)
			task_arm(task, left);
		return;
	}
	if (task->pid && !task->reaped) {
		task->pidfd_watch = watch_free(task->pidfd_watch);
		fd_close(&task->pidfd);
		if (send_reap(task) < 0)
			return; /* again after the spawner's return */
	} else {
		task->reaped = true;
	}
	if (task_is_init(task) && !container->cgroup_gone)
		send_cgroup_remove(task);
	else
		task_settle(task);
}

bool
container_is_clean(const struct container *container)
{
	if (container->init.state != TASK_ENDED || !container->init.reaped ||
	    !container->cgroup_gone)
		return false;
	for (const struct task *task = container->execs; task;
	     task = task->next) {
		if (task->state != TASK_ENDED || !task->reaped)
			return false;
	}
	return true;
}

void
container_delete(struct daemon *daemon, struct container *container)
{
	struct owner *owner =
		owner_counts(daemon->containers, container->owner);
	struct event_draft draft = {
		.type = EVENT_DELETED,
		.owner = container->owner,
		.container = container->id,
		.name = container->name,
		.pid = container->init.pid,
		.pid_inode = container->init.pid_inode,
	};

	for (struct container **link = &daemon->core->doomed; *link;
	     link = &(*link)->next_doomed) {
		if (*link == container) {
			*link = container->next_doomed;
			break;
		}
	}
	record_store_remove(daemon, &container->init);
	for (struct task *task = container->execs; task; task = task->next)
		record_store_remove(daemon, task);
	event_publish(daemon->events, &draft);
	park_removed(&container->init);
	park_clear(&container->init);
	for (struct task *task = container->execs; task; task = task->next)
		park_clear(task);
	if (owner)
		owner->ended--;
	container_remove(daemon->containers, container);
}

void
container_check_deleted(struct container *container)
{
	struct core *core = container->init.daemon->core;

	if (!container->deleting || container->doomed ||
	    !container_is_clean(container))
		return;
	/* whoever called may still hold its task: freed in the same turn of
	 * the loop, but from the top of the stack */
	container->doomed = true;
	container->next_doomed = core->doomed;
	core->doomed = container;
	watch_timer_set(core->doomed_timer, 0);
}

void
containers_free_doomed(struct daemon *daemon)
{
	while (daemon->core->doomed)
		container_delete(daemon, daemon->core->doomed);
}

static int
compare_ends(const void *a, const void *b)
{
	const struct container *first = *(struct container *const *)a;
	const struct container *second = *(struct container *const *)b;

	if (first->ended_ns != second->ended_ns)
		return first->ended_ns < second->ended_ns ? -1 : 1;
	return first->serial < second->serial ? -1 : 1;
}

/* All that can be forgotten, who ended first before the others. NULL: none,
 * or no memory, and then it is done a minute later. */
static struct container **
ended_by_age(const struct container_table *table, size_t *ret_n)
{
	struct container **ended;
	size_t n = 0, i = 0;

	for (struct container *container = container_first(table); container;
	     container = container_next(container))
		n += container_is_clean(container);
	ended = n ? calloc(n, sizeof(struct container *)) : NULL;
	if (!ended)
		return NULL;
	for (struct container *container = container_first(table); container;
	     container = container_next(container)) {
		if (container_is_clean(container))
			ended[i++] = container;
	}
	qsort(ended, n, sizeof(struct container *), compare_ends);
	*ret_n = n;
	return ended;
}

/* By age of the end and not of the start: the end of what ran for long is as
 * new as any, and somebody may still ask for it. */
void
containers_trim(struct daemon *daemon)
{
	const struct config_limits *limits = &daemon->config->limits;
	uint64_t keep_ns = (uint64_t)limits->ended_seconds * 1000000000u;
	uint64_t now = clock_ns(CLOCK_BOOTTIME);
	size_t n = 0;
	struct container **ended = ended_by_age(daemon->containers, &n);
	struct owner *owner;

	for (size_t i = 0; i < n; i++) {
		owner = owner_counts(daemon->containers, ended[i]->owner);
		if (owner && (owner->ended > limits->ended_per_owner ||
			      ended[i]->ended_ns + keep_ns <= now))
			container_delete(daemon, ended[i]);
	}
	free(ended);
}
