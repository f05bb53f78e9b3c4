/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon as a contestant: raw ttrpc frames over one connection. Requests
 * are encoded once per profile; an event stream on the same connection tells
 * the exits, as an agent would have it. Containers are deleted as they end;
 * the answers to that are read along the way.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bench/bench.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "proto/nsexec.pb-c.h"
#include "proto/ttrpc.pb-c.h"

#define FRAME_HEADER 10
#define FRAME_MAX (64 * 1024)
#define SERVICE "nsexec.v1.Nsexec"

enum frame_type { FRAME_REQUEST = 1, FRAME_RESPONSE = 2, FRAME_DATA = 3 };

struct frame {
	uint32_t stream;
	uint8_t type;
	uint8_t flags;
	size_t size;
	uint8_t data[FRAME_MAX];
};

/* An encoded Run request, without its stream id. */
struct encoded {
	uint8_t data[4096];
	size_t size;
};

struct client {
	int sock;
	uint32_t next_stream;
	uint32_t event_stream;
	struct encoded runs[N_PROFILES][2]; /* [..][plain] */
	struct frame frame;
	size_t n_in;
	uint8_t in[FRAME_MAX + FRAME_HEADER];
};

static int
frame_send(struct client *client, uint8_t flags, const uint8_t *data,
	   size_t size)
{
	uint8_t out[FRAME_HEADER + 4096];
	uint32_t length = htonl((uint32_t)size);
	uint32_t stream = htonl(client->next_stream);

	if (size > sizeof(out) - FRAME_HEADER)
		return -EMSGSIZE;
	memcpy(out, &length, 4);
	memcpy(out + 4, &stream, 4);
	out[8] = FRAME_REQUEST;
	out[9] = flags;
	memcpy(out + FRAME_HEADER, data, size);
	client->next_stream += 2;
	return fd_write_all(client->sock, out, FRAME_HEADER + size);
}

/* Read one frame into client->frame. */
static int
frame_recv(struct client *client)
{
	struct frame *frame = &client->frame;
	uint32_t length, stream;
	size_t whole = FRAME_HEADER;
	ssize_t n;

	for (;;) {
		if (client->n_in >= FRAME_HEADER) {
			memcpy(&length, client->in, 4);
			whole = FRAME_HEADER + ntohl(length);
			if (whole > sizeof(client->in))
				return -EMSGSIZE;
			if (client->n_in >= whole)
				break;
		}
		n = recv(client->sock, client->in + client->n_in,
			 sizeof(client->in) - client->n_in, 0);
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		client->n_in += (size_t)n;
	}
	memcpy(&stream, client->in + 4, 4);
	frame->stream = ntohl(stream);
	frame->type = client->in[8];
	frame->flags = client->in[9];
	frame->size = whole - FRAME_HEADER;
	memcpy(frame->data, client->in + FRAME_HEADER, frame->size);
	client->n_in -= whole;
	memmove(client->in, client->in + whole, client->n_in);
	return 0;
}

/* The envelope of a call, encoded. */
static int
envelope_encode(const char *method, const ProtobufCMessage *request,
		struct encoded *ret)
{
	Ttrpc__Request envelope = TTRPC__REQUEST__INIT;
	uint8_t payload[2048];

	if (protobuf_c_message_get_packed_size(request) > sizeof(payload))
		return -EMSGSIZE;
	envelope.service = (char *)SERVICE;
	envelope.method = (char *)method;
	envelope.payload.data = payload;
	envelope.payload.len = protobuf_c_message_pack(request, payload);
	if (ttrpc__request__get_packed_size(&envelope) > sizeof(ret->data))
		return -EMSGSIZE;
	ret->size = ttrpc__request__pack(&envelope, ret->data);
	return 0;
}

static const Nsexec__V1__NamespaceKind KINDS[] = {
	/* the first four are PROFILE_PMUI */
	NSEXEC__V1__NAMESPACE_KIND__NS_PID,
	NSEXEC__V1__NAMESPACE_KIND__NS_MNT,
	NSEXEC__V1__NAMESPACE_KIND__NS_UTS,
	NSEXEC__V1__NAMESPACE_KIND__NS_IPC,
	NSEXEC__V1__NAMESPACE_KIND__NS_USER,
	NSEXEC__V1__NAMESPACE_KIND__NS_NET,
	NSEXEC__V1__NAMESPACE_KIND__NS_CGROUP,
	NSEXEC__V1__NAMESPACE_KIND__NS_TIME,
};
static const size_t N_KINDS[N_PROFILES] = { 0, 4, 8 };

static int
run_encode(enum profile profile, bool plain, const char *payload,
	   struct encoded *ret)
{
	Nsexec__V1__Namespace namespaces[ARRAY_SIZE(KINDS)];
	Nsexec__V1__Namespace *list[ARRAY_SIZE(KINDS)];
	Nsexec__V1__RunRequest run = NSEXEC__V1__RUN_REQUEST__INIT;
	Nsexec__V1__ContainerSpec spec = NSEXEC__V1__CONTAINER_SPEC__INIT;
	Nsexec__V1__Process process = NSEXEC__V1__PROCESS__INIT;
	Nsexec__V1__IdMaps maps = NSEXEC__V1__ID_MAPS__INIT;
	ProtobufCBinaryData arg = { strlen(payload), (uint8_t *)payload };
	size_t i;

