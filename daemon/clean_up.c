/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After the end of a task: the zombie is reaped, the container's cgroup
 * removed (what still runs in it is killed: a container ends with its init),
 * and, when asked for or old, the container forgotten. Each step may be tried
 * again; nothing here says anything but "deleted" to anybody.
 */
#include <errno.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/events.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/park.h"
#include "daemon/record_store.h"
#include "daemon/spawner_client.h"
#include "daemon/task.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"

#define RETRY_MS 10
#define SLOW_RETRY_MS 1000
#define QUICK_RETRIES 200u

static void
retry_later(struct task *task)
{
	int64_t wait = task->polls++ < QUICK_RETRIES ? RETRY_MS : SLOW_RETRY_MS;

	if (task->polls == QUICK_RETRIES)
		log_warning("container %s: its cgroup cannot be emptied yet",
			    task->container->id);
	if (task_arm(task, wait) < 0)
		log_error("container %s: cannot clean up: no memory",
			  task->container->id);
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
		container_check_deleted(task->container);
		return;
	}
	/* processes outlived init: no pid namespace held them together */
	task_kill(task);
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

	if (spawner_send_small(task->daemon->spawner, &small) == -EAGAIN)
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
	container_check_deleted(task->container);
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

	return spawner_send_small(task->daemon->spawner, &small);
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

	if (task->state != TASK_ENDED || process_remains(task))
		return;
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
		container_check_deleted(container);
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

void
container_trim(struct daemon *daemon, uid_t uid)
{
	const struct config_limits *limits = &daemon->config->limits;
	uint64_t keep_ns = (uint64_t)limits->ended_seconds * 1000000000u;
	uint64_t now = clock_ns(CLOCK_BOOTTIME);
	struct owner *owner = owner_counts(daemon->containers, uid);
	struct container *next;

	for (struct container *container = container_first(daemon->containers);
	     container && owner && owner->ended; container = next) {
		next = container_next(container);
		if (container->owner != uid || !container_is_clean(container))
			continue;
		if (owner->ended <= limits->ended_per_owner &&
		    container->ended_ns + keep_ns > now)
			continue;
		container_delete(daemon, container);
	}
}
