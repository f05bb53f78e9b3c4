/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of events; see subscribe.h. What a reader is owed next is decided in
 * one function, reader_step(), which both kinds of readers repeat until it has
 * nothing more or they cannot take more:
 *
 *	normal	every event that fits the filter
 *	behind	the same, gaps for what is no longer there, then snapshots
 *
 * A sequence number a reader sees is never lower than one before it, and every
 * number of its viewer is either shown, filtered out, or in a gap.
 */
#include "daemon/subscribe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/container_table.h"
#include "daemon/events.h"
#include "daemon/loop.h"
#include "daemon/pack.h"
#include "daemon/quota.h"
#include "daemon/subscribe_part.h"
#include "lib/clock.h"
#include "lib/text.h"
#include "lib/util.h"
#include "proto/pbpool.h"

#define MAX_ADMIN_SUBSCRIBERS 64
#define DEFAULT_EVENTS 256u
#define MAX_TIMEOUT_MS 3600000u

static bool
reader_wants_type(const struct reader *reader, enum event_type type)
{
	return reader->types == 0 || (reader->types & (1u << type));
}

static bool
reader_wants_container(const struct reader *reader, const char *id,
		       const char *name)
{
	if (reader->n_containers == 0)
		return true;
	for (size_t i = 0; i < reader->n_containers; i++) {
		if (strcmp(reader->containers[i], id) == 0 ||
		    (name[0] && strcmp(reader->containers[i], name) == 0))
			return true;
	}
	return false;
}

static bool
reader_wants(const struct reader *reader, const struct event *event)
{
	return viewer_sees(reader->viewer, event->owner) &&
	       reader_wants_type(reader, event->type) &&
	       reader_wants_container(reader, event->container, event->name);
}

/* Takes what reader_step() found: 0 taken, -ENOBUFS not now, else gone. */
typedef int (*emit_fn)(struct reader *reader, void *userdata,
		       const struct event_packed *packed);

enum step {
	STEP_MORE, /* something was told, or skipped */
	STEP_IDLE, /* there is nothing to tell */
	STEP_FULL, /* it takes no more now */
	STEP_GONE,
};

static enum step
emit_result(int r)
{
	if (r == 0)
		return STEP_MORE;
	return r == -ENOBUFS ? STEP_FULL : STEP_GONE;
}

static enum step
emit_gap(struct reader *reader, emit_fn emit, void *userdata)
{
	struct event_packed packed;
	enum step step;

	gap_pack(reader->daemon, reader->gap_from, reader->cursor - 1, &packed);
	step = emit_result(emit(reader, userdata, &packed));
	event_packed_deinit(&packed);
	if (step == STEP_MORE)
		reader->gap_due = false;
	return step;
}

static bool
snapshot_wants(const struct reader *reader, const struct container *container)
{
	return container->serial > reader->snapshot_after &&
	       container_visible(container, reader->viewer) &&
	       task_is_live(&container->init) &&
	       reader_wants_container(reader, container->id, container->name);
}

/* All of the live ones that it takes now, behind the one that was told last:
 * the table is gone through once for a thousand, not for each. */
static enum step
snapshot_step(struct reader *reader, emit_fn emit, void *userdata)
{
	const struct container *container;
	struct event_packed packed;
	enum step step;

	for (container = container_first(reader->daemon->containers); container;
	     container = container_next(container)) {
		if (!snapshot_wants(reader, container))
			continue;
		snapshot_pack(reader->daemon, container, reader->cursor - 1,
			      &packed);
		step = emit_result(emit(reader, userdata, &packed));
		event_packed_deinit(&packed);
		if (step != STEP_MORE)
			return step;
		reader->snapshot_after = container->serial;
	}
	reader->behind = false;
	reader->snapshots = false;
	return STEP_MORE;
}

/* Numbers up to (not including) seq are not told: a gap, if any. */
static void
skip_to(struct reader *reader, uint64_t seq)
{
	if (seq <= reader->cursor)
		return;
	if (!reader->gap_due)
		reader->gap_from = reader->cursor;
	reader->gap_due = true;
	reader->cursor = seq;
	reader->behind = true;
	reader->snapshots = false;
	reader->snapshot_after = 0;
}

