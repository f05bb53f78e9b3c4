/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the ttrpc server (server.c, peer.c, dispatch.c) and the methods
 * (methods.c and what it calls). The server owns connections, streams and
 * limits; the methods see calls by id and never a socket.
 *
 *   bytes -> server -> rpc_method.fn(daemon, call_id, caller, request)
 *         <- rpc_reply() | rpc_fail() now or later, exactly once per call
 *   streams: rpc_stream_send()* then rpc_stream_end() | rpc_fail()
 *
 * A call id is 64 bit and never reused. After the peer is gone, its deadline
 * passed or it was answered, functions on that id do nothing and say -ESTALE;
 * the server calls rpc_method.gone for a call that was never answered.
 */
#ifndef NSX_DAEMON_RPC_H
#define NSX_DAEMON_RPC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/error.h"
#include "daemon/viewer.h"
#include "lib/err.h"
#include "proto/policy.h"

struct daemon; /* daemon.h: everything; owned by main */
struct owner_limits;
struct audit_verdict;
struct identity;
struct server;
struct who;

/*
 * Who called: numbers from SO_PEERCRED at accept, the rest from the spawner
 * (WHO), kept for the connection's life. Whose quotas and containers: owner,
 * never uid; who may see and do all: admin, never uid 0.
 */
struct rpc_caller {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	uint64_t peer_id; /* the connection; 64 bit, never reused */
	uid_t owner;
	bool admin;
	const struct identity *identity; /* of the connection; NULL: a test's */
};
/* As whom this caller looks: at all only with that verb (foreign_container). */
struct viewer rpc_viewer(const struct rpc_caller *caller);

struct rpc_method {
	const char *name;
	const ProtobufCMessageDescriptor *request;
	const ProtobufCMessageDescriptor *response;
	bool streaming;	   /* server stream */
	bool parked;	   /* may wait long: not counted as in flight */
	bool acts;	   /* changes something: on record when allowed, too */
	bool confined_too; /* answered even if the caller is confined */
	enum policy_verb verb;
	size_t frame_max; /* 4 MiB for Create, Run, Exec; else 256 KiB */
	/* request is freed by the server after fn returns */
	void (*fn)(struct daemon *daemon, uint64_t call_id,
		   const struct rpc_caller *caller,
		   const ProtobufCMessage *request);
	/* the caller no longer waits (disconnect, deadline); may be NULL */
	void (*gone)(struct daemon *daemon, uint64_t call_id);
};
/* Defined in methods.c; ends with a NULL name. */
extern const struct rpc_method rpc_methods[];

/* 0, -ESTALE, or -EMSGSIZE, -EDQUOT (answered as OVERLOADED, QUOTA instead). */
int rpc_reply(struct server *server, uint64_t call_id,
	      const ProtobufCMessage *response);
int rpc_fail(struct server *server, uint64_t call_id,
	     const struct error *error);

/*
 * Queue one message on a stream. -ENOBUFS: the subscriber's queue is full and
 * nothing was queued; rpc_stream_drained is called once there is room again.
 */
int rpc_stream_send(struct server *server, uint64_t call_id,
		    const ProtobufCMessage *message);
int rpc_stream_end(struct server *server, uint64_t call_id);
/* Called by the server; defined by the events module. */
void rpc_stream_drained(struct daemon *daemon, uint64_t call_id);

/*
 * The caller's RPC connection, lent for passing to the spawner; -ESTALE if it
 * is gone.
 */
int rpc_connection_fd(struct server *server, uint64_t peer_id);

/*
 * Take the fd channel connection that sent this 16-byte token, if its peer has
 * the same uid and gid as caller. The fd (given, -1 none) or -errno: -EAGAIN
 * not there yet (fdchan_wait() tells when), -EACCES another uid's.
 */
int fdchan_take(struct server *server, const struct rpc_caller *caller,
		const uint8_t token[16]);
/* Call fn(daemon, call_id) once the token is there or after timeout_ms. */
int fdchan_wait(struct server *server, const uint8_t token[16],
		uint64_t call_id, int timeout_ms,
		void (*fn)(struct daemon *daemon, uint64_t call_id));

struct server_config {
	int rpc_listener; /* taken */
	int fd_listener;  /* taken; -1: no fd channel */
	unsigned int max_connections;
	/* owner_limits(), or a test's. */
	const struct owner_limits *(*limits)(const struct daemon *daemon,
					     const struct rpc_caller *caller);
	/*
	 * Ask who this connection is; server_identify() brings the answer. 0,
	 * -ENOTCONN: asked again by server_ask_again().
	 */
	int (*ask)(struct daemon *daemon, uint64_t peer_id, int fd);
	/* For that answer, 0: 20 s. */
	int ask_timeout_ms;
	/* Bounds without a rule. */
	const struct owner_limits *initial_limits;
	/* A frame begun and not finished; 0: 30 s. */
	int frame_timeout_ms;
	const char *service;		  /* "nsexec.v1.Nsexec" */
	const struct rpc_method *methods; /* rpc_methods, or a test's */
	/* audit_verdict(), or a test's; NULL: not wanted. */
	void (*audit)(struct daemon *daemon,
		      const struct audit_verdict *verdict);
	/* A caller is told an error: metrics_on_error(); NULL: not wanted. */
	void (*failed)(struct daemon *daemon, const struct rpc_caller *caller,
		       const struct error *error);
	/* rpc_stream_drained, or a test's. */
	void (*stream_drained)(struct daemon *daemon, uint64_t call_id);
	/*
	 * A connection is over, and not because nsexecd ends; NULL: not wanted.
	 * Must not use the server.
	 */
	void (*closed)(struct daemon *daemon, uint64_t peer_id);
};
struct loop;
must_check int server_new(struct loop *loop, struct daemon *daemon,
			  const struct server_config *config,
			  struct server **ret);
/*
 * The answer to ask: who the connection is, or why nothing is done for it. A
 * connection that is gone is no error.
 */
void server_identify(struct server *server, uint64_t peer_id,
		     const struct who *who, const struct error *refusal);
/* Ask for every connection; until the answer what was known holds. */
void server_ask_again(struct server *server);
/* Stop accepting; answer what is in flight until server_idle() or the drain
 * time is over. */
void server_drain(struct server *server);
bool server_idle(const struct server *server);
/*
 * A reload: read from nobody and accept nobody, what is in flight goes on; and
 * go on with all of it.
 */
void server_hush(struct server *server);
void server_go_on(struct server *server);
/* Only calls are left that are found again by whoever takes over. */
bool server_is_calm(const struct server *server);
struct server *server_free(struct server *server);

#endif
