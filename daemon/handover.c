/* SPDX-License-Identifier: Apache-2.0 */
/* A planned reload, step by step; see handover.h. */
#include "daemon/handover.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/core.h"
#include "daemon/core_parts.h"
#include "daemon/handover_part.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/notify.h"
#include "daemon/rpc.h"
#include "daemon/store.h"
#include "daemon/subscribe.h"
#include "lib/clock.h"

#define TURN_MS 2
/* For what is asked about every container that was found. */
#define SETTLE_MS 5000

enum phase {
	PHASE_STARTING, /* the spawner is not there yet */
	PHASE_NONE,
	PHASE_KEEPING, /* the store is asked */
	PHASE_CALMING,
	PHASE_SETTLING, /* the successor, until it knows what lives */
};

struct handover {
	struct daemon *daemon;
	enum phase phase;
	int fd, kept_fd; /* our end, and the one in the store */
	int64_t end_ms;
	struct watch *timer;
	bool quiet;  /* a successor that took over connections */
	bool wanted; /* HUP came while it was starting */
};

static void handover_on_timer(void *userdata);

int
handover_new(struct daemon *daemon, struct handover **ret)
{
	struct handover *handover = calloc(1, sizeof(*handover));
	int r;

	if (!handover)
		return -ENOMEM;
	handover->daemon = daemon;
	handover->fd = -1;
	handover->kept_fd = -1;
	r = watch_new_timer(daemon->loop, handover_on_timer, handover,
			    &handover->timer);
	if (r < 0) {
		free(handover);
		return r;
	}
	daemon->handover = handover;
	*ret = handover;
	return 0;
}

struct handover *
handover_free(struct handover *handover)
{
	if (!handover)
		return NULL;
	handover->daemon->handover = NULL;
	watch_free(handover->timer);
	fd_close(&handover->fd);
	fd_close(&handover->kept_fd);
	free(handover);
	return NULL;
}

/* This process goes on. */
static void
handover_fail(struct handover *handover, int r)
{
	struct daemon *daemon = handover->daemon;

	log_error("reload: cannot hand over: %s; this nsexecd goes on",
		  strerror(-r));
	fd_close(&handover->fd);
	fd_close(&handover->kept_fd);
	if (handover->phase == PHASE_CALMING && !daemon->draining)
		server_go_on(daemon->server);
	handover->phase = PHASE_NONE;
	store_put(daemon, STORE_HANDOVER, -1, NULL);
	notify_status("could not be reloaded");
}

static void
handover_give_all(struct handover *handover)
{
	int r = handover_give(handover->daemon, handover->fd);

	if (r < 0) {
		handover_fail(handover, r);
		return;
	}
	/* Nothing of ours may do anything more: not even free what it has,
	 * which would tell of connections that are gone. */
	_exit(HANDOVER_STATUS);
}

static void
handover_is_ready(struct handover *handover)
{
	handover->phase = PHASE_NONE;
	if (handover->wanted)
		handover_begin(handover);
}

static void
handover_settled(struct handover *handover)
{
	server_go_on(handover->daemon->server);
	subscribers_wake_all(handover->daemon);
	handover_is_ready(handover);
}

static void
handover_on_timer(void *userdata)
{
	struct handover *handover = userdata;
	struct daemon *daemon = handover->daemon;
	bool late = clock_boottime_ms() >= handover->end_ms;

	if (handover->phase == PHASE_CALMING && daemon->draining)
		handover_fail(handover, -ECANCELED);
	else if (handover->phase == PHASE_CALMING &&
		 ((core_idle(daemon) && server_is_calm(daemon->server)) ||
		  late))
		handover_give_all(handover);
	else if (handover->phase == PHASE_SETTLING &&
		 (daemon->core->asking == 0 || late))
		handover_settled(handover);
	else
		watch_timer_set(handover->timer, TURN_MS);
}

static void
handover_on_kept(struct daemon *daemon, int r)
{
	struct handover *handover = daemon->handover;

	if (!handover || handover->phase != PHASE_KEEPING)
		return;
	if (r < 0 || daemon->draining) {
		handover_fail(handover, r < 0 ? r : -ECANCELED);
		return;
	}
	fd_close(&handover->kept_fd);
	handover->phase = PHASE_CALMING;
	handover->end_ms =
		clock_boottime_ms() + daemon->config->limits.drain_timeout_ms;
	server_hush(daemon->server);
	watch_timer_set(handover->timer, 0);
}

void
handover_begin(struct handover *handover)
{
	int pair[2];

	handover->wanted = handover->phase == PHASE_STARTING ||
			   handover->phase == PHASE_SETTLING;
	if (handover->phase != PHASE_NONE || handover->daemon->draining)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       0, pair) < 0) {
		handover_fail(handover, -errno);
		return;
	}
	log_notice("reloading: a successor takes over");
	handover->fd = pair[0];
	handover->kept_fd = pair[1];
	handover->phase = PHASE_KEEPING;
	store_put(handover->daemon, STORE_HANDOVER, handover->kept_fd,
		  handover_on_kept);
}

void
handover_take(struct handover *handover)
{
	struct daemon *daemon = handover->daemon;
	fd_auto int fd = store_take(daemon->store, STORE_HANDOVER);
	int n;

	if (fd < 0)
		return;
	n = handover_receive(daemon, fd);
	if (n < 0) {
		log_warning("reload: nothing could be taken over: %s; callers "
			    "connect again",
			    strerror(-n));
		return;
	}
	log_notice("reloaded: %d connections were taken over", n);
	handover->quiet = true;
	server_hush(daemon->server);
}

void
handover_settle(struct handover *handover)
{
	struct daemon *daemon = handover->daemon;

	/* what was in it is taken, or no use */
	store_put(daemon, STORE_HANDOVER, -1, NULL);
	if (!handover->quiet) {
		handover_is_ready(handover);
		return;
	}
	handover->quiet = false;
	handover->phase = PHASE_SETTLING;
	handover->end_ms = clock_boottime_ms() + SETTLE_MS;
	watch_timer_set(handover->timer, 0);
}
