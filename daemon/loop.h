/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop. loop.c is the only file that includes libevent's event.h
 * (buffers: daemon/peer.c uses evbuffer through daemon/buffer use only there).
 * A callback finishes in bounded time, never blocks and never frees its own
 * watch from inside another's callback: watches are looked up by their owner.
 */
#ifndef NSX_DAEMON_LOOP_H
#define NSX_DAEMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

struct loop;
struct watch; /* an fd, a timer or a signal */

#define LOOP_READ 1u
#define LOOP_WRITE 2u
#define LOOP_EDGE 4u /* with the others: told once for each change */

typedef void (*watch_fn)(void *userdata, int fd, unsigned int events);
typedef void (*timer_fn)(void *userdata);
typedef void (*signal_fn)(void *userdata, int signal_number);

must_check int loop_new(struct loop **ret);
struct loop *loop_free(struct loop *loop);
/* Runs until loop_quit(). 0 or -errno. */
must_check int loop_run(struct loop *loop);
void loop_quit(struct loop *loop);

/* Persistent, level-triggered. fd is lent and must outlive the watch. */
must_check int watch_new_fd(struct loop *loop, int fd, unsigned int events,
			    watch_fn fn, void *userdata, struct watch **ret);
/* Change the wanted events; 0 = paused. */
must_check int watch_set_events(struct watch *watch, unsigned int events);
/* One shot after timeout_ms; watch_timer_set() arms it again (-1: disarm). */
must_check int watch_new_timer(struct loop *loop, timer_fn fn, void *userdata,
			       struct watch **ret);
void watch_timer_set(struct watch *watch, int64_t timeout_ms);
must_check int watch_new_signal(struct loop *loop, int signal_number,
				signal_fn fn, void *userdata,
				struct watch **ret);
/* Removes it from the loop; call before closing the fd. Returns NULL. */
struct watch *watch_free(struct watch *watch);

#endif
