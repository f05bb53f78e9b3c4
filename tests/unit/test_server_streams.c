/* SPDX-License-Identifier: Apache-2.0 */
/* The ttrpc server: event streams, bounds, owners, fd channel, drain. */
#include "tests/unit/server_fixture.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fd.h"

static int
send_event(struct fixture *fixture, uint64_t call_id, uint64_t seq,
	   size_t padding)
{
	Nsexec__V1__Event event = NSEXEC__V1__EVENT__INIT;
	free_auto char *name = malloc(padding + 1);

	memset(name, 'x', padding);
	name[padding] = '\0';
	event.has_seq = true;
	event.seq = seq;
	event.name = name;
	return rpc_stream_send(fixture->daemon.server, call_id, &event.base);
}

static uint64_t
open_stream(struct fixture *fixture, int fd, uint32_t id, uint8_t flags)
{
	const struct request request = { .id = id,
					 .method = "Events",
					 .flags = flags };
	size_t n = fixture->called.n;

	client_request(fixture, fd, &request);
	fixture_wait_for(fixture, &fixture->called.n, n + 1);
	return fixture->called.ids[n];
}

static uint64_t
expect_event(struct fixture *fixture, int fd, uint32_t id)
{
	answer_auto struct answer answer = client_read(fixture, fd);
	Nsexec__V1__Event *event;
	uint64_t seq;

	assert_int_equal(answer.header.type, TTRPC_DATA);
	assert_int_equal(answer.header.stream_id, id);
	assert_int_equal(answer.header.flags, 0);
	event = nsexec__v1__event__unpack(NULL, answer.header.length,
					  answer.data);
	assert_non_null(event);
	seq = event->seq;
	nsexec__v1__event__free_unpacked(event, NULL);
	return seq;
}

