/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spawner's children, and what an earlier one has left, brought together
 * with what the records say; the table is in restore.c.
 */
#include "daemon/restore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/lease.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/spawner_client.h"
#include "daemon/task.h"
#include "lib/clock.h"
#include "lib/fd.h"

static void
pidfd_on_answer(struct daemon *daemon, uint64_t id,
		const struct op_message *answer, int fd)
{
	struct task *task = task_find(daemon->containers, id);
	int r;

	if (!task || !answer || fd < 0 || task->pidfd >= 0) {
		fd_close(&fd);
		return;
	}
	r = task_watch_pidfd(task, fd);
	if (r < 0) {
		fd_close(&fd);
		log_error("container %s: cannot watch pid %d: %s",
			  task->container->id, task->pid, strerror(-r));
	}
}

static void
ask_pidfd(struct task *task)
{
	struct spawner_small small = {
		.op = OP_PIDFD,
		.pid = task->pid,
		.caller_fd = -1,
		.fn = pidfd_on_answer,
		.id = task->id,
	};

	if (task->pidfd < 0 &&
	    spawner_send_owed(task->daemon->spawner, &small) < 0)
		log_error("container %s: cannot ask for its pidfd",
			  task->container->id);
}

/* The pidfd comes with the entry; fd is given. */
static void
take_pidfd(struct task *task, int fd)
{
	if (task->pidfd < 0 && fd >= 0 && task_watch_pidfd(task, fd) == 0)
		return;
	fd_close(&fd);
	ask_pidfd(task);
}

/* And so does what became of the process: one question less for each. */
static void
take_status(struct task *task, const struct op_message *entry)
{
	struct task_input input = { .msg = entry, .fd = -1 };

	if (entry->exited && !op_has(entry, OP_ATTR_WAIT_STATUS))
		task_ask_status(task);
	else
		task_dispatch(task, TASK_ON_STATUS, &input);
}

static bool
is_same_process(const struct task *task, const struct op_message *entry)
{
	return task->pid == (pid_t)entry->pid &&
	       (task->start_time == 0 || entry->start_time == 0 ||
		task->start_time == entry->start_time);
}

static struct task *
task_of_entry(struct container *container, const struct op_message *entry)
{
	if (is_same_process(&container->init, entry))
		return &container->init;
	for (struct task *task = container->execs; task; task = task->next) {
		if (is_same_process(task, entry))
			return task;
	}
	/* the intent is on record, its child's pid was not yet */
	if (container->init.state == TASK_STARTING && container->init.pid == 0)
		return &container->init;
	return NULL;
}

/* A child that nobody wrote down: followed to be reaped, and told of. */
static void
adopt_stranger(struct daemon *daemon, const struct op_message *entry, int fd)
{
	struct container *container = NULL;
	struct owner *owner = owner_counts(daemon->containers, entry->uid);

	log_error("container %s: pid %u has no record, taken over as it is",
		  entry->container, entry->pid);
	if (!owner || container_new(&container) < 0)
		memory_out("a container");
	task_init(&container->init, daemon, container,
		  container_table_task_id(daemon->containers));
	strncpy(container->id, entry->container, SPEC_ID_MAX);
	container->owner = entry->uid;
	container->command = owed_calloc(1, 1, "a command");
	container->init.state = entry->execed ? TASK_RUNNING : TASK_CREATED;
	container->init.gate = GATE_NAMED;
	container->init.execed = entry->execed;
	container->init.answered = true;
	container->init.pid = (pid_t)entry->pid;
	container->init.start_time = entry->start_time;
	container->init.restored = true;
	container->init.exited = entry->exited;
	if (container_add(daemon->containers, container) < 0)
		memory_out("a container");
	owner->live++;
	container->init.seen = daemon->core->adopt_round;
	take_pidfd(&container->init, fd);
	take_status(&container->init, entry);
}

/* An exec child without a task: its channel is closed, it ends by itself. */
static void
adopt_leftover(struct container *container, const struct op_message *entry,
	       int fd)
{
	struct daemon *daemon = container->init.daemon;
	struct task *task = owed_malloc(sizeof(*task), "a task");

	task_init(task, daemon, container,
		  container_table_task_id(daemon->containers));
	task->exec_id[0] = '0';
	task->state = TASK_ENDED;
	task->answered = true;
	task->pid = (pid_t)entry->pid;
	task->start_time = entry->start_time;
	task->exited = entry->exited;
	task->seen = daemon->core->adopt_round;
	if (task_add_exec(daemon->containers, task) < 0)
		memory_out("a task");
	take_pidfd(task, fd);
}

