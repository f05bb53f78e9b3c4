/* SPDX-License-Identifier: Apache-2.0 */
/* Forks that look, and what they saw. See spawner_look.h. */
#include "spawn/spawner_look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

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
		table->runs[i] = (struct look_run){ .errand = ERRAND_NULL };
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

void
look_table_deinit(struct spawner *spawner)
{
	size_t i;

	for (i = 0; i < LOOKS_MAX; i++)
		errand_end(spawner, &spawner->looks.runs[i].errand);
}

bool
look_has(const struct look_table *table, pid_t pid)
{
	size_t i;

	for (i = 0; i < LOOKS_MAX; i++)
		if (table->runs[i].errand.pid == pid)
			return true;
	return false;
}

static void
look_on_end(struct spawner *spawner, void *userdata, uint32_t events)
{
	struct look_run *run = userdata;
	uint64_t cookie = run->cookie;
	struct look look;
	int status;

	if (!errand_reap(&run->errand, &status))
		return;
	if (read(run->errand.out_fd, &look, sizeof(look)) != sizeof(look))
		look = (struct look){
			.error = run->errand.killed ? -ETIMEDOUT : -EIO,
			.loginuid = WHO_NO_LOGINUID,
		};
	run->cookie = 0;
	errand_end(spawner, &run->errand);
	who_looked(spawner, cookie, &look);
	defer_wake(spawner, run->uid, false);
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
	struct errand *errand = &run->errand;
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&errand->pidfd,
	};
	int pair[2];
	pid_t child;

	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	errand->out_fd = pair[0];
	child = sys_clone3(&args);
	if (child == 0)
		look_child(spawner, pid, pair[1]);
	close(pair[1]);
	if (child < 0)
		return child;
	errand->pid = child;
	return errand_watch(spawner, errand, LOOK_TIMEOUT_MS);
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
	*run = (struct look_run){ .cookie = cookie,
				  .uid = caller->uid,
				  .errand = ERRAND_NULL };
	run->errand.watch = (struct watch){ -1, look_on_end, run };
	r = look_fork(spawner, run, caller->pid);
	if (r < 0) {
		log_error(-r, "cannot send a child to look at a caller");
		run->cookie = 0;
		errand_abandon(spawner, &run->errand);
		return r;
	}
	defer_set_timer(spawner);
	return 0;
}

void
look_check_deadlines(struct spawner *spawner, int64_t now, int64_t *next)
{
	size_t i;

	for (i = 0; i < LOOKS_MAX; i++)
		errand_check_deadline(&spawner->looks.runs[i].errand, now,
				      next);
}
