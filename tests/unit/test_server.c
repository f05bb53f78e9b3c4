/* SPDX-License-Identifier: Apache-2.0 */
/* The ttrpc server: frames, ids, requests, and its verdict on violations. */
#include "tests/unit/server_fixture.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fd.h"

#define MIB ((size_t)1 << 20)

static void
send_header(struct fixture *fixture, int fd, uint32_t length, uint32_t id,
	    uint8_t type, uint8_t flags)
{
	struct ttrpc_header header = { length, id, type, flags };
	free_auto uint8_t *zeros = calloc(1, length + 1);

	client_send_frame(fixture, fd, &header, zeros);
}

static void
call_is_answered_on_its_id(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer answer = { 0 };
	const uint8_t want[] = { 0x12, 0x03, 0x0a, 0x01, '1' };

	client_call(fixture, fd, 7, "Version");
	answer = client_expect(fixture, fd, 7, 0);
	assert_int_equal(answer.header.length, sizeof(want));
	assert_memory_equal(answer.data, want, sizeof(want));
}

static void
calls_are_answered_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	struct server *server = fixture->daemon.server;
	fd_auto int fd = client_connect(fixture);
	Nsexec__V1__StartResponse response = NSEXEC__V1__START_RESPONSE__INIT;
	uint32_t id;

	for (id = 1; id <= 5; id += 2)
		client_call(fixture, fd, id, "Start");
	client_expect_nothing(fixture, fd, 7);
	fixture_wait_for(fixture, &fixture->called.n, 3);
	for (id = 3; id > 0; id--) {
		answer_auto struct answer answer = { 0 };
		uint64_t call_id = fixture->called.ids[id - 1];

		assert_int_equal(rpc_reply(server, call_id, &response.base), 0);
		assert_int_equal(rpc_reply(server, call_id, &response.base),
				 -ESTALE);
		answer = client_expect(fixture, fd, 2 * id - 1, 0);
		/* An empty message is a Response of length 0. */
		assert_int_equal(answer.header.length, 0);
	}
	assert_int_equal(fixture->gone.n, 0);
}

static void
frames_may_come_byte_by_byte(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	uint8_t bytes[64];
	uint32_t id;
	size_t i;

	for (id = 1; id <= 5; id += 2) {
		answer_auto struct answer answer = { 0 };
		size_t size = 10 + 27;

		ttrpc_header_encode(&(struct ttrpc_header){ 27, id, 1, 0 },
				    bytes);
		memcpy(bytes + 10, "\x0a\x10nsexec.v1.Nsexec\x12\x07Version",
		       27);
		for (i = 0; i < size; i++) {
			client_send(fixture, fd, bytes + i, 1);
			/* Let the server see each byte by itself. */
			if (i % 5 == 0)
				fixture_fence(fixture);
		}
		answer = client_expect(fixture, fd, id, 0);
	}
}

static void
even_and_repeated_ids_get_code_3(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	const uint32_t ids[] = { 0, 2, 4294967294u };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		answer_auto struct answer answer = { 0 };

		client_call(fixture, fd, ids[i], "Version");
		answer = client_expect(fixture, fd, ids[i], 3);
		assert_non_null(strstr(answer.message, "must be odd"));
	}
	client_expect_nothing(fixture, fd, 9);
	for (i = 0; i < 2; i++) {
		answer_auto struct answer answer = { 0 };

		client_call(fixture, fd, i ? 9 : 5, "Version");
		answer = client_expect(fixture, fd, i ? 9 : 5, 3);
		assert_non_null(strstr(answer.message, "re-used"));
	}
	client_expect_nothing(fixture, fd, 11);
}

static void
id_in_flight_used_again_closes(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);

	client_call(fixture, fd, 1, "Start");
	client_call(fixture, fd, 1, "Version");
	client_expect_close(fixture, fd);
	assert_int_equal(fixture->gone.n, 1);
	assert_int_equal(fixture->gone.ids[0], fixture->called.ids[0]);
}

