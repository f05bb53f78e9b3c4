/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fd channel; see fdchan.h. A channel is accepted, sends its token within
 * two seconds, and is claimed by a request within thirty; else it is closed.
 * A request may come first: then it waits here for its token. Every wait ends,
 * with the token or without it, in one call of its function.
 *
 * Bounds: FDCHAN_WAITING_MAX in all and FDCHAN_PER_OWNER_MAX of one owner (uid
 * 0: the whole), over which a new connection is closed. Nobody is asked whose a
 * channel is: a uid's connections to the RPC socket tell. One without any is a
 * stranger's, and so are all uids that a user was delegated and nobody knows:
 * of those there are FDCHAN_STRANGERS_MAX in all, and the oldest makes room.
 */
#include "daemon/fdchan.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/log.h"
#include "lib/fd.h"

#define ACCEPT_PER_TURN 16
#define ACCEPT_PAUSE_MS 100

struct channel {
	LIST_ENTRY(channel) link;
	struct fdchan *fdchan;
	struct owner *owner;
	struct rpc_caller caller;
	int fd;
	struct watch *watch; /* for the token, then for the hang-up */
	struct watch *timer;
	bool has_token;
	bool stranger;
	uint8_t token[FDCHAN_TOKEN_SIZE];
};

struct waiter {
	LIST_ENTRY(waiter) link;
	struct fdchan *fdchan;
	struct watch *timer;
	uint64_t call_id;
	void (*fn)(struct daemon *daemon, uint64_t call_id);
	uint8_t token[FDCHAN_TOKEN_SIZE];
};

LIST_HEAD(channel_list, channel);
LIST_HEAD(waiter_list, waiter);

struct fdchan {
	struct server *server;
	int listener;
	struct watch *accept_watch;
	struct watch *accept_pause;
	unsigned int n_channels, n_strangers;
	struct channel_list channels;
	struct waiter_list waiters;
};

static void
channel_free(struct channel *channel)
{
	watch_free(channel->watch);
	watch_free(channel->timer);
	fd_close(&channel->fd);
	LIST_REMOVE(channel, link);
	channel->fdchan->n_channels--;
	channel->fdchan->n_strangers -= channel->stranger;
	channel->owner->n_fdchans--;
	owner_put(channel->owner);
	free(channel);
}

static void
channel_on_timeout(void *userdata)
{
	channel_free(userdata);
}

static void
waiter_free(struct waiter *waiter)
{
	watch_free(waiter->timer);
	LIST_REMOVE(waiter, link);
	free(waiter);
}

static void
waiter_finish(struct waiter *waiter)
{
	void (*fn)(struct daemon * daemon, uint64_t call_id) = waiter->fn;
	struct daemon *daemon = waiter->fdchan->server->daemon;
	uint64_t call_id = waiter->call_id;

	waiter_free(waiter);
	fn(daemon, call_id);
}

static void
waiter_on_timeout(void *userdata)
{
	waiter_finish(userdata);
}

/* One at a time, from the start: a waiter's function may change the list. */
static void
fdchan_tell_waiters(struct fdchan *fdchan, const uint8_t *token)
{
	struct waiter *waiter;

	do {
		LIST_FOREACH(waiter, &fdchan->waiters, link)
		if (memcmp(waiter->token, token, FDCHAN_TOKEN_SIZE) == 0)
			break;
		if (waiter)
			waiter_finish(waiter);
	} while (waiter);
}

/*
 * A caller that closes its end has given up, and whoever waits for the other
 * end of what it sent must not wait for us. The spawner would refuse it, too.
 */
static void
channel_on_change(struct channel *channel)
{
	struct pollfd p = { .fd = channel->fd };

	if (poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)))
		channel_free(channel);
}

/* From now on it may be claimed; false: no memory, it is closed. */
static bool
channel_has_token(struct channel *channel)
{
	/* What follows the token stays unread, so only changes are told. */
	if (watch_set_events(channel->watch, LOOP_READ | LOOP_EDGE) < 0) {
		channel_free(channel);
		return false;
	}
	channel->has_token = true;
	watch_timer_set(channel->timer, FDCHAN_CLAIM_TIMEOUT_MS);
	return true;
}

static void
channel_on_event(void *userdata, int fd, unsigned int events)
{
	struct channel *channel = userdata;
	struct fdchan *fdchan = channel->fdchan;
	uint8_t token[FDCHAN_TOKEN_SIZE];
	ssize_t n;

	if (channel->has_token) {
		channel_on_change(channel);
		return;
	}

	/* No control buffer: what rides on the token is dropped unread.
	 * MSG_TRUNC gives a longer datagram's true size. */
	n = recv(fd, channel->token, sizeof(channel->token),
		 MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(channel->token)) {
		channel_free(channel);
		return;
	}
	memcpy(token, channel->token, sizeof(token));
	if (channel_has_token(channel))
		fdchan_tell_waiters(fdchan, token);
}

