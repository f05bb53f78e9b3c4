/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of a caller: the descriptor, the bytes of a frame that has
 * not arrived whole, and what waits to be written. It is read with read(), so
 * descriptors that ride along are dropped by the kernel, unread.
 *
 * Out: unary answers go to one buffer; each event stream has a queue of its
 * own with a bound, and the queues take turns when that buffer is empty, so a
 * stream never delays an answer by more than one queue.
 */
#ifndef NSX_DAEMON_PEER_H
#define NSX_DAEMON_PEER_H

#include "daemon/server.h"
#include "daemon/stream.h"
#include "proto/ttrpc_frame.h"

struct evbuffer;

#define PEER_FRAME_TIMEOUT_MS 30000
/* One over a bound has this long to send the request that is refused. */
#define PEER_SURPLUS_TIMEOUT_MS 2000
/* Faults of the protocol before the connection is closed. */
#define PEER_FAULTS_MAX 64u
#define PEER_PARKED_MAX 4096u
#define PEER_ACTIVE_MAX 1024u
#define PEER_QUEUE_MAX ((size_t)8 << 20)
#define PEER_STREAM_MAX ((size_t)256 << 10)
/*
 * Frames over PEER_SMALL_FRAME that are under way, of one uid and of all: what
 * is promised counts, so that slow senders cannot add up to all memory.
 */
#define PEER_SMALL_FRAME ((size_t)256 << 10)
#define PEER_LARGE_OWNER_MAX ((size_t)16 << 20)
#define PEER_LARGE_MAX ((size_t)256 << 20)
/* Over this nothing more is read; under half of it again. */
#define PEER_PAUSE_SIZE ((size_t)1 << 20)

/* Why a frame's data is dropped as it comes. */
enum peer_skip {
	PEER_SKIP_UNWANTED, /* its verdict does not depend on it */
	PEER_SKIP_OVERSIZE,
	PEER_SKIP_BUSY, /* too much is under way */
};

/* Held until it is known who it is, at most so long. */
#define PEER_ASK_TIMEOUT_MS 20000

struct peer {
	LIST_ENTRY(peer) all_link;
	TAILQ_ENTRY(peer) wait_link;  /* waiting */
	TAILQ_ENTRY(peer) dirty_link; /* dirty, or dead */
	struct server *server;
	struct owner *owner;
	struct rpc_caller caller;
	struct identity *identity; /* of caller; owned */
	struct error *refusal;	   /* the answer to every request; owned */
	enum peer_place place;
	int fd; /* -1: dead */
	struct watch *watch;
	struct watch *frame_timer;

	struct evbuffer *in; /* a frame begun */
	size_t need;	     /* bytes of in that make progress */
	struct ttrpc_header skip_header;
	size_t skip_left; /* bytes of a frame to be dropped */
	enum peer_skip skip_reason;
	size_t large; /* of the frame under way, counted with its owner */
	uint64_t n_frames;
	uint32_t last_stream_id;
	unsigned int n_faults;

	struct evbuffer *out;
	size_t queued;		     /* out and the queues of streams */
	uint64_t out_call_id;	     /* stream whose queue is in out */
	struct call_pending pending; /* streams with a queue */

	struct call_list calls;
	unsigned int n_parked, n_active;
	unsigned int n_full; /* streams whose sender waits */
	bool dirty, doomed, paused, read_closed, want_write;
	bool frame_timed;
	bool held;    /* nobody knows yet who it is: nothing is read */
	bool waiting; /* whole frames are here and wait for their turn */
};

/* Takes fd on success. -ENOMEM. */
must_check int peer_new(struct server *server, int fd,
			const struct rpc_caller *caller, enum peer_place place);
/* One with the number caller->peer_id, not counted yet. Takes fd on success. */
must_check int peer_make(struct server *server, int fd,
			 const struct rpc_caller *caller, struct peer **ret);
/* Count it, and read nothing until it is known who it is. */
void peer_hold(struct peer *peer);

/* ---- over a reload: peer_handover.c ---- */

/* Write it into the state; 1: it is being closed, and not written. -errno. */
must_check int peer_save(struct peer *peer, int state_fd);
/* The same peer again. Takes fd on success. -EBADMSG: it does not go with fd.
 */
must_check int peer_restore(struct server *server, int fd,
			    const Nsexec__Handover__Peer *saved);

/* Ask who it is; held until that is known. */
void peer_ask(struct peer *peer);
/* It took too long. */
void peer_ask_is_late(struct peer *peer);
void peer_forget_identity(struct peer *peer);
/* What it has sent is looked at from now on. May close it. */
void peer_go_on(struct peer *peer);
/* Its owner has a turn again: look at the frames that wait. */
void peer_resume(struct peer *peer);
/* NULL: an admin's. */
const struct owner_limits *peer_limits(const struct peer *peer);
/* In or out of its owner's and the server's numbers. */
void peer_count(struct peer *peer, unsigned int change);
/* End it: calls are told, fd closed; memory goes later in this turn. */
void peer_close(struct peer *peer);
/* Only for server.c: free what peer_close() left. */
void peer_free_dead(struct peer *peer);

/* Close after what is queued has been tried once. */
void peer_doom(struct peer *peer);
/* Count a fault of the protocol. */
void peer_fault(struct peer *peer);

/* ---- out: peer_out.c ---- */

/* So many bytes more wait to be written to it. */
void peer_queue(struct peer *peer, size_t size);
/* So many of its queued bytes are gone. */
void peer_unqueue(struct peer *peer, size_t size);
/* Have it flushed in this turn. */
void peer_mark_dirty(struct peer *peer);
/* Write what the socket takes; may close the peer. */
void peer_flush(struct peer *peer);
/* Watch what must be watched now. */
void peer_update_watch(struct peer *peer);

/*
 * Queue a successful Response. -EMSGSIZE over 4 MiB, -EDQUOT over what its
 * owner may have queued, -ENOMEM: nothing queued.
 */
must_check int peer_send_response(struct peer *peer, uint32_t stream_id,
				  const ProtobufCMessage *message);
/* Queue a Response with an error status; message NULL: error_message()'s. */
void peer_send_error(struct peer *peer, uint32_t stream_id,
		     const struct error *error, const char *message);
/* Queue one message of a stream. -ENOBUFS, -EMSGSIZE, -ENOMEM. */
must_check int peer_send_data(struct peer *peer, struct call *call,
			      const ProtobufCMessage *message);
/* Queue the last frame of a stream: OK if error is NULL. */
void peer_send_end(struct peer *peer, struct call *call,
		   const struct error *error);
/* Bytes of this stream that wait here. */
size_t peer_stream_queued(const struct peer *peer, const struct call *call);
/* Drop what a stream has queued. */
void peer_stream_drop(struct peer *peer, struct call *call);
/* Frames that are not yet on the socket. */
bool peer_has_output(const struct peer *peer);

#endif
