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
#include <sys/socket.h>
#include <sys/un.h>

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
	bool noted; /* the position is behind it */
	size_t size;
	uint8_t data[];
};

struct resume_rule; /* resume.c */

/* Where a stream is: what it is owed next. */
struct position {
	bool known;
	bool behind;	  /* a gap was told, and perhaps no whole snapshot */
	bool in_snapshot; /* the last one told was part of one */
	uint8_t epoch[16];
	uint64_t next_seq;
};

struct nsexec_call {
	struct nsexec *nsexec; /* NULL: done, or the connection is closed */
	struct nsexec_call *next;
	struct nsexec_call **link; /* the pointer that points here */
	const ProtobufCMessageDescriptor *response; /* NULL: raw */
	const struct resume_rule *rule;		    /* NULL: never sent twice */
	uint8_t *request; /* the envelope; owned, until done */
	size_t request_size;
	uint64_t frame_end; /* of n_put, when it was put */
	bool unsent;	    /* waits for the daemon's next first answer */
	unsigned int n_tries;
	bool resumed; /* sent more than once, or on another connection */
	int64_t began_ms;
	struct fd_channel *channel; /* owned; NULL: none */
	struct position position;   /* of a stream */
	struct nsexec_call *probe;  /* owned: asks where a stream begins */
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
	struct nsexec_call *waker; /* owned: what unsent calls wait for */
	uint64_t n_put, n_sent;	   /* bytes of this socket */

	/* resume.c */
	struct sockaddr_un address;
	socklen_t address_size;
	int reconnect_ms; /* 0: a loss is the end */
	bool resuming;	  /* lost, and nothing came of a new one yet */
	int lost;	  /* why */
	int64_t give_up_ms, next_try_ms, pause_ms;
	unsigned int n_reconnects;
	bool has_lease;
	uint8_t lease[16];
	struct nsexec_call *lease_call; /* owned */

	/* watch.c */
	int epoll_fd, timer_fd; /* -1: not needed yet */
	uint32_t watched;	/* of fd, in the epoll set; 0: it is not */
	int64_t timed_ms;

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
	bool once;  /* not to be repeated, whatever the method */
	bool now;   /* goes out while others wait for the daemon */
	bool later; /* waits for the daemon's first answer */
	const struct fd_channel *channel; /* NULL: none */
};

/* conn.c: send a request; gives *ret. */
must_check int conn_call(struct nsexec *nsexec, const struct request *request,
			 struct nsexec_call **ret);
/* A stream id, and out. */
must_check int conn_send(struct nsexec *nsexec, struct nsexec_call *call);
/* The message of a request as bytes; gives *ret. -EMSGSIZE, -ENOMEM. */
must_check int conn_pack(const struct request *request, uint8_t **ret,
			 size_t *ret_size);
/* Read and dispatch; block: wait for at least one byte. */
must_check int conn_read(struct nsexec *nsexec, bool block);
/* End the connection and every call on it with this -errno. */
void conn_break(struct nsexec *nsexec, int r);

/* The socket failed with r: it is made anew, or broken. 0 or broken. */
must_check int conn_failed(struct nsexec *nsexec, int r);

/* resume.c */
const struct resume_rule *resume_rule_find(const struct request *request);
/* A start that waits for the fd socket; gives *ret. */
must_check int start_hold(struct nsexec *nsexec, const struct request *request,
			  struct nsexec_call **ret);
/* What is due while there is no connection. */
void resume_turn(struct nsexec *nsexec);
/* CLOCK_BOOTTIME of that; INT64_MAX: never. */
int64_t resume_wake_ms(const struct nsexec *nsexec);
/* Where a stream stands after this event. */
void call_note_event(struct nsexec_call *call, const Nsexec__V1__Event *event);
/* Ask where a stream that begins now begins; then tell which one it is. */
must_check int stream_probe(struct nsexec *nsexec, struct nsexec_call **ret);
void stream_take_probe(struct nsexec_call *stream, struct nsexec_call *probe);

/* watch.c: the descriptor to poll, or -1; and keep what it waits for right. */
int watch_open(struct nsexec *nsexec);
void watch_update(struct nsexec *nsexec);

/* call.c */
must_check int call_new(struct nsexec_call **ret);
/* Mark done, drop out of the connection's list, call back. */
void call_finish(struct nsexec_call *call, int result);
must_check int call_queue_event(struct nsexec_call *call, const uint8_t *data,
				size_t size);
/* Note those that nobody has taken yet. */
void call_note_events(struct nsexec_call *call);
/* Keep the bytes of the request. -EMSGSIZE, -ENOMEM. */
must_check int call_set_request(struct nsexec_call *call,
				const Ttrpc__Request *envelope);
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
/* Nobody knows whether it was done. */
void error_aborted(struct nsexec_error *error, int r);
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
/* The daemon that took the channel has just ended. */
bool fdchan_is_lost(int r);

/* spec.c: what a start needs of a description. */
struct nsexec_spec {
	Nsexec__V1__ContainerSpec *message; /* owned; process is set */
	int fds[NSEXEC_MAX_FDS];	    /* lent by the caller */
	size_t n_fds;
	bool kill_on_disconnect;
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
