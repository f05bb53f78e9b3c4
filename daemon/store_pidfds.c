/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pidfds systemd keeps, looked over every two seconds, some at a time;
 * see store_pidfds.h. A name is that of one process: "pidfd.PID.START".
 */
#include "daemon/store_pidfds.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/task.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/table.h"

#define LOOK_MS 2000
#define LIVES_LONG_NS UINT64_C(5000000000)
/* Messages to systemd in one look: it has other things to do. */
#define PER_LOOK 64

struct kept {
	uint64_t task_id; /* 0: free */
	bool seen;
	char name[NOTIFY_NAME_MAX];
};

struct store_pidfds {
	struct daemon *daemon;
	struct watch *timer;
	struct table by_task; /* task id -> struct kept */
	struct kept kept[STORE_PIDFDS_MAX];
};

static bool
is_worth_it(const struct task *task, uint64_t now)
{
	return task_is_live(task) && task->pidfd >= 0 && task->pid_inode &&
	       !task->exited && task->created_ns &&
	       task->created_ns + LIVES_LONG_NS < now;
}

static struct kept *
kept_add(struct store_pidfds *pidfds, const struct task *task)
{
	for (size_t i = 0; i < STORE_PIDFDS_MAX; i++) {
		struct kept *kept = &pidfds->kept[i];

		if (kept->task_id)
			continue;
		if (table_add(&pidfds->by_task, task->id, kept) < 0)
			return NULL;
		kept->task_id = task->id;
		kept->seen = true;
		snprintf(kept->name, sizeof(kept->name), "pidfd.%d.%" PRIu64,
			 task->pid, task->start_time);
		return kept;
	}
	return NULL;
}

static void
kept_drop(struct store_pidfds *pidfds, struct kept *kept)
{
	notify_store_drop(kept->name);
	table_remove(&pidfds->by_task, kept->task_id);
	kept->task_id = 0;
}

/* 1: one message was sent for it. */
static int
look_at(struct store_pidfds *pidfds, const struct task *task, uint64_t now)
{
	struct kept *kept = table_find(&pidfds->by_task, task->id);

	if (!is_worth_it(task, now))
		return 0;
	if (kept) {
		kept->seen = true;
		return 0;
	}
	if (pidfds->by_task.used >= STORE_PIDFDS_MAX)
		return 0;
	kept = kept_add(pidfds, task);
	if (!kept)
		return 0;
	notify_store_add(kept->name, task->pidfd);
	return 1;
}

static void
drop_unseen(struct store_pidfds *pidfds, int left)
{
	for (size_t i = 0; i < STORE_PIDFDS_MAX && left > 0; i++) {
		struct kept *kept = &pidfds->kept[i];

		if (!kept->task_id || kept->seen)
			continue;
		kept_drop(pidfds, kept);
		left--;
	}
}

static void
pidfds_on_timer(void *userdata)
{
	struct store_pidfds *pidfds = userdata;
	uint64_t now = clock_ns(CLOCK_REALTIME);
	const struct container *container;
	int left = PER_LOOK;

	for (size_t i = 0; i < STORE_PIDFDS_MAX; i++)
		pidfds->kept[i].seen = false;
	for (container = container_first(pidfds->daemon->containers);
	     container && left > 0; container = container_next(container)) {
		left -= look_at(pidfds, &container->init, now);
		for (const struct task *task = container->execs; task;
		     task = task->next)
			left -= look_at(pidfds, task, now);
	}
	/* not all were looked at: those behind are not gone */
	if (!container)
		drop_unseen(pidfds, PER_LOOK);
	watch_timer_set(pidfds->timer, LOOK_MS);
}

/* Tasks of the records that may live, by the inode of their process. */
static void
find_task(struct table *tasks, struct task *task)
{
	/* no memory: it is only not found */
	if (task_is_live(task) && task->pid_inode && task->pidfd < 0)
		(void)!table_add(tasks, task->pid_inode, task);
}

static void
hand_back(struct store_pidfds *pidfds, struct table *tasks,
	  struct notify_pidfd *handed)
{
	struct task *task = NULL;
	struct kept *kept;
	struct stat st;

	if (pidfds->daemon->core->pidfs && fstat(handed->fd, &st) == 0 &&
	    st.st_ino)
		task = table_remove(tasks, st.st_ino);
	if (!task || task_watch_pidfd(task, handed->fd) < 0) {
		fd_close(&handed->fd);
		notify_store_drop(handed->name);
		return;
	}
	handed->fd = -1;
	kept = kept_add(pidfds, task);
	if (kept)
		snprintf(kept->name, sizeof(kept->name), "%s", handed->name);
}

static void
hand_back_all(struct store_pidfds *pidfds, struct notify_pidfds *handed)
{
	struct container *container;
	struct table tasks = { 0 };

	if (handed->n == 0)
		return;
	for (container = container_first(pidfds->daemon->containers); container;
	     container = container_next(container)) {
		find_task(&tasks, &container->init);
		for (struct task *task = container->execs; task;
		     task = task->next)
			find_task(&tasks, task);
	}
	for (size_t i = 0; i < handed->n; i++)
		hand_back(pidfds, &tasks, &handed->pidfds[i]);
	table_deinit(&tasks);
}

int
store_pidfds_new(struct daemon *daemon, struct notify_pidfds *handed,
		 struct store_pidfds **ret)
{
	struct store_pidfds *pidfds = calloc(1, sizeof(*pidfds));
	int r;

	if (!pidfds)
		return -ENOMEM;
	pidfds->daemon = daemon;
	r = watch_new_timer(daemon->loop, pidfds_on_timer, pidfds,
			    &pidfds->timer);
	if (r < 0) {
		free(pidfds);
		return r;
	}
	watch_timer_set(pidfds->timer, LOOK_MS);
	hand_back_all(pidfds, handed);
	*ret = pidfds;
	return 0;
}

struct store_pidfds *
store_pidfds_free(struct store_pidfds *pidfds)
{
	if (!pidfds)
		return NULL;
	watch_free(pidfds->timer);
	table_deinit(&pidfds->by_task);
	free(pidfds);
	return NULL;
}
