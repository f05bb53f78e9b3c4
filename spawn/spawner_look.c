/* SPDX-License-Identifier: Apache-2.0 */
/* Forks that look, and what they saw. See spawner_look.h. */
#include "spawn/spawner_look.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/sys.h"
#include "proto/who.h"
#include "spawn/fdsetup.h"
#include "spawn/spawner.h"
#include "spawn/spawner_defer.h"
#include "spawn/spawner_log.h"
#include "spawn/spawner_proc.h"
#include "spawn/stage.h"

void
look_table_init(struct look_table *table)
{
	size_t i;

	for (i = 0; i < LOOKS_MAX; i++)
		table->runs[i] = (struct look_run){ .pidfd = -1,
						    .out_fd = -1,
						    .watch.fd = -1 };
}

/* What of the process is for the record alone: 0 or "" where it is not known.
 */
static void
look_read_record(int proc_fd, pid_t pid, struct look *ret)
{
	char path[64], text[PROC_PATH_MAX];
	struct proc_stat stat;
	unsigned int value;

	if (proc_stat_read(proc_fd, pid, &stat) == 0)
		ret->start_time = stat.start_time;
	if (proc_cgroup_read(proc_fd, pid, text) < 0 ||
	    policy_unit_of_cgroup(text, ret->unit, sizeof(ret->unit)) < 0)
		ret->unit[0] = '\0';
	snprintf(path, sizeof(path), "%d/loginuid", pid);
	if (fd_read_file(proc_fd, path, text, sizeof(text)) > 0 &&
	    sscanf(text, "%u", &value) == 1)
		ret->loginuid = value;
}

void
look_read(int proc_fd, pid_t pid, struct look *ret)
{
	char number[16];

	memset(ret, 0, sizeof(*ret));
	ret->loginuid = WHO_NO_LOGINUID;
	snprintf(number, sizeof(number), "%d", pid);
	/* A peer without a number here is in a pid namespace that we do not see
	 * into, and nothing of it can be read. */
	ret->error = pid > 0 ? confinement_read(proc_fd, number, &ret->seen)
			     : -EACCES;
	if (ret->error == 0)
		look_read_record(proc_fd, pid, ret);
}

static _Noreturn void
look_child(const struct spawner *spawner, pid_t pid, int out_fd)
{
	const int keep[] = { out_fd, spawner->proc_fd };
	struct look look;

	prctl(PR_SET_NAME, "nsx:[look]", 0, 0, 0);
	fdsetup_close_except(keep, 2);
	look_read(spawner->proc_fd, pid, &look);
	_exit(write(out_fd, &look, sizeof(look)) != sizeof(look));
}

static void
look_close(struct spawner *spawner, struct look_run *run)
{
	watch_remove(&spawner->loop, &run->watch);
	fd_close(&run->pidfd);
	fd_close(&run->out_fd);
	run->cookie = 0;
	run->pid = 0;
}

void
look_table_deinit(struct spawner *spawner)
{
	struct look_run *run;
	size_t i;

	for (i = 0; i < LOOKS_MAX; i++) {
		run = &spawner->looks.runs[i];
		if (run->pidfd >= 0)
			sys_pidfd_send_signal(run->pidfd, SIGKILL);
		look_close(spawner, run);
	}
}

bool
look_has(const struct look_table *table, pid_t pid)
{
	size_t i;

	for (i = 0; i < LOOKS_MAX; i++)
		if (table->runs[i].cookie && table->runs[i].pid == pid)
			return true;
	return false;
}

static void
look_on_end(struct spawner *spawner, void *userdata, uint32_t events)
{
	struct look_run *run = userdata;
	struct look look = { .error = -ETIMEDOUT };
	siginfo_t info = { 0 };
	uint64_t cookie = run->cookie;
	uint32_t uid = run->uid;

	if (waitid(P_PIDFD, (id_t)run->pidfd, &info,
		   WEXITED | WNOHANG | __WALL) < 0 ||
	    info.si_pid == 0)
		return; /* not yet */
	if (read(run->out_fd, &look, sizeof(look)) != sizeof(look))
		look = (struct look){ .error = run->killed ? -ETIMEDOUT : -EIO,
				      .loginuid = WHO_NO_LOGINUID };
	look_close(spawner, run);
	who_looked(spawner, cookie, &look);
	defer_wake_looked(spawner, uid);
	defer_wake_next(spawner); /* perhaps there was no room for its look */
}

/* A free one; *ret_running: one of this cookie is at it already. */
static struct look_run *
look_find(struct look_table *table, uint64_t cookie, uint32_t uid,
	  bool *ret_running)
{
	struct look_run *run, *found = NULL;
	size_t i, of_uid = 0;

	*ret_running = false;
	for (i = 0; i < LOOKS_MAX; i++) {
		run = &table->runs[i];
		if (run->cookie == 0)
			found = run;
		else if (run->cookie == cookie)
			*ret_running = true;
		else if (run->uid == uid)
			of_uid++;
	}
	return of_uid < LOOKS_OF_UID ? found : NULL;
}

static int
look_fork(struct spawner *spawner, struct look_run *run, pid_t pid)
{
	struct clone_args args = { .flags = CLONE_PIDFD,
				   .pidfd = (uint64_t)(uintptr_t)&run->pidfd };
	int pair[2];
	pid_t child;

	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	run->out_fd = pair[0];
	child = sys_clone3(&args);
	if (child == 0)
		look_child(spawner, pid, pair[1]);
	close(pair[1]);
	if (child < 0)
		return child;
	run->pid = child;
	return watch_add(&spawner->loop, &run->watch, run->pidfd, EPOLLIN);
}

int
look_start(struct spawner *spawner, uint64_t cookie,
	   const struct caller *caller)
{
	struct look_run *run;
	bool running;
	int r;

	run = look_find(&spawner->looks, cookie, caller->uid, &running);
	if (running)
		return 0;
	if (!run)
		return -EAGAIN;
	*run = (struct look_run){
		.cookie = cookie,
		.uid = caller->uid,
		.pidfd = -1,
		.out_fd = -1,
		.deadline_ms = clock_boottime_ms() + LOOK_TIMEOUT_MS,
		.watch = { -1, look_on_end, run },
	};
	r = look_fork(spawner, run, caller->pid);
	if (r < 0) {
		log_error(-r, "cannot look at process %d of a caller",
			  caller->pid);
		/* Reaped as a stray, should it have come to be. */
		if (run->pidfd >= 0)
			sys_pidfd_send_signal(run->pidfd, SIGKILL);
		look_close(spawner, run);
		return r;
	}
	defer_set_timer(spawner);
	return 0;
}

int64_t
look_check_deadlines(struct spawner *spawner, int64_t now)
{
	struct look_run *run;
	int64_t next = 0;
	size_t i;

	for (i = 0; i < LOOKS_MAX; i++) {
		run = &spawner->looks.runs[i];
		if (!run->cookie || run->killed)
			continue;
		if (run->deadline_ms <= now) {
			run->killed = true; /* its pidfd says the rest */
			sys_pidfd_send_signal(run->pidfd, SIGKILL);
		} else if (next == 0 || run->deadline_ms < next) {
			next = run->deadline_ms;
		}
	}
	return next;
}