static void
data_on_a_unary_call_gets_code_3_once(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer first = { 0 }, second = { 0 };
	Nsexec__V1__StartResponse response = NSEXEC__V1__START_RESPONSE__INIT;

	client_call(fixture, fd, 1, "Start");
	send_header(fixture, fd, 5, 1, TTRPC_DATA, 0);
	first = client_expect(fixture, fd, 1, 3);
	assert_string_equal(first.message, "Data on a unary call");
	assert_int_equal(fixture->gone.n, 1);
	/* The method's own answer comes too late and is dropped. */
	assert_int_equal(rpc_reply(fixture->daemon.server,
				   fixture->called.ids[0], &response.base),
			 -ESTALE);
	client_expect_nothing(fixture, fd, 3);
	send_header(fixture, fd, 5, 1, TTRPC_DATA, 0);
	second = client_expect(fixture, fd, 1, 3);
	assert_string_equal(second.message, "StreamID is no longer active");
}

static void
responses_and_unknown_types_are_ignored(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	unsigned int type;

	for (type = 0; type < 256; type++)
		if (type != TTRPC_REQUEST && type != TTRPC_DATA)
			send_header(fixture, fd, type * 7, type, (uint8_t)type,
				    0xff);
	client_expect_nothing(fixture, fd, 1);
}

static void
unknown_service_and_method_get_code_12(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer method = { 0 }, service = { 0 };
	static const char other[] = "\x0a\x02XX\x12\x07Version";

	client_call(fixture, fd, 1, "Nope");
	method = client_expect(fixture, fd, 1, 12);
	assert_string_equal(method.message, "method Nope");
	client_send_frame(fixture, fd,
			  &(struct ttrpc_header){ sizeof(other) - 1, 3, 1, 0 },
			  other);
	service = client_expect(fixture, fd, 3, 12);
	assert_string_equal(service.message, "service XX");
}

static void
undecodable_envelope_gets_code_3_payload_13(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer envelope = { 0 }, payload = { 0 };
	static const char bad[] = "\x0a\x10nsexec.v1.Nsexec\x12\x05Start\x1a"
				  "\x02\x0a\x05";

	client_send_frame(fixture, fd, &(struct ttrpc_header){ 3, 1, 1, 0 },
			  "\x0a\x7fx");
	envelope = client_expect(fixture, fd, 1, 3);
	assert_non_null(strstr(envelope.message, "unmarshal request error"));
	client_send_frame(fixture, fd,
			  &(struct ttrpc_header){ sizeof(bad) - 1, 3, 1, 0 },
			  bad);
	payload = client_expect(fixture, fd, 3, 13);
	assert_non_null(strstr(payload.message, "unmarshal payload error"));
	assert_int_equal(fixture->called.n, 0);
}

static void
oversize_frame_is_drained_and_gets_code_8(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	const uint32_t lengths[] = { TTRPC_DATA_MAX + 1, 0xffffffu };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint32_t id = (uint32_t)(4 * i + 1);
		answer_auto struct answer answer = { 0 };

		send_header(fixture, fd, lengths[i], id, TTRPC_REQUEST, 0);
		answer = client_expect(fixture, fd, id, 8);
		assert_false(answer.retryable);
		client_expect_nothing(fixture, fd, id + 2);
	}
}

/* A request of this method whose frame has exactly this many bytes. */
static void
send_sized(struct fixture *fixture, int fd, uint32_t id, const char *method,
	   size_t frame_size)
{
	Nsexec__V1__CreateRequest message = NSEXEC__V1__CREATE_REQUEST__INIT;
	struct request request = { .id = id,
				   .method = method,
				   .message = &message.base };
	size_t size = frame_size - strlen(method) - 18 - 2 - 8;

	message.has_key = true;
	message.key.len = size;
	message.key.data = calloc(1, size);
	client_request(fixture, fd, &request);
	free(message.key.data);
}

static void
each_method_has_its_own_bound(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer small = { 0 }, large = { 0 };

	send_sized(fixture, fd, 1, "Start", 300 << 10);
	small = client_expect(fixture, fd, 1, 8);
	assert_int_equal(fixture->called.n, 0);
	send_sized(fixture, fd, 3, "Create", 4 * MIB - 100);
	large = client_expect(fixture, fd, 3, 0);
	client_expect_nothing(fixture, fd, 5);
}

static void
first_byte_not_zero_closes(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);

	client_expect_nothing(fixture, fd, 1);
	client_send(fixture, fd, "G", 1);
	client_expect_close(fixture, fd);
}

static void
sixty_four_faults_close(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	uint32_t i;

	for (i = 0; i < 63; i++)
		client_call(fixture, fd, 2, "Version");
	for (i = 0; i < 63; i++) {
		answer_auto struct answer answer = { 0 };

		answer = client_expect(fixture, fd, 2, 3);
	}
	client_expect_nothing(fixture, fd, 1);
	client_call(fixture, fd, 2, "Version");
	client_expect_close(fixture, fd);
}

