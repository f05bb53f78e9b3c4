/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests: each function fills one message and hands it to conn_call().
 * Messages are built on the stack and borrow the caller's texts.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "client/internal.h"
#include "lib/fd.h"
#include "lib/util.h"

#define SEND(nsexec, method_name, response_descriptor, msg, ret) \
	conn_call(nsexec, \
		  &(struct request){ .method = (method_name), \
				     .message = &(msg)->base, \
				     .response = &(response_descriptor) }, \
		  ret)

int
nsexec_call_raw(struct nsexec *nsexec, const char *method, const void *payload,
		size_t size, struct nsexec_call **ret)
{
	const struct request request = { .method = method,
					 .payload = payload,
					 .payload_size = size };

	return conn_call(nsexec, &request, ret);
}

int
nsexec_call_version(struct nsexec *nsexec, struct nsexec_call **ret)
{
	Nsexec__V1__VersionRequest message = NSEXEC__V1__VERSION_REQUEST__INIT;

	return SEND(nsexec, "Version", nsexec__v1__version_response__descriptor,
		    &message, ret);
}

/* What the three starting requests have in common, by pointer. */
struct start_fields {
	ProtobufCBinaryData *key, *fd_token;
	protobuf_c_boolean *has_key, *has_fd_token, *has_n_fds;
	protobuf_c_boolean *has_send_pidfd, *has_timeout_ms;
	uint32_t *n_fds, *timeout_ms;
	protobuf_c_boolean *send_pidfd;
	uint8_t own_key[16]; /* so that it may be sent again */
	struct fd_channel channel;
	bool wants_channel;
};

static int
start_fields_fill(struct start_fields *fields, const struct nsexec_spec *spec,
		  const struct nsexec_start *start)
{
	int r;

	if (spec->status < 0)
		return spec->status;
	if (fields->key) {
		r = start && start->key ? 0 : nsexec_key_new(fields->own_key);
		if (r < 0)
			return r;
		*fields->has_key = 1;
		fields->key->data = start && start->key ? (uint8_t *)start->key
							: fields->own_key;
		fields->key->len = 16;
	}
	if (start && start->timeout_ms) {
		*fields->has_timeout_ms = 1;
		*fields->timeout_ms = start->timeout_ms;
	}
	if (spec->n_fds == 0 && !(start && start->want_pidfd))
		return 0;
	r = nsexec_key_new(fields->channel.token);
	if (r < 0)
		return r;
	fields->wants_channel = true;
	memcpy(fields->channel.fds, spec->fds, sizeof(spec->fds));
	fields->channel.n_fds = spec->n_fds;
	*fields->has_fd_token = *fields->has_n_fds = 1;
	fields->fd_token->data = fields->channel.token;
	fields->fd_token->len = sizeof(fields->channel.token);
	*fields->n_fds = (uint32_t)spec->n_fds;
	*fields->has_send_pidfd = 1;
	*fields->send_pidfd = start && start->want_pidfd;
	return 0;
}

#define START_FIELDS(msg) \
	.fd_token = &(msg)->fd_token, .has_fd_token = &(msg)->has_fd_token, \
	.has_n_fds = &(msg)->has_n_fds, \
	.has_send_pidfd = &(msg)->has_send_pidfd, \
	.has_timeout_ms = &(msg)->has_timeout_ms, .n_fds = &(msg)->n_fds, \
	.timeout_ms = &(msg)->timeout_ms, .send_pidfd = &(msg)->send_pidfd

/* What the connection holds; 0 or -errno. */
static int
lease_fill(struct nsexec *nsexec, const struct nsexec_spec *spec,
	   Nsexec__V1__ContainerSpec *message)
{
	int r;

	*message = *spec->message;
	if (!spec->kill_on_disconnect)
		return 0;
	if (!nsexec->has_lease) {
		r = nsexec_key_new(nsexec->lease);
		if (r < 0)
			return r;
		nsexec->has_lease = true;
	}
	message->has_lease = 1;
	message->lease.data = nsexec->lease;
	message->lease.len = sizeof(nsexec->lease);
	return 0;
}

/* Open the fd channel, send, and give the one to the other. */
static int
start_send(struct nsexec *nsexec, struct start_fields *fields,
	   struct request *request, bool want_pidfd, struct nsexec_call **ret)
{
	fd_auto int channel = -1;
	int r = 0;

	if (nsexec->broken)
		return -ENOTCONN;
	if (fields->wants_channel) {
		request->channel = &fields->channel;
		/* Else it is opened when the request goes out. */
		if (!nsexec->resuming)
			r = fdchan_open(nsexec->fd_path, &fields->channel,
					&channel);
	}
	if (((r == -ENOENT || r == -ECONNREFUSED) && !nsexec->answered) ||
	    (fdchan_is_lost(r) && nsexec->reconnect_ms))
		r = start_hold(nsexec, request, ret);
	else if (r >= 0)
		r = conn_call(nsexec, request, ret);
	if (r < 0)
		return r;
	if (channel >= 0)
		(*ret)->fd_channel = fd_steal(&channel);
	(*ret)->want_pidfd = want_pidfd;
	return 0;
}