static void
abort_restart(struct task *task, const char *rule)
{
	struct error error;

	(void)error_set(&error, ERRCODE_ABORTED_RESTART, "restore",
			task->container->id, rule, "repeat the request");
	task_fail(task, &error);
}

/* The spawner has it: go on from what is on record. */
static void
adopt_task(struct task *task, const struct op_message *entry, int fd)
{
	if (task->restored && !task->seen && task_is_live(task))
		task->daemon->core->n_adopted++;
	task->seen = task->daemon->core->adopt_round;
	task->pid = (pid_t)entry->pid;
	task->start_time = entry->start_time;
	if (entry->exited)
		task->exited = true;
	take_pidfd(task, fd);
	if (task->state == TASK_STARTING && task->channel < 0) {
		task_kill(task);
		abort_restart(task, "nsexecd was restarted while it was set "
				    "up");
	} else if (task->state == TASK_ENDED) {
		if (!task->exited)
			task_kill(task);
		task_clean_up(task);
	} else {
		take_status(task, entry);
	}
}

static void
drop_on_answer(struct daemon *daemon, uint64_t id,
	       const struct op_message *answer, int fd)
{
	fd_close(&fd);
}

/*
 * It never ran, it is over, and there is no record: a START that the spawner
 * came to only after it had been told to be aborted, and was deleted. It has
 * had its one end.
 */
static void
bury_stranger(struct daemon *daemon, const struct op_message *entry)
{
	struct spawner_small reap = { .op = OP_REAP,
				      .pid = (pid_t)entry->pid,
				      .caller_fd = -1,
				      .fn = drop_on_answer };
	struct spawner_small cgroup = { .op = OP_CGROUP_REMOVE,
					.container = entry->container,
					.has_uid = true,
					.uid = entry->uid,
					.caller_fd = -1,
					.fn = drop_on_answer };

	if (spawner_send_owed(daemon->spawner, &reap) < 0 ||
	    spawner_send_owed(daemon->spawner, &cgroup) < 0)
		log_error("container %s: cannot clean up after pid %u",
			  entry->container, entry->pid);
}

/* fd: its pidfd, given; or -1. */
static void
adopt_entry(struct daemon *daemon, const struct op_message *entry, int fd)
{
	struct container *container;
	struct task *task;

	if (!op_has(entry, OP_ATTR_CONTAINER) || !op_has(entry, OP_ATTR_PID) ||
	    strlen(entry->container) > SPEC_ID_MAX) {
		fd_close(&fd);
		return;
	}
	container = container_find_id(daemon->containers, entry->uid,
				      entry->container);
	task = container ? task_of_entry(container, entry) : NULL;
	if (!container && entry->exited && !entry->execed) {
		fd_close(&fd);
		bury_stranger(daemon, entry);
	} else if (!container) {
		adopt_stranger(daemon, entry, fd);
	} else if (task) {
		adopt_task(task, entry, fd);
	} else {
		adopt_leftover(container, entry, fd);
	}
}

/* Nobody can say any more what became of it. */
static void
lose_task(struct task *task)
{
	struct task_exit exit = { .unknown = true };

	if (task->execed || task->state == TASK_RUNNING ||
	    task->state == TASK_COMMITTED)
		task_exit(task, &exit);
	else
		abort_restart(task, "its processes were lost in a restart");
}

/*
 * What an earlier spawner has left and nobody waits for: that it is the one on
 * record is known by the number of its pidfd (pidfs, Linux 6.9), and its exit
 * by the same (Linux 6.15).
 */
static void
orphan_on_answer(struct daemon *daemon, uint64_t id,
		 const struct op_message *answer, int fd)
{
	struct task *task = task_find(daemon->containers, id);
	struct task_input input = { .fd = -1 };
	struct stat st;

	if (!task || !answer || task->pidfd >= 0 || !task_is_live(task)) {
		fd_close(&fd);
		return;
	}
	if (answer->header.type != ANSWER_STATUS || fd < 0 ||
	    fstat(fd, &st) < 0 || st.st_ino != task->pid_inode ||
	    task_watch_pidfd(task, fd) < 0) {
		fd_close(&fd);
		lose_task(task);
		return;
	}
	task_dispatch(task, TASK_ON_LOST, &input);
	task = task_find(daemon->containers, id);
	if (task && task_is_live(task))
		take_status(task, answer);
}

