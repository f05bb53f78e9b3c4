/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that is lost is made again, and the calls on it go on.
 *
 *	lost -> try to connect, 20 ms, 40 ms ... 500 ms apart
 *	     -> connected: Version, and nothing else, is sent
 *	     -> answered: the lease is taken, then all that waits is sent
 *	time over before that answer -> broken: every call ends
 *
 * What becomes of a call is one table. One that is repeated does no harm when
 * the daemon had done it: it only looks, or a key makes it the same. Any other
 * ends with ABORTED_RESTART, unless the end of its frame never left this
 * process, for half a request is none.
 *
 * Starts wait in the same way for the fd socket of a daemon that our first
 * connection activates: it exists when that daemon runs, which its first answer
 * proves.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/internal.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"

#define FIRST_PAUSE_MS 20
#define LONGEST_PAUSE_MS 500
#define MAX_TRIES 5u

/* --- the table ----------------------------------------------------------- */

struct resume_rule {
	const char *method;
	const ProtobufCMessageDescriptor *request;
	/* What is other in the repetition; NULL: nothing. */
	int (*renew)(struct nsexec_call *call, ProtobufCMessage *request);
};

/* What is left of a time that was running; 0 would mean another thing. */
static uint32_t
time_left(struct nsexec_call *call, uint32_t timeout_ms)
{
	const int64_t now = clock_boottime_ms();
	const int64_t left = timeout_ms - (now - call->began_ms);

	call->began_ms = now;
	return left > 0 ? (uint32_t)left : 1;
}

static int
renew_wait(struct nsexec_call *call, ProtobufCMessage *request)
{
	Nsexec__V1__WaitRequest *message = (Nsexec__V1__WaitRequest *)request;

	if (message->has_timeout_ms)
		message->timeout_ms = time_left(call, message->timeout_ms);
	return 0;
}

static int
renew_next_events(struct nsexec_call *call, ProtobufCMessage *request)
{
	Nsexec__V1__NextEventsRequest *message =
		(Nsexec__V1__NextEventsRequest *)request;

	if (message->timeout_ms)
		message->timeout_ms = time_left(call, message->timeout_ms);
	return 0;
}

static int
renew_events(struct nsexec_call *call, ProtobufCMessage *request)
{
	Nsexec__V1__EventsRequest *message =
		(Nsexec__V1__EventsRequest *)request;
	const struct position *position = &call->position;

	if (!position->known)
		return 0;
	if (!message->has_epoch) {
		message->epoch.data = malloc(sizeof(position->epoch));
		if (!message->epoch.data)
			return -ENOMEM;
		message->has_epoch = 1;
		message->epoch.len = sizeof(position->epoch);
	}
	memcpy(message->epoch.data, position->epoch, sizeof(position->epoch));
	message->has_from_seq = message->has_snapshot = 1;
	message->from_seq = position->next_seq;
	message->snapshot = position->behind;
	return 0;
}

/*
 * What may be sent twice. Create and Run have a key always (requests.c). Not
 * here: Exec, Start, Signal, Delete, Cancel, and requests that the caller
 * encoded: what they did would be done again, or to a namesake.
 */
static const struct resume_rule rules[] = {
	{ "Version", NULL, NULL },
	{ "Create", NULL, NULL },
	{ "Run", NULL, NULL },
	{ "State", NULL, NULL },
	{ "List", NULL, NULL },
	{ "Processes", NULL, NULL },
	{ "Explain", NULL, NULL },
	{ "Lease", NULL, NULL },
	{ "Wait", &nsexec__v1__wait_request__descriptor, renew_wait },
	/* Only if it says from where, else what came meanwhile is lost. */
	{ "NextEvents", &nsexec__v1__next_events_request__descriptor,
	  renew_next_events },
	{ "Events", &nsexec__v1__events_request__descriptor, renew_events },
};

const struct resume_rule *
resume_rule_find(const struct request *request)
{
	for (size_t i = 0;
	     request->message && !request->once && i < ARRAY_SIZE(rules); i++) {
		if (strcmp(rules[i].method, request->method) == 0)
			return &rules[i];
	}
	return NULL;
}

/* --- sending again ------------------------------------------------------- */

static int
renew_payload(struct nsexec_call *call, Ttrpc__Request *envelope)
{
	const struct resume_rule *rule = call->rule;
	ProtobufCMessage *message;
	free_auto uint8_t *old = NULL;
	struct request request = { .method = rule->method };
	int r;

	message = protobuf_c_message_unpack(rule->request, NULL,
					    envelope->payload.len,
					    envelope->payload.data);
	if (!message)
		return -ENOMEM;
	request.message = message;
	r = rule->renew(call, message);
	if (r >= 0) {
		old = envelope->payload.data;
		r = conn_pack(&request, &envelope->payload.data,
			      &envelope->payload.len);
		if (r < 0)
			envelope->payload.data = ptr_steal(&old);
	}
	protobuf_c_message_free_unpacked(message, NULL);
	return r;
}

