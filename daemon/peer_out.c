/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out of a connection; see peer.h. Frames are queued whole and written
 * once at the end of the turn, so many answers are one system call; what the
 * socket does not take waits for it to become writable.
 *
 * Bounds: one stream PEER_STREAM_MAX, then its sender is told -ENOBUFS and
 * later rpc_stream_drained; a connection PEER_QUEUE_MAX, then its streams end
 * with code 8, and if that is not enough it is closed. Over PEER_PAUSE_SIZE no
 * new request is read. All connections of an ordinary owner together have a
 * budget: over it none of them is read and answers become QUOTA; far over it,
 * which takes waiting calls refused one after the other, they are closed.
 */
#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/error_pack.h"
#include "daemon/peer.h"
#include "proto/ttrpc.pb-c.h"

void
peer_mark_dirty(struct peer *peer)
{
	if (peer->dirty || peer->fd < 0)
		return;
	peer->dirty = true;
	TAILQ_INSERT_TAIL(&peer->server->dirty, peer, dirty_link);
	server_wake(peer->server);
}

void
peer_queue(struct peer *peer, size_t size)
{
	const struct owner_limits *limits = peer_limits(peer);

	peer->queued += size;
	peer->owner->queued += size;
	if (limits && peer->owner->queued > limits->queued_bytes)
		peer->owner->choked = true;
}

/* Some of it is read: below half of the budget all are read from again. */
void
peer_unqueue(struct peer *peer, size_t size)
{
	const struct owner_limits *limits = peer_limits(peer);
	struct owner *owner = peer->owner;
	struct peer *other;

	peer->queued -= size;
	owner->queued -= size;
	if (!owner->choked || !limits ||
	    owner->queued > limits->queued_bytes / 2)
		return;
	owner->choked = false;
	LIST_FOREACH(other, &peer->server->all, all_link)
	if (other->owner == owner)
		peer_mark_dirty(other);
}

/* Would an answer of this size be more than the owner may have queued? */
static bool
peer_is_over_budget(const struct peer *peer, size_t size)
{
	const struct owner_limits *limits = peer_limits(peer);

	/* One larger than the budget still passes an empty queue. */
	return limits && peer->owner->queued > 0 &&
	       peer->owner->queued + size > limits->queued_bytes;
}

/* Room for one frame, to be filled and then committed. */
struct room {
	struct evbuffer *buffer;
	struct evbuffer_iovec vec;
};

static uint8_t *
room_open(struct room *room, struct evbuffer *buffer, size_t size)
{
	room->buffer = buffer;
	if (evbuffer_reserve_space(buffer, (ev_ssize_t)size, &room->vec, 1) !=
	    1)
		return NULL;
	room->vec.iov_len = size;
	return room->vec.iov_base;
}

static void
room_commit(struct room *room, struct peer *peer)
{
	if (evbuffer_commit_space(room->buffer, &room->vec, 1) < 0) {
		peer_doom(peer);
		return;
	}
	peer_queue(peer, room->vec.iov_len);
	peer_mark_dirty(peer);
}

int
peer_send_response(struct peer *peer, uint32_t stream_id,
		   const ProtobufCMessage *message)
{
	uint8_t prefix[TTRPC_RESPONSE_PREFIX_MAX];
	size_t size = protobuf_c_message_get_packed_size(message);
	struct room room;
	size_t n;
	uint8_t *p;

	if (size > TTRPC_DATA_MAX - TTRPC_RESPONSE_PREFIX_MAX)
		return -EMSGSIZE;
	if (peer_is_over_budget(peer, size))
		return -EDQUOT;
	n = ttrpc_response_prefix(stream_id, size, prefix);
	p = room_open(&room, peer->out, n + size);
	if (!p) {
		peer_doom(peer);
		return -ENOMEM;
	}
	memcpy(p, prefix, n);
	protobuf_c_message_pack(message, p + n);
	room_commit(&room, peer);
	return 0;
}

