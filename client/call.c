/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call: its life, its answer, the events of a stream.
 *
 * A call belongs to whoever made it. While in flight it stands in the list of
 * its connection; call_finish() takes it out, so that a call that is done no
 * longer knows its connection and either may be freed first.
 */
#include "config.h"

#include "client/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "proto/pbpool.h"
#include "proto/ttrpc_frame.h"

int
call_new(struct nsexec_call **ret)
{
	struct nsexec_call *call = calloc(1, sizeof(*call));

	if (!call)
		return -ENOMEM;
	call->result = -EINPROGRESS;
	call->fd_channel = -1;
	call->events_end = &call->events;
	*ret = call;
	return 0;
}

static void
call_unlink(struct nsexec_call *call)
{
	struct nsexec *nsexec = call->nsexec;

	if (!nsexec)
		return;
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	else
		nsexec->calls_end = call->link;
	call->next = NULL;
	call->nsexec = NULL;
}

void
call_finish(struct nsexec_call *call, int result)
{
	/* The connection is going: nothing may count on it later. */
	if (result == -ECANCELED || result == -ENOTCONN)
		call->queue_owner = NULL;
	call_unlink(call);
	call->done = true;
	call->result = result;
	if (call->fn)
		call->fn(call, call->data);
}

int
call_set_request(struct nsexec_call *call, const Ttrpc__Request *envelope)
{
	const size_t size = ttrpc__request__get_packed_size(envelope);
	uint8_t *request;

	if (size > TTRPC_DATA_MAX)
		return -EMSGSIZE;
	request = malloc(size);
	if (!request)
		return -ENOMEM;
	free(call->request);
	ttrpc__request__pack(envelope, request);
	call->request = request;
	call->request_size = size;
	return 0;
}

static void
call_drop_event(struct nsexec_call *call)
{
	struct queued_event *event = call->events;

	call->events = event->next;
	if (!call->events)
		call->events_end = &call->events;
	if (call->queue_owner) {
		call->queue_owner->n_queued--;
		watch_update(call->queue_owner);
	}
	free(event);
}

struct nsexec_call *
nsexec_call_free(struct nsexec_call *call)
{
	if (!call)
		return NULL;
	call_unlink(call);
	while (call->events)
		call_drop_event(call);
	fd_close(&call->fd_channel);
	nsexec_call_free(call->probe);
	free(call->channel);
	free(call->request);
	free(call->error);
	free(call->failed_trace);
	free(call->payload);
	free(call);
	return NULL;
}

int
call_queue_event(struct nsexec_call *call, const uint8_t *data, size_t size)
{
	struct queued_event *event = malloc(sizeof(*event) + size);

	if (!event)
		return -ENOMEM;
	event->next = NULL;
	event->noted = false;
	event->size = size;
	if (size)
		memcpy(event->data, data, size);
	*call->events_end = event;
	call->events_end = &event->next;
	call->queue_owner->n_queued++;
	return 0;
}

/* These come again: the stream is resumed behind the last that was noted. */
static void
call_cut_events(struct nsexec_call *call, struct queued_event **from)
{
	struct queued_event *event;

	while ((event = *from)) {
		*from = event->next;
		if (call->queue_owner)
			call->queue_owner->n_queued--;
		free(event);
	}
	call->events_end = from;
}

void
call_note_events(struct nsexec_call *call)
{
	struct queued_event **link, *event;
	Nsexec__V1__Event *message;

	for (link = &call->events; (event = *link); link = &event->next) {
		if (event->noted)
			continue;
		message = nsexec__v1__event__unpack(NULL, event->size,
						    event->data);
		if (!message) { /* no memory, or nonsense */
			call_cut_events(call, link);
			return;
		}
		call_note_event(call, message);
		nsexec__v1__event__free_unpacked(message, NULL);
		event->noted = true;
	}
}

void
nsexec_call_on_done(struct nsexec_call *call,
		    void (*fn)(struct nsexec_call *call, void *data),
		    void *data)
{
	call->fn = fn;
	call->data = data;
}

bool
nsexec_call_done(const struct nsexec_call *call)
{
	return call->done;
}

int
nsexec_call_result(const struct nsexec_call *call)
{
	return call->result;
}