static enum step
event_step(struct reader *reader, const struct event *event, emit_fn emit,
	   void *userdata)
{
	struct event_packed packed;
	enum step step;

	if (!reader_wants(reader, event)) {
		/* not lost, not wanted: a gap that is due grows over it */
		reader->cursor++;
		return STEP_MORE;
	}
	if (reader->gap_due)
		return emit_gap(reader, emit, userdata);
	event_pack(reader->daemon, event, &packed);
	step = emit_result(emit(reader, userdata, &packed));
	event_packed_deinit(&packed);
	if (step == STEP_MORE)
		reader->cursor = event->seq + 1;
	return step;
}

static enum step
reader_step(struct reader *reader, emit_fn emit, void *userdata)
{
	const struct event_log *log = reader->daemon->events;
	uint64_t last = event_last(log, reader->ring);
	const struct event *event;

	if (reader->snapshots)
		return snapshot_step(reader, emit, userdata);
	if (reader->cursor <= last) {
		event = event_from(log, reader->ring, reader->cursor);
		if (!event || event->seq > reader->cursor) {
			skip_to(reader, event ? event->seq : last + 1);
			return STEP_MORE;
		}
		return event_step(reader, event, emit, userdata);
	}
	if (reader->gap_due)
		return emit_gap(reader, emit, userdata);
	if (reader->behind) {
		reader->snapshots = true;
		reader->snapshot_after = 0;
		return STEP_MORE;
	}
	return STEP_IDLE;
}

/* Streams */

static int
stream_emit(struct reader *reader, void *userdata,
	    const struct event_packed *packed)
{
	return rpc_stream_send(reader->daemon->server, reader->call_id,
			       &packed->event.base);
}

static void
stream_pump(struct reader *reader)
{
	enum step step;

	/* full: goes on from its cursor in rpc_stream_drained() */
	do {
		step = reader_step(reader, stream_emit, NULL);
	} while (step == STEP_MORE);
}

void
rpc_stream_drained(struct daemon *daemon, uint64_t call_id)
{
	struct reader *reader =
		table_find(&daemon->subscribers->by_call, call_id);

	if (reader && reader->stream)
		stream_pump(reader);
}

/* Long polls */

struct poll_answer {
	uint8_t *items[SUBSCRIBE_EVENTS_MAX]; /* packed messages */
	size_t sizes[SUBSCRIBE_EVENTS_MAX];
	size_t n, bytes;
};

/* Below the frame limit with room for what is around the events. */
#define POLL_MAX_BYTES (3u * 1024u * 1024u)

static int
poll_emit(struct reader *reader, void *userdata,
	  const struct event_packed *packed)
{
	struct poll_answer *answer = userdata;
	size_t size = nsexec__v1__event__get_packed_size(&packed->event);
	uint8_t *item;

	if (answer->n >= reader->max_events ||
	    answer->bytes + size > POLL_MAX_BYTES)
		return -ENOBUFS;
	item = malloc(size ? size : 1);
	if (!item)
		return -ENOBUFS;
	nsexec__v1__event__pack(&packed->event, item);
	answer->items[answer->n] = item;
	answer->sizes[answer->n++] = size;
	answer->bytes += size;
	return 0;
}

static void
poll_reply(struct reader *reader, struct poll_answer *answer)
{
	ProtobufCMessage *unpacked;
	struct error error;
	int r = 0;
	Nsexec__V1__NextEventsResponse response =
		NSEXEC__V1__NEXT_EVENTS_RESPONSE__INIT;
	Nsexec__V1__Event *events[SUBSCRIBE_EVENTS_MAX];
	struct daemon *daemon = reader->daemon;

	for (size_t i = 0; i < answer->n; i++) {
		if (r == 0)
			r = pb_unpack(&nsexec__v1__event__descriptor,
				      answer->items[i], answer->sizes[i],
				      &unpacked);
		if (r == 0)
			events[response.n_events++] =
				(Nsexec__V1__Event *)unpacked;
		free(answer->items[i]);
	}
	response.events = events;
	response.has_epoch = true;
	response.epoch.data = daemon->epoch;
	response.epoch.len = sizeof(daemon->epoch);
	response.has_next_seq = true;
	/* one that was told is over, else it were told for ever */
	response.next_seq = reader->gap_due ? reader->gap_from : reader->cursor;
	if (r == 0) {
		(void)rpc_reply(daemon->server, reader->call_id,
				&response.base);
	} else { /* asked for again, from where it asked now */
		(void)error_set(&error, ERRCODE_OVERLOADED, "next-events",
				"memory", "the daemon has no memory left",
				"try again later");
		(void)rpc_fail(daemon->server, reader->call_id, &error);
	}
	for (size_t i = 0; i < response.n_events; i++)
		nsexec__v1__event__free_unpacked(events[i], NULL);
}

