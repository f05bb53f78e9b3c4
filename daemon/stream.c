/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls, and the functions of rpc.h by which methods answer them. A method's
 * answer may come much later, when the peer is long gone: it names the call by
 * number, the number is looked up, and if it is not there the answer is
 * dropped. No function here closes a peer (see server.h).
 */
#include "daemon/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/audit.h"
#include "daemon/peer.h"
#include "daemon/quota.h"
#include "daemon/server.h"
#include "lib/clock.h"

static bool
call_is_parked(const struct call *call)
{
	return call->method->parked || call->method->streaming;
}

/* From now on its number is unknown. */
static void
call_retire(struct call *call)
{
	struct peer *peer = call->peer;
	struct server *server = peer->server;

	assert(!call->answered);
	call->answered = true;
	table_remove(&server->calls, call->id);
	call->deadline = watch_free(call->deadline);
	if (call->full)
		peer->n_full--;
	call->full = false;
	if (call_is_parked(call)) {
		peer->n_parked--;
	} else {
		peer->n_active--;
		peer->owner->n_calls--;
		server->n_calls--;
	}
}

void
call_free(struct call *call)
{
	if (!call->answered)
		call_retire(call);
	peer_stream_drop(call->peer, call);
	LIST_REMOVE(call, link);
	free(call->note);
	free(call);
}

/* Free it, or leave that to the flush if a stream's last frames wait. */
static void
call_finish(struct call *call)
{
	struct peer *peer = call->peer;

	call_retire(call);
	if (!call->pending)
		call_free(call);
	peer_mark_dirty(peer);
}

static void
put_on_record(const struct call *call, const struct error *error,
	      const ProtobufCMessage *response)
{
	struct server *server = call->peer->server;
	const struct audit_verdict verdict = {
		.op = call->method->name,
		.caller = &call->peer->caller,
		.note = call->note,
		.error = error,
		.response = response,
	};

	if (server->config.audit)
		server->config.audit(server->daemon, &verdict);
}

void
call_audit_before(const struct call *call)
{
	if (call->method->acts && !peer_limits(call->peer))
		put_on_record(call, NULL, NULL);
}

void
call_audit(const struct call *call, const struct error *error,
	   const ProtobufCMessage *response)
{
	if (error || (call->method->acts && peer_limits(call->peer)))
		put_on_record(call, error, response);
}

static void
call_tell_gone(struct server *server, const struct rpc_method *method,
	       uint64_t id)
{
	if (method->gone)
		method->gone(server->daemon, id);
}

void
call_abandon(struct call *call)
{
	struct server *server = call->peer->server;
	const struct rpc_method *method = call->method;
	bool answered = call->answered;
	uint64_t id = call->id;

	call_free(call);
	if (!answered)
		call_tell_gone(server, method, id);
}

static void
call_send_error(struct call *call, const struct error *error,
		const char *message)
{
	if (call->method->streaming)
		peer_send_end(call->peer, call, error);
	else
		peer_send_error(call->peer, call->stream_id, error, message);
}

void
call_refuse(struct call *call, const struct error *error, const char *message)
{
	struct server *server = call->peer->server;
	const struct rpc_method *method = call->method;
	uint64_t id = call->id;

	if (call->method->streaming) {
		/* What the stream still has to say comes too late. */
		peer_stream_drop(call->peer, call);
	}
	peer_send_error(call->peer, call->stream_id, error, message);
	call_finish(call);
	call_tell_gone(server, method, id);
}

static void
call_on_deadline(void *userdata)
{
	struct call *call = userdata;
	struct error error;

	error_set(&error, ERRCODE_DEADLINE, "answer", call->method->name,
		  "the request's own timeout passed",
		  "allow more time; a start that was accepted goes on");
	call_refuse(call, &error, "context deadline exceeded");
}

/* Round up to milliseconds; more than 24 days is no deadline worth a timer. */
static int64_t
timeout_ms(int64_t nano)
{
	int64_t ms = nano / 1000000 + (nano % 1000000 != 0);

	return ms > INT32_MAX ? INT32_MAX : ms;
}

static int
call_arm(struct call *call, int64_t end_ms)
{
	int64_t left_ms = end_ms - clock_boottime_ms();
	int r;

	r = watch_new_timer(call->peer->server->loop, call_on_deadline, call,
			    &call->deadline);
	if (r < 0)
		return r;
	call->end_ms = end_ms;
	watch_timer_set(call->deadline, left_ms > 0 ? left_ms : 0);
	return 0;
}

/* Its number is known, it counts among its peer's. Frees it on error. */
static int
call_add(struct call *call)
{
	struct peer *peer = call->peer;
	struct server *server = peer->server;
	int r;

	r = table_add(&server->calls, call->id, call);
	if (r < 0) {
		watch_free(call->deadline);
		free(call);
		return r;
	}
	LIST_INSERT_HEAD(&peer->calls, call, link);
	if (call_is_parked(call)) {
		peer->n_parked++;
	} else {
		peer->n_active++;
		peer->owner->n_calls++;
		server->n_calls++;
	}
	return 0;
}

