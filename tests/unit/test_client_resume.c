/* SPDX-License-Identifier: Apache-2.0 */
/* What libnsexec does when nsexecd goes and comes again (client/resume.c). */
#include "config.h"

#include "tests/unit/client_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"

static const uint8_t epoch[16] = { 7, 7, 7 };

static void
count_done(struct nsexec_call *call, void *data)
{
	if (nsexec_call_done(call))
		++*(int *)data;
}

/* The next request, which must be of this method; *ret_id its stream. */
static Ttrpc__Request *
expect(struct fixture *fixture, const char *method, uint32_t *ret_id)
{
	struct ttrpc_header header;
	Ttrpc__Request *request = fixture_request(fixture, &header);

	assert_string_equal(request->method, method);
	*ret_id = header.stream_id;
	return request;
}

/* The same, and nothing in it matters. */
static uint32_t
expect_only(struct fixture *fixture, const char *method)
{
	uint32_t id;

	ttrpc__request__free_unpacked(expect(fixture, method, &id), NULL);
	return id;
}

static void
answer_version(struct fixture *fixture, uint64_t last_seq)
{
	Nsexec__V1__VersionResponse response =
		NSEXEC__V1__VERSION_RESPONSE__INIT;

	response.has_epoch = response.has_last_seq = 1;
	response.epoch.data = (uint8_t *)epoch;
	response.epoch.len = sizeof(epoch);
	response.last_seq = last_seq;
	fixture_answer(fixture, expect_only(fixture, "Version"),
		       &response.base);
}

static void
dispatch(struct fixture *fixture)
{
	assert_int_equal(nsexec_dispatch(fixture->nsexec), 0);
}

/* The daemon ends, and another one takes the connection. */
static void
lose(struct fixture *fixture)
{
	fd_close(&fixture->peer);
	dispatch(fixture); /* sees it */
	dispatch(fixture); /* connects */
	fixture->peer = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fixture->peer >= 0);
}

static void
come_again(struct fixture *fixture)
{
	answer_version(fixture, 0);
	dispatch(fixture);
}

static void
send_event(struct fixture *fixture, uint32_t stream_id, uint64_t seq,
	   Nsexec__V1__EventType type)
{
	Nsexec__V1__Event event = NSEXEC__V1__EVENT__INIT;
	struct ttrpc_header header = { .stream_id = stream_id,
				       .type = TTRPC_DATA };
	uint8_t data[256];

	event.has_epoch = event.has_seq = event.has_type = 1;
	event.epoch.data = (uint8_t *)epoch;
	event.epoch.len = sizeof(epoch);
	event.seq = seq;
	event.type = type;
	header.length = (uint32_t)nsexec__v1__event__pack(&event, data);
	fixture_send_frame(fixture, &header, data);
	dispatch(fixture);
}

/* The Events request that comes now; freed by the caller. */
static Nsexec__V1__EventsRequest *
expect_events(struct fixture *fixture, uint32_t *ret_id)
{
	Ttrpc__Request *envelope = expect(fixture, "Events", ret_id);
	Nsexec__V1__EventsRequest *request = nsexec__v1__events_request__unpack(
		NULL, envelope->payload.len, envelope->payload.data);

	assert_non_null(request);
	ttrpc__request__free_unpacked(envelope, NULL);
	return request;
}

/* After a loss the stream must ask for this. */
static uint32_t
expect_position(struct fixture *fixture, uint64_t seq, bool snapshot)
{
	uint32_t id;
	Nsexec__V1__EventsRequest *request = expect_events(fixture, &id);

	assert_int_equal(request->epoch.len, sizeof(epoch));
	assert_memory_equal(request->epoch.data, epoch, sizeof(epoch));
	assert_int_equal(request->from_seq, seq);
	assert_int_equal(request->has_snapshot && request->snapshot, snapshot);
	nsexec__v1__events_request__free_unpacked(request, NULL);
	return id;
}

