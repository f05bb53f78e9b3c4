/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection: bytes in and out, ttrpc frames, which call an answer is for.
 *
 * The socket stays in blocking mode; whoever must not wait says MSG_DONTWAIT.
 * So the blocking layer needs no poll(2) before it reads. Diagnostics: none; an
 * error ends the connection and every call on it (conn_break).
 */
#include "config.h"

#include "client/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "proto/pbpool.h"
#include "proto/ttrpc.pb-c.h"
#include "proto/ttrpc_frame.h"

#define SERVICE "nsexec.v1.Nsexec"
#define READ_SIZE (64u * 1024u)

static int
buffer_reserve(struct buffer *buffer, size_t size)
{
	size_t used = buffer->end - buffer->start;
	size_t capacity = buffer->capacity ? buffer->capacity : 4096;
	uint8_t *data;

	if (buffer->start && (buffer->start == buffer->end ||
			      buffer->capacity - buffer->end < size)) {
		memmove(buffer->data, buffer->data + buffer->start, used);
		buffer->start = 0;
		buffer->end = used;
	}
	if (buffer->capacity - buffer->end >= size)
		return 0;
	while (capacity - used < size)
		capacity *= 2;
	data = realloc(buffer->data, capacity);
	if (!data)
		return -ENOMEM;
	buffer->data = data;
	buffer->capacity = capacity;
	return 0;
}

static int
address_parse(const char *address, struct sockaddr_un *ret, socklen_t *ret_size)
{
	size_t size;

	if (!address)
		address = getenv("NSEXEC_SOCKET");
	if (!address || !*address)
		address = NSEXEC_DEFAULT_ADDRESS;
	if (strncmp(address, "unix:", 5) == 0)
		address += 5;
	else if (*address != '/')
		return -EINVAL;
	size = strlen(address);
	if (size == 0)
		return -EINVAL;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (size >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret->sun_path, address, size + 1);
	*ret_size =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1);
	return 0;
}

/* fd.sock lies beside the RPC socket. */
static char *
fd_path_build(const char *path)
{
	const char *slash = strrchr(path, '/');
	int size = slash ? (int)(slash - path) + 1 : 0;
	char *result;

	return asprintf(&result, "%.*sfd.sock", size, path) < 0 ? NULL : result;
}

int
nsexec_connect(const char *address, struct nsexec **ret)
{
	struct sockaddr_un name;
	socklen_t size = 0;
	struct nsexec *nsexec;
	fd_auto int fd = -1;
	int r;

	r = address_parse(address, &name, &size);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (const struct sockaddr *)&name, size) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	nsexec = calloc(1, sizeof(*nsexec));
	if (!nsexec)
		return -ENOMEM;
	nsexec->fd_path = fd_path_build(name.sun_path);
	if (!nsexec->fd_path) {
		free(nsexec);
		return -ENOMEM;
	}
	nsexec->fd = fd_steal(&fd);
	nsexec->epoll_fd = nsexec->timer_fd = -1;
	nsexec->timed_ms = INT64_MAX;
	nsexec->address = name;
	nsexec->address_size = size;
	nsexec->reconnect_ms = NSEXEC_RECONNECT_MS;
	nsexec->next_stream = 1;
	nsexec->calls_end = &nsexec->calls;
	*ret = nsexec;
	return 0;
}

struct nsexec *
nsexec_close(struct nsexec *nsexec)
{
	if (!nsexec)
		return NULL;
	while (nsexec->calls) {
		nsexec->calls->fn = NULL;
		call_finish(nsexec->calls, -ECANCELED);
	}
	nsexec->waker = nsexec_call_free(nsexec->waker);
	nsexec->lease_call = nsexec_call_free(nsexec->lease_call);
	fd_close(&nsexec->fd);
	fd_close(&nsexec->epoll_fd);
	fd_close(&nsexec->timer_fd);
	free(nsexec->fd_path);
	free(nsexec->in.data);
	free(nsexec->out.data);
	free(nsexec);
	return NULL;
}

int
nsexec_fd(struct nsexec *nsexec)
{
	return nsexec->broken ? -1 : watch_open(nsexec);
}

const struct nsexec_error *
nsexec_last_error(const struct nsexec *nsexec)
{
	return &nsexec->last_error;
}

