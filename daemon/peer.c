/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way in of a connection; see peer.h. Bytes are cut into frames from the
 * server's scratch buffer; only a frame begun is kept, in a buffer that grows
 * with what arrived and never by what a header promises. Only Requests are
 * kept at all: the verdict on any other frame does not depend on its data,
 * which is dropped as it comes.
 *
 * Half-close: a caller that ends its sending side still gets its answers; one
 * that is gone altogether (POLLHUP) has its calls abandoned at once.
 */
#include "daemon/peer.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/dispatch.h"
#include "lib/fd.h"

static void peer_on_event(void *userdata, int fd, unsigned int events);

static void
peer_on_frame_timeout(void *userdata)
{
	struct peer *peer = userdata;

	if (peer->held)
		peer_ask_is_late(peer);
	else
		peer_close(peer);
}

static void
peer_free(struct peer *peer)
{
	peer->watch = watch_free(peer->watch);
	peer->frame_timer = watch_free(peer->frame_timer);
	if (peer->in)
		evbuffer_free(peer->in);
	if (peer->out)
		evbuffer_free(peer->out);
	peer_forget_identity(peer);
	free(peer);
}

static int
peer_init(struct peer *peer, int fd)
{
	struct server *server = peer->server;
	int r;

	peer->in = evbuffer_new();
	peer->out = evbuffer_new();
	if (!peer->in || !peer->out)
		return -ENOMEM;
	r = watch_new_timer(server->loop, peer_on_frame_timeout, peer,
			    &peer->frame_timer);
	if (r < 0)
		return r;
	r = watch_new_fd(server->loop, fd, 0, peer_on_event, peer,
			 &peer->watch);
	if (r < 0)
		return r;
	return table_add(&server->peers, peer->caller.peer_id, peer);
}

const struct owner_limits *
peer_limits(const struct peer *peer)
{
	return peer->server->config.limits(peer->server->daemon, &peer->caller);
}

void
peer_count(struct peer *peer, unsigned int change)
{
	if (peer->place == PEER_WITHIN) {
		if (peer->held)
			peer->owner->n_held += change;
		else
			peer->owner->n_peers += change;
		peer->server->n_peers += change;
	} else {
		peer->owner->n_surplus += change;
		peer->server->n_surplus += change;
	}
}

int
peer_make(struct server *server, int fd, const struct rpc_caller *caller,
	  struct peer **ret)
{
	struct owner *owner = owner_get(server, caller->owner);
	struct peer *peer;
	int r;

	if (!owner)
		return -ENOMEM;
	peer = calloc(1, sizeof(*peer));
	if (!peer) {
		owner_put(owner);
		return -ENOMEM;
	}
	peer->server = server;
	peer->fd = -1;
	peer->owner = owner;
	peer->caller = *caller;
	LIST_INIT(&peer->calls);
	TAILQ_INIT(&peer->pending);
	r = peer_init(peer, fd);
	if (r < 0) {
		peer_free(peer);
		owner_put(owner);
		return r;
	}
	peer->fd = fd;
	LIST_INSERT_HEAD(&server->all, peer, all_link);
	*ret = peer;
	return 0;
}

void
peer_hold(struct peer *peer)
{
	struct server *server = peer->server;

	peer->held = true;
	peer_count(peer, 1);
	watch_timer_set(peer->frame_timer,
			server->config.ask_timeout_ms > 0
				? server->config.ask_timeout_ms
				: PEER_ASK_TIMEOUT_MS);
}

int
peer_new(struct server *server, int fd, const struct rpc_caller *caller,
	 enum peer_place place)
{
	struct rpc_caller numbered = *caller;
	struct peer *peer;
	int r;

	numbered.peer_id = ++server->last_id;
	r = peer_make(server, fd, &numbered, &peer);
	if (r < 0)
		return r;
	peer->place = place;
	peer_hold(peer);
	peer_ask(peer);
	return 0;
}

/* No large frame is under way any more. */
static void
peer_forget_large(struct peer *peer)
{
	peer->owner->large -= peer->large;
	peer->server->large -= peer->large;
	peer->large = 0;
}

void
peer_close(struct peer *peer)
{
	struct server *server = peer->server;
	struct call *call;

	if (peer->fd < 0)
		return;
	table_remove(&server->peers, peer->caller.peer_id);
	peer->watch = watch_free(peer->watch);
	peer->frame_timer = watch_free(peer->frame_timer);
	fd_close(&peer->fd);
	while ((call = LIST_FIRST(&peer->calls)))
		call_abandon(call);
	if (server->config.closed && !server->draining)
		server->config.closed(server->daemon, peer->caller.peer_id);
	peer_forget_large(peer);
	peer_unqueue(peer, peer->queued);
	server_leave_turns(server, peer);
	LIST_REMOVE(peer, all_link);
	if (peer->dirty)
		TAILQ_REMOVE(&server->dirty, peer, dirty_link);
	peer->dirty = false;
	TAILQ_INSERT_TAIL(&server->dead, peer, dirty_link);
	peer_count(peer, (unsigned int)-1);
	owner_put(peer->owner);
	peer->owner = NULL;
	server_wake(server);
}