static void
small_request_cannot_take_large_memory(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer bomb = { 0 }, unknown = { 0 }, twice = { 0 };
	Nsexec__V1__CreateRequest message = NSEXEC__V1__CREATE_REQUEST__INIT;
	struct request request = { .id = 1, .method = "Create" };
	size_t n = 3 * MIB, i;
	free_auto uint8_t *data = malloc(n + 64);
	char head[] = "\x0a\x10nsexec.v1.Nsexec\x12\x06"
		      "Create\x1a\x84\x80\xc0\x01\x0a\x80\x80\xc0\x01";

	/* spec {namespaces {} namespaces {} ...}: 2 bytes of wire each. */
	memcpy(data, head, sizeof(head) - 1);
	/* payload = tag + length of spec + n bytes */
	data[26] = 0x1a;
	data[27] = 0x85;
	for (i = 0; i < n; i += 2)
		memcpy(data + sizeof(head) - 1 + i, "\x1a\x00", 2);
	client_send_frame(fixture, fd,
			  &(struct ttrpc_header){
				  (uint32_t)(sizeof(head) - 1 + n), 1, 1, 0 },
			  data);
	bomb = client_expect(fixture, fd, 1, 8);
	assert_non_null(strstr(bomb.message, "decoding"));

	/* 65 fields that the schema does not know. */
	for (i = 0; i < 65; i++)
		memcpy(data + 29 + 3 * i, "\xf8\x07\x01", 3);
	memcpy(data + 26, "\x1a\xc3\x01", 3);
	client_send_frame(fixture, fd,
			  &(struct ttrpc_header){ 29 + 65 * 3, 3, 1, 0 }, data);
	unknown = client_expect(fixture, fd, 3, 13);
	assert_non_null(strstr(unknown.message, "unknown fields"));

	memcpy(data + 26, "\x1a\x04\x30\x01\x30\x02", 6);
	client_send_frame(fixture, fd, &(struct ttrpc_header){ 32, 5, 1, 0 },
			  data);
	twice = client_expect(fixture, fd, 5, 13);
	assert_non_null(strstr(twice.message, "timeout_ms is given twice"));
	request.id = 7;
	request.message = &message.base;
	client_request(fixture, fd, &request);
	answer_free(&twice);
	twice = client_expect(fixture, fd, 7, 0);
}

static void
deadline_answers_code_4_and_tells_the_method(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer late = { 0 }, expired = { 0 };
	struct request request = { .id = 1,
				   .method = "Start",
				   .timeout_nano = 20 * 1000 * 1000 };

	client_request(fixture, fd, &request);
	late = client_expect(fixture, fd, 1, 4);
	assert_string_equal(late.message, "context deadline exceeded");
	assert_int_equal(fixture->called.n, 1);
	assert_int_equal(fixture->gone.n, 1);
	request.id = 3;
	request.timeout_nano = -1;
	client_request(fixture, fd, &request);
	expired = client_expect(fixture, fd, 3, 4);
	assert_int_equal(fixture->called.n, 1);
	request.id = 5;
	request.timeout_nano = INT64_MAX;
	client_request(fixture, fd, &request);
	client_expect_nothing(fixture, fd, 7);
}

static void
frame_begun_and_not_finished_closes(void **state)
{
	const struct server_config config = { .max_connections = 100,
					      .frame_timeout_ms = 30 };
	struct fixture *fixture;
	fd_auto int begun = -1, idle = -1;

	fixture_new(state, &config);
	fixture = *state;
	idle = client_connect(fixture);
	begun = client_connect(fixture);
	client_expect_nothing(fixture, begun, 1);
	client_send(fixture, begun, "\0\0", 2);
	client_expect_close(fixture, begun);
	/* There is no limit on an idle connection. */
	client_expect_nothing(fixture, idle, 1);
	fixture_teardown(state);
}

static void
oversized_answer_becomes_code_8(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer answer = { 0 };

	client_call(fixture, fd, 1, "List");
	answer = client_expect(fixture, fd, 1, 8);
	assert_true(answer.retryable);
	client_expect_nothing(fixture, fd, 3);
}