/* Answer if there is something to say, or if it is last. true: answered. */
static bool
poll_try(struct reader *reader, bool last)
{
	struct poll_answer *answer = calloc(1, sizeof(*answer));
	enum step step;
	bool done;

	if (!answer)
		return false;
	do {
		step = reader_step(reader, poll_emit, answer);
	} while (step == STEP_MORE);
	done = last || answer->n > 0;
	if (done)
		poll_reply(reader, answer);
	free(answer);
	return done;
}

static void
poll_on_timeout(void *userdata)
{
	struct reader *reader = userdata;

	(void)poll_try(reader, true);
	reader_free(reader->daemon->subscribers, reader);
}

int
reader_arm(struct reader *reader, int64_t end_ms)
{
	int64_t left_ms = end_ms - clock_boottime_ms();
	int r;

	r = watch_new_timer(reader->daemon->loop, poll_on_timeout, reader,
			    &reader->timer);
	if (r < 0)
		return r;
	reader->end_ms = end_ms;
	watch_timer_set(reader->timer, left_ms > 0 ? left_ms : 0);
	return 0;
}

/* Both */

static void
wake(struct daemon *daemon, bool all, uid_t ring)
{
	struct subscribers *subscribers = daemon->subscribers;
	struct reader *next;

	for (struct reader *reader = subscribers ? subscribers->first : NULL;
	     reader; reader = next) {
		next = reader->next;
		if (!all && reader->ring != ring)
			continue;
		if (reader->stream)
			stream_pump(reader);
		else if (poll_try(reader, false))
			reader_free(subscribers, reader);
	}
}

void
subscribers_wake(struct daemon *daemon, uid_t ring)
{
	wake(daemon, false, ring);
}

void
subscribers_wake_all(struct daemon *daemon)
{
	wake(daemon, true, 0);
}

static int
filter_containers(struct reader *reader,
		  const Nsexec__V1__EventsRequest *request, struct error *error)
{
	if (request->n_containers > SUBSCRIBE_CONTAINERS_MAX)
		return error_set(error, ERRCODE_INVALID_ARGUMENT,
				 "check-request", "containers",
				 "has more than 64 entries",
				 "leave it out to see all");
	reader->containers =
		calloc(request->n_containers + 1, sizeof(*reader->containers));
	if (!reader->containers)
		return error_set(error, ERRCODE_OVERLOADED, "subscribe",
				 "memory", "the daemon has no memory left",
				 "try again later");
	for (size_t i = 0; i < request->n_containers; i++) {
		const char *id = request->containers[i];

		if (!text_is_id(id, strlen(id)))
			return error_set(error, ERRCODE_INVALID_ARGUMENT,
					 "check-request", "containers",
					 "must be ids or names",
					 "see the ids of List");
		memcpy(reader->containers[i], id, strlen(id) + 1);
	}
	reader->n_containers = request->n_containers;
	return 0;
}

static int
filter_build(struct reader *reader, const Nsexec__V1__EventsRequest *request,
	     struct error *error)
{
	const struct daemon *daemon = reader->daemon;
	uint64_t last = event_last(daemon->events, reader->ring);
	bool other_epoch;

	reader->cursor = last + 1;
	if (!request)
		return 0;
	for (size_t i = 0; i < request->n_types; i++) {
		if (request->types[i] < 1 ||
		    (int)request->types[i] >= N_EVENT_TYPES)
			return error_set(error, ERRCODE_INVALID_ARGUMENT,
					 "check-request", "types",
					 "must be event types",
					 "see EventType");
		reader->types |= 1u << request->types[i];
	}
	if (request->has_epoch && request->epoch.len != sizeof(daemon->epoch))
		return error_set(error, ERRCODE_INVALID_ARGUMENT,
				 "check-request", "epoch", "must be 16 bytes",
				 "give the epoch of an event");
	other_epoch =
		request->has_epoch && memcmp(request->epoch.data, daemon->epoch,
					     sizeof(daemon->epoch)) != 0;
	if (other_epoch) {
		/* nothing is known of what it missed (a gap from 0): then all
		 * there is */
		reader->cursor = 1;
		reader->gap_due = true;
		reader->behind = true;
	} else if (request->has_from_seq) {
		reader->cursor = request->from_seq ? request->from_seq : 1;
		/* ahead of us: nothing to tell until then */
		if (reader->cursor > last + 1)
			reader->cursor = last + 1;
	}
	if (request->has_snapshot && request->snapshot)
		reader->behind = true;
	return filter_containers(reader, request, error);
}

