/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From frames to methods; see dispatch.h.
 *
 *	even id or 0			3 on that id
 *	id not higher than the last	3; of a call in flight: close
 *	Response or unknown type	ignored
 *	Data, no such stream		3 "no longer active"
 *	Data on a unary call		3 ends that call
 *	Data after the half-close	3 "stream closed" ends that stream
 *	longer than allowed		8 after its bytes were dropped
 *	undecodable envelope		3
 *	undecodable payload		13
 *	decoding takes too much memory	8
 *	unknown service or method	12
 *	timeout below 0			4
 *
 * Each but "ignored", 12 and 4 is a fault; PEER_FAULTS_MAX of them close the
 * connection. No id is answered twice: a call that is refused here is gone.
 */
#include "daemon/dispatch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/audit.h"
#include "daemon/config.h"
#include "daemon/identity.h"
#include "daemon/peer.h"
#include "daemon/quota.h"
#include "lib/text.h"
#include "proto/pbpool.h"
#include "proto/ttrpc.pb-c.h"

/* Service and method lie within this in any sane Request. */
#define PEEK_SIZE ((size_t)1 << 10)

/* One Request on its way to its method. */
struct incoming {
	struct peer *peer;
	const struct ttrpc_header *header;
	struct pbpool pool;
	const Ttrpc__Request *request; /* in pool */
	const struct rpc_method *method;
	const ProtobufCMessage *payload; /* in pool */
};

/* Answer an id with an error whose status text is the rule alone. */
static void
refuse(struct peer *peer, uint32_t stream_id, enum errcode code,
       const char *rule, const char *hint)
{
	struct error error;
	char object[16];

	snprintf(object, sizeof(object), "stream %u", stream_id);
	error_set(&error, code, "frame", object, rule, hint);
	/* The same bytes again would fail again. */
	error.retryable = false;
	peer_send_error(peer, stream_id, &error, rule);
}

static void
refuse_fault(struct peer *peer, uint32_t stream_id, enum errcode code,
	     const char *rule, const char *hint)
{
	refuse(peer, stream_id, code, rule, hint);
	peer_fault(peer);
}

/* The rules of ids. On 0 the id is used up. */
static int
check_stream_id(struct peer *peer, uint32_t id)
{
	if (id % 2 == 0) {
		refuse_fault(peer, id, ERRCODE_INVALID_ARGUMENT,
			     "StreamID must be odd for client initiated "
			     "streams",
			     "number requests 1, 3, 5, ...");
		return -EPROTO;
	}
	if (id > peer->last_stream_id) {
		peer->last_stream_id = id;
		return 0;
	}
	if (call_by_stream(peer, id)) {
		/* An answer could not be told from the call's own. */
		peer_doom(peer);
		return -EPROTO;
	}
	refuse_fault(peer, id, ERRCODE_INVALID_ARGUMENT,
		     "StreamID cannot be re-used and must increment",
		     "number requests 1, 3, 5, ... and reconnect before the "
		     "numbers run out");
	return -EPROTO;
}

static const struct rpc_method *
find_method(const struct server *server, const char *name, size_t size)
{
	const struct rpc_method *method;

	for (method = server->config.methods; method->name; method++)
		if (strlen(method->name) == size &&
		    memcmp(method->name, name, size) == 0)
			return method;
	return NULL;
}

bool
dispatch_peeks_at(size_t need, size_t have)
{
	return need > PEER_SMALL_FRAME && have > PEEK_SIZE &&
	       have <= PEEK_SIZE + SERVER_READ_LARGE;
}

bool
dispatch_is_oversize(struct peer *peer, const struct ttrpc_header *header,
		     const uint8_t *data, size_t have)
{
	const struct rpc_method *method;
	struct ttrpc_slice service, name;

	if (header->length <= PEER_SMALL_FRAME || have == header->length ||
	    ttrpc_request_peek(data, have, &service, &name) < 0)
		return false;
	method = find_method(peer->server, (const char *)name.data, name.size);
	/* What is unknown is no reason to keep megabytes. */
	return !method || header->length > method->frame_max;
}

/* Room comes back: no fault, and worth another try. */
static void
refuse_busy(struct peer *peer, const struct ttrpc_header *header)
{
	struct quota_use use = { QUOTA_REQUEST_BYTES, PEER_LARGE_OWNER_MAX,
				 peer->owner->large, header->length };
	struct error error;

	if (!peer_limits(peer) || quota_check(&use, &error) == 0) {
		use.limit = PEER_LARGE_MAX;
		(void)quota_refuse_all(&use, &error);
	}
	peer_send_error(peer, header->stream_id, &error, NULL);
}