static void
stream_sends_data_and_ends(void **state)
{
	struct fixture *fixture = *state;
	struct server *server = fixture->daemon.server;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer end = { 0 };
	uint64_t call = open_stream(fixture, fd, 1, TTRPC_REMOTE_CLOSED);
	uint64_t seq;

	for (seq = 1; seq <= 100; seq++)
		assert_int_equal(send_event(fixture, call, seq, 10), 0);
	assert_int_equal(rpc_stream_end(server, call), 0);
	assert_int_equal(send_event(fixture, call, seq, 10), -ESTALE);
	assert_int_equal(rpc_stream_end(server, call), -ESTALE);
	for (seq = 1; seq <= 100; seq++)
		assert_int_equal(expect_event(fixture, fd, 1), seq);
	end = client_read(fixture, fd);
	assert_int_equal(end.header.type, TTRPC_DATA);
	assert_int_equal(end.header.flags, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
	assert_int_equal(end.header.length, 0);
	assert_int_equal(fixture->gone.n, 0);
}

static void
failed_stream_ends_with_a_response_after_its_data(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer end = { 0 };
	uint64_t call = open_stream(fixture, fd, 1, 0);
	struct error error;

	error_set(&error, ERRCODE_NOT_FOUND, "events", "x", "none", "look");
	assert_int_equal(send_event(fixture, call, 1, 10), 0);
	assert_int_equal(rpc_fail(fixture->daemon.server, call, &error), 0);
	assert_int_equal(expect_event(fixture, fd, 1), 1);
	end = client_expect(fixture, fd, 1, 5);
	assert_int_equal(end.detail_code, ERRCODE_NOT_FOUND);
}

static void
half_close_by_data_is_taken_and_more_is_refused(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer closed = { 0 }, open = { 0 };
	const struct ttrpc_header end = { 0, 1, TTRPC_DATA,
					  TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA };
	struct ttrpc_header data = { 1, 3, TTRPC_DATA, 0 };

	open_stream(fixture, fd, 1, TTRPC_REMOTE_OPEN | TTRPC_NO_DATA);
	client_send_frame(fixture, fd, &end, "");
	fixture_fence(fixture);
	assert_int_equal(fixture->gone.n, 0);
	client_send_frame(fixture, fd, &end, "");
	closed = client_expect(fixture, fd, 1, 3);
	assert_string_equal(closed.message, "stream closed");
	assert_int_equal(fixture->gone.n, 1);
	open_stream(fixture, fd, 3, TTRPC_REMOTE_OPEN);
	client_send_frame(fixture, fd, &data, "x");
	open = client_expect(fixture, fd, 3, 3);
	assert_non_null(strstr(open.message, "one message"));
	client_expect_nothing(fixture, fd, 5);
}

static void
full_stream_says_so_and_tells_when_there_is_room(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	uint64_t call = open_stream(fixture, fd, 1, TTRPC_REMOTE_CLOSED);
	uint64_t n = 0, i;
	int r;

	for (;;) {
		r = send_event(fixture, call, n + 1, 1000);
		if (r < 0)
			break;
		n++;
		/* What the socket takes goes out, then the queue fills. */
		fixture_fence(fixture);
		assert_true(n < 5000);
	}
	assert_int_equal(r, -ENOBUFS);
	assert_true(n * 1000 > 256 << 10);
	assert_int_equal(fixture->drained.n, 0);
	for (i = 1; i <= n; i++)
		assert_int_equal(expect_event(fixture, fd, 1), i);
	fixture_wait_for(fixture, &fixture->drained.n, 1);
	assert_int_equal(fixture->drained.ids[0], call);
	assert_int_equal(send_event(fixture, call, n + 1, 1000), 0);
	assert_int_equal(expect_event(fixture, fd, 1), n + 1);
}

static void
message_larger_than_half_a_queue_waits_for_its_room(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	uint64_t call = open_stream(fixture, fd, 1, TTRPC_REMOTE_CLOSED);
	uint64_t n = 0, i;

	/* The socket takes some; then one waits and another does not fit. */
	while (send_event(fixture, call, n + 1, 200000) == 0) {
		n++;
		fixture_fence(fixture);
	}
	fixture_fence(fixture);
	assert_int_equal(fixture->drained.n, 0);
	for (i = 1; i <= n; i++)
		assert_int_equal(expect_event(fixture, fd, 1), i);
	fixture_wait_for(fixture, &fixture->drained.n, 1);
	assert_int_equal(send_event(fixture, call, n + 1, 200000), 0);
	assert_int_equal(expect_event(fixture, fd, 1), n + 1);
	/* More than a whole queue passes where the queue is empty. */
	assert_int_equal(send_event(fixture, call, n + 2, 400000), 0);
	assert_int_equal(expect_event(fixture, fd, 1), n + 2);
}

static void
full_stream_does_not_delay_answers_much(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	uint64_t first = open_stream(fixture, fd, 1, TTRPC_REMOTE_CLOSED);
	uint64_t second = open_stream(fixture, fd, 3, TTRPC_REMOTE_CLOSED);
	size_t n[4] = { 0 }, n_before = 0;

	while (send_event(fixture, first, 1, 1000) == 0 &&
	       send_event(fixture, second, 1, 1000) == 0)
		;
	client_call(fixture, fd, 5, "Version");
	for (;;) {
		answer_auto struct answer answer = client_read(fixture, fd);

		if (answer.header.stream_id == 5)
			break;
		n[answer.header.stream_id]++;
		n_before += answer.header.length;
	}
	assert_true(n_before < (512 << 10));
	fixture_wait_for(fixture, &fixture->drained.n, 1);
}

static void
waiting_calls_of_a_connection_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	answer_auto struct answer refused = { 0 };
	uint32_t i;

	for (i = 0; i <= 4096; i++)
		client_call(fixture, fd, 2 * i + 1, "Wait");
	refused = client_expect(fixture, fd, 2 * 4096 + 1, 8);
	assert_true(refused.retryable);
	assert_int_equal(fixture->called.n, 4096);
	client_expect_nothing(fixture, fd, 9001);
	fd_close(&fd);
	fixture_wait_for(fixture, &fixture->gone.n, 4096);
}

