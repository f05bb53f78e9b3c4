/* SPDX-License-Identifier: Apache-2.0 */
/* See client_fixture.h. */
#include "config.h"

#include "tests/unit/client_fixture.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"

static int
listen_at(const struct fixture *fixture, const char *name, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s",
		       fixture->dir, name);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

int
fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	strcpy(fixture->dir, "/tmp/nsxclient-XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	(void)snprintf(fixture->address, sizeof(fixture->address),
		       "unix:%s/nsexecd.sock", fixture->dir);
	fixture->listener = listen_at(fixture, "nsexecd.sock", SOCK_STREAM);
	fixture->fd_listener = listen_at(fixture, "fd.sock", SOCK_SEQPACKET);
	assert_int_equal(nsexec_connect(fixture->address, &fixture->nsexec), 0);
	fixture->peer = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fixture->peer >= 0);
	*state = fixture;
	return 0;
}

int
fixture_teardown(void **state)
{
	struct fixture *fixture = *state;
	static const char *const names[] = { "nsexecd.sock", "fd.sock" };
	char path[64];

	nsexec_close(fixture->nsexec);
	fd_close(&fixture->peer);
	fd_close(&fixture->listener);
	fd_close(&fixture->fd_listener);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", fixture->dir,
			       names[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(fixture->dir), 0);
	free(fixture);
	return 0;
}

void
fixture_fd_close(struct fixture *fixture)
{
	char path[64];

	fd_close(&fixture->fd_listener);
	(void)snprintf(path, sizeof(path), "%s/fd.sock", fixture->dir);
	assert_int_equal(unlink(path), 0);
}

void
fixture_fd_listen(struct fixture *fixture)
{
	fixture->fd_listener = listen_at(fixture, "fd.sock", SOCK_SEQPACKET);
}

static void
read_all(int fd, uint8_t *data, size_t size)
{
	while (size > 0) {
		const ssize_t n = recv(fd, data, size, 0);

		assert_true(n > 0);
		data += n;
		size -= (size_t)n;
	}
}

Ttrpc__Request *
fixture_request(struct fixture *fixture, struct ttrpc_header *ret_header)
{
	uint8_t bytes[TTRPC_HEADER_SIZE];
	Ttrpc__Request *request;
	uint8_t *data;

	read_all(fixture->peer, bytes, sizeof(bytes));
	assert_int_equal(ttrpc_header_decode(bytes, ret_header), 0);
	assert_int_equal(ret_header->type, TTRPC_REQUEST);
	data = malloc(ret_header->length + 1);
	assert_non_null(data);
	read_all(fixture->peer, data, ret_header->length);
	request = ttrpc__request__unpack(NULL, ret_header->length, data);
	free(data);
	assert_non_null(request);
	assert_string_equal(request->service, "nsexec.v1.Nsexec");
	return request;
}

void
fixture_send_frame(struct fixture *fixture, const struct ttrpc_header *header,
		   const void *data)
{
	uint8_t bytes[TTRPC_HEADER_SIZE];

	ttrpc_header_encode(header, bytes);
	assert_int_equal(fd_write_all(fixture->peer, bytes, sizeof(bytes)), 0);
	assert_int_equal(fd_write_all(fixture->peer, data, header->length), 0);
}

static void
send_message(struct fixture *fixture, struct ttrpc_header *header,
	     const ProtobufCMessage *message)
{
	uint8_t data[4096];

	header->length = (uint32_t)protobuf_c_message_get_packed_size(message);
	assert_true(header->length <= sizeof(data));
	protobuf_c_message_pack(message, data);
	fixture_send_frame(fixture, header, data);
}

void
fixture_answer(struct fixture *fixture, uint32_t stream_id,
	       const ProtobufCMessage *message)
{
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;
	struct ttrpc_header header = { .stream_id = stream_id,
				       .type = TTRPC_RESPONSE };
	uint8_t data[4096];

	response.payload.len = protobuf_c_message_get_packed_size(message);
	assert_true(response.payload.len <= sizeof(data));
	protobuf_c_message_pack(message, data);
	response.payload.data = data;
	send_message(fixture, &header, &response.base);
}

void
fixture_refuse(struct fixture *fixture, uint32_t stream_id, int code,
	       const Nsexec__V1__ErrorDetail *detail)
{
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;
	Ttrpc__Status status = TTRPC__STATUS__INIT;
	Ttrpc__Any any = TTRPC__ANY__INIT, *details[] = { &any };
	struct ttrpc_header header = { .stream_id = stream_id,
				       .type = TTRPC_RESPONSE };
	uint8_t data[4096];

	status.code = code;
	status.message = (char *)"refused";
	if (detail) {
		any.type_url = (char *)"type.googleapis.com/"
				       "nsexec.v1.ErrorDetail";
		any.value.data = data;
		any.value.len = nsexec__v1__error_detail__pack(detail, data);
		status.details = details;
		status.n_details = 1;
	}
	response.status = &status;
	send_message(fixture, &header, &response.base);
}

void
fixture_event(struct fixture *fixture, uint32_t stream_id, uint64_t seq,
	      uint8_t flags)
{
	Nsexec__V1__Event event = NSEXEC__V1__EVENT__INIT;
	struct ttrpc_header header = { .stream_id = stream_id,
				       .type = TTRPC_DATA,
				       .flags = flags };

	event.has_seq = 1;
	event.seq = seq;
	event.has_type = 1;
	event.type = NSEXEC__V1__EVENT_TYPE__EVENT_EXITED;
	event.container = (char *)"web";
	send_message(fixture, &header, &event.base);
}
