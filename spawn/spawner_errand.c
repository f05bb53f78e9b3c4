/* SPDX-License-Identifier: Apache-2.0 */
/* Watching, reaping, ending. See spawner_errand.h. */
#include "spawn/spawner_errand.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/sys.h"
#include "spawn/spawner.h"

int
errand_watch(struct spawner *spawner, struct errand *errand, int timeout_ms)
{
	errand->killed = false;
	errand->deadline_ms = clock_boottime_ms() + timeout_ms;
	return watch_add(&spawner->loop, &errand->watch, errand->pidfd,
			 EPOLLIN);
}

bool
errand_reap(struct errand *errand, int *ret_status)
{
	siginfo_t info = { 0 };

	if (waitid(P_PIDFD, (id_t)errand->pidfd, &info,
		   WEXITED | WNOHANG | __WALL) < 0 ||
	    info.si_pid == 0)
		return false;
	*ret_status = info.si_code == CLD_EXITED ? info.si_status << 8
						 : info.si_status & 0x7f;
	return true;
}

void
errand_check_deadline(struct errand *errand, int64_t now, int64_t *next)
{
	if (errand->pidfd < 0 || errand->killed)
		return;
	if (errand->deadline_ms <= now) {
		errand->killed = true; /* its pidfd says the rest */
		sys_pidfd_send_signal(errand->pidfd, SIGKILL);
	} else if (*next == 0 || errand->deadline_ms < *next) {
		*next = errand->deadline_ms;
	}
}

void
errand_abandon(struct spawner *spawner, struct errand *errand)
{
	siginfo_t info;

	if (errand->pidfd >= 0) {
		sys_pidfd_send_signal(errand->pidfd, SIGKILL);
		waitid(P_PIDFD, (id_t)errand->pidfd, &info, WEXITED | __WALL);
	}
	errand_end(spawner, errand);
}

void
errand_end(struct spawner *spawner, struct errand *errand)
{
	watch_remove(&spawner->loop, &errand->watch);
	if (errand->pidfd >= 0)
		sys_pidfd_send_signal(errand->pidfd, SIGKILL);
	fd_close(&errand->pidfd);
	fd_close(&errand->out_fd);
	errand->pid = 0;
}
