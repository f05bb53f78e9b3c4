/* SPDX-License-Identifier: Apache-2.0 */
/* See server_fixture.h. */
#include "tests/unit/server_fixture.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/config.h"
#include "lib/fd.h"
#include "proto/who.h"

#define DEADLINE_MS 20000
#define SERVICE "nsexec.v1.Nsexec"

static void
note(struct noted *noted, uint64_t id)
{
	assert_true(noted->n < NOTED_MAX);
	noted->ids[noted->n++] = id;
}

static void
method_note(struct daemon *daemon, uint64_t call_id,
	    const struct rpc_caller *caller, const ProtobufCMessage *request)
{
	struct fixture *fixture = (struct fixture *)daemon;

	fixture->caller = *caller;
	note(&fixture->called, call_id);
	loop_quit(daemon->loop);
}

static void
method_gone(struct daemon *daemon, uint64_t call_id)
{
	note(&((struct fixture *)daemon)->gone, call_id);
	loop_quit(daemon->loop);
}

static void
method_version(struct daemon *daemon, uint64_t call_id,
	       const struct rpc_caller *caller, const ProtobufCMessage *request)
{
	Nsexec__V1__VersionResponse response =
		NSEXEC__V1__VERSION_RESPONSE__INIT;

	response.version = (char *)"1";
	assert_int_equal(rpc_reply(daemon->server, call_id, &response.base), 0);
}

/* More than a frame may hold. */
static void
method_huge(struct daemon *daemon, uint64_t call_id,
	    const struct rpc_caller *caller, const ProtobufCMessage *request)
{
	Nsexec__V1__ListResponse response = NSEXEC__V1__LIST_RESPONSE__INIT;

	response.has_epoch = true;
	response.epoch.len = TTRPC_DATA_MAX;
	response.epoch.data = calloc(1, response.epoch.len);
	assert_int_equal(rpc_reply(daemon->server, call_id, &response.base),
			 -EMSGSIZE);
	free(response.epoch.data);
}

static void
method_create(struct daemon *daemon, uint64_t call_id,
	      const struct rpc_caller *caller, const ProtobufCMessage *request)
{
	Nsexec__V1__CreateResponse response = NSEXEC__V1__CREATE_RESPONSE__INIT;

	assert_int_equal(rpc_reply(daemon->server, call_id, &response.base), 0);
}

static void
on_drained(struct daemon *daemon, uint64_t call_id)
{
	note(&((struct fixture *)daemon)->drained, call_id);
	loop_quit(daemon->loop);
}

#define TYPES(name) .request = &nsexec__v1__##name##_request__descriptor
#define SMALL ((size_t)256 << 10)

static const struct rpc_method methods[] = {
	{ .name = "Version",
	  TYPES(version),
	  .response = &nsexec__v1__version_response__descriptor,
	  .frame_max = SMALL,
	  .fn = method_version },
	{ .name = "Create",
	  TYPES(create),
	  .response = &nsexec__v1__create_response__descriptor,
	  .frame_max = TTRPC_DATA_MAX,
	  .fn = method_create },
	{ .name = "Start",
	  TYPES(start),
	  .response = &nsexec__v1__start_response__descriptor,
	  .frame_max = SMALL,
	  .fn = method_note,
	  .gone = method_gone },
	{ .name = "Wait",
	  TYPES(wait),
	  .response = &nsexec__v1__wait_response__descriptor,
	  .parked = true,
	  .frame_max = SMALL,
	  .fn = method_note,
	  .gone = method_gone },
	{ .name = "List",
	  TYPES(list),
	  .response = &nsexec__v1__list_response__descriptor,
	  .frame_max = SMALL,
	  .fn = method_huge },
	{ .name = "Events",
	  TYPES(events),
	  .response = &nsexec__v1__event__descriptor,
	  .streaming = true,
	  .frame_max = SMALL,
	  .fn = method_note,
	  .gone = method_gone },
	{ 0 },
};

static const struct owner_limits of_anybody = {
	.connections = 10,
	.requests = 10,
	.queued_bytes = 4u << 20,
};

static const struct owner_limits *
limits(const struct daemon *daemon, const struct rpc_caller *caller)
{
	return caller->admin ? NULL : &of_anybody;
}

/* A spawner that answers at once: the uid, and what it has without a policy. */
static int
identify(struct daemon *daemon, uint64_t peer_id, int fd)
{
	socklen_t size = sizeof(struct ucred);
	struct policy_subject subject;
	struct who who = { .size = sizeof(who) };
	struct ucred cred;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size),
			 0);
	who.uid = who.resolved.uid = who.resolved.owner = cred.uid;
	who.gid = cred.gid;
	subject = (struct policy_subject){ .uid = cred.uid,
					   .owner = cred.uid,
					   .gid = cred.gid };
	policy_match(NULL, &subject, &who.rights);
	server_identify(daemon->server, peer_id, &who, NULL);
	return 0;
}