static int
renew(struct nsexec_call *call)
{
	Ttrpc__Request *envelope;
	int r;

	if (!call->rule || !call->rule->renew)
		return 0;
	envelope =
		ttrpc__request__unpack(NULL, call->request_size, call->request);
	if (!envelope)
		return -ENOMEM;
	r = renew_payload(call, envelope);
	if (r >= 0)
		r = call_set_request(call, envelope);
	ttrpc__request__free_unpacked(envelope, NULL);
	return r;
}

/* Its turn has come. */
static int
release(struct nsexec *nsexec, struct nsexec_call *call)
{
	int r = renew(call);

	if (r >= 0 && call->channel)
		r = fdchan_open(nsexec->fd_path, call->channel,
				&call->fd_channel);
	return r < 0 ? r : conn_send(nsexec, call);
}

static int wake(struct nsexec *nsexec);

static struct nsexec_call *
next_unsent(const struct nsexec *nsexec)
{
	struct nsexec_call *call = nsexec->calls;

	while (call && !call->unsent)
		call = call->next;
	return call;
}

static void
on_leased(struct nsexec_call *call, void *data)
{
	struct nsexec *nsexec = data;

	nsexec->lease_call = nsexec_call_free(call);
}

/* Before anything else: what is held by this connection must not be killed. */
static void
take_lease(struct nsexec *nsexec)
{
	Nsexec__V1__LeaseRequest message = NSEXEC__V1__LEASE_REQUEST__INIT;
	const struct request request = {
		.method = "Lease",
		.message = &message.base,
		.response = &nsexec__v1__lease_response__descriptor,
	};

	if (!nsexec->has_lease)
		return;
	message.has_lease = 1;
	message.lease.data = nsexec->lease;
	message.lease.len = sizeof(nsexec->lease);
	nsexec->lease_call = nsexec_call_free(nsexec->lease_call);
	if (conn_call(nsexec, &request, &nsexec->lease_call) >= 0)
		nsexec_call_on_done(nsexec->lease_call, on_leased, nsexec);
}

/* The daemon answered, or refused: it is there. Or the connection broke, and
 * then conn_break() ends those that wait as all others. */
static void
on_awake(struct nsexec_call *waker, void *data)
{
	struct nsexec *nsexec = data;
	struct nsexec_call *call;
	int r;

	nsexec->waker = nsexec_call_free(waker);
	if (nsexec->broken)
		return;
	if (nsexec->resuming) {
		nsexec->resuming = false;
		nsexec->n_reconnects++;
		take_lease(nsexec);
	}
	while (!nsexec->broken && (call = next_unsent(nsexec))) {
		call->unsent = false;
		r = release(nsexec, call);
		if (r >= 0)
			continue;
		/* Gone again: our connection will know it, too. */
		if (fdchan_is_lost(r) && call->n_tries++ < MAX_TRIES &&
		    wake(nsexec) >= 0) {
			call->unsent = true;
			return;
		}
		call->error = calloc(1, sizeof(*call->error));
		if (call->error)
			error_local(call->error, r,
				    call->channel ? "open-fd-channel"
						  : "send-request",
				    call->channel ? nsexec->fd_path : "");
		call_finish(call, r);
	}
}

static int
wake(struct nsexec *nsexec)
{
	Nsexec__V1__VersionRequest message = NSEXEC__V1__VERSION_REQUEST__INIT;
	const struct request request = {
		.method = "Version",
		.message = &message.base,
		.response = &nsexec__v1__version_response__descriptor,
		.now = true,
	};
	int r;

	if (nsexec->waker)
		return 0;
	r = conn_call(nsexec, &request, &nsexec->waker);
	if (r >= 0)
		nsexec_call_on_done(nsexec->waker, on_awake, nsexec);
	return r;
}

int
start_hold(struct nsexec *nsexec, const struct request *request,
	   struct nsexec_call **ret)
{
	struct request waiting = *request;
	int r = wake(nsexec);

	waiting.later = true;
	return r < 0 ? r : conn_call(nsexec, &waiting, ret);
}

/* --- loss ---------------------------------------------------------------- */

/* One that was sent, and must not be sent twice. */
static struct nsexec_call *
next_undecided(const struct nsexec *nsexec)
{
	struct nsexec_call *call = nsexec->calls;

	while (call && call->unsent)
		call = call->next;
	return call;
}

static void
abort_call(struct nsexec_call *call, int r)
{
	call->error = calloc(1, sizeof(*call->error));
	if (call->error)
		error_aborted(call->error, r);
	call_finish(call, r);
}

static void
lose_connection(struct nsexec *nsexec)
{
	struct nsexec_call *call;

	fd_close(&nsexec->fd);
	nsexec->watched = 0; /* close(2) took it out of the epoll set */
	nsexec->in.start = nsexec->in.end = 0;
	nsexec->out.start = nsexec->out.end = 0;
	nsexec->answered = false;
	nsexec->next_stream = 1;
	nsexec->waker = nsexec_call_free(nsexec->waker);
	nsexec->lease_call = nsexec_call_free(nsexec->lease_call);
	for (call = nsexec->calls; call; call = call->next) {
		if (call->unsent)
			continue;
		call->unsent = call->rule || call->frame_end > nsexec->n_sent;
		call->resumed |= call->unsent;
		fd_close(&call->fd_channel);
		call_note_events(call);
	}
	nsexec->n_put = nsexec->n_sent = 0;
}