/* Append a Response with this error to buffer. */
static void
put_error(struct peer *peer, struct evbuffer *buffer, uint32_t stream_id,
	  const struct error *error, const char *message)
{
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;
	Ttrpc__Status status = TTRPC__STATUS__INIT;
	Ttrpc__Any any = TTRPC__ANY__INIT, *anys = &any;
	uint8_t detail[sizeof(struct error_packed)];
	struct ttrpc_header header = { .type = TTRPC_RESPONSE,
				       .stream_id = stream_id };
	const struct server *server = peer->server;
	struct error_packed packed;
	struct room room;
	uint8_t *p;

	if (server->config.failed)
		server->config.failed(server->daemon, &peer->caller, error);
	error_pack(error, &packed);
	if (message)
		packed.detail.message = (char *)message;
	status.code = packed.ttrpc;
	status.message = packed.detail.message;
	any.type_url = (char *)ERROR_DETAIL_TYPE_URL;
	/* Every text of the detail is bounded by the struct it lies in. */
	assert(nsexec__v1__error_detail__get_packed_size(&packed.detail) <=
	       sizeof(detail));
	any.value.data = detail;
	any.value.len = nsexec__v1__error_detail__pack(&packed.detail, detail);
	status.details = &anys;
	status.n_details = 1;
	response.status = &status;
	header.length = (uint32_t)ttrpc__response__get_packed_size(&response);
	p = room_open(&room, buffer, TTRPC_HEADER_SIZE + header.length);
	if (!p) {
		peer_doom(peer);
		return;
	}
	ttrpc_header_encode(&header, p);
	ttrpc__response__pack(&response, p + TTRPC_HEADER_SIZE);
	room_commit(&room, peer);
}

void
peer_send_error(struct peer *peer, uint32_t stream_id,
		const struct error *error, const char *message)
{
	put_error(peer, peer->out, stream_id, error, message);
}

static bool
stream_open_queue(struct peer *peer, struct call *call)
{
	if (!call->queue)
		call->queue = evbuffer_new();
	if (!call->queue) {
		peer_doom(peer);
		return false;
	}
	if (!call->pending) {
		call->pending = true;
		TAILQ_INSERT_TAIL(&peer->pending, call, pending_link);
	}
	return true;
}

size_t
peer_stream_queued(const struct peer *peer, const struct call *call)
{
	size_t n = call->queue ? evbuffer_get_length(call->queue) : 0;

	if (peer->out_call_id == call->id)
		n += evbuffer_get_length(peer->out);
	return n;
}

void
peer_stream_drop(struct peer *peer, struct call *call)
{
	if (call->pending)
		TAILQ_REMOVE(&peer->pending, call, pending_link);
	call->pending = false;
	if (call->queue) {
		peer_unqueue(peer, evbuffer_get_length(call->queue));
		evbuffer_free(call->queue);
	}
	call->queue = NULL;
}

/* Append one Data frame; message NULL: the end of the stream. */
static int
put_data(struct peer *peer, struct call *call, const ProtobufCMessage *message)
{
	struct ttrpc_header header = { .type = TTRPC_DATA,
				       .stream_id = call->stream_id };
	struct room room;
	uint8_t *p;

	if (message)
		header.length =
			(uint32_t)protobuf_c_message_get_packed_size(message);
	else
		header.flags = TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA;
	if (!stream_open_queue(peer, call))
		return -ENOMEM;
	p = room_open(&room, call->queue, TTRPC_HEADER_SIZE + header.length);
	if (!p) {
		peer_doom(peer);
		return -ENOMEM;
	}
	ttrpc_header_encode(&header, p);
	if (message)
		protobuf_c_message_pack(message, p + TTRPC_HEADER_SIZE);
	room_commit(&room, peer);
	return 0;
}

int
peer_send_data(struct peer *peer, struct call *call,
	       const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	size_t queued = peer_stream_queued(peer, call);

	if (size > TTRPC_DATA_MAX)
		return -EMSGSIZE;
	/* One message larger than the bound still passes an empty queue. */
	if (queued > 0 && queued + TTRPC_HEADER_SIZE + size > PEER_STREAM_MAX) {
		call->wanted = TTRPC_HEADER_SIZE + size;
		return -ENOBUFS;
	}
	return put_data(peer, call, message);
}

