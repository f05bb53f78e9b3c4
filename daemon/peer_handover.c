/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection over a reload: its descriptor travels beside, here is what was
 * read of it and not used, what waits to be written, and its calls. Numbers of
 * connections and calls stay what they were.
 */
#include "daemon/peer.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/audit.h"
#include "daemon/handover_record.h"
#include "daemon/identity.h"
#include "daemon/lease.h"
#include "daemon/log.h"
#include "daemon/park.h"
#include "daemon/subscribe.h"
#include "lib/fd.h"

/* A call's message and the parts of it that are messages. */
struct saved_call {
	Nsexec__Handover__Call message;
	Nsexec__Handover__Parked parked;
};

static int
save_bytes(struct evbuffer *buffer, protobuf_c_boolean *ret_has,
	   ProtobufCBinaryData *ret)
{
	size_t size = buffer ? evbuffer_get_length(buffer) : 0;

	if (size == 0)
		return 0;
	ret->data = evbuffer_pullup(buffer, -1);
	ret->len = size;
	*ret_has = true;
	return ret->data ? 0 : -ENOMEM;
}

static int
save_call(const struct call *call, struct saved_call *saved)
{
	const struct daemon *daemon = call->peer->server->daemon;
	Nsexec__Handover__Call *message = &saved->message;

	*message = (Nsexec__Handover__Call)NSEXEC__HANDOVER__CALL__INIT;
	message->has_id = message->has_stream_id = true;
	message->id = call->id;
	message->stream_id = call->stream_id;
	message->method = (char *)call->method->name;
	message->has_remote_open = message->has_answered = true;
	message->remote_open = call->remote_open;
	message->answered = call->answered;
	message->has_end_ms = message->has_full = message->has_wanted = true;
	message->end_ms = call->end_ms;
	message->full = call->full;
	message->wanted = call->wanted;
	if (call->note) {
		message->has_note = true;
		message->note.data = (uint8_t *)call->note;
		message->note.len = sizeof(*call->note);
	}
	if (!call->answered) {
		message->reader = subscribe_save(daemon, call->id);
		if (park_save(daemon, call->id, &saved->parked))
			message->parked = &saved->parked;
	}
	return save_bytes(call->queue, &message->has_queue, &message->queue);
}

/* Those with a queue in the order of their turns, then the others. */
static int
save_calls(struct peer *peer, struct saved_call *saved,
	   Nsexec__Handover__Peer *message)
{
	struct call *call;
	int r = 0;

	TAILQ_FOREACH(call, &peer->pending, pending_link)
	{
		if (r == 0)
			r = save_call(call, &saved[message->n_calls]);
		message->calls[message->n_calls] =
			&saved[message->n_calls].message;
		message->n_calls++;
	}
	LIST_FOREACH(call, &peer->calls, link)
	{
		if (call->pending)
			continue;
		if (r == 0)
			r = save_call(call, &saved[message->n_calls]);
		message->calls[message->n_calls] =
			&saved[message->n_calls].message;
		message->n_calls++;
	}
	return r;
}

static void
save_skip(const struct peer *peer, Nsexec__Handover__Skip *skip)
{
	*skip = (Nsexec__Handover__Skip)NSEXEC__HANDOVER__SKIP__INIT;
	skip->has_reason = skip->has_left = skip->has_length = true;
	skip->reason = peer->skip_reason;
	skip->left = peer->skip_left;
	skip->length = peer->skip_header.length;
	skip->has_stream_id = skip->has_type = skip->has_flags = true;
	skip->stream_id = peer->skip_header.stream_id;
	skip->type = peer->skip_header.type;
	skip->flags = peer->skip_header.flags;
}

static int
save_leases(const struct peer *peer, Nsexec__Handover__Peer *message)
{
	const struct daemon *daemon = peer->server->daemon;
	size_t n = lease_held(daemon, peer->caller.peer_id, NULL);

	if (n == 0)
		return 0;
	message->leases = calloc(n, sizeof(*message->leases));
	if (!message->leases)
		return -ENOMEM;
	message->n_leases =
		lease_held(daemon, peer->caller.peer_id, message->leases);
	return 0;
}

static int
save_fill(struct peer *peer, Nsexec__Handover__Peer *message)
{
	int r;

	message->has_id = message->has_last_stream_id = true;
	message->id = peer->caller.peer_id;
	message->last_stream_id = peer->last_stream_id;
	message->has_n_faults = message->has_read_closed = true;
	message->n_faults = peer->n_faults;
	message->read_closed = peer->read_closed;
	message->has_out_call_id = true;
	message->out_call_id = peer->out_call_id;
	/* Whoever has no place, or was refused, is asked about anew. */
	if (!peer->held && peer->identity && peer->place == PEER_WITHIN) {
		message->has_who = true;
		message->who.data = (uint8_t *)&peer->identity->who;
		message->who.len = sizeof(peer->identity->who);
	}
	r = save_bytes(peer->in, &message->has_in, &message->in);
	if (r == 0)
		r = save_bytes(peer->out, &message->has_out, &message->out);
	if (r == 0)
		r = save_leases(peer, message);
	return r;
}

int
peer_save(struct peer *peer, int state_fd)
{
	Nsexec__Handover__Peer message = NSEXEC__HANDOVER__PEER__INIT;
	Nsexec__Handover__Skip skip;
	struct saved_call *saved;
	struct call *call;
	size_t n = 1;
	int r = -ENOMEM;

	if (peer->fd < 0 || peer->doomed)
		return 1;
	LIST_FOREACH(call, &peer->calls, link)
	n++;
	saved = calloc(n, sizeof(*saved));
	message.calls = calloc(n, sizeof(*message.calls));
	if (saved && message.calls)
		r = save_fill(peer, &message);
	if (peer->skip_left > 0) {
		save_skip(peer, &skip);
		message.skip = &skip;
	}
	if (r == 0)
		r = save_calls(peer, saved, &message);
	if (r == 0)
		r = handover_record_write(state_fd, HANDOVER_PEER,
					  &message.base);
	for (size_t i = 0; i < message.n_calls; i++)
		subscribe_saved_free(saved[i].message.reader);
	free(message.leases);
	free(message.calls);
	free(saved);
	return r;
}