static int
listen_at(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(listen(fd, 128), 0);
	return fd;
}

static void
on_deadline(void *userdata)
{
	struct fixture *fixture = userdata;

	fixture->late = true;
	loop_quit(fixture->daemon.loop);
}

int
fixture_new(void **state, const struct server_config *config)
{
	struct server_config own = {
		.max_connections = 100,
	};
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (config)
		own = *config;
	strcpy(fixture->dir, "/tmp/nsxunit-XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	assert_int_equal(chmod(fixture->dir, 0755), 0);
	snprintf(fixture->rpc_path, sizeof(fixture->rpc_path), "%s/rpc",
		 fixture->dir);
	snprintf(fixture->fd_path, sizeof(fixture->fd_path), "%s/fd",
		 fixture->dir);
	own.rpc_listener = listen_at(fixture->rpc_path, SOCK_STREAM);
	own.fd_listener = listen_at(fixture->fd_path, SOCK_SEQPACKET);
	own.service = SERVICE;
	own.methods = methods;
	own.stream_drained = on_drained;
	own.limits = limits;
	own.ask = identify;
	own.initial_limits = &of_anybody;
	assert_int_equal(loop_new(&fixture->daemon.loop), 0);
	assert_int_equal(watch_new_timer(fixture->daemon.loop, on_deadline,
					 fixture, &fixture->deadline),
			 0);
	assert_int_equal(server_new(fixture->daemon.loop, &fixture->daemon,
				    &own, &fixture->daemon.server),
			 0);
	*state = fixture;
	return 0;
}

int
fixture_setup(void **state)
{
	return fixture_new(state, NULL);
}

int
fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	fixture->daemon.server = server_free(fixture->daemon.server);
	watch_free(fixture->deadline);
	loop_free(fixture->daemon.loop);
	unlink(fixture->rpc_path);
	unlink(fixture->fd_path);
	rmdir(fixture->dir);
	free(fixture);
	return 0;
}

/* Run the loop until somebody quits it. */
static void
turn(struct fixture *fixture, const char *what)
{
	watch_timer_set(fixture->deadline, DEADLINE_MS);
	assert_int_equal(loop_run(fixture->daemon.loop), 0);
	watch_timer_set(fixture->deadline, -1);
	if (fixture->late)
		fail_msg("not in time: %s", what);
}

static void
on_client_ready(void *userdata, int fd, unsigned int events)
{
	loop_quit(userdata);
}

static void
wait_client(struct fixture *fixture, int fd, unsigned int events,
	    const char *what)
{
	struct watch *watch;

	assert_int_equal(watch_new_fd(fixture->daemon.loop, fd, events,
				      on_client_ready, fixture->daemon.loop,
				      &watch),
			 0);
	turn(fixture, what);
	watch_free(watch);
}

void
fixture_wait_for(struct fixture *fixture, const size_t *n, size_t at_least)
{
	while (*n < at_least)
		turn(fixture, "a method's call");
}