static int
reader_limit(struct daemon *daemon, const struct rpc_caller *caller,
	     struct error *error)
{
	const struct owner_limits *limits = owner_limits(daemon, caller);
	struct quota_use use = { .quota = QUOTA_SUBSCRIBERS,
				 .limit = limits ? limits->subscribers
						 : MAX_ADMIN_SUBSCRIBERS,
				 .wanted = 1 };

	for (struct reader *reader = daemon->subscribers->first; reader;
	     reader = reader->next)
		use.used +=
			reader->viewer.owner == caller->owner && reader->stream;
	return quota_check(&use, error);
}

static int
reader_new(struct daemon *daemon, uint64_t call_id,
	   const struct rpc_caller *caller,
	   const Nsexec__V1__EventsRequest *request, struct error *error)
{
	struct subscribers *subscribers = daemon->subscribers;
	struct reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader)
		return error_set(error, ERRCODE_OVERLOADED, "subscribe",
				 "memory", "the daemon has no memory left",
				 "try again later");
	reader->daemon = daemon;
	reader->call_id = call_id;
	reader->viewer = rpc_viewer(caller);
	reader->ring = viewer_ring(reader->viewer);
	r = filter_build(reader, request, error);
	if (r == 0 && reader_add(subscribers, reader) < 0)
		r = error_set(error, ERRCODE_OVERLOADED, "subscribe", "memory",
			      "the daemon has no memory left",
			      "try again later");
	if (r < 0) {
		free(reader->containers);
		free(reader);
		return r;
	}
	return 0;
}

void
subscribe_stream(struct daemon *daemon, uint64_t call_id,
		 const struct rpc_caller *caller,
		 const Nsexec__V1__EventsRequest *request)
{
	struct reader *reader;
	struct error error;
	int r;

	r = reader_limit(daemon, caller, &error);
	if (r == 0)
		r = reader_new(daemon, call_id, caller, request, &error);
	if (r < 0) {
		(void)rpc_fail(daemon->server, call_id, &error);
		return;
	}
	reader = table_find(&daemon->subscribers->by_call, call_id);
	reader->stream = true;
	stream_pump(reader);
}

void
subscribe_next(struct daemon *daemon, uint64_t call_id,
	       const struct rpc_caller *caller,
	       const Nsexec__V1__NextEventsRequest *request)
{
	uint32_t timeout_ms =
		request->has_timeout_ms ? request->timeout_ms : MAX_TIMEOUT_MS;
	struct reader *reader;
	struct error error;

	if (reader_new(daemon, call_id, caller, request->filter, &error) < 0) {
		(void)rpc_fail(daemon->server, call_id, &error);
		return;
	}
	reader = table_find(&daemon->subscribers->by_call, call_id);
	reader->max_events = request->has_max_events && request->max_events
				     ? request->max_events
				     : DEFAULT_EVENTS;
	if (reader->max_events > SUBSCRIBE_EVENTS_MAX)
		reader->max_events = SUBSCRIBE_EVENTS_MAX;
	if (timeout_ms > MAX_TIMEOUT_MS)
		timeout_ms = MAX_TIMEOUT_MS;
	if (poll_try(reader, timeout_ms == 0) || timeout_ms == 0) {
		reader_free(daemon->subscribers, reader);
		return;
	}
	if (reader_arm(reader, clock_boottime_ms() + timeout_ms) < 0)
		poll_on_timeout(reader);
}

void
subscribe_gone(struct daemon *daemon, uint64_t call_id)
{
	struct reader *reader =
		table_find(&daemon->subscribers->by_call, call_id);

	if (reader)
		reader_free(daemon->subscribers, reader);
}
