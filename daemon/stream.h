/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call: one stream id of one peer, from its Request to its answer. It has a
 * 64-bit number that is never used again; the methods know that number alone.
 * A unary call ends with its Response. A stream ends in two steps: answered
 * (its number is forgotten), then gone once its queue has been moved out.
 */
#ifndef NSX_DAEMON_STREAM_H
#define NSX_DAEMON_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/rpc.h"
#include "proto/handover.pb-c.h"

struct evbuffer;
struct peer;
struct watch;

struct call {
	LIST_ENTRY(call) link;
	TAILQ_ENTRY(call) pending_link;
	uint64_t id;
	struct peer *peer;
	const struct rpc_method *method;
	struct audit_note *note; /* of a method that acts; owned */
	struct watch *deadline;	 /* NULL: none */
	int64_t end_ms;		 /* of it, CLOCK_BOOTTIME; 0: none */
	struct evbuffer *queue;	 /* streams only, made when needed */
	uint32_t stream_id;
	bool remote_open; /* a half-close may still come */
	bool answered;
	bool pending;  /* in peer->pending */
	bool full;     /* the sender was told -ENOBUFS */
	size_t wanted; /* the frame that did not fit then */
};
LIST_HEAD(call_list, call);
TAILQ_HEAD(call_pending, call);

struct call_request {
	uint32_t stream_id;
	uint8_t flags;
	int64_t timeout_nano; /* 0: none; never negative here */
};

/* -ENOMEM. The call belongs to peer. */
must_check int call_new(struct peer *peer, const struct rpc_method *method,
			const struct call_request *request, struct call **ret);
/*
 * One that was handed over: id and queue are as they were, its number's owner
 * (a reader, a wait) is not there yet. -ENOMEM, -EEXIST, -EBADMSG: no such
 * method.
 */
must_check int call_restore(struct peer *peer,
			    const Nsexec__Handover__Call *saved,
			    struct call **ret);
/* The call that this stream id of the peer still is; NULL: none. */
struct call *call_by_stream(struct peer *peer, uint32_t stream_id);
/* Its caller no longer waits: tell the method, then free it. */
void call_abandon(struct call *call);
/* Answer with an error from here, tell the method that it is gone. */
void call_refuse(struct call *call, const struct error *error,
		 const char *message);
/*
 * Put the decision on record: error NULL, allowed. Says nothing of what is
 * allowed and does not act, nor of an admin's act, which was recorded before
 * (call_audit_before()).
 */
void call_audit(const struct call *call, const struct error *error,
		const ProtobufCMessage *response);
void call_audit_before(const struct call *call);
/* Unlink and free; nobody is told. */
void call_free(struct call *call);

#endif
