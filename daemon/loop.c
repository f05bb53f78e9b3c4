/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop on libevent's raw events; see loop.h. The only file that
 * includes event2/event.h. A watch is one struct event and the typed callback
 * behind it; its owner frees it, the loop only borrows it.
 *
 * A timer set to 0 ms runs in the same turn of the loop, after what is already
 * active: peers use that to write once for many replies. Such a timer must not
 * set itself again to 0, or descriptors would starve.
 */
#include "daemon/loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

struct loop {
	struct event_base *base;
	unsigned int n_watches; /* all must be gone before the loop */
};

struct watch {
	struct loop *loop;
	struct event *event;
	void *userdata;
	unsigned int events;
	union {
		watch_fn fd;
		timer_fn timer;
		signal_fn signal;
	} fn;
};

int
loop_new(struct loop **ret)
{
	struct event_config *config;
	struct loop *loop;

	loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	config = event_config_new();
	if (config) {
		event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
		event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
		event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
		loop->base = event_base_new_with_config(config);
		event_config_free(config);
	}
	if (!loop->base) {
		free(loop);
		return -ENOMEM;
	}
	*ret = loop;
	return 0;
}

struct loop *
loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	assert(loop->n_watches == 0);
	event_base_free(loop->base);
	free(loop);
	return NULL;
}

int
loop_run(struct loop *loop)
{
	int r = event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);

	return r < 0 ? -EIO : 0;
}

void
loop_quit(struct loop *loop)
{
	event_base_loopbreak(loop->base);
}

static void
watch_on_fd(evutil_socket_t fd, short what, void *userdata)
{
	struct watch *watch = userdata;
	unsigned int events = 0;

	if (what & EV_READ)
		events |= LOOP_READ;
	if (what & EV_WRITE)
		events |= LOOP_WRITE;
	watch->fn.fd(watch->userdata, (int)fd, events);
}

static void
watch_on_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct watch *watch = userdata;

	watch->fn.timer(watch->userdata);
}

static void
watch_on_signal(evutil_socket_t fd, short what, void *userdata)
{
	struct watch *watch = userdata;

	watch->fn.signal(watch->userdata, (int)fd);
}

static int
watch_new(struct loop *loop, void *userdata, struct watch **ret)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->loop = loop;
	watch->userdata = userdata;
	loop->n_watches++;
	*ret = watch;
	return 0;
}

static short
watch_event_flags(unsigned int events)
{
	short what = EV_PERSIST;

	if (events & LOOP_READ)
		what |= EV_READ;
	if (events & LOOP_WRITE)
		what |= EV_WRITE;
	if (events & LOOP_EDGE)
		what |= EV_ET;
	return what;
}

int
watch_new_fd(struct loop *loop, int fd, unsigned int events, watch_fn fn,
	     void *userdata, struct watch **ret)
{
	struct watch *watch;
	int r;

	r = watch_new(loop, userdata, &watch);
	if (r < 0)
		return r;
	watch->fn.fd = fn;
	watch->events = events;
	watch->event = event_new(loop->base, fd, watch_event_flags(events),
				 watch_on_fd, watch);
	if (!watch->event || (events && event_add(watch->event, NULL) < 0)) {
		watch_free(watch);
		return -ENOMEM;
	}
	*ret = watch;
	return 0;
}

int
watch_set_events(struct watch *watch, unsigned int events)
{
	evutil_socket_t fd = event_get_fd(watch->event);

	if (watch->events == events)
		return 0;
	event_del(watch->event);
	watch->events = events;
	if (event_assign(watch->event, watch->loop->base, fd,
			 watch_event_flags(events), watch_on_fd, watch) < 0)
		return -EINVAL;
	if (events && event_add(watch->event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

int
watch_new_timer(struct loop *loop, timer_fn fn, void *userdata,
		struct watch **ret)
{
	struct watch *watch;
	int r;

	r = watch_new(loop, userdata, &watch);
	if (r < 0)
		return r;
	watch->fn.timer = fn;
	watch->event = evtimer_new(loop->base, watch_on_timer, watch);
	if (!watch->event) {
		watch_free(watch);
		return -ENOMEM;
	}
	*ret = watch;
	return 0;
}

void
watch_timer_set(struct watch *watch, int64_t timeout_ms)
{
	struct timeval tv;

	event_del(watch->event);
	if (timeout_ms < 0)
		return;
	if (timeout_ms == 0) {
		event_active(watch->event, EV_TIMEOUT, 0);
		return;
	}
	tv.tv_sec = (time_t)(timeout_ms / 1000);
	tv.tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000;
	/* libevent reserves its timer heap when the event is first added;
	 * a failure here means memory is gone, and a lost deadline is worse
	 * than a stop. */
	if (event_add(watch->event, &tv) < 0)
		abort();
}

int
watch_new_signal(struct loop *loop, int signal_number, signal_fn fn,
		 void *userdata, struct watch **ret)
{
	struct watch *watch;
	int r;

	r = watch_new(loop, userdata, &watch);
	if (r < 0)
		return r;
	watch->fn.signal = fn;
	watch->event =
		evsignal_new(loop->base, signal_number, watch_on_signal, watch);
	if (!watch->event || event_add(watch->event, NULL) < 0) {
		watch_free(watch);
		return -ENOMEM;
	}
	*ret = watch;
	return 0;
}

struct watch *
watch_free(struct watch *watch)
{
	if (!watch)
		return NULL;
	if (watch->event)
		event_free(watch->event);
	watch->loop->n_watches--;
	free(watch);
	return NULL;
}