void
peer_free_dead(struct peer *peer)
{
	assert(peer->fd < 0);
	TAILQ_REMOVE(&peer->server->dead, peer, dirty_link);
	peer_free(peer);
}

void
peer_doom(struct peer *peer)
{
	peer->doomed = true;
	peer_mark_dirty(peer);
}

void
peer_fault(struct peer *peer)
{
	if (++peer->n_faults >= PEER_FAULTS_MAX)
		peer_doom(peer);
}

void
peer_update_watch(struct peer *peer)
{
	unsigned int events = 0;

	if (peer->queued > PEER_PAUSE_SIZE)
		peer->paused = true;
	else if (peer->queued <= PEER_PAUSE_SIZE / 2)
		peer->paused = false;
	if (peer->want_write)
		events |= LOOP_WRITE;
	/* A level-triggered read would spin on the end of file; the edge
	 * still tells when the other side goes altogether. */
	if (peer->read_closed)
		events |= LOOP_READ | LOOP_EDGE;
	else if (!peer->paused && !peer->waiting && !peer->held &&
		 !peer->owner->choked && !peer->server->draining &&
		 !peer->server->quiet)
		events |= LOOP_READ;
	if (watch_set_events(peer->watch, events) < 0)
		peer_close(peer);
}

/* The clock of a frame begun runs from its first byte, not its last. */
static void
peer_time_frame(struct peer *peer, uint64_t n_frames_before)
{
	bool begun = peer->skip_left > 0 || evbuffer_get_length(peer->in) > 0;
	int timeout_ms = peer->server->config.frame_timeout_ms;

	if (peer->place != PEER_WITHIN)
		return; /* its time runs from its beginning */
	if (!begun) {
		if (peer->frame_timed)
			watch_timer_set(peer->frame_timer, -1);
		peer->frame_timed = false;
	} else if (!peer->frame_timed || peer->n_frames != n_frames_before) {
		watch_timer_set(peer->frame_timer,
				timeout_ms > 0 ? timeout_ms
					       : PEER_FRAME_TIMEOUT_MS);
		peer->frame_timed = true;
	}
}

/* Count a large frame when it begins; false: there is no room for it. */
static bool
peer_count_large(struct peer *peer, uint32_t length)
{
	if (length <= PEER_SMALL_FRAME || peer->large > 0)
		return true;
	if (peer->server->large + length > PEER_LARGE_MAX ||
	    (peer_limits(peer) &&
	     peer->owner->large + length > PEER_LARGE_OWNER_MAX))
		return false;
	peer->large = length;
	peer->owner->large += length;
	peer->server->large += length;
	return true;
}

static void
peer_end_skip(struct peer *peer)
{
	peer->n_frames++;
	if (peer->skip_reason == PEER_SKIP_UNWANTED)
		dispatch_frame(peer, &peer->skip_header, NULL);
	else
		dispatch_too_large(peer, &peer->skip_header,
				   peer->skip_reason == PEER_SKIP_BUSY);
}

/*
 * Must this frame's data be dropped as it comes? Its verdict comes after it.
 * have: how much of it is here.
 */
static bool
peer_begin_skip(struct peer *peer, const struct ttrpc_header *header,
		const uint8_t *data, size_t have)
{
	if (peer->place != PEER_WITHIN)
		peer->skip_reason = PEER_SKIP_UNWANTED;
	else if (header->length > TTRPC_DATA_MAX)
		peer->skip_reason = PEER_SKIP_OVERSIZE;
	else if (header->type != TTRPC_REQUEST)
		peer->skip_reason = PEER_SKIP_UNWANTED;
	else if (dispatch_is_oversize(peer, header, data, have))
		peer->skip_reason = PEER_SKIP_OVERSIZE;
	else if (have < header->length &&
		 !peer_count_large(peer, header->length))
		peer->skip_reason = PEER_SKIP_BUSY;
	else
		return false;
	peer_forget_large(peer);
	peer->skip_header = *header;
	peer->skip_left = header->length;
	return true;
}

/* Drop what is here of a frame to be dropped; returns how much. */
static size_t
peer_skip(struct peer *peer, size_t size)
{
	size_t n = size < peer->skip_left ? size : peer->skip_left;

	peer->skip_left -= n;
	if (peer->skip_left == 0)
		peer_end_skip(peer);
	return n;
}

/*
 * Cut frames from size bytes. Returns how many were used; peer->need says how
 * many unused ones make progress. Stops when the peer is closed or doomed, and
 * when its owner's turn is over.
 */