void
conn_break(struct nsexec *nsexec, int r)
{
	struct nsexec_call *call;

	if (!nsexec->broken)
		nsexec->broken = r;
	nsexec->resuming = false;
	fd_close(&nsexec->fd);
	nsexec->watched = 0;
	nsexec->in.start = nsexec->in.end = 0;
	nsexec->out.start = nsexec->out.end = 0;
	/* A callback may start calls, which fail, and free its own. */
	while ((call = nsexec->calls)) {
		if (!call->error)
			call->error = calloc(1, sizeof(*call->error));
		if (call->error)
			error_local(call->error, nsexec->broken, "read-answer",
				    "connection to nsexecd");
		call_finish(call, nsexec->broken);
	}
}

static int
conn_flush(struct nsexec *nsexec)
{
	struct buffer *out = &nsexec->out;

	while (out->start != out->end) {
		ssize_t n = send(nsexec->fd, out->data + out->start,
				 out->end - out->start,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		out->start += (size_t)n;
		nsexec->n_sent += (size_t)n;
	}
	return 0;
}

int
conn_pack(const struct request *request, uint8_t **ret, size_t *ret_size)
{
	const size_t size =
		protobuf_c_message_get_packed_size(request->message);
	uint8_t *payload;

	if (size > TTRPC_DATA_MAX)
		return -EMSGSIZE;
	payload = malloc(size ? size : 1);
	if (!payload)
		return -ENOMEM;
	protobuf_c_message_pack(request->message, payload);
	*ret = payload;
	*ret_size = size;
	return 0;
}

/* The request of a call, in a frame, at the end of the out buffer. */
static int
conn_put_request(struct nsexec *nsexec, const struct nsexec_call *call)
{
	const struct ttrpc_header header = {
		.stream_id = call->stream_id,
		.type = TTRPC_REQUEST,
		.length = (uint32_t)call->request_size,
		.flags = call->stream ? TTRPC_REMOTE_CLOSED : 0,
	};
	const size_t size = TTRPC_HEADER_SIZE + call->request_size;
	uint8_t *to;
	int r = buffer_reserve(&nsexec->out, size);

	if (r < 0)
		return r;
	to = nsexec->out.data + nsexec->out.end;
	ttrpc_header_encode(&header, to);
	memcpy(to + TTRPC_HEADER_SIZE, call->request, call->request_size);
	nsexec->out.end += size;
	nsexec->n_put += size;
	return 0;
}

int
conn_send(struct nsexec *nsexec, struct nsexec_call *call)
{
	int r;

	if (nsexec->broken)
		return -ENOTCONN;
	/* Ids must increase and never wrap (31 bits of them are usable). */
	if (nsexec->next_stream > UINT32_MAX - 2)
		return -EOVERFLOW;
	call->stream_id = nsexec->next_stream;
	r = conn_put_request(nsexec, call);
	if (r < 0)
		return r;
	call->frame_end = nsexec->n_put;
	nsexec->next_stream += 2;
	/* A broken pipe here is reported by the next dispatch, after the
	 * answers that may still be waiting to be read. */
	(void)!conn_flush(nsexec);
	watch_update(nsexec);
	return 0;
}

/* Keep what it takes to send it, now and again. */
static int
call_fill(struct nsexec_call *call, const struct request *request)
{
	Ttrpc__Request envelope = TTRPC__REQUEST__INIT;
	free_auto uint8_t *payload = NULL;
	int r;

	envelope.service = (char *)SERVICE;
	envelope.method = (char *)request->method;
	envelope.payload.data = (uint8_t *)request->payload;
	envelope.payload.len = request->payload_size;
	if (request->message) {
		r = conn_pack(request, &payload, &envelope.payload.len);
		if (r < 0)
			return r;
		envelope.payload.data = payload;
	}
	if (request->channel) {
		call->channel = malloc(sizeof(*call->channel));
		if (!call->channel)
			return -ENOMEM;
		*call->channel = *request->channel;
	}
	call->response = request->response;
	call->stream = request->stream;
	call->rule = resume_rule_find(request);
	call->began_ms = clock_boottime_ms();
	return call_set_request(call, &envelope);
}

int
conn_call(struct nsexec *nsexec, const struct request *request,
	  struct nsexec_call **ret)
{
	struct nsexec_call *call;
	int r;

	if (nsexec->broken)
		return -ENOTCONN;
	r = call_new(&call);
	if (r < 0)
		return r;
	r = call_fill(call, request);
	call->unsent = request->later || (nsexec->resuming && !request->now);
	if (r >= 0 && !call->unsent)
		r = conn_send(nsexec, call);
	if (r < 0) {
		nsexec_call_free(call);
		return r;
	}
	call->nsexec = nsexec;
	call->queue_owner = nsexec;
	call->link = nsexec->calls_end;
	*nsexec->calls_end = call;
	nsexec->calls_end = &call->next;
	*ret = call;
	return 0;
}

static struct nsexec_call *
conn_find(struct nsexec *nsexec, uint32_t stream_id)
{
	struct nsexec_call *call = nsexec->calls;

	/* One that waits has no id of this socket. */
	while (call && (call->unsent || call->stream_id != stream_id))
		call = call->next;
	return call;
}

/*
 * A nsexecd that is ending refused it (step "drain", retryable): nothing of it
 * was done, and it waits for the successor as if it had not been sent.
 */
static bool
is_drained(const struct nsexec_call *call)
{
	return call->rule && call->nsexec->reconnect_ms && call->error &&
	       call->error->retryable &&
	       strcmp(call->error->step, "drain") == 0;
}

static void
take_back(struct nsexec_call *call)
{
	free(call->error);
	call->error = NULL;
	free(call->failed_trace);
	call->failed_trace = NULL;
	call->unsent = true;
}

static int
on_response(struct nsexec_call *call, const uint8_t *data, size_t size)
{
	ProtobufCMessage *unpacked;
	Ttrpc__Response *response;
	int r, result = 0;

	r = pb_unpack(&ttrpc__response__descriptor, data, size, &unpacked);
	if (r < 0)
		return r == -ENOMEM ? r : -EPROTO;
	response = (Ttrpc__Response *)unpacked;
	if (response->status && response->status->code != 0) {
		result = -EREMOTEIO;
		call_take_status(call, response->status);
	} else {
		call->payload = response->payload.data;
		call->payload_size = response->payload.len;
		response->payload.data = NULL;
		response->payload.len = 0;
	}
	ttrpc__response__free_unpacked(response, NULL);
	if (result < 0 && is_drained(call))
		take_back(call);
	else
		call_finish(call, result);
	return 0;
}

static int
on_frame(struct nsexec *nsexec, const struct ttrpc_header *header,
	 const uint8_t *data)
{
	struct nsexec_call *call = conn_find(nsexec, header->stream_id);
	int r;

	nsexec->answered = true;
	/* An answer to a call that was freed. */
	if (!call)
		return 0;
	if (header->type == TTRPC_RESPONSE)
		return on_response(call, data, header->length);
	if (header->type != TTRPC_DATA)
		return 0;
	if (!call->stream)
		return -EPROTO;
	if (header->length || !(header->flags & TTRPC_NO_DATA)) {
		r = call_queue_event(call, data, header->length);
		if (r < 0)
			return r;
	}
	if (header->flags & TTRPC_REMOTE_CLOSED)
		call_finish(call, 0);
	else if (call->fn)
		call->fn(call, call->data);
	return 0;
}

/* Whole frames at the start of the in buffer. */
static int
conn_parse(struct nsexec *nsexec)
{
	struct buffer *in = &nsexec->in;
	int r;

	while (in->end - in->start >= TTRPC_HEADER_SIZE) {
		struct ttrpc_header header;
		const uint8_t *data = in->data + in->start;

		r = ttrpc_header_decode(data, &header);
		if (r < 0)
			return r;
		if (header.length > TTRPC_DATA_MAX)
			return -EPROTO;
		if (in->end - in->start - TTRPC_HEADER_SIZE < header.length)
			return buffer_reserve(in, header.length);
		in->start += TTRPC_HEADER_SIZE + header.length;
		r = on_frame(nsexec, &header, data + TTRPC_HEADER_SIZE);
		if (r < 0)
			return r;
	}
	return 0;
}

int
conn_read(struct nsexec *nsexec, bool block)
{
	struct buffer *in = &nsexec->in;
	ssize_t n;
	int r;

	r = buffer_reserve(in, READ_SIZE);
	if (r < 0)
		return r;
	do {
		n = recv(nsexec->fd, in->data + in->end, in->capacity - in->end,
			 block ? 0 : MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	in->end += (size_t)n;
	return conn_parse(nsexec);
}

int
nsexec_dispatch(struct nsexec *nsexec)
{
	int r = 0;

	resume_turn(nsexec);
	if (nsexec->broken)
		return nsexec->broken;
	if (nsexec->fd >= 0)
		r = conn_flush(nsexec);
	if (nsexec->fd >= 0 && (r >= 0 || r == -EPIPE)) {
		int read_r = 0;

		if (nsexec->n_queued < CONN_MAX_QUEUED)
			read_r = conn_read(nsexec, false);
		r = read_r < 0 ? read_r : r;
	}
	if (r < 0)
		r = conn_failed(nsexec, r);
	watch_update(nsexec);
	return r;
}
