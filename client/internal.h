/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside libnsexec: a connection and its calls.
 *
 * A struct nsexec owns the socket and the two buffers and lists the calls in
 * flight, which it does not own: a call is its caller's from the moment it is
 * made. Either may go first: a freed call leaves the list, a closed connection
 * ends every call with -ECANCELED and forgets it.
 */
#ifndef NSX_CLIENT_INTERNAL_H
#define NSX_CLIENT_INTERNAL_H

#include <protobuf-c/protobuf-c.h>

#include "client/nsexec.h"
#include "lib/err.h"
#include "proto/nsexec.pb-c.h"
#include "proto/ttrpc.pb-c.h"

/* Events waiting to be taken; above it the socket is not read any more. */
#define CONN_MAX_QUEUED 4096u

struct buffer {
	uint8_t *data;
	size_t start; /* first byte not yet consumed */
	size_t end;   /* one past the last */
	size_t capacity;
};

struct queued_event {
	struct queued_event *next;
	size_t size;
	uint8_t data[];
};

struct held_start; /* held.c */

struct nsexec_call {
	struct nsexec *nsexec; /* NULL: done, or the connection is closed */
	struct nsexec_call *next;
	struct nsexec_call **link; /* the pointer that points here */
	const ProtobufCMessageDescriptor *response; /* NULL: raw */
	struct held_start *held; /* owned; NULL: it was sent */
	uint32_t stream_id;
	bool stream;
	bool done;
	bool want_pidfd;
	int result;			   /* -EINPROGRESS until done */
	int fd_channel;			   /* -1: none */
	struct nsexec_error *error;	   /* NULL: none */
	struct nsexec_trace *failed_trace; /* NULL: none */
	uint8_t *payload;
	size_t payload_size;
	struct queued_event *events, **events_end;
	struct nsexec *queue_owner; /* whose n_queued counts our events */
	void (*fn)(struct nsexec_call *call, void *data);
	void *data;
};

struct nsexec {
	int fd;
	int broken;    /* 0 or the -errno that ended the connection */
	char *fd_path; /* of the sibling fd.sock */
	bool answered; /* something came: the daemon runs */
	bool trace;    /* starts ask for one */
	struct nsexec_call *waker; /* owned: what held starts wait for */
	uint32_t next_stream;
	size_t n_queued;
	struct buffer in, out;
	struct nsexec_call *calls, **calls_end;
	struct nsexec_error last_error;
};

/* What a request is about, for conn_call(). */
struct request {
	const char *method;
	const ProtobufCMessage *message; /* or, NULL: */
	const void *payload;
	size_t payload_size;
	const ProtobufCMessageDescriptor *response;
	bool stream;
};

/* conn.c: send a request; gives *ret. */
must_check int conn_call(struct nsexec *nsexec, const struct request *request,
			 struct nsexec_call **ret);
/* Its two halves: into the list of the connection; a stream id, and out. */
void conn_enter(struct nsexec *nsexec, struct nsexec_call *call,
		const struct request *request);
must_check int conn_send(struct nsexec *nsexec, struct nsexec_call *call,
			 const struct request *request);
/* The message of a request as bytes; gives *ret. -EMSGSIZE, -ENOMEM. */
must_check int conn_pack(const struct request *request, uint8_t **ret,
			 size_t *ret_size);
/* Read and dispatch; block: wait for at least one byte. */
must_check int conn_read(struct nsexec *nsexec, bool block);
/* End the connection and every call on it with this -errno. */
void conn_break(struct nsexec *nsexec, int r);

/* call.c */
must_check int call_new(struct nsexec_call **ret);
/* Mark done, drop out of the connection's list, call back. */
void call_finish(struct nsexec_call *call, int result);
must_check int call_queue_event(struct nsexec_call *call, const uint8_t *data,
				size_t size);
/* The answer, unpacked; -EBADMSG if it is not of this kind. */
must_check int call_unpack(const struct nsexec_call *call,
			   const ProtobufCMessageDescriptor *descriptor,
			   ProtobufCMessage **ret);

/* error.c */
void error_from_detail(struct nsexec_error *error,
		       const Nsexec__V1__ErrorDetail *detail);
/* One of this side: stage "client". */
void error_local(struct nsexec_error *error, int r, const char *step,
		 const char *object);
/* From an encoded ttrpc.Response with a status: error, and a trace if it has
 * one. */
void call_take_status(struct nsexec_call *call, const Ttrpc__Status *status);

/* trace.c */
void trace_from_message(struct nsexec_trace *ret,
			const Nsexec__V1__Trace *message);

/* fdchan.c: open fd.sock, say the token, send the descriptors. */
struct fd_channel {
	uint8_t token[16];
	int fds[NSEXEC_MAX_FDS]; /* lent */
	size_t n_fds;
};
must_check int fdchan_open(const char *path, const struct fd_channel *channel,
			   int *ret_fd);

/* held.c: keep a start until the daemon has answered something. */
must_check int start_hold(struct nsexec *nsexec, const struct request *request,
			  const struct fd_channel *channel,
			  struct nsexec_call **ret);
struct held_start *held_free(struct held_start *held);

/* spec.c: what a start needs of a description. */
struct nsexec_spec {
	Nsexec__V1__ContainerSpec *message; /* owned; process is set */
	int fds[NSEXEC_MAX_FDS];	    /* lent by the caller */
	size_t n_fds;
	int status;
};

/* unpack.c */
void exit_from_message(struct nsexec_exit *ret,
		       const Nsexec__V1__ExitStatus *message);
/* Takes message, which the result points into. */
must_check int info_take_message(Nsexec__V1__ContainerInfo *message,
				 struct nsexec_info **ret);
must_check int event_take_message(Nsexec__V1__Event *message,
				  struct nsexec_event **ret);

#endif