static void
nothing_is_sent_before_the_new_daemon_has_answered(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_call *list, *late;
	struct pollfd poll_fd;

	assert_int_equal(nsexec_call_list(fixture->nsexec, &list), 0);
	(void)expect_only(fixture, "List");
	lose(fixture);
	assert_int_equal(nsexec_call_state(fixture->nsexec, "web", &late), 0);
	dispatch(fixture);
	assert_false(nsexec_call_done(list));
	answer_version(fixture, 0);
	poll_fd = (struct pollfd){ .fd = fixture->peer, .events = POLLIN };
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	dispatch(fixture);
	(void)expect_only(fixture, "List");
	(void)expect_only(fixture, "State");
	assert_int_equal(nsexec_reconnects(fixture->nsexec), 1);
	nsexec_call_free(list);
	nsexec_call_free(late);
}

static void
wait_goes_on_with_what_is_left_of_its_time(void **state)
{
	struct fixture *fixture = *state;
	const struct nsexec_target target = { .id = "web" };
	struct nsexec_call *call;
	Nsexec__V1__WaitRequest *request;
	Nsexec__V1__WaitResponse response = NSEXEC__V1__WAIT_RESPONSE__INIT;
	Nsexec__V1__ExitStatus status = NSEXEC__V1__EXIT_STATUS__INIT;
	struct nsexec_exit exit_info;
	Ttrpc__Request *envelope;
	uint32_t id;

	assert_int_equal(
		nsexec_call_wait(fixture->nsexec, &target, 60000, &call), 0);
	(void)expect_only(fixture, "Wait");
	(void)poll(NULL, 0, 20);
	lose(fixture);
	come_again(fixture);
	envelope = expect(fixture, "Wait", &id);
	request = nsexec__v1__wait_request__unpack(NULL, envelope->payload.len,
						   envelope->payload.data);
	assert_string_equal(request->id, "web");
	assert_in_range(request->timeout_ms, 1, 59980);
	nsexec__v1__wait_request__free_unpacked(request, NULL);
	ttrpc__request__free_unpacked(envelope, NULL);
	status.has_code = 1;
	status.code = 3;
	response.exit = &status;
	fixture_answer(fixture, id, &response.base);
	assert_int_equal(nsexec_call_await(call, 5000), 0);
	assert_int_equal(nsexec_call_get_exit(call, &exit_info), 0);
	assert_int_equal(exit_info.code, 3);
	nsexec_call_free(call);
}

/* The request and what came on the fd channel. */
static Nsexec__V1__RunRequest *
expect_run(struct fixture *fixture)
{
	int channel = accept4(fixture->fd_listener, NULL, NULL, SOCK_CLOEXEC);
	uint32_t id;
	Ttrpc__Request *envelope = expect(fixture, "Run", &id);
	Nsexec__V1__RunRequest *request = nsexec__v1__run_request__unpack(
		NULL, envelope->payload.len, envelope->payload.data);
	uint8_t data[32];
	size_t n_fds = 0;
	int fd = -1;

	ttrpc__request__free_unpacked(envelope, NULL);
	assert_non_null(request);
	assert_int_equal(fd_recv(channel, data, sizeof(data), NULL, 0, &n_fds),
			 16);
	assert_memory_equal(data, request->fd_token.data, 16);
	assert_int_equal(fd_recv(channel, data, sizeof(data), &fd, 1, &n_fds),
			 1);
	assert_int_equal(n_fds, 1);
	fd_close(&fd);
	fd_close(&channel);
	return request;
}

static void
run_without_a_key_gets_one_and_keeps_it_with_its_descriptors(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_spec *spec;
	struct nsexec_call *call;
	Nsexec__V1__RunRequest *first, *second;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(nsexec_spec_new(&spec), 0);
	nsexec_spec_arg(spec, "true");
	nsexec_spec_stdio_fd(spec, 1, fd);
	assert_int_equal(nsexec_call_run(fixture->nsexec, spec, NULL, &call),
			 0);
	first = expect_run(fixture);
	assert_int_equal(first->key.len, 16);
	lose(fixture);
	come_again(fixture);
	second = expect_run(fixture);
	assert_int_equal(second->key.len, 16);
	assert_memory_equal(second->key.data, first->key.data, 16);
	nsexec__v1__run_request__free_unpacked(first, NULL);
	nsexec__v1__run_request__free_unpacked(second, NULL);
	nsexec_call_free(call);
	nsexec_spec_free(spec);
	fd_close(&fd);
}

