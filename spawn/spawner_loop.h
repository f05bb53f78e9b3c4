/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spawner's event loop: epoll over descriptors, and a few timers. One
 * event is taken from the kernel at a time, so a handler may remove any watch
 * and free its owner: no stale event can follow. Level-triggered; the kernel
 * hands ready descriptors out in turn, so none starves another.
 */
#ifndef NSX_SPAWN_SPAWNER_LOOP_H
#define NSX_SPAWN_SPAWNER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

struct spawner;
struct watch;
typedef void (*watch_fn)(struct spawner *spawner, void *userdata,
			 uint32_t events);
typedef void (*timer_fn)(struct spawner *spawner);

/* Embedded in its owner, which owns the descriptor too. */
struct watch {
	int fd; /* -1 = not watched */
	watch_fn fn;
	void *userdata;
};

enum timer {
	TIMER_STARTS,	/* the oldest start in flight is overdue */
	TIMER_REMOVALS, /* try to remove cgroups again */
	TIMER_PRUNE,	/* remove cgroups of owners without a container */
	TIMER_SWEEP,	/* look for children that nobody knows */
	TIMER_LISTEN,	/* accept again, after descriptors ran out */
	TIMER_WORKER,	/* keeper: start again, or end of patience */
	TIMER_IDLE,	/* a private instance without work ends */
	TIMER_ZYGOTES,	/* start those anew that have died */
	TIMER_RESOLVER, /* a run, or who waits for one, is overdue */
	TIMER_REEXEC,	/* a trial, a drain or a leftover is due */
	N_TIMERS,
};

struct spawner_loop {
	int epoll_fd;
	bool quit;
	struct {
		int64_t deadline_ms; /* CLOCK_BOOTTIME; 0 = not armed */
		timer_fn fn;
	} timers[N_TIMERS];
};

must_check int loop_init(struct spawner_loop *loop);
void loop_deinit(struct spawner_loop *loop);
/* Until quit is set. after is called after every event. 0 or -errno. */
must_check int loop_run(struct spawner_loop *loop, struct spawner *spawner,
			timer_fn after);

/* Watch fd for EPOLL* events. fd is lent. 0 or -errno of epoll_ctl(2). */
must_check int watch_add(struct spawner_loop *loop, struct watch *watch, int fd,
			 uint32_t events);
must_check int watch_modify(struct spawner_loop *loop, struct watch *watch,
			    uint32_t events);
/* Harmless if it is not watched. Before the descriptor is closed. */
void watch_remove(struct spawner_loop *loop, struct watch *watch);

void timer_set(struct spawner_loop *loop, enum timer timer, int64_t in_ms);
void timer_clear(struct spawner_loop *loop, enum timer timer);
static inline bool
timer_is_set(const struct spawner_loop *loop, enum timer timer)
{
	return loop->timers[timer].deadline_ms != 0;
}

#endif
