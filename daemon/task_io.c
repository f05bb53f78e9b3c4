/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a task's events come from: its init channel, its pidfd, its timer and
 * the spawner's answers. Each is turned into one task_dispatch().
 */
#include "daemon/task.h"

#include <errno.h>
#include <sys/stat.h>

#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/loop.h"
#include "daemon/memory.h"
#include "daemon/spawner_client.h"
#include "daemon/task_part.h"
#include "lib/clock.h"
#include "lib/fd.h"

#define PHASE_MS 10000
#define REPORT_MAX 4096

static void task_arm_phase(struct task *task, int64_t now);

void
task_close_channel(struct task *task)
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
	/* A stage that ends with the gate's byte unread resets its end: the
	 * error comes first, what it had said after it. */
	do
		size = fd_recv(task->channel, data, sizeof(data), NULL, 0,
			       &n_fds);
	while (size == -ECONNRESET);
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
void
task_drain_channel(struct task *task)
{
	for (int i = 0; i < 4; i++) {
		int r = channel_read(task);

		if (r < 0)
			task_close_channel(task);
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
	task_close_channel(task);
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

bool
task_end_is_seen(const struct task *task)
{
	return task->pidfd >= 0 && !task->pidfd_watch;
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
	if (r == -ENOMEM)
		memory_out("the watch of a process");
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

	if (task->kill_again)
		task_kill(task);
	if (task->state == TASK_ENDED) {
		task_clean_up(task);
	} else if (task->orphan) {
		task_dispatch(task, TASK_ON_LOST, &input);
	} else if (task->state == TASK_RUNNING && task_end_is_seen(task) &&
		   !spawner_is_connected(task->daemon->spawner)) {
		task_dispatch(task, TASK_ON_PIDFD, &input);
	} else if (task->state == TASK_RUNNING || task->state == TASK_CREATED) {
		/* No phase with a deadline: see look_again(). */
		task_ask_status(task);
	} else if (now < task->deadline_ms) {
		task_ask_status(task);
		watch_timer_set(task->timer, TASK_POLL_MS);
	} else if (task->state != task->armed &&
		   now < task->start_deadline_ms) {
		/* another phase began meanwhile: it has a time of its own */
		task_arm_phase(task, now);
	} else {
		task_dispatch(task, TASK_ON_DEADLINE, &input);
	}
}

static int
need_timer(struct task *task)
{
	return task->timer ? 0
			   : watch_new_timer(task->daemon->loop, task_on_timer,
					     task, &task->timer);
}

void
task_arm(struct task *task, int64_t timeout_ms)
{
	if (need_timer(task) < 0)
		memory_out("a timer");
	watch_timer_set(task->timer, timeout_ms);
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
	int r = need_timer(task);

	if (r < 0)
		return r;
	task->start_deadline_ms = now + timeout_ms;
	task_arm_phase(task, now);
	return 0;
}

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