static void
half_close_still_gets_its_answers(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer first = { 0 }, second = { 0 };
	Nsexec__V1__StartResponse response = NSEXEC__V1__START_RESPONSE__INIT;

	client_call(fixture, fd, 1, "Start");
	client_call(fixture, fd, 3, "Version");
	client_send(fixture, fd, "\0\0\0", 3);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	first = client_expect(fixture, fd, 3, 0);
	assert_int_equal(rpc_reply(fixture->daemon.server,
				   fixture->called.ids[0], &response.base),
			 0);
	second = client_expect(fixture, fd, 1, 0);
	client_expect_close(fixture, fd);
	assert_int_equal(fixture->gone.n, 0);
}

static void
disconnect_abandons_calls(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	fd_auto int half = client_connect(fixture);

	client_call(fixture, fd, 1, "Start");
	fixture_wait_for(fixture, &fixture->called.n, 1);
	fd_close(&fd);
	fixture_wait_for(fixture, &fixture->gone.n, 1);
	/* Half-closed first, gone altogether later. */
	client_call(fixture, half, 1, "Wait");
	fixture_wait_for(fixture, &fixture->called.n, 2);
	assert_int_equal(shutdown(half, SHUT_WR), 0);
	fixture_fence(fixture);
	assert_int_equal(fixture->gone.n, 1);
	fd_close(&half);
	fixture_wait_for(fixture, &fixture->gone.n, 2);
}

/* Send as much as is taken; false once the server reads no more. */
static bool
send_some(struct fixture *fixture, int fd, int other, uint32_t *fence,
	  const uint8_t *data, size_t *at, size_t size)
{
	unsigned int tries = 0;
	ssize_t n;

	while (*at < size) {
		n = send(fd, data + *at, size - *at, MSG_NOSIGNAL);
		if (n > 0) {
			*at += (size_t)n;
			tries = 0;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		if (++tries == 10)
			return false;
		/* Others are served meanwhile. */
		client_expect_nothing(fixture, other, *fence);
		*fence += 2;
	}
	return true;
}

static void
slow_reader_is_not_read_from_and_loses_nothing(void **state)
{
	enum { N = 40000, SIZE = 10 + 24 };
	struct fixture *fixture = *state;
	fd_auto int slow = client_connect(fixture);
	fd_auto int other = client_connect(fixture);
	free_auto uint8_t *data = malloc((size_t)N * SIZE);
	uint32_t fence = 1, i, n_read = 0;
	size_t at = 0;

	/* Each is answered by some hundred bytes of "unknown method". */
	for (i = 0; i < N; i++) {
		struct ttrpc_header header = { SIZE - 10, 2 * i + 1, 1, 0 };

		ttrpc_header_encode(&header, data + (size_t)i * SIZE);
		memcpy(data + (size_t)i * SIZE + 10,
		       "\x0a\x10nsexec.v1.Nsexec\x12\x04Nope", SIZE - 10);
	}
	assert_false(send_some(fixture, slow, other, &fence, data, &at,
			       (size_t)N * SIZE));
	assert_true(at > 2000 * SIZE);
	while (n_read < N) {
		answer_auto struct answer answer = { 0 };

		answer = client_expect(fixture, slow, 2 * n_read + 1, 12);
		n_read++;
		if (n_read % 1000 == 0)
			(void)send_some(fixture, slow, other, &fence, data, &at,
					(size_t)N * SIZE);
	}
	assert_int_equal(at, (size_t)N * SIZE);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(call_is_answered_on_its_id),
		TEST(calls_are_answered_in_any_order),
		TEST(frames_may_come_byte_by_byte),
		TEST(even_and_repeated_ids_get_code_3),
		TEST(id_in_flight_used_again_closes),
		TEST(data_on_a_unary_call_gets_code_3_once),
		TEST(responses_and_unknown_types_are_ignored),
		TEST(unknown_service_and_method_get_code_12),
		TEST(undecodable_envelope_gets_code_3_payload_13),
		TEST(oversize_frame_is_drained_and_gets_code_8),
		TEST(each_method_has_its_own_bound),
		TEST(first_byte_not_zero_closes),
		TEST(sixty_four_faults_close),
		TEST(small_request_cannot_take_large_memory),
		TEST(deadline_answers_code_4_and_tells_the_method),
		cmocka_unit_test(frame_begun_and_not_finished_closes),
		TEST(oversized_answer_becomes_code_8),
		TEST(half_close_still_gets_its_answers),
		TEST(disconnect_abandons_calls),
		TEST(slow_reader_is_not_read_from_and_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
