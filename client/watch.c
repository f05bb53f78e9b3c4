/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one descriptor that a program polls for all of a connection's life: an
 * epoll set of the socket of the moment and, while there is none, of a timer
 * for the next try. It is made when it is first asked for; the blocking layer
 * needs none.
 */
#include "config.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

#include "client/internal.h"
#include "lib/fd.h"

static uint32_t
wanted(const struct nsexec *nsexec)
{
	uint32_t events = 0;

	if (nsexec->fd < 0)
		return 0;
	if (nsexec->n_queued < CONN_MAX_QUEUED)
		events |= EPOLLIN;
	if (nsexec->out.start != nsexec->out.end)
		events |= EPOLLOUT;
	return events;
}

static void
watch_socket(struct nsexec *nsexec)
{
	const uint32_t events = wanted(nsexec);
	struct epoll_event event = { .events = events };
	int op = EPOLL_CTL_MOD;

	if (events == nsexec->watched)
		return;
	/* Not with no events: a hang-up would be told all the same. */
	if (!events)
		op = EPOLL_CTL_DEL;
	else if (!nsexec->watched)
		op = EPOLL_CTL_ADD;
	if (epoll_ctl(nsexec->epoll_fd, op, nsexec->fd, &event) == 0)
		nsexec->watched = events;
}

static void
watch_timer(struct nsexec *nsexec)
{
	const int64_t wake = resume_wake_ms(nsexec);
	struct epoll_event event = { .events = EPOLLIN };
	struct itimerspec spec = { 0 };

	if (wake == nsexec->timed_ms)
		return;
	if (nsexec->timer_fd < 0) {
		nsexec->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
		if (nsexec->timer_fd < 0 ||
		    epoll_ctl(nsexec->epoll_fd, EPOLL_CTL_ADD, nsexec->timer_fd,
			      &event) < 0)
			return;
	}
	/* INT64_MAX disarms; a time that is over is told at once. */
	if (wake != INT64_MAX) {
		spec.it_value.tv_sec = wake / 1000;
		spec.it_value.tv_nsec = wake % 1000 * 1000000 + 1;
	}
	if (timerfd_settime(nsexec->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) ==
	    0)
		nsexec->timed_ms = wake;
}

void
watch_update(struct nsexec *nsexec)
{
	if (nsexec->epoll_fd < 0)
		return;
	watch_socket(nsexec);
	watch_timer(nsexec);
}

int
watch_open(struct nsexec *nsexec)
{
	if (nsexec->epoll_fd < 0)
		nsexec->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	watch_update(nsexec);
	return nsexec->epoll_fd;
}

short
nsexec_poll_events(const struct nsexec *nsexec)
{
	return wanted(nsexec) || nsexec->resuming ? POLLIN : 0;
}