	for (i = 0; i < N_KINDS[profile]; i++) {
		nsexec__v1__namespace__init(&namespaces[i]);
		namespaces[i].has_kind = 1;
		namespaces[i].kind = KINDS[i];
		namespaces[i].has_create = 1;
		namespaces[i].create = 1;
		list[i] = &namespaces[i];
	}
	spec.n_namespaces = N_KINDS[profile];
	spec.namespaces = list;
	if (profile == PROFILE_ALL) {
		maps.has_preset = 1;
		maps.preset = NSEXEC__V1__MAP_PRESET__MAP_ROOT;
		spec.id_maps = &maps;
	}
	if (plain) {
		spec.has_loopback = 1;
		spec.has_mount_proc = 1;
	}
	process.n_args = 1;
	process.args = &arg;
	spec.process = &process;
	run.spec = &spec;
	return envelope_encode("Run", &run.base, ret);
}

static int
subscribe(struct client *client)
{
	Nsexec__V1__EventsRequest events = NSEXEC__V1__EVENTS_REQUEST__INIT;
	Nsexec__V1__EventType type = NSEXEC__V1__EVENT_TYPE__EVENT_EXITED;
	struct encoded encoded;
	int r;

	events.n_types = 1;
	events.types = &type;
	r = envelope_encode("Events", &events.base, &encoded);
	if (r < 0)
		return r;
	client->event_stream = client->next_stream;
	return frame_send(client, 1, encoded.data, encoded.size);
}

int
client_open(const char *path, const char *payload, struct client **ret)
{
	struct client *client = calloc(1, sizeof(*client));
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int profile, r = 0;

	if (!client)
		return -ENOMEM;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	client->next_stream = 1;
	client->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->sock < 0 ||
	    connect(client->sock, (struct sockaddr *)&address,
		    sizeof(address)) < 0)
		r = -errno;
	for (profile = 0; profile < N_PROFILES && r == 0; profile++) {
		r = run_encode(profile, false, payload,
			       &client->runs[profile][0]);
		if (r == 0)
			r = run_encode(profile, true, payload,
				       &client->runs[profile][1]);
	}
	if (r == 0)
		r = subscribe(client);
	if (r < 0)
		client = client_free(client);
	*ret = client;
	return r;
}

struct client *
client_free(struct client *client)
{
	if (client)
		fd_close(&client->sock);
	free(client);
	return NULL;
}

/* The frame at hand is an exit: delete that container. */
static int
exit_handle(struct client *client)
{
	Nsexec__V1__DeleteRequest delete = NSEXEC__V1__DELETE_REQUEST__INIT;
	struct encoded encoded;
	Nsexec__V1__Event *event;
	int r = -EBADMSG;

	event = nsexec__v1__event__unpack(NULL, client->frame.size,
					  client->frame.data);
	if (event && event->exit && event->exit->has_code &&
	    event->exit->code == 0 && event->container) {
		delete.id = event->container;
		r = envelope_encode("Delete", &delete.base, &encoded);
		if (r == 0)
			r = frame_send(client, 0, encoded.data, encoded.size);
	}
	nsexec__v1__event__free_unpacked(event, NULL);
	return r;
}

/* 0, or -EREMOTEIO with its text on stderr if the frame is an error. */
static int
response_check(struct client *client)
{
	Ttrpc__Response *response;
	int r = -EBADMSG;

	response = ttrpc__response__unpack(NULL, client->frame.size,
					   client->frame.data);
	if (response) {
		r = 0;
		if (response->status && response->status->code != 0) {
			fprintf(stderr, "nsexecd: %s\n",
				response->status->message);
			r = -EREMOTEIO;
		}
	}
	ttrpc__response__free_unpacked(response, NULL);
	return r;
}

int
client_once(struct client *client, enum profile profile, bool plain,
	    struct sample *ret)
{
	const struct encoded *run = &client->runs[profile][plain];
	uint32_t stream = client->next_stream;
	uint64_t began = now_ns();
	int r;

	memset(ret, 0, sizeof(*ret));
	r = frame_send(client, 0, run->data, run->size);
	while (r == 0 && (!ret->pid_ns || !ret->exit_ns)) {
		r = frame_recv(client);
		if (r < 0)
			return r;
		if (client->frame.type == FRAME_RESPONSE &&
		    client->frame.stream == stream)
			ret->pid_ns = now_ns() - began;
		if (client->frame.type == FRAME_RESPONSE)
			r = response_check(client);
		else if (client->frame.stream == client->event_stream) {
			ret->exit_ns = now_ns() - began;
			r = exit_handle(client);
		}
	}
	return r;
}

int
client_rate(struct client *client, enum profile profile, bool plain,
	    const struct load *load, struct rate *ret)
{
	const struct encoded *run = &client->runs[profile][plain];
	uint64_t began = now_ns(), end = began + load->duration_ns;
	unsigned int i, done = 0, live = 0;
	int r = 0;

	for (i = 0; i < load->in_flight && r == 0; i++, live++)
		r = frame_send(client, 0, run->data, run->size);
	while (r == 0 && live > 0) {
		r = frame_recv(client);
		if (r < 0)
			return r;
		if (client->frame.type == FRAME_RESPONSE) {
			r = response_check(client);
			continue;
		}
		r = exit_handle(client);
		done++;
		live--;
		if (r == 0 && now_ns() < end) {
			r = frame_send(client, 0, run->data, run->size);
			live++;
		}
	}
	ret->per_second = done / ((double)(now_ns() - began) / 1e9);
	return r;
}