static void
connections_and_calls_of_one_user_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	answer_auto struct answer over = { 0 };
	int fds[12];
	size_t i;

	if (geteuid() != 0)
		skip();
	for (i = 0; i < 10; i++) {
		fds[i] = client_connect_as(fixture, ORDINARY_UID);
		client_expect_nothing(fixture, fds[i], 1);
	}
	/* One more is told why, and closed. */
	fds[10] = client_connect_as(fixture, ORDINARY_UID);
	client_call(fixture, fds[10], 1, "Version");
	over = client_expect(fixture, fds[10], 1, 8);
	assert_int_equal(over.detail_code, NSEXEC__V1__ERROR_CODE__QUOTA);
	assert_non_null(strstr(over.message, "limit 10, 10 used"));
	client_expect_close(fixture, fds[10]);
	fds[11] = client_connect_as(fixture, ORDINARY_UID + 1);
	client_expect_nothing(fixture, fds[11], 1);
	/* Ten calls in flight over all its connections, waiting ones apart. */
	for (i = 0; i < 10; i++) {
		client_call(fixture, fds[i], 3, "Wait");
		client_call(fixture, fds[i], 5, "Start");
	}
	fixture_wait_for(fixture, &fixture->called.n, 20);
	client_call(fixture, fds[0], 7, "Start");
	client_expect_code(fixture, fds[0], 7, 8);
	assert_int_equal(fixture->caller.uid, ORDINARY_UID);
	client_call(fixture, fds[11], 3, "Start");
	fixture_wait_for(fixture, &fixture->called.n, 21);
	assert_int_equal(fixture->caller.uid, ORDINARY_UID + 1);
	/* A place that is given up can be taken again. */
	fd_close(&fds[0]);
	fixture_wait_for(fixture, &fixture->gone.n, 2);
	fds[0] = client_connect_as(fixture, ORDINARY_UID);
	client_expect_nothing(fixture, fds[0], 1);
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fd_close(&fds[i]);
}

static size_t
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void
descriptors_on_the_rpc_socket_are_dropped_unread(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	static const char call[] = "\0\0\0\x1b\0\0\0\x03\x01\0\x0a\x10"
				   "nsexec.v1.Nsexec\x12\x07Version";
	int fds[3] = { 0, 0, 0 };
	size_t before;

	client_expect_nothing(fixture, fd, 1);
	before = count_fds();
	assert_int_equal(fd_send(fd, call, sizeof(call) - 1, fds, 3), 0);
	client_expect_code(fixture, fd, 3, 0);
	assert_int_equal(count_fds(), before);
}

static void
on_waited(struct daemon *daemon, uint64_t call_id)
{
	struct fixture *fixture = (struct fixture *)daemon;

	fixture->waited.ids[fixture->waited.n++] = call_id;
	loop_quit(daemon->loop);
}

static const uint8_t token[16] = "0123456789abcde";
static const uint8_t other_token[16] = "other token....";

static void
fd_channel_goes_to_its_user_alone(void **state)
{
	struct fixture *fixture = *state;
	struct server *server = fixture->daemon.server;
	const struct rpc_caller me = { .uid = geteuid(), .gid = getegid() };
	const struct rpc_caller other = { .uid = 1, .gid = getegid() };
	const struct rpc_caller group = { .uid = geteuid(), .gid = 1 };
	fd_auto int channel = channel_connect_as(fixture, geteuid());
	fd_auto int taken = -1;
	int fds[1] = { 0 };
	char byte;

	assert_int_equal(fdchan_take(server, &me, token), -EAGAIN);
	assert_int_equal(fdchan_wait(server, token, 77, 5000, on_waited), 0);
	assert_int_equal(send(channel, token, sizeof(token), 0), sizeof(token));
	assert_int_equal(fd_send(channel, "F", 1, fds, 1), 0);
	fixture_wait_for(fixture, &fixture->waited.n, 1);
	assert_int_equal(fixture->waited.ids[0], 77);
	assert_int_equal(fdchan_take(server, &me, other_token), -EAGAIN);
	assert_int_equal(fdchan_take(server, &other, token), -EACCES);
	assert_int_equal(fdchan_take(server, &group, token), -EACCES);
	taken = fdchan_take(server, &me, token);
	assert_true(taken >= 0);
	/* What came after the token is still in it, unread. */
	assert_int_equal(recv(taken, &byte, 1, MSG_DONTWAIT), 1);
	assert_int_equal(byte, 'F');
	assert_int_equal(fdchan_take(server, &me, token), -EAGAIN);
	assert_int_equal(fdchan_wait(server, token, 78, 10, on_waited), 0);
	fixture_wait_for(fixture, &fixture->waited.n, 2);
	assert_int_equal(fixture->waited.ids[1], 78);
}