static int
channel_watch(struct channel *channel)
{
	struct loop *loop = channel->fdchan->server->loop;
	int r;

	r = watch_new_timer(loop, channel_on_timeout, channel, &channel->timer);
	if (r < 0)
		return r;
	watch_timer_set(channel->timer, FDCHAN_TOKEN_TIMEOUT_MS);
	return watch_new_fd(loop, channel->fd, LOOP_READ, channel_on_event,
			    channel, &channel->watch);
}

static bool
fdchan_has_place(const struct fdchan *fdchan, const struct rpc_caller *caller,
		 const struct owner *owner)
{
	unsigned int max = FDCHAN_WAITING_MAX;

	if (caller->uid != 0) {
		max -= max / 20;
		if (owner->n_fdchans >= FDCHAN_PER_OWNER_MAX)
			return false;
	}
	return fdchan->n_channels < max;
}

/* Its uid is known by now: it counts with its owner, or is one too many. */
static void
channel_settle(struct channel *channel)
{
	struct server *server = channel->fdchan->server;
	struct owner *owner;
	uid_t uid;

	if (!channel->stranger ||
	    !server_owner_of(server, channel->caller.uid, &uid))
		return;
	owner = owner_get(server, uid);
	if (!owner || (owner != channel->owner &&
		       owner->n_fdchans >= FDCHAN_PER_OWNER_MAX)) {
		channel_free(channel);
		return;
	}
	channel->stranger = false;
	channel->fdchan->n_strangers--;
	owner->n_fdchans++;
	channel->owner->n_fdchans--;
	if (owner != channel->owner)
		owner_put(channel->owner);
	channel->owner = owner;
}

static void
fdchan_make_room(struct fdchan *fdchan)
{
	struct channel *channel, *next, *oldest = NULL;

	if (fdchan->n_strangers < FDCHAN_STRANGERS_MAX)
		return;
	for (channel = LIST_FIRST(&fdchan->channels); channel; channel = next) {
		next = LIST_NEXT(channel, link);
		channel_settle(channel);
	}
	if (fdchan->n_strangers < FDCHAN_STRANGERS_MAX)
		return;
	LIST_FOREACH(channel, &fdchan->channels, link)
	if (channel->stranger)
		oldest = channel;
	channel_free(oldest);
}

/* Takes fd. NULL: there is no place or memory, and it is closed. */
static struct channel *
fdchan_take_connection(struct fdchan *fdchan, int fd)
{
	fd_auto int connection = fd;
	struct channel *channel;
	struct rpc_caller caller;
	struct owner *owner;
	bool stranger;

	if (server_peer_credentials(fdchan->server, fd, &caller) < 0)
		return NULL;
	stranger = !server_owner_of(fdchan->server, caller.uid, &caller.owner);
	if (stranger)
		fdchan_make_room(fdchan);
	owner = owner_get(fdchan->server, caller.owner);
	if (!owner)
		return NULL;
	channel = fdchan_has_place(fdchan, &caller, owner)
			  ? calloc(1, sizeof(*channel))
			  : NULL;
	if (!channel) {
		owner_put(owner);
		return NULL;
	}
	channel->fdchan = fdchan;
	channel->owner = owner;
	channel->caller = caller;
	channel->stranger = stranger;
	channel->fd = fd_steal(&connection);
	owner->n_fdchans++;
	fdchan->n_channels++;
	fdchan->n_strangers += stranger;
	LIST_INSERT_HEAD(&fdchan->channels, channel, link);
	if (channel_watch(channel) == 0)
		return channel;
	channel_free(channel);
	return NULL;
}

int
fdchan_save(struct fdchan *fdchan,
	    int (*fn)(void *userdata, int fd,
		      const Nsexec__Handover__Channel *message),
	    void *userdata)
{
	struct channel *channel;
	int r = 0;

	LIST_FOREACH(channel, &fdchan->channels, link)
	{
		Nsexec__Handover__Channel message =
			NSEXEC__HANDOVER__CHANNEL__INIT;

		message.has_id = true;
		message.id = ++fdchan->server->last_id;
		message.has_token = channel->has_token;
		message.token.data = channel->token;
		message.token.len = sizeof(channel->token);
		if (r == 0)
			r = fn(userdata, channel->fd, &message);
	}
	return r;
}