static int
ask_orphan(struct task *task)
{
	const struct spawner_small small = {
		.op = OP_PIDFD,
		.container = task->container->id,
		.has_uid = true,
		.uid = task->container->owner,
		.pid = task->pid,
		.caller_fd = -1,
		.fn = orphan_on_answer,
		.id = task->id,
	};

	if (task->pid <= 0 || task->pid_inode == 0)
		return -ENOENT;
	return spawner_send_owed(task->daemon->spawner, &small);
}

/* It is no child of the spawner. */
static void
miss_task(struct task *task)
{
	struct task_input input = { .fd = -1 };

	if (task->seen == task->daemon->core->adopt_round)
		return;
	task->reaped = true;
	task->orphan = true;
	task->answered = true;
	if (task->state == TASK_ENDED) {
		task_clean_up(task);
	} else if (task->pidfd >= 0) {
		task->polls = 0;
		task_dispatch(task, TASK_ON_LOST, &input);
	} else if (ask_orphan(task) < 0) {
		lose_task(task);
	}
}

static void
list_is_done(struct daemon *daemon)
{
	struct container *container, *next;
	struct task *task, *next_task;

	for (container = container_first(daemon->containers); container;
	     container = next) {
		next = container_next(container);
		/* the init last: clean-up may free the container after it */
		for (task = container->execs; task; task = next_task) {
			next_task = task->next;
			miss_task(task);
		}
		miss_task(&container->init);
		/* The order to kill it may have died with the spawner. */
		if (container->deleting && task_is_live(&container->init))
			task_kill(&container->init);
	}
}

static void
list_on_answer(struct daemon *daemon, uint64_t id,
	       const struct op_message *answer, int fd)
{
	if (answer && id == daemon->core->adopt_round &&
	    answer->header.type == ANSWER_ENTRY) {
		adopt_entry(daemon, answer, fd);
		return;
	}
	fd_close(&fd);
	if (!answer || id != daemon->core->adopt_round)
		return;
	if (answer->header.type == ANSWER_DONE)
		list_is_done(daemon);
	else
		log_error("spawner: cannot list its children");
}

/*
 * Of a container that ended at once the spawner may have a child after all: the
 * list was made between the START that a dead nsexecd had sent and its CHILD.
 * On a connection that lives, what is not in the list is no news.
 */
static void
leftover_on_answer(struct daemon *daemon, uint64_t id,
		   const struct op_message *answer, int fd)
{
	struct container *container = NULL;

	if (answer && answer->header.type == ANSWER_ENTRY &&
	    op_has(answer, OP_ATTR_CONTAINER) && op_has(answer, OP_ATTR_PID))
		container = container_find_id(daemon->containers, answer->uid,
					      answer->container);
	if (container && container->init.state == TASK_ENDED &&
	    !task_of_entry(container, answer))
		adopt_leftover(container, answer, fd);
	else
		fd_close(&fd);
}

static void
look_soon(struct task *task)
{
	if (task->state == TASK_RUNNING && task_end_is_seen(task))
		task_arm(task, 0);
}

void
restore_on_lost(struct daemon *daemon)
{
	struct container *container;
	struct task *task;

	for (container = container_first(daemon->containers); container;
	     container = container_next(container)) {
		look_soon(&container->init);
		for (task = container->execs; task; task = task->next)
			look_soon(task);
	}
}

void
restore_find_leftovers(struct daemon *daemon)
{
	struct spawner_small small = {
		.op = OP_LIST,
		.caller_fd = -1,
		.fn = leftover_on_answer,
	};

	if (spawner_send_owed(daemon->spawner, &small) < 0)
		log_error("spawner: cannot ask for its children");
}

void
restore_adopt(struct daemon *daemon)
{
	struct spawner_small small = {
		.op = OP_LIST,
		.caller_fd = -1,
		.fn = list_on_answer,
		.id = ++daemon->core->adopt_round,
	};

	if (spawner_send_owed(daemon->spawner, &small) < 0)
		log_error("spawner: cannot ask for its children");
}