static void
fd_channel_that_sends_no_token_is_closed(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int silent = channel_connect_as(fixture, geteuid());
	const size_t sizes[] = { 1, 15, 17, 4096 };
	char bytes[4096] = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fd_auto int wrong = channel_connect_as(fixture, geteuid());

		assert_int_equal(send(wrong, bytes, sizes[i], 0), sizes[i]);
		client_expect_close(fixture, wrong);
	}
	/* Two seconds after it came. */
	client_expect_close(fixture, silent);
}

static void
fd_channel_whose_caller_has_gone_is_dropped(void **state)
{
	struct fixture *fixture = *state;
	struct server *server = fixture->daemon.server;
	const struct rpc_caller me = { .uid = geteuid(), .gid = getegid() };
	fd_auto int channel = channel_connect_as(fixture, geteuid());
	int fds[2];
	char byte;

	/* The reader of a pipe sees its end once nobody holds the writer. */
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fdchan_wait(server, token, 5, 5000, on_waited), 0);
	assert_int_equal(send(channel, token, sizeof(token), 0), sizeof(token));
	assert_int_equal(fd_send(channel, "F", 1, &fds[1], 1), 0);
	close(fds[1]);
	fixture_wait_for(fixture, &fixture->waited.n, 1);
	fixture_fence(fixture);
	fd_close(&channel);
	fixture_fence(fixture);
	assert_int_equal(fdchan_take(server, &me, token), -EAGAIN);
	assert_int_equal(read(fds[0], &byte, 1), 0);
	close(fds[0]);
}

static void
large_frames_under_way_of_one_user_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	static const char head[] =
		"\0\x3f\xff\xff\0\0\0\x01\x01\0\x0a\x10"
		"nsexec.v1.Nsexec\x12\x06"
		"Create\x1a\xe0\xff\xff\x01\x12\xdb\xff\xff\x01";
	enum { SIZE = 10 + 0x3fffff };
	free_auto char *frame = calloc(1, SIZE);
	fd_auto int root = -1;
	int fds[5];
	size_t i;

	if (geteuid() != 0)
		skip();
	memcpy(frame, head, sizeof(head) - 1);
	/* Four frames of 4 MiB are begun; there is no room for a fifth. */
	for (i = 0; i < 5; i++) {
		fds[i] = client_connect_as(fixture, ORDINARY_UID);
		client_send(fixture, fds[i], frame, 200);
		fixture_fence(fixture);
	}
	client_send(fixture, fds[4], frame + 200, SIZE - 200);
	client_expect_code(fixture, fds[4], 1, 8);
	client_expect_nothing(fixture, fds[4], 3);
	/* Others are not concerned, and room comes back. */
	root = client_connect(fixture);
	client_send(fixture, root, frame, SIZE);
	client_expect_code(fixture, root, 1, 0);
	client_send(fixture, fds[0], frame + 200, SIZE - 200);
	client_expect_code(fixture, fds[0], 1, 0);
	fd_close(&fds[1]);
	fixture_fence(fixture);
	frame[7] = 5;
	client_send(fixture, fds[4], frame, SIZE);
	client_expect_code(fixture, fds[4], 5, 0);
	for (i = 0; i < 5; i++)
		fd_close(&fds[i]);
}