void
fdchan_restore(struct fdchan *fdchan, int fd,
	       const Nsexec__Handover__Channel *saved)
{
	struct channel *channel = fdchan_take_connection(fdchan, fd);

	if (!channel || !saved->has_token)
		return;
	memcpy(channel->token, saved->token.data, sizeof(channel->token));
	channel_has_token(channel);
}

static void
fdchan_on_accept_pause(void *userdata)
{
	struct fdchan *fdchan = userdata;

	if (!fdchan->server->draining &&
	    watch_set_events(fdchan->accept_watch, LOOP_READ) < 0)
		log_error("fd channel: cannot watch: out of memory");
}

static void
fdchan_on_accept(void *userdata, int listener, unsigned int events)
{
	struct fdchan *fdchan = userdata;
	int fd, i;

	for (i = 0; i < ACCEPT_PER_TURN; i++) {
		fd = accept4(listener, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			(void)fdchan_take_connection(fdchan, fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		/* Out of descriptors: rest, so that this does not spin. */
		if (errno != EAGAIN &&
		    watch_set_events(fdchan->accept_watch, 0) == 0)
			watch_timer_set(fdchan->accept_pause, ACCEPT_PAUSE_MS);
		return;
	}
}

int
fdchan_new(struct server *server, int listener, struct fdchan **ret)
{
	struct fdchan *fdchan = calloc(1, sizeof(*fdchan));
	int r;

	if (!fdchan)
		return -ENOMEM;
	fdchan->server = server;
	fdchan->listener = listener;
	LIST_INIT(&fdchan->channels);
	LIST_INIT(&fdchan->waiters);
	r = watch_new_timer(server->loop, fdchan_on_accept_pause, fdchan,
			    &fdchan->accept_pause);
	if (r == 0)
		r = watch_new_fd(server->loop, listener, LOOP_READ,
				 fdchan_on_accept, fdchan,
				 &fdchan->accept_watch);
	if (r < 0) {
		fdchan_free(fdchan);
		return r;
	}
	*ret = fdchan;
	return 0;
}

struct fdchan *
fdchan_free(struct fdchan *fdchan)
{
	struct channel *channel;
	struct waiter *waiter;

	if (!fdchan)
		return NULL;
	while ((channel = LIST_FIRST(&fdchan->channels)))
		channel_free(channel);
	while ((waiter = LIST_FIRST(&fdchan->waiters)))
		waiter_free(waiter);
	watch_free(fdchan->accept_watch);
	watch_free(fdchan->accept_pause);
	free(fdchan);
	return NULL;
}

void
fdchan_drain(struct fdchan *fdchan)
{
	watch_timer_set(fdchan->accept_pause, -1);
	if (watch_set_events(fdchan->accept_watch, 0) < 0)
		log_error("fd channel: cannot stop watching: out of memory");
}

int
fdchan_take(struct server *server, const struct rpc_caller *caller,
	    const uint8_t token[16])
{
	struct channel *channel;
	int fd, r = -EAGAIN;

	if (!server->fdchan)
		return -EOPNOTSUPP;
	LIST_FOREACH(channel, &server->fdchan->channels, link)
	{
		if (!channel->has_token ||
		    memcmp(channel->token, token, FDCHAN_TOKEN_SIZE) != 0)
			continue;
		if (channel->caller.uid != caller->uid ||
		    channel->caller.gid != caller->gid) {
			r = -EACCES;
			continue;
		}
		channel->watch = watch_free(channel->watch);
		fd = fd_steal(&channel->fd);
		channel_free(channel);
		return fd;
	}
	return r;
}

int
fdchan_wait(struct server *server, const uint8_t token[16], uint64_t call_id,
	    int timeout_ms, void (*fn)(struct daemon *daemon, uint64_t call_id))
{
	struct waiter *waiter;
	int r;

	if (!server->fdchan)
		return -EOPNOTSUPP;
	waiter = calloc(1, sizeof(*waiter));
	if (!waiter)
		return -ENOMEM;
	waiter->fdchan = server->fdchan;
	waiter->call_id = call_id;
	waiter->fn = fn;
	memcpy(waiter->token, token, FDCHAN_TOKEN_SIZE);
	r = watch_new_timer(server->loop, waiter_on_timeout, waiter,
			    &waiter->timer);
	if (r < 0) {
		free(waiter);
		return r;
	}
	watch_timer_set(waiter->timer, timeout_ms);
	LIST_INSERT_HEAD(&server->fdchan->waiters, waiter, link);
	return 0;
}
