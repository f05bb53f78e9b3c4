/* SPDX-License-Identifier: Apache-2.0 */
/* The spawner's event loop over epoll. See spawner_loop.h. */
#include "spawn/spawner_loop.h"

#include <errno.h>
#include <sys/epoll.h>

#include "lib/clock.h"
#include "lib/fd.h"

int
loop_init(struct spawner_loop *loop)
{
	loop->quit = false;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll_fd < 0 ? -errno : 0;
}

void
loop_deinit(struct spawner_loop *loop)
{
	fd_close(&loop->epoll_fd);
}

int
watch_add(struct spawner_loop *loop, struct watch *watch, int fd,
	  uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	watch->fd = fd;
	return 0;
}

int
watch_modify(struct spawner_loop *loop, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (watch->fd < 0)
		return -EBADF;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) < 0)
		return -errno;
	return 0;
}

void
watch_remove(struct spawner_loop *loop, struct watch *watch)
{
	if (watch->fd >= 0)
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
}

void
timer_set(struct spawner_loop *loop, enum timer timer, int64_t in_ms)
{
	loop->timers[timer].deadline_ms = clock_boottime_ms() + in_ms;
}

void
timer_clear(struct spawner_loop *loop, enum timer timer)
{
	loop->timers[timer].deadline_ms = 0;
}

/* Run what is due. Returns how long epoll may wait, -1 = for ever. */
static int
loop_run_timers(struct spawner_loop *loop, struct spawner *spawner)
{
	int64_t now = clock_boottime_ms(), left, next = -1;
	size_t i;

	for (i = 0; i < N_TIMERS; i++) {
		if (loop->timers[i].deadline_ms == 0 ||
		    loop->timers[i].deadline_ms > now)
			continue;
		loop->timers[i].deadline_ms = 0;
		loop->timers[i].fn(spawner);
	}
	for (i = 0; i < N_TIMERS; i++) {
		if (loop->timers[i].deadline_ms == 0)
			continue;
		left = loop->timers[i].deadline_ms - now;
		if (left < 0)
			left = 0;
		if (next < 0 || left < next)
			next = left;
	}
	return next > 3600000 ? 3600000 : (int)next;
}

int
loop_run(struct spawner_loop *loop, struct spawner *spawner, timer_fn after)
{
	struct epoll_event event;
	struct watch *watch;
	int n, timeout_ms;

	while (!loop->quit) {
		timeout_ms = loop_run_timers(loop, spawner);
		if (loop->quit)
			break;
		n = epoll_wait(loop->epoll_fd, &event, 1, timeout_ms);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			watch = event.data.ptr;
			watch->fn(spawner, watch->userdata, event.events);
		}
		after(spawner);
	}
	return 0;
}