const struct nsexec_error *
nsexec_call_error(const struct nsexec_call *call)
{
	static const struct nsexec_error none;

	return call->error ? call->error : &none;
}

int
nsexec_call_payload(const struct nsexec_call *call, const uint8_t **ret,
		    size_t *ret_size)
{
	if (call->result < 0)
		return call->result;
	*ret = call->payload;
	*ret_size = call->payload_size;
	return 0;
}

int
call_unpack(const struct nsexec_call *call,
	    const ProtobufCMessageDescriptor *descriptor,
	    ProtobufCMessage **ret)
{
	if (call->result < 0)
		return call->result;
	if (call->response != descriptor)
		return -EBADMSG;
	return pb_unpack(descriptor, call->payload, call->payload_size, ret);
}

/* Wait until there is something to dispatch; the deadline is in ms. */
static int
conn_wait(struct nsexec *nsexec, int64_t deadline)
{
	const bool sending = nsexec->out.start != nsexec->out.end;
	struct pollfd poll_fd = { .fd = nsexec->fd, /* -1: only the time */
				  .events =
					  sending ? POLLIN | POLLOUT : POLLIN };
	const int64_t wake = resume_wake_ms(nsexec);
	const int64_t until = wake < deadline ? wake : deadline;
	int64_t left = until - clock_boottime_ms();

	if (left < 0)
		left = 0;
	if (poll(&poll_fd, 1, until == INT64_MAX ? -1 : (int)left) < 0)
		return errno == EINTR ? 0 : -errno;
	return poll_fd.revents == 0 && clock_boottime_ms() >= deadline
		       ? -ETIMEDOUT
		       : 0;
}

/* One turn of a blocking wait: 0 or -ETIMEDOUT, -ENOBUFS, a broken one's. */
static int
conn_turn(struct nsexec *nsexec, int64_t deadline)
{
	int r;

	if (nsexec->n_queued >= CONN_MAX_QUEUED)
		return -ENOBUFS;
	if (nsexec->broken)
		return nsexec->broken;
	/* Nothing to send and no deadline: the read itself may wait. */
	if (deadline == INT64_MAX && nsexec->out.start == nsexec->out.end &&
	    !nsexec->resuming) {
		r = conn_read(nsexec, true);
		return r < 0 ? conn_failed(nsexec, r) : r;
	}
	r = conn_wait(nsexec, deadline);
	if (r < 0)
		return r;
	return nsexec_dispatch(nsexec);
}

static int64_t
deadline_from(int timeout_ms)
{
	return timeout_ms < 0 ? INT64_MAX : clock_boottime_ms() + timeout_ms;
}

int
nsexec_call_await(struct nsexec_call *call, int timeout_ms)
{
	int64_t deadline = deadline_from(timeout_ms);
	int r;

	while (!call->done) {
		r = conn_turn(call->nsexec, deadline);
		if (!call->done && r < 0)
			return r;
	}
	return call->result;
}

int
nsexec_next_event(struct nsexec_call *stream, struct nsexec_event **ret)
{
	const struct queued_event *queued = stream->events;
	ProtobufCMessage *unpacked;
	int r;

	if (!queued) {
		if (!stream->done)
			return -EAGAIN;
		return stream->result < 0 ? stream->result : -ENODATA;
	}
	r = pb_unpack(&nsexec__v1__event__descriptor, queued->data,
		      queued->size, &unpacked);
	if (r == 0 && !queued->noted) {
		call_note_event(stream, (Nsexec__V1__Event *)unpacked);
		stream->events->noted = true;
	}
	if (r == 0)
		r = event_take_message((Nsexec__V1__Event *)unpacked, ret);
	/* told when there is memory for it */
	if (r != -ENOMEM)
		call_drop_event(stream);
	return r;
}

int
nsexec_await_event(struct nsexec_call *stream, int timeout_ms,
		   struct nsexec_event **ret)
{
	int64_t deadline = deadline_from(timeout_ms);
	int r;

	for (;;) {
		r = nsexec_next_event(stream, ret);
		if (r != -EAGAIN)
			return r;
		r = conn_turn(stream->nsexec, deadline);
		if (r == -ETIMEDOUT || r == -ENOBUFS)
			return r;
	}
}