static void
output_of_a_connection_is_bounded_and_streams_go_first(void **state)
{
	enum { N = 40 };
	struct fixture *fixture = *state;
	fd_auto int fd = client_connect(fixture);
	uint64_t calls[N];
	size_t i, n_ended = 0;

	for (i = 0; i < N; i++)
		calls[i] = open_stream(fixture, fd, (uint32_t)(2 * i + 1),
				       TTRPC_REMOTE_CLOSED);
	/* Forty queues of 256 KiB that nobody reads are over 8 MiB. */
	for (i = 0; i < N; i++)
		while (send_event(fixture, calls[i], 1, 4000) == 0)
			;
	fixture_wait_for(fixture, &fixture->gone.n, N);
	while (n_ended < N) {
		answer_auto struct answer answer = client_read(fixture, fd);

		if (answer.header.type == TTRPC_RESPONSE) {
			assert_int_equal(answer.code, 8);
			n_ended++;
		}
	}
	client_expect_nothing(fixture, fd, 2 * N + 1);
}

static void
out_of_descriptors_callers_are_turned_away_not_left_waiting(void **state)
{
	struct fixture *fixture = *state;
	fd_auto int first = client_connect(fixture);
	fd_auto int second = -1, third = -1;
	struct rlimit limit, low;
	int fillers[256];
	size_t i, n = 0;

	client_expect_nothing(fixture, first, 1);
	second = client_connect(fixture);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = 200;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (n < ARRAY_SIZE(fillers) && (fillers[n] = dup(0)) >= 0)
		n++;
	client_expect_close(fixture, second);
	client_expect_nothing(fixture, first, 3);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (i = 0; i < n; i++)
		close(fillers[i]);
	/* After its rest the listener takes callers again. */
	third = client_connect(fixture);
	client_expect_nothing(fixture, third, 1);
}

static void
drain_answers_waiting_calls_and_takes_no_more(void **state)
{
	struct fixture *fixture = *state;
	struct server *server = fixture->daemon.server;
	fd_auto int fd = client_connect(fixture);
	Nsexec__V1__StartResponse response = NSEXEC__V1__START_RESPONSE__INIT;
	uint64_t start;

	client_call(fixture, fd, 1, "Start");
	fixture_wait_for(fixture, &fixture->called.n, 1);
	start = fixture->called.ids[0];
	client_call(fixture, fd, 3, "Wait");
	open_stream(fixture, fd, 5, TTRPC_REMOTE_CLOSED);
	fixture_wait_for(fixture, &fixture->called.n, 3);
	server_drain(server);
	assert_int_equal(fixture->gone.n, 2);
	client_expect_code(fixture, fd, 5, 10);
	client_expect_code(fixture, fd, 3, 10);
	assert_false(server_idle(server));
	assert_int_equal(rpc_reply(server, start, &response.base), 0);
	client_expect_code(fixture, fd, 1, 0);
	assert_true(server_idle(server));
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stream_sends_data_and_ends),
		TEST(failed_stream_ends_with_a_response_after_its_data),
		TEST(half_close_by_data_is_taken_and_more_is_refused),
		TEST(full_stream_says_so_and_tells_when_there_is_room),
		TEST(message_larger_than_half_a_queue_waits_for_its_room),
		TEST(full_stream_does_not_delay_answers_much),
		TEST(waiting_calls_of_a_connection_are_bounded),
		TEST(connections_and_calls_of_one_user_are_bounded),
		TEST(descriptors_on_the_rpc_socket_are_dropped_unread),
		TEST(fd_channel_goes_to_its_user_alone),
		TEST(fd_channel_that_sends_no_token_is_closed),
		TEST(fd_channel_whose_caller_has_gone_is_dropped),
		TEST(large_frames_under_way_of_one_user_are_bounded),
		TEST(output_of_a_connection_is_bounded_and_streams_go_first),
		TEST(out_of_descriptors_callers_are_turned_away_not_left_waiting),
		TEST(drain_answers_waiting_calls_and_takes_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