static int
connect_as(const char *path, int type, uid_t uid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (uid != geteuid())
		assert_int_equal(seteuid(uid), 0);
	assert_int_equal(
		connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (geteuid() != getuid())
		assert_int_equal(seteuid(getuid()), 0);
	return fd;
}

int
client_connect(struct fixture *fixture)
{
	return connect_as(fixture->rpc_path, SOCK_STREAM, geteuid());
}

int
client_connect_as(struct fixture *fixture, uid_t uid)
{
	return connect_as(fixture->rpc_path, SOCK_STREAM, uid);
}

int
channel_connect_as(struct fixture *fixture, uid_t uid)
{
	return connect_as(fixture->fd_path, SOCK_SEQPACKET, uid);
}

void
client_send(struct fixture *fixture, int fd, const void *data, size_t size)
{
	const char *p = data;
	ssize_t n;

	while (size > 0) {
		n = send(fd, p, size, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			wait_client(fixture, fd, LOOP_WRITE, "room to write");
			continue;
		}
		assert_true(n > 0);
		p += n;
		size -= (size_t)n;
	}
}

void
client_send_frame(struct fixture *fixture, int fd,
		  const struct ttrpc_header *header, const void *data)
{
	uint8_t bytes[TTRPC_HEADER_SIZE];

	ttrpc_header_encode(header, bytes);
	client_send(fixture, fd, bytes, sizeof(bytes));
	client_send(fixture, fd, data, header->length);
}

void
client_request(struct fixture *fixture, int fd, const struct request *request)
{
	Ttrpc__Request envelope = TTRPC__REQUEST__INIT;
	struct ttrpc_header header = { .stream_id = request->id,
				       .type = TTRPC_REQUEST,
				       .flags = request->flags };
	free_auto uint8_t *payload = NULL;
	free_auto uint8_t *data = NULL;

	envelope.service = (char *)SERVICE;
	envelope.method = (char *)request->method;
	envelope.timeout_nano = request->timeout_nano;
	if (request->message) {
		envelope.payload.len =
			protobuf_c_message_get_packed_size(request->message);
		payload = malloc(envelope.payload.len + 1);
		protobuf_c_message_pack(request->message, payload);
		envelope.payload.data = payload;
	}
	header.length = (uint32_t)ttrpc__request__get_packed_size(&envelope);
	data = malloc(header.length + 1);
	ttrpc__request__pack(&envelope, data);
	client_send_frame(fixture, fd, &header, data);
}

void
client_call(struct fixture *fixture, int fd, uint32_t id, const char *method)
{
	const struct request request = { .id = id, .method = method };

	client_request(fixture, fd, &request);
}

/* All of it, or false at end of file. */
static bool
read_all(struct fixture *fixture, int fd, void *data, size_t size)
{
	char *p = data;
	ssize_t n;

	while (size > 0) {
		n = read(fd, p, size);
		if (n < 0 && errno == EAGAIN) {
			wait_client(fixture, fd, LOOP_READ, "an answer");
			continue;
		}
		if (n <= 0)
			return false;
		p += n;
		size -= (size_t)n;
	}
	return true;
}

static void
read_detail(struct answer *answer, const Ttrpc__Any *any)
{
	Nsexec__V1__ErrorDetail *detail;

	assert_string_equal(any->type_url,
			    "type.googleapis.com/nsexec.v1.ErrorDetail");
	detail = nsexec__v1__error_detail__unpack(NULL, any->value.len,
						  any->value.data);
	assert_non_null(detail);
	answer->detail_code = detail->code;
	answer->retryable = detail->retryable;
	assert_true(strlen(detail->rule) > 0 && strlen(detail->hint) > 0);
	nsexec__v1__error_detail__free_unpacked(detail, NULL);
}

static void
read_status(struct answer *answer)
{
	Ttrpc__Response *response;

	response = ttrpc__response__unpack(NULL, answer->header.length,
					   answer->data);
	assert_non_null(response);
	if (response->status) {
		answer->code = response->status->code;
		snprintf(answer->message, sizeof(answer->message), "%s",
			 response->status->message);
		if (response->status->n_details > 0)
			read_detail(answer, response->status->details[0]);
	}
	ttrpc__response__free_unpacked(response, NULL);
}

struct answer
client_read(struct fixture *fixture, int fd)
{
	struct answer answer = { 0 };
	uint8_t bytes[TTRPC_HEADER_SIZE];

	assert_true(read_all(fixture, fd, bytes, sizeof(bytes)));
	assert_int_equal(ttrpc_header_decode(bytes, &answer.header), 0);
	answer.data = malloc(answer.header.length + 1);
	assert_true(read_all(fixture, fd, answer.data, answer.header.length));
	if (answer.header.type == TTRPC_RESPONSE)
		read_status(&answer);
	return answer;
}

void
answer_free(struct answer *answer)
{
	free(answer->data);
	answer->data = NULL;
}

struct answer
client_expect(struct fixture *fixture, int fd, uint32_t id, int code)
{
	struct answer answer = client_read(fixture, fd);

	assert_int_equal(answer.header.type, TTRPC_RESPONSE);
	assert_int_equal(answer.header.stream_id, id);
	assert_int_equal(answer.header.flags, 0);
	assert_int_equal(answer.code, code);
	if (code != 0)
		assert_int_not_equal(answer.detail_code, 0);
	return answer;
}

void
client_expect_code(struct fixture *fixture, int fd, uint32_t id, int code)
{
	answer_auto struct answer answer = client_expect(fixture, fd, id, code);
}

void
client_expect_close(struct fixture *fixture, int fd)
{
	char bytes[256];

	while (read_all(fixture, fd, bytes, 1))
		;
}

void
client_expect_nothing(struct fixture *fixture, int fd, uint32_t id)
{
	answer_auto struct answer answer = { 0 };

	client_call(fixture, fd, id, "Version");
	answer = client_expect(fixture, fd, id, 0);
}

void
fixture_fence(struct fixture *fixture)
{
	fd_auto int fd = client_connect(fixture);

	client_expect_nothing(fixture, fd, 1);
}