int
call_new(struct peer *peer, const struct rpc_method *method,
	 const struct call_request *request, struct call **ret)
{
	struct server *server = peer->server;
	struct call *call;
	int r;

	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	call->id = ++server->last_id;
	call->peer = peer;
	call->method = method;
	call->stream_id = request->stream_id;
	call->remote_open = request->flags & TTRPC_REMOTE_OPEN;
	if (request->timeout_nano > 0) {
		r = call_arm(call, clock_boottime_ms() +
					   timeout_ms(request->timeout_nano));
		if (r < 0) {
			free(call);
			return r;
		}
	}
	r = call_add(call);
	if (r == 0)
		*ret = call;
	return r;
}

static const struct rpc_method *
method_by_name(const struct server *server, const char *name)
{
	const struct rpc_method *method = server->config.methods;

	while (method->name && strcmp(method->name, name) != 0)
		method++;
	return method->name ? method : NULL;
}

int
call_restore(struct peer *peer, const Nsexec__Handover__Call *saved,
	     struct call **ret)
{
	const struct rpc_method *method =
		method_by_name(peer->server, saved->method);
	struct call *call = method ? calloc(1, sizeof(*call)) : NULL;
	int r = 0;

	if (!call)
		return method ? -ENOMEM : -EBADMSG;
	call->id = saved->id;
	call->peer = peer;
	call->method = method;
	call->stream_id = saved->stream_id;
	call->remote_open = saved->remote_open;
	call->wanted = saved->wanted;
	if (saved->end_ms && !saved->answered)
		r = call_arm(call, saved->end_ms);
	if (r < 0) {
		free(call);
		return r;
	}
	r = call_add(call);
	if (r < 0)
		return r;
	if (saved->has_note) {
		call->note = audit_note_restore(saved->note.data);
	} else if (saved->full && method->streaming) {
		call->full = true;
		peer->n_full++;
	}
	if (saved->answered)
		call_retire(call);
	*ret = call;
	return 0;
}

struct call *
call_by_stream(struct peer *peer, uint32_t stream_id)
{
	struct call *call;

	/* Newest first; asked for faults and half-closes alone. */
	LIST_FOREACH(call, &peer->calls, link)
	if (call->stream_id == stream_id && !call->answered)
		return call;
	return NULL;
}

int
rpc_reply(struct server *server, uint64_t call_id,
	  const ProtobufCMessage *response)
{
	struct call *call = table_find(&server->calls, call_id);
	struct error error;
	int r;

	if (!call)
		return -ESTALE;
	assert(!call->method->streaming);
	assert(response->descriptor == call->method->response);
	r = peer_send_response(call->peer, call->stream_id, response);
	if (r == -EDQUOT)
		(void)quota_refuse(
			&(struct quota_use){
				.quota = QUOTA_QUEUED_BYTES,
				.limit = peer_limits(call->peer)->queued_bytes,
				.used = call->peer->owner->queued },
			&error);
	else if (r < 0)
		error_set(&error, ERRCODE_OVERLOADED, "answer",
			  call->method->name,
			  "the answer is larger than a frame may be",
			  "ask for less, by a filter or one container");
	if (r < 0)
		peer_send_error(call->peer, call->stream_id, &error, NULL);
	call_audit(call, NULL, response);
	call_finish(call);
	return r;
}

int
rpc_fail(struct server *server, uint64_t call_id, const struct error *error)
{
	struct call *call = table_find(&server->calls, call_id);

	if (!call)
		return -ESTALE;
	call_send_error(call, error, NULL);
	call_audit(call, error, NULL);
	call_finish(call);
	return 0;
}

int
rpc_stream_send(struct server *server, uint64_t call_id,
		const ProtobufCMessage *message)
{
	struct call *call = table_find(&server->calls, call_id);
	int r;

	if (!call)
		return -ESTALE;
	assert(call->method->streaming);
	assert(message->descriptor == call->method->response);
	r = peer_send_data(call->peer, call, message);
	if (r == -ENOBUFS && !call->full) {
		call->full = true;
		call->peer->n_full++;
	}
	return r;
}

int
rpc_stream_end(struct server *server, uint64_t call_id)
{
	struct call *call = table_find(&server->calls, call_id);

	if (!call)
		return -ESTALE;
	assert(call->method->streaming);
	peer_send_end(call->peer, call, NULL);
	call_finish(call);
	return 0;
}

int
rpc_connection_fd(struct server *server, uint64_t peer_id)
{
	struct peer *peer = table_find(&server->peers, peer_id);

	return peer ? peer->fd : -ESTALE;
}