static void
conn_lost(struct nsexec *nsexec, int r)
{
	const int64_t now = clock_boottime_ms();
	struct nsexec_call *call;

	if (!nsexec->resuming) {
		nsexec->resuming = true;
		nsexec->lost = r;
		nsexec->give_up_ms = nsexec->reconnect_ms < 0
					     ? INT64_MAX
					     : now + nsexec->reconnect_ms;
		nsexec->pause_ms = FIRST_PAUSE_MS;
		nsexec->next_try_ms = now;
	} else {
		nsexec->next_try_ms = now + nsexec->pause_ms;
		nsexec->pause_ms *= 2;
		if (nsexec->pause_ms > LONGEST_PAUSE_MS)
			nsexec->pause_ms = LONGEST_PAUSE_MS;
	}
	lose_connection(nsexec);
	/* A callback may start calls, which wait, and free its own. */
	while ((call = next_undecided(nsexec)))
		abort_call(call, r);
}

int
conn_failed(struct nsexec *nsexec, int r)
{
	if ((r == -ECONNRESET || r == -EPIPE) && nsexec->reconnect_ms != 0)
		conn_lost(nsexec, r);
	else
		conn_break(nsexec, r);
	return nsexec->broken;
}

/* Without waiting, even for room in the listener's queue. */
static int
connect_again(const struct nsexec *nsexec, int *ret)
{
	fd_auto int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&nsexec->address,
		    nsexec->address_size) < 0)
		return -errno;
	/* As nsexec_connect() leaves it; there are no other flags. */
	if (fcntl(fd, F_SETFL, 0) < 0)
		return -errno;
	*ret = fd_steal(&fd);
	return 0;
}

int64_t
resume_wake_ms(const struct nsexec *nsexec)
{
	if (!nsexec->resuming)
		return INT64_MAX;
	return nsexec->fd < 0 && nsexec->next_try_ms < nsexec->give_up_ms
		       ? nsexec->next_try_ms
		       : nsexec->give_up_ms;
}

void
resume_turn(struct nsexec *nsexec)
{
	const int64_t now = clock_boottime_ms();
	int r;

	if (!nsexec->resuming)
		return;
	if (now >= nsexec->give_up_ms) {
		conn_break(nsexec, nsexec->lost);
		return;
	}
	if (nsexec->fd >= 0 || now < nsexec->next_try_ms)
		return;
	r = connect_again(nsexec, &nsexec->fd);
	if (r >= 0)
		r = wake(nsexec);
	if (r < 0)
		conn_lost(nsexec, nsexec->lost);
}

void
nsexec_set_reconnect(struct nsexec *nsexec, int timeout_ms)
{
	nsexec->reconnect_ms = timeout_ms;
}

unsigned int
nsexec_reconnects(const struct nsexec *nsexec)
{
	return nsexec->n_reconnects;
}

/* --- positions ----------------------------------------------------------- */

void
call_note_event(struct nsexec_call *call, const Nsexec__V1__Event *event)
{
	struct position *position = &call->position;

	if (event->epoch.len != sizeof(position->epoch))
		return;
	memcpy(position->epoch, event->epoch.data, sizeof(position->epoch));
	position->known = true;
	if (event->type == NSEXEC__V1__EVENT_TYPE__EVENT_SNAPSHOT) {
		position->in_snapshot = true;
		return;
	}
	position->next_seq = event->seq + 1;
	/* A snapshot is told without a break: what follows ends it. */
	if (event->type == NSEXEC__V1__EVENT_TYPE__EVENT_GAP)
		position->behind = true;
	else if (position->in_snapshot)
		position->behind = false;
	position->in_snapshot = false;
}

static void
on_position(struct nsexec_call *probe, void *data)
{
	struct nsexec_call *stream = data;
	struct position *position = &stream->position;
	struct nsexec_version *version = NULL;

	if (nsexec_call_get_version(probe, &version) >= 0 && !position->known) {
		memcpy(position->epoch, version->epoch,
		       sizeof(position->epoch));
		position->next_seq = version->last_seq + 1;
		position->known = true;
	}
	nsexec_version_free(version);
	stream->probe = nsexec_call_free(probe);
}

/* Asked for in front of the stream: what is new begins behind that number. */
int
stream_probe(struct nsexec *nsexec, struct nsexec_call **ret)
{
	return nsexec_call_version(nsexec, ret);
}

void
stream_take_probe(struct nsexec_call *stream, struct nsexec_call *probe)
{
	stream->probe = probe;
	nsexec_call_on_done(probe, on_position, stream);
}