int
nsexec_call_create(struct nsexec *nsexec, const struct nsexec_spec *spec,
		   const struct nsexec_start *start, struct nsexec_call **ret)
{
	Nsexec__V1__CreateRequest message = NSEXEC__V1__CREATE_REQUEST__INIT;
	struct start_fields fields = { .key = &message.key,
				       .has_key = &message.has_key,
				       START_FIELDS(&message) };
	Nsexec__V1__ContainerSpec container;
	struct request request = {
		.method = "Create",
		.message = &message.base,
		.response = &nsexec__v1__create_response__descriptor,
	};
	int r;

	r = start_fields_fill(&fields, spec, start);
	if (r < 0)
		return r;
	r = lease_fill(nsexec, spec, &container);
	if (r < 0)
		return r;
	message.spec = &container;
	message.has_trace = message.trace = nsexec->trace;
	return start_send(nsexec, &fields, &request, start && start->want_pidfd,
			  ret);
}

int
nsexec_call_run(struct nsexec *nsexec, const struct nsexec_spec *spec,
		const struct nsexec_start *start, struct nsexec_call **ret)
{
	Nsexec__V1__RunRequest message = NSEXEC__V1__RUN_REQUEST__INIT;
	struct start_fields fields = { .key = &message.key,
				       .has_key = &message.has_key,
				       START_FIELDS(&message) };
	Nsexec__V1__ContainerSpec container;
	struct request request = {
		.method = "Run",
		.message = &message.base,
		.response = &nsexec__v1__run_response__descriptor,
	};
	int r;

	r = start_fields_fill(&fields, spec, start);
	if (r < 0)
		return r;
	r = lease_fill(nsexec, spec, &container);
	if (r < 0)
		return r;
	message.spec = &container;
	message.has_trace = message.trace = nsexec->trace;
	return start_send(nsexec, &fields, &request, start && start->want_pidfd,
			  ret);
}

int
nsexec_call_exec(struct nsexec *nsexec, const char *id,
		 const struct nsexec_spec *spec,
		 const struct nsexec_start *start, struct nsexec_call **ret)
{
	Nsexec__V1__ExecRequest message = NSEXEC__V1__EXEC_REQUEST__INIT;
	struct start_fields fields = { START_FIELDS(&message) };
	struct request request = {
		.method = "Exec",
		.message = &message.base,
		.response = &nsexec__v1__exec_response__descriptor,
	};
	int r;

	r = start_fields_fill(&fields, spec, start);
	if (r < 0)
		return r;
	message.id = (char *)id;
	message.process = spec->message->process;
	message.has_trace = message.trace = nsexec->trace;
	return start_send(nsexec, &fields, &request, start && start->want_pidfd,
			  ret);
}

int
nsexec_call_start(struct nsexec *nsexec, const char *id,
		  struct nsexec_call **ret)
{
	Nsexec__V1__StartRequest message = NSEXEC__V1__START_REQUEST__INIT;

	message.id = (char *)id;
	message.has_trace = message.trace = nsexec->trace;
	return SEND(nsexec, "Start", nsexec__v1__start_response__descriptor,
		    &message, ret);
}

int
nsexec_call_state(struct nsexec *nsexec, const char *id,
		  struct nsexec_call **ret)
{
	Nsexec__V1__StateRequest message = NSEXEC__V1__STATE_REQUEST__INIT;

	message.id = (char *)id;
	return SEND(nsexec, "State", nsexec__v1__state_response__descriptor,
		    &message, ret);
}

int
nsexec_call_list(struct nsexec *nsexec, struct nsexec_call **ret)
{
	Nsexec__V1__ListRequest message = NSEXEC__V1__LIST_REQUEST__INIT;

	return SEND(nsexec, "List", nsexec__v1__list_response__descriptor,
		    &message, ret);
}

int
nsexec_call_wait(struct nsexec *nsexec, const struct nsexec_target *target,
		 uint32_t timeout_ms, struct nsexec_call **ret)
{
	Nsexec__V1__WaitRequest message = NSEXEC__V1__WAIT_REQUEST__INIT;

	message.id = (char *)target->id;
	message.exec_id = (char *)target->exec_id;
	message.has_timeout_ms = timeout_ms != 0;
	message.timeout_ms = timeout_ms;
	return SEND(nsexec, "Wait", nsexec__v1__wait_response__descriptor,
		    &message, ret);
}

int
nsexec_call_signal(struct nsexec *nsexec, const struct nsexec_target *target,
		   int sig, bool all, struct nsexec_call **ret)
{
	Nsexec__V1__SignalRequest message = NSEXEC__V1__SIGNAL_REQUEST__INIT;

	message.id = (char *)target->id;
	message.exec_id = (char *)target->exec_id;
	message.has_signal = 1;
	message.signal = (uint32_t)sig;
	message.has_all = all;
	message.all = all;
	return SEND(nsexec, "Signal", nsexec__v1__signal_response__descriptor,
		    &message, ret);
}