/* Again */

static int
restore_bytes(struct peer *peer, struct evbuffer *buffer,
	      const ProtobufCBinaryData *saved)
{
	if (evbuffer_add(buffer, saved->data, saved->len) < 0)
		return -ENOMEM;
	peer_queue(peer, saved->len);
	return 0;
}

/* What it waits for; if that is nothing that lasts, it is told so. */
static void
restore_wait(struct peer *peer, struct call *call,
	     const Nsexec__Handover__Call *saved)
{
	struct daemon *daemon = peer->server->daemon;
	uint64_t id = call->id;
	struct error error;
	int r = -ENOENT;

	if (saved->reader && call->method->streaming == saved->reader->stream)
		r = subscribe_restore(daemon, id, saved->reader);
	else if (saved->parked)
		r = park_restore(daemon, id, saved->parked);
	if (r == 0)
		return;
	(void)error_set(&error, ERRCODE_ABORTED_RESTART, "reload",
			call->method->name,
			"nsexecd was reloaded while this was under way",
			"repeat the request");
	(void)rpc_fail(peer->server, id, &error);
}

static int
restore_call(struct peer *peer, const Nsexec__Handover__Call *saved)
{
	struct call *call;
	int r;

	r = call_restore(peer, saved, &call);
	if (r < 0)
		return r;
	if (saved->has_queue && saved->queue.len > 0) {
		call->queue = evbuffer_new();
		if (!call->queue)
			return -ENOMEM;
		call->pending = true;
		TAILQ_INSERT_TAIL(&peer->pending, call, pending_link);
		r = restore_bytes(peer, call->queue, &saved->queue);
		if (r < 0)
			return r;
	} else if (call->answered) {
		call_free(call);
		return 0;
	}
	if (!call->answered)
		restore_wait(peer, call, saved);
	return 0;
}

static void
restore_skip(struct peer *peer, const Nsexec__Handover__Skip *skip)
{
	peer->skip_reason = (enum peer_skip)skip->reason;
	peer->skip_left = skip->left;
	peer->skip_header =
		(struct ttrpc_header){ .length = skip->length,
				       .stream_id = skip->stream_id,
				       .type = (uint8_t)skip->type,
				       .flags = (uint8_t)skip->flags };
}

static int
restore_fill(struct peer *peer, const Nsexec__Handover__Peer *saved)
{
	int r = 0;

	peer->last_stream_id = saved->last_stream_id;
	peer->n_faults = saved->n_faults;
	peer->read_closed = saved->read_closed;
	peer->out_call_id = saved->out_call_id;
	if (saved->skip)
		restore_skip(peer, saved->skip);
	if (saved->in.len &&
	    evbuffer_add(peer->in, saved->in.data, saved->in.len) < 0)
		return -ENOMEM;
	if (saved->out.len)
		r = restore_bytes(peer, peer->out, &saved->out);
	for (size_t i = 0; r == 0 && i < saved->n_calls; i++)
		r = restore_call(peer, saved->calls[i]);
	return r;
}

/* One that is not taken up again is lost after the grace of a restart. */
static void
restore_leases(struct peer *peer, const Nsexec__Handover__Peer *saved)
{
	for (size_t i = 0; i < saved->n_leases; i++)
		if (saved->leases[i].len == SPEC_LEASE_SIZE)
			(void)lease_take(peer->server->daemon, &peer->caller,
					 saved->leases[i].data);
}

/* Who it is, from the state and from the kernel. -ENOENT: not known. */
static int
restore_identity(const struct server *server,
		 const Nsexec__Handover__Peer *saved, struct identity *identity,
		 struct rpc_caller *caller)
{
	struct who who;

	if (!saved->has_who)
		return -ENOENT;
	if (who_decode(saved->who.data, saved->who.len, &who) < 0 ||
	    who.uid != caller->uid || who.gid != caller->gid)
		return -ENOENT;
	identity_fill(identity, &who, server->config.initial_limits);
	caller->owner = who.resolved.owner;
	return 0;
}

int
peer_restore(struct server *server, int fd, const Nsexec__Handover__Peer *saved)
{
	struct identity *identity;
	struct rpc_caller caller;
	struct peer *peer;
	bool known;
	int r;

	r = server_peer_credentials(server, fd, &caller);
	if (r < 0)
		return r;
	caller.peer_id = saved->id;
	identity = malloc(sizeof(*identity));
	if (!identity)
		return -ENOMEM;
	known = restore_identity(server, saved, identity, &caller) == 0;
	r = peer_make(server, fd, &caller, &peer);
	if (r < 0 || !known) {
		free(identity);
		identity = NULL;
	}
	if (r < 0)
		return r;
	peer->place = PEER_WITHIN;
	if (known) {
		peer->identity = identity;
		identity_attach(identity, &peer->caller);
		peer_count(peer, 1);
		restore_leases(peer, saved);
	} else {
		peer_hold(peer);
	}
	if (restore_fill(peer, saved) < 0) {
		log_warning("a connection of uid %u could not be taken over",
			    peer->caller.uid);
		peer_close(peer);
		return 0;
	}
	peer_mark_dirty(peer);
	return 0;
}