static void
call_that_may_not_be_repeated_ends_with_a_retryable_error(void **state)
{
	struct fixture *fixture = *state;
	const struct nsexec_target target = { .id = "web" };
	struct nsexec_call *calls[5];
	int n_done = 0;

	assert_int_equal(nsexec_call_signal(fixture->nsexec, &target, 15, false,
					    &calls[0]),
			 0);
	assert_int_equal(nsexec_call_start(fixture->nsexec, "web", &calls[1]),
			 0);
	assert_int_equal(
		nsexec_call_delete(fixture->nsexec, "web", false, &calls[2]),
		0);
	assert_int_equal(
		nsexec_call_next_events(fixture->nsexec, NULL, 0, 0, &calls[3]),
		0);
	assert_int_equal(
		nsexec_call_raw(fixture->nsexec, "List", "", 0, &calls[4]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		nsexec_call_on_done(calls[i], count_done, &n_done);
	lose(fixture);
	assert_int_equal(n_done, 5);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct nsexec_error *error = nsexec_call_error(calls[i]);

		assert_true(nsexec_call_result(calls[i]) == -ECONNRESET ||
			    nsexec_call_result(calls[i]) == -EPIPE);
		assert_int_equal(error->code, NSEXEC_ABORTED_RESTART);
		assert_true(error->retryable);
		assert_string_equal(error->stage, "client");
		nsexec_call_free(calls[i]);
	}
	come_again(fixture);
}

static void
call_of_which_not_all_was_sent_goes_on(void **state)
{
	struct fixture *fixture = *state;
	const struct nsexec_target target = { .id = "web" };
	struct nsexec_call *big, *call;
	const size_t size = 3 << 20; /* more than a socket takes */
	char *text = calloc(1, size);

	assert_non_null(text);
	assert_int_equal(
		nsexec_call_raw(fixture->nsexec, "List", text, size, &big), 0);
	assert_int_equal(
		nsexec_call_signal(fixture->nsexec, &target, 15, false, &call),
		0);
	nsexec_call_free(big);
	lose(fixture);
	assert_false(nsexec_call_done(call));
	come_again(fixture);
	(void)expect_only(fixture, "Signal");
	nsexec_call_free(call);
	free(text);
}

static void
stream_goes_on_behind_the_last_event_that_came(void **state)
{
	struct fixture *fixture = *state;
	const struct nsexec_filter filter = { .from_seq = 5 };
	struct nsexec_call *stream;
	struct nsexec_event *event;
	Nsexec__V1__EventsRequest *request;
	uint32_t id;

	assert_int_equal(nsexec_events_open(fixture->nsexec, &filter, &stream),
			 0);
	request = expect_events(fixture, &id);
	nsexec__v1__events_request__free_unpacked(request, NULL);
	send_event(fixture, id, 5, NSEXEC__V1__EVENT_TYPE__EVENT_EXITED);
	assert_int_equal(nsexec_next_event(stream, &event), 0);
	nsexec_event_free(event);
	/* One that nobody took counts as well, and is still there. */
	send_event(fixture, id, 6, NSEXEC__V1__EVENT_TYPE__EVENT_EXITED);
	lose(fixture);
	come_again(fixture);
	id = expect_position(fixture, 7, false);
	send_event(fixture, id, 7, NSEXEC__V1__EVENT_TYPE__EVENT_EXITED);
	for (uint64_t seq = 6; seq < 8; seq++) {
		assert_int_equal(nsexec_next_event(stream, &event), 0);
		assert_int_equal(event->seq, seq);
		nsexec_event_free(event);
	}
	lose(fixture);
	come_again(fixture);
	(void)expect_position(fixture, 8, false);
	nsexec_call_free(stream);
}

static void
stream_of_new_events_alone_begins_where_it_was_opened(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_call *stream;
	Nsexec__V1__EventsRequest *request;
	uint32_t id;

	assert_int_equal(nsexec_events_open(fixture->nsexec, NULL, &stream), 0);
	answer_version(fixture, 41);
	request = expect_events(fixture, &id);
	assert_false(request->has_from_seq);
	nsexec__v1__events_request__free_unpacked(request, NULL);
	dispatch(fixture);
	lose(fixture);
	come_again(fixture);
	(void)expect_position(fixture, 42, false);
	nsexec_call_free(stream);
}

static void
snapshot_that_was_cut_off_is_asked_for_again(void **state)
{
	struct fixture *fixture = *state;
	const struct nsexec_filter filter = { .from_seq = 1 };
	struct nsexec_call *stream;
	Nsexec__V1__EventsRequest *request;
	uint32_t id;

	assert_int_equal(nsexec_events_open(fixture->nsexec, &filter, &stream),
			 0);
	request = expect_events(fixture, &id);
	nsexec__v1__events_request__free_unpacked(request, NULL);
	send_event(fixture, id, 90, NSEXEC__V1__EVENT_TYPE__EVENT_GAP);
	send_event(fixture, id, 91, NSEXEC__V1__EVENT_TYPE__EVENT_EXITED);
	send_event(fixture, id, 91, NSEXEC__V1__EVENT_TYPE__EVENT_SNAPSHOT);
	lose(fixture);
	come_again(fixture);
	id = expect_position(fixture, 92, true);
	send_event(fixture, id, 91, NSEXEC__V1__EVENT_TYPE__EVENT_SNAPSHOT);
	send_event(fixture, id, 92, NSEXEC__V1__EVENT_TYPE__EVENT_EXITED);
	lose(fixture);
	come_again(fixture);
	(void)expect_position(fixture, 93, false);
	nsexec_call_free(stream);
}

static void
lease_is_held_again_before_anything_else(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_spec *spec;
	struct nsexec_call *call, *list;
	Nsexec__V1__RunRequest *run;
	Nsexec__V1__LeaseRequest *lease;
	Nsexec__V1__LeaseResponse response = NSEXEC__V1__LEASE_RESPONSE__INIT;
	Ttrpc__Request *envelope;
	uint32_t id;

	assert_int_equal(nsexec_spec_new(&spec), 0);
	nsexec_spec_arg(spec, "true");
	nsexec_spec_kill_on_disconnect(spec, true);
	assert_int_equal(nsexec_call_run(fixture->nsexec, spec, NULL, &call),
			 0);
	nsexec_spec_free(spec);
	envelope = expect(fixture, "Run", &id);
	run = nsexec__v1__run_request__unpack(NULL, envelope->payload.len,
					      envelope->payload.data);
	ttrpc__request__free_unpacked(envelope, NULL);
	assert_int_equal(run->spec->lease.len, 16);
	nsexec_call_free(call);
	assert_int_equal(nsexec_call_list(fixture->nsexec, &list), 0);
	(void)expect_only(fixture, "List");
	lose(fixture);
	come_again(fixture);
	envelope = expect(fixture, "Lease", &id);
	lease = nsexec__v1__lease_request__unpack(NULL, envelope->payload.len,
						  envelope->payload.data);
	ttrpc__request__free_unpacked(envelope, NULL);
	assert_memory_equal(lease->lease.data, run->spec->lease.data, 16);
	fixture_answer(fixture, id, &response.base);
	(void)expect_only(fixture, "List");
	dispatch(fixture);
	nsexec__v1__lease_request__free_unpacked(lease, NULL);
	nsexec__v1__run_request__free_unpacked(run, NULL);
	nsexec_call_free(list);
}

static void
call_that_an_ending_daemon_puts_off_is_sent_to_the_next(void **state)
{
	struct fixture *fixture = *state;
	const struct nsexec_target target = { .id = "web" };
	Nsexec__V1__ErrorDetail detail = NSEXEC__V1__ERROR_DETAIL__INIT;
	struct nsexec_call *call;

	detail.has_code = detail.has_retryable = 1;
	detail.code = NSEXEC__V1__ERROR_CODE__ABORTED_RESTART;
	detail.retryable = 1;
	detail.stage = (char *)"daemon";
	detail.step = (char *)"drain";
	assert_int_equal(nsexec_call_wait(fixture->nsexec, &target, 0, &call),
			 0);
	fixture_refuse(fixture, expect_only(fixture, "Wait"), 10, &detail);
	dispatch(fixture);
	assert_false(nsexec_call_done(call));
	lose(fixture);
	come_again(fixture);
	(void)expect_only(fixture, "Wait");
	nsexec_call_free(call);
}

static void
connection_that_never_answers_again_breaks_in_time(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_call *call;
	int64_t began, took;

	nsexec_set_reconnect(fixture->nsexec, 300);
	assert_int_equal(nsexec_call_list(fixture->nsexec, &call), 0);
	began = clock_boottime_ms();
	fd_close(&fixture->peer);
	assert_int_equal(nsexec_call_await(call, -1), -ECONNRESET);
	took = clock_boottime_ms() - began;
	assert_true(took >= 300 && took < 5000);
	assert_int_equal(nsexec_fd(fixture->nsexec), -1);
	nsexec_call_free(call);
}

static void
daemon_that_ends_before_it_answers_does_not_renew_the_time(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_call *call;
	int n = 0, r;

	nsexec_set_reconnect(fixture->nsexec, 300);
	assert_int_equal(nsexec_call_list(fixture->nsexec, &call), 0);
	assert_int_equal(fcntl(fixture->listener, F_SETFL, O_NONBLOCK), 0);
	fd_close(&fixture->peer);
	while ((r = nsexec_call_await(call, 5)) == -ETIMEDOUT) {
		int peer = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);

		n += peer >= 0;
		fd_close(&peer);
	}
	assert_true(r == -ECONNRESET || r == -EPIPE);
	/* 20, 40, 80 ... ms apart. */
	assert_in_range(n, 2, 8);
	nsexec_call_free(call);
}