static size_t
peer_parse(struct peer *peer, const uint8_t *data, size_t size)
{
	struct ttrpc_header header;
	size_t used = 0, n;

	peer->need = TTRPC_HEADER_SIZE;
	while (used < size && peer->fd >= 0 && !peer->doomed) {
		if (peer->skip_left > 0) {
			used += peer_skip(peer, size - used);
			continue;
		}
		/* Not even the first byte of something else is waited on. */
		if (data[used] != 0) {
			peer_doom(peer);
			break;
		}
		if (size - used < TTRPC_HEADER_SIZE)
			break;
		if (ttrpc_header_decode(data + used, &header) < 0 ||
		    !server_take_turn(peer->server, peer, header.length))
			break;
		n = size - used - TTRPC_HEADER_SIZE;
		if (peer_begin_skip(peer, &header,
				    data + used + TTRPC_HEADER_SIZE,
				    n < header.length ? n : header.length)) {
			used += TTRPC_HEADER_SIZE;
			if (peer->skip_left == 0)
				peer_end_skip(peer);
			continue;
		}
		if (n < header.length) {
			peer->need = TTRPC_HEADER_SIZE + header.length;
			break;
		}
		peer->n_frames++;
		peer_forget_large(peer);
		dispatch_frame(peer, &header, data + used + TTRPC_HEADER_SIZE);
		used += TTRPC_HEADER_SIZE + header.length;
	}
	return used;
}

/* Frames that began in an earlier read. */
static void
peer_parse_buffered(struct peer *peer)
{
	size_t have = evbuffer_get_length(peer->in);
	const uint8_t *data;
	size_t used;

	/* A large frame is looked into early, for its method's own bound. */
	if (have < peer->need && !dispatch_peeks_at(peer->need, have))
		return;
	data = evbuffer_pullup(peer->in, -1);
	if (!data) {
		peer_doom(peer);
		return;
	}
	used = peer_parse(peer, data, have);
	evbuffer_drain(peer->in, used);
}

static void
peer_consume(struct peer *peer, const uint8_t *data, size_t size)
{
	uint64_t n_frames = peer->n_frames;
	size_t used = 0;

	if (evbuffer_get_length(peer->in) == 0)
		used = peer_parse(peer, data, size);
	if (peer->fd < 0 || peer->doomed)
		return;
	if (used < size) {
		if (evbuffer_add(peer->in, data + used, size - used) < 0) {
			peer_doom(peer);
			return;
		}
		if (used == 0 && !peer->waiting)
			peer_parse_buffered(peer);
	}
	if (peer->fd >= 0 && !peer->doomed)
		peer_time_frame(peer, n_frames);
}

void
peer_resume(struct peer *peer)
{
	uint64_t n_frames = peer->n_frames;

	peer->need = TTRPC_HEADER_SIZE;
	peer_parse_buffered(peer);
	if (peer->fd < 0 || peer->doomed)
		return;
	peer_time_frame(peer, n_frames);
	peer_mark_dirty(peer);
}

static bool
peer_is_hung_up(const struct peer *peer)
{
	struct pollfd p = { .fd = peer->fd };

	/* On a unix stream socket POLLHUP means both directions are over. */
	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

static void
peer_on_end_of_file(struct peer *peer)
{
	peer->read_closed = true;
	/* A frame that was cut off is no request: no answer to it. */
	evbuffer_drain(peer->in, evbuffer_get_length(peer->in));
	peer->skip_left = 0;
	peer_forget_large(peer);
	peer_time_frame(peer, peer->n_frames);
	if (peer_is_hung_up(peer))
		peer_close(peer);
	else
		peer_mark_dirty(peer);
}

static void
peer_read(struct peer *peer)
{
	uint8_t *scratch = peer->server->scratch;
	size_t size = SERVER_READ_SIZE;
	ssize_t n;

	if (peer->skip_left > size || peer->need > size)
		size = SERVER_READ_LARGE;
	/* No control buffer: descriptors that ride along are dropped by the
	 * kernel without being opened here. */
	n = read(peer->fd, scratch, size);
	if (n > 0) {
		peer_consume(peer, scratch, (size_t)n);
	} else if (n == 0) {
		peer_on_end_of_file(peer);
	} else if (errno != EAGAIN && errno != EINTR) {
		peer_close(peer);
	}
}

static void
peer_on_event(void *userdata, int fd, unsigned int events)
{
	struct peer *peer = userdata;

	if (peer->read_closed) {
		if (peer_is_hung_up(peer)) {
			peer_close(peer);
			return;
		}
	} else if (peer->waiting || peer->held || peer->owner->choked ||
		   peer->server->quiet) {
		peer_mark_dirty(peer); /* not now: the flush stops the watch */
	} else if (events & LOOP_READ) {
		peer_read(peer);
	}
	if (peer->fd >= 0 && (events & LOOP_WRITE))
		peer_mark_dirty(peer);
}

void
peer_go_on(struct peer *peer)
{
	peer_update_watch(peer);
	/* what came meanwhile is most often here: no turn is waited for it */
	if (peer->fd >= 0 && !peer->server->draining && !peer->server->quiet)
		peer_on_event(peer, peer->fd, LOOP_READ);
}