void
peer_send_end(struct peer *peer, struct call *call, const struct error *error)
{
	if (!error)
		(void)put_data(peer, call, NULL);
	else if (stream_open_queue(peer, call))
		put_error(peer, call->queue, call->stream_id, error, NULL);
}

bool
peer_has_output(const struct peer *peer)
{
	return peer->fd >= 0 && peer->queued > 0;
}

/* The queue of the stream whose turn it is becomes the buffer to write. */
static bool
out_refill(struct peer *peer)
{
	struct call *call = TAILQ_FIRST(&peer->pending);

	peer->out_call_id = 0;
	if (!call)
		return false;
	TAILQ_REMOVE(&peer->pending, call, pending_link);
	call->pending = false;
	peer->out_call_id = call->id;
	if (evbuffer_add_buffer(peer->out, call->queue) < 0) {
		peer_doom(peer);
		return false;
	}
	if (call->answered)
		call_free(call);
	return true;
}

/* 0: all written or the socket is full; -errno: the peer is gone. */
static int
out_write(struct peer *peer)
{
	int n;

	peer->want_write = false;
	while (evbuffer_get_length(peer->out) > 0 || out_refill(peer)) {
		n = evbuffer_write(peer->out, peer->fd);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			peer->want_write = true;
			return 0;
		}
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		peer_unqueue(peer, (size_t)n);
	}
	return 0;
}

/* What its sender could not queue fits now, and half of the queue is free. */
static bool
stream_has_room(const struct peer *peer, const struct call *call)
{
	size_t queued = peer_stream_queued(peer, call);

	return queued == 0 || (queued <= PEER_STREAM_MAX / 2 &&
			       queued + call->wanted <= PEER_STREAM_MAX);
}

/* Some stream that still runs (and has room for its sender), or NULL. */
static struct call *
find_stream(struct peer *peer, bool waits_and_has_room)
{
	struct call *call;

	LIST_FOREACH(call, &peer->calls, link)
	{
		if (!call->method->streaming || call->answered)
			continue;
		if (!waits_and_has_room ||
		    (call->full && stream_has_room(peer, call)))
			return call;
	}
	return NULL;
}

/* The bound of the whole connection: streams go first. */
static void
out_enforce_bound(struct peer *peer)
{
	const struct owner_limits *limits = peer_limits(peer);
	struct call *call;
	struct error error;

	if (limits && peer->owner->queued > 2 * (size_t)limits->queued_bytes +
						    PEER_PAUSE_SIZE)
		peer_doom(peer);
	if (peer->queued <= PEER_QUEUE_MAX)
		return;
	error_set(&error, ERRCODE_OVERLOADED, "send", "",
		  "the connection's output queue is full",
		  "read faster, or use a connection for events alone");
	while ((call = find_stream(peer, false)))
		call_refuse(call, &error, NULL);
	if (peer->queued > PEER_QUEUE_MAX)
		peer_doom(peer);
}

/*
 * Tell the senders of streams that have room again. Looks from the start each
 * time: a sender may end calls. One that fills its queue again is not found.
 */
static void
out_tell_drained(struct peer *peer)
{
	struct server *server = peer->server;
	struct call *call;

	while (peer->n_full > 0 && (call = find_stream(peer, true))) {
		call->full = false;
		peer->n_full--;
		server->config.stream_drained(server->daemon, call->id);
	}
}

void
peer_flush(struct peer *peer)
{
	out_enforce_bound(peer);
	if (out_write(peer) < 0) {
		peer_close(peer);
		return;
	}
	if (peer->doomed || (peer->read_closed && LIST_EMPTY(&peer->calls) &&
			     peer->queued == 0)) {
		peer_close(peer);
		return;
	}
	out_tell_drained(peer);
	peer_update_watch(peer);
}