void
dispatch_too_large(struct peer *peer, const struct ttrpc_header *header,
		   bool busy)
{
	struct call *call;

	if (header->type == TTRPC_REQUEST) {
		if (check_stream_id(peer, header->stream_id) < 0)
			return;
	} else if (header->type == TTRPC_DATA) {
		call = call_by_stream(peer, header->stream_id);
		if (call)
			call_abandon(call);
	} else {
		return;
	}
	if (busy)
		refuse_busy(peer, header);
	else
		refuse_fault(peer, header->stream_id, ERRCODE_QUOTA,
			     "message length exceeds the maximum of this "
			     "method",
			     "4 MiB for Create, Run and Exec, 256 KiB else; "
			     "arguments and environment are at most 2 MiB "
			     "each");
}

static void
dispatch_data(struct peer *peer, const struct ttrpc_header *header)
{
	const uint8_t end = TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA;
	struct call *call = call_by_stream(peer, header->stream_id);
	struct error error;
	const char *rule = "stream closed";

	if (!call) {
		refuse_fault(peer, header->stream_id, ERRCODE_INVALID_ARGUMENT,
			     "StreamID is no longer active",
			     "send Data only on a stream that is open");
		return;
	}
	if (call->remote_open && (header->flags & end) == end &&
	    header->length == 0) {
		call->remote_open = false;
		return;
	}
	if (!call->method->streaming)
		rule = "Data on a unary call";
	else if (call->remote_open)
		rule = "this stream takes one message, in its Request";
	error_set(&error, ERRCODE_INVALID_ARGUMENT, "frame", call->method->name,
		  rule, "send no Data on this call");
	call_refuse(call, &error, rule);
	peer_fault(peer);
}

/* No fault of the sender's. */
static void
refuse_memory(struct peer *peer, uint32_t stream_id)
{
	struct error error;

	(void)error_set(&error, ERRCODE_OVERLOADED, "frame", "memory",
			"the daemon has no memory left for it",
			"try again later");
	peer_send_error(peer, stream_id, &error, NULL);
}

/* Check and decode a message into the pool; refuses it itself. */
static ProtobufCMessage *
decode(struct incoming *in, const ProtobufCMessageDescriptor *type,
       const ProtobufCBinaryData *bytes, const char *what)
{
	struct pb_input input = { .data = bytes->data,
				  .size = bytes->len,
				  .budget = in->pool.budget - in->pool.used };
	char text[PB_TEXT_MAX], rule[PB_TEXT_MAX + 64];
	ProtobufCMessage *message = NULL;
	bool envelope = type == &ttrpc__request__descriptor;
	int r;

	r = pb_check(type, &input, text);
	if (r == 0) {
		message = protobuf_c_message_unpack(type, &in->pool.allocator,
						    bytes->len, bytes->data);
		if (message)
			return message;
		if (in->pool.no_memory) {
			refuse_memory(in->peer, in->header->stream_id);
			return NULL;
		}
		r = in->pool.exhausted ? -E2BIG : -EBADMSG;
		snprintf(text, sizeof(text), "%s",
			 r == -E2BIG ? "decoding takes too much memory"
				     : "not a valid message");
	}
	snprintf(rule, sizeof(rule), "unmarshal %s error: %s", what, text);
	refuse_fault(in->peer, in->header->stream_id,
		     r == -E2BIG ? ERRCODE_QUOTA
		     : envelope	 ? ERRCODE_INVALID_ARGUMENT
				 : ERRCODE_INTERNAL,
		     rule,
		     r == -E2BIG ? "send fewer and larger elements"
				 : "encode it by proto/nsexec.proto");
	return NULL;
}

/* "service X" and "method Y" as the Go server says it, and never unescaped. */
static void
refuse_unknown(struct incoming *in, const char *what, const char *name)
{
	char escaped[96], rule[128];

	text_escape(escaped, sizeof(escaped), name, strlen(name));
	snprintf(rule, sizeof(rule), "%s %s", what, escaped);
	refuse(in->peer, in->header->stream_id, ERRCODE_UNSUPPORTED, rule,
	       "see Version for what this daemon offers");
}

static int
resolve(struct incoming *in)
{
	const struct server *server = in->peer->server;
	const Ttrpc__Request *request = in->request;

	if (strcmp(request->service, server->config.service) != 0) {
		refuse_unknown(in, "service", request->service);
		return -ENOSYS;
	}
	in->method =
		find_method(server, request->method, strlen(request->method));
	if (!in->method) {
		refuse_unknown(in, "method", request->method);
		return -ENOSYS;
	}
	if (in->header->length > in->method->frame_max) {
		refuse_fault(in->peer, in->header->stream_id, ERRCODE_QUOTA,
			     "message length exceeds the maximum of this "
			     "method",
			     "4 MiB for Create, Run and Exec, 256 KiB else");
		return -EMSGSIZE;
	}
	return 0;
}