int
nsexec_call_processes(struct nsexec *nsexec, const char *id,
		      struct nsexec_call **ret)
{
	Nsexec__V1__ProcessesRequest message =
		NSEXEC__V1__PROCESSES_REQUEST__INIT;

	message.id = (char *)id;
	return SEND(nsexec, "Processes",
		    nsexec__v1__processes_response__descriptor, &message, ret);
}

int
nsexec_call_delete(struct nsexec *nsexec, const char *id, bool force,
		   struct nsexec_call **ret)
{
	Nsexec__V1__DeleteRequest message = NSEXEC__V1__DELETE_REQUEST__INIT;

	message.id = (char *)id;
	message.has_force = force;
	message.force = force;
	return SEND(nsexec, "Delete", nsexec__v1__delete_response__descriptor,
		    &message, ret);
}

int
nsexec_call_cancel(struct nsexec *nsexec, const char *id, const uint8_t *key,
		   struct nsexec_call **ret)
{
	Nsexec__V1__CancelRequest message = NSEXEC__V1__CANCEL_REQUEST__INIT;

	message.id = (char *)id;
	message.has_key = key != NULL;
	message.key.data = (uint8_t *)key;
	message.key.len = key ? 16 : 0;
	return SEND(nsexec, "Cancel", nsexec__v1__cancel_response__descriptor,
		    &message, ret);
}

int
nsexec_call_metrics(struct nsexec *nsexec, struct nsexec_call **ret)
{
	Nsexec__V1__MetricsRequest message = NSEXEC__V1__METRICS_REQUEST__INIT;

	return SEND(nsexec, "Metrics", nsexec__v1__metrics_response__descriptor,
		    &message, ret);
}

int
nsexec_call_explain(struct nsexec *nsexec, const struct nsexec_spec *spec,
		    struct nsexec_call **ret)
{
	Nsexec__V1__ExplainRequest message = NSEXEC__V1__EXPLAIN_REQUEST__INIT;
	Nsexec__V1__ContainerSpec container;
	int r;

	if (spec->status < 0)
		return spec->status;
	r = lease_fill(nsexec, spec, &container);
	if (r < 0)
		return r;
	message.spec = &container;
	return SEND(nsexec, "Explain", nsexec__v1__explain_response__descriptor,
		    &message, ret);
}

/* Borrows everything from filter. The enums have the same width. */
static void
filter_fill(Nsexec__V1__EventsRequest *message,
	    const struct nsexec_filter *filter)
{
	_Static_assert(sizeof(Nsexec__V1__EventType) ==
			       sizeof(enum nsexec_event_type),
		       "filter_fill() lends the array");
	if (!filter)
		return;
	message->has_epoch = filter->epoch != NULL;
	message->epoch.data = (uint8_t *)filter->epoch;
	message->epoch.len = filter->epoch ? 16 : 0;
	message->has_from_seq = filter->from_seq != 0;
	message->from_seq = filter->from_seq;
	message->containers = (char **)(uintptr_t)filter->containers;
	message->n_containers = filter->n_containers;
	message->types = (Nsexec__V1__EventType *)(uintptr_t)filter->types;
	message->n_types = filter->n_types;
}

int
nsexec_events_open(struct nsexec *nsexec, const struct nsexec_filter *filter,
		   struct nsexec_call **ret)
{
	Nsexec__V1__EventsRequest message = NSEXEC__V1__EVENTS_REQUEST__INIT;
	const struct request request = {
		.method = "Events",
		.message = &message.base,
		.response = &nsexec__v1__event__descriptor,
		.stream = true,
	};
	struct nsexec_call *probe = NULL;
	int r = 0;

	filter_fill(&message, filter);
	/* Only new ones: of which numbers these are must be known to go on. */
	if (!message.has_from_seq && nsexec->reconnect_ms)
		r = stream_probe(nsexec, &probe);
	if (r >= 0)
		r = conn_call(nsexec, &request, ret);
	if (r < 0)
		nsexec_call_free(probe);
	else if (probe)
		stream_take_probe(*ret, probe);
	return r;
}

int
nsexec_call_next_events(struct nsexec *nsexec,
			const struct nsexec_filter *filter, uint32_t timeout_ms,
			uint32_t max_events, struct nsexec_call **ret)
{
	Nsexec__V1__NextEventsRequest message =
		NSEXEC__V1__NEXT_EVENTS_REQUEST__INIT;
	Nsexec__V1__EventsRequest inner = NSEXEC__V1__EVENTS_REQUEST__INIT;
	const struct request request = {
		.method = "NextEvents",
		.message = &message.base,
		.response = &nsexec__v1__next_events_response__descriptor,
		.once = !filter || !filter->from_seq,
	};

	filter_fill(&inner, filter);
	message.filter = &inner;
	message.has_timeout_ms = 1;
	message.timeout_ms = timeout_ms;
	message.has_max_events = max_events != 0;
	message.max_events = max_events;
	return conn_call(nsexec, &request, ret);
}