static void
the_descriptor_to_poll_is_one_for_all_connections(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_call *call;
	const int fd = nsexec_fd(fixture->nsexec);
	int set = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };

	/* Registered once, as an event loop does. */
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
	assert_int_equal(nsexec_call_list(fixture->nsexec, &call), 0);
	(void)expect_only(fixture, "List");
	fd_close(&fixture->peer);
	for (int n = 0; nsexec_reconnects(fixture->nsexec) == 0; n++) {
		assert_true(n < 20);
		assert_int_equal(epoll_wait(set, &event, 1, 5000), 1);
		dispatch(fixture);
		if (fixture->peer < 0 && n > 0) {
			fixture->peer = accept4(fixture->listener, NULL, NULL,
						SOCK_CLOEXEC);
			answer_version(fixture, 0);
		}
	}
	assert_int_equal(nsexec_fd(fixture->nsexec), fd);
	(void)expect_only(fixture, "List");
	assert_int_equal(epoll_wait(set, &event, 1, 0), 0);
	nsexec_call_free(call);
	fd_close(&set);
}

#define TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_sent_before_the_new_daemon_has_answered),
		TEST(wait_goes_on_with_what_is_left_of_its_time),
		TEST(run_without_a_key_gets_one_and_keeps_it_with_its_descriptors),
		TEST(call_that_may_not_be_repeated_ends_with_a_retryable_error),
		TEST(call_of_which_not_all_was_sent_goes_on),
		TEST(stream_goes_on_behind_the_last_event_that_came),
		TEST(stream_of_new_events_alone_begins_where_it_was_opened),
		TEST(snapshot_that_was_cut_off_is_asked_for_again),
		TEST(lease_is_held_again_before_anything_else),
		TEST(call_that_an_ending_daemon_puts_off_is_sent_to_the_next),
		TEST(connection_that_never_answers_again_breaks_in_time),
		TEST(daemon_that_ends_before_it_answers_does_not_renew_the_time),
		TEST(the_descriptor_to_poll_is_one_for_all_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