/* The bounds on calls in flight. */
static int
check_calls(const struct incoming *in, struct error *error)
{
	const struct peer *peer = in->peer;
	const struct owner_limits *limits = peer_limits(peer);
	struct quota_use use = { QUOTA_REQUESTS, PEER_ACTIVE_MAX,
				 peer->n_active, 1 };

	if (peer->server->draining)
		return error_set(
			error, ERRCODE_OVERLOADED, "admit", in->method->name,
			"the daemon is shutting down", "try again in a moment");
	if (in->method->parked || in->method->streaming)
		use = (struct quota_use){ QUOTA_WAITING_CALLS, PEER_PARKED_MAX,
					  peer->n_parked, 1 };
	else if (limits)
		use = (struct quota_use){ QUOTA_REQUESTS, limits->requests,
					  peer->owner->n_calls, 1 };
	return quota_check(&use, error);
}

/* A refusal that no call ever came of. */
static void
audit_refusal(const struct peer *peer, const char *op,
	      const struct error *error)
{
	const struct audit_verdict verdict = { .op = op,
					       .caller = &peer->caller,
					       .error = error };
	struct server *server = peer->server;

	if (server->config.audit)
		server->config.audit(server->daemon, &verdict);
}

/* The first request of a connection that should not be there. */
static void
refuse_surplus(struct peer *peer, uint32_t stream_id)
{
	const struct owner_limits *limits = peer_limits(peer);
	struct quota_use use = { .quota = QUOTA_CONNECTIONS,
				 .limit = peer->server->config.max_connections,
				 .used = peer->owner->n_peers };
	struct error error;

	if (peer->place == PEER_OVER_OWNER && limits) {
		use.limit = limits->connections;
		(void)quota_refuse(&use, &error);
	} else {
		(void)quota_refuse_all(&use, &error);
	}
	peer_send_error(peer, stream_id, &error, NULL);
	audit_refusal(peer, "connect", &error);
	peer_doom(peer);
}

/*
 * Is this caller one for whom this method does anything? A confined one learns
 * which daemon this is and no more: without it he could not even tell why.
 */
static int
check_caller(const struct incoming *in, struct error *error)
{
	const struct rpc_caller *caller = &in->peer->caller;
	const struct rpc_method *method = in->method;

	if (in->peer->refusal) {
		*error = *in->peer->refusal;
		return -EINVAL;
	}
	if (method->confined_too && identity_rights(caller)->confined)
		return 0;
	return identity_check_verb(caller, method->verb, "check-policy", error);
}

/* Deadline and bounds, before anything of the payload is looked at. */
static int
admit(struct incoming *in)
{
	struct error error;

	if (in->request->timeout_nano < 0) {
		error_set(&error, ERRCODE_DEADLINE, "admit", in->method->name,
			  "the request's timeout had passed when it came",
			  "allow more time");
		peer_send_error(in->peer, in->header->stream_id, &error,
				"context deadline exceeded");
		return -ETIMEDOUT;
	}
	if (check_caller(in, &error) < 0 || check_calls(in, &error) < 0) {
		audit_refusal(in->peer, in->method->name, &error);
		peer_send_error(in->peer, in->header->stream_id, &error, NULL);
		return -EBUSY;
	}
	return 0;
}

static void
dispatch_call(struct incoming *in)
{
	struct peer *peer = in->peer;
	struct server *server = peer->server;
	struct call_request request = {
		.stream_id = in->header->stream_id,
		.flags = in->header->flags,
		.timeout_nano = in->request->timeout_nano,
	};
	struct call *call;

	if (call_new(peer, in->method, &request, &call) < 0) {
		peer_doom(peer);
		return;
	}
	if (in->method->acts && server->config.audit) {
		call->note = malloc(sizeof(*call->note));
		if (call->note)
			audit_note_fill(call->note, in->payload,
					in->request->payload.data,
					in->request->payload.len);
		call_audit_before(call);
	}
	in->method->fn(server->daemon, call->id, &peer->caller, in->payload);
}

static void
dispatch_request(struct incoming *in, const uint8_t *data)
{
	ProtobufCBinaryData bytes = { .data = (uint8_t *)data,
				      .len = in->header->length };

	in->request = (const Ttrpc__Request *)decode(
		in, &ttrpc__request__descriptor, &bytes, "request");
	if (!in->request || resolve(in) < 0 || admit(in) < 0)
		return;
	in->payload = decode(in, in->method->request, &in->request->payload,
			     "payload");
	if (in->payload)
		dispatch_call(in);
}

void
dispatch_frame(struct peer *peer, const struct ttrpc_header *header,
	       const uint8_t *data)
{
	struct server *server = peer->server;
	struct incoming in = { .peer = peer, .header = header };

	if (header->type == TTRPC_DATA) {
		dispatch_data(peer, header);
		return;
	}
	if (header->type != TTRPC_REQUEST ||
	    check_stream_id(peer, header->stream_id) < 0)
		return;
	if (peer->place != PEER_WITHIN) {
		refuse_surplus(peer, header->stream_id);
		return;
	}
	pbpool_init(&in.pool, pbpool_budget(header->length), server->pool,
		    SERVER_POOL_SIZE);
	dispatch_request(&in, data);
	pbpool_deinit(&in.pool);
}
