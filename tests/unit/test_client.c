/* SPDX-License-Identifier: Apache-2.0 */
/* What libnsexec promises of requests, answers, streams and descriptors. */
#include "config.h"

#include "tests/unit/client_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"

static void
address_of_unknown_form_is_refused(void **state)
{
	struct nsexec *nsexec = NULL;
	char longest[200];

	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(nsexec_connect("tcp:1.2.3.4", &nsexec), -EINVAL);
	assert_int_equal(nsexec_connect("unix:", &nsexec), -EINVAL);
	assert_int_equal(nsexec_connect(longest, &nsexec), -ENAMETOOLONG);
	assert_int_equal(nsexec_connect("unix:/nonexistent/s", &nsexec),
			 -ENOENT);
	assert_null(nsexec);
}

static struct nsexec_spec *
new_spec(void)
{
	struct nsexec_spec *spec = NULL;

	assert_int_equal(nsexec_spec_new(&spec), 0);
	return spec;
}

/* Send a Run of spec and decode what arrives. */
static Nsexec__V1__RunRequest *
run_and_read(struct fixture *fixture, const struct nsexec_spec *spec,
	     const struct nsexec_start *start)
{
	struct nsexec_call *call = NULL;
	struct ttrpc_header header;
	Ttrpc__Request *request;
	Nsexec__V1__RunRequest *run;

	assert_int_equal(nsexec_call_run(fixture->nsexec, spec, start, &call),
			 0);
	request = fixture_request(fixture, &header);
	assert_string_equal(request->method, "Run");
	assert_int_equal(header.flags, 0);
	run = nsexec__v1__run_request__unpack(NULL, request->payload.len,
					      request->payload.data);
	assert_non_null(run);
	ttrpc__request__free_unpacked(request, NULL);
	nsexec_call_free(call);
	return run;
}

static void
run_request_carries_the_description(void **state)
{
	struct nsexec_spec *spec = new_spec();
	const uint8_t key[16] = { 1, 2, 3 };
	const struct nsexec_start start = { .key = key, .timeout_ms = 700 };
	Nsexec__V1__RunRequest *run;

	nsexec_spec_name(spec, "web");
	nsexec_spec_new_ns(spec, NSEXEC_NS_PID);
	nsexec_spec_join_path(spec, NSEXEC_NS_NET, "/run/netns/a");
	nsexec_spec_join_pid(spec, NSEXEC_NS_IPC, 42, 99);
	nsexec_spec_map_preset(spec, NSEXEC_MAP_EXPLICIT);
	nsexec_spec_map_uid(spec, 0, 100000, 65536);
	nsexec_spec_arg(spec, "/bin/sh");
	nsexec_spec_arg(spec, "-c");
	nsexec_spec_arg(spec, "");
	nsexec_spec_env(spec, "A=b=c");
	nsexec_spec_uid(spec, 0);
	nsexec_spec_capabilities(spec, NSEXEC_CAPS_AMBIENT, 0);
	nsexec_spec_rlimit(spec, 7, 64, UINT64_MAX);
	nsexec_spec_boottime(spec, -5, 1);
	assert_int_equal(nsexec_spec_status(spec), 0);
	run = run_and_read(*state, spec, &start);

	assert_string_equal(run->spec->name, "web");
	assert_int_equal(run->spec->n_namespaces, 3);
	assert_true(run->spec->namespaces[0]->create);
	assert_memory_equal(run->spec->namespaces[1]->path.data, "/run/netns/a",
			    12);
	assert_int_equal(run->spec->namespaces[2]->process->pid, 42);
	assert_int_equal(run->spec->namespaces[2]->process->pid_inode, 99);
	assert_int_equal(run->spec->id_maps->uid[0]->host_id, 100000);
	assert_int_equal(run->spec->process->n_args, 3);
	assert_int_equal(run->spec->process->args[2].len, 0);
	assert_memory_equal(run->spec->process->env[0].data, "A=b=c", 5);
	assert_true(run->spec->process->capabilities->has_ambient);
	assert_int_equal(run->spec->process->rlimits[0]->hard, UINT64_MAX);
	assert_int_equal(run->spec->boottime->seconds, -5);
	assert_memory_equal(run->key.data, key, 16);
	assert_int_equal(run->timeout_ms, 700);
	nsexec__v1__run_request__free_unpacked(run, NULL);
	nsexec_spec_free(spec);
}

static void
what_was_not_set_is_absent_and_zero_is_present(void **state)
{
	struct nsexec_spec *spec = new_spec();
	Nsexec__V1__RunRequest *run;

	nsexec_spec_arg(spec, "true");
	run = run_and_read(*state, spec, NULL);
	assert_false(run->spec->process->has_uid);
	assert_false(run->spec->has_loopback);
	assert_null(run->spec->id_maps);
	assert_null(run->spec->process->capabilities);
	assert_false(run->has_fd_token);
	nsexec__v1__run_request__free_unpacked(run, NULL);

	/* A description serves again, and changes show. */
	nsexec_spec_uid(spec, 0);
	nsexec_spec_loopback(spec, false);
	run = run_and_read(*state, spec, NULL);
	assert_true(run->spec->process->has_uid);
	assert_int_equal(run->spec->process->uid, 0);
	assert_true(run->spec->has_loopback);
	assert_false(run->spec->loopback);
	nsexec__v1__run_request__free_unpacked(run, NULL);
	nsexec_spec_free(spec);
}

static void
first_bad_setter_sticks_and_nothing_is_sent(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_spec *spec = new_spec();
	struct nsexec_call *call = NULL;

	nsexec_spec_env(spec, "=nameless");
	nsexec_spec_arg(spec, "true");
	assert_int_equal(nsexec_spec_status(spec), -EINVAL);
	assert_int_equal(nsexec_call_run(fixture->nsexec, spec, NULL, &call),
			 -EINVAL);
	assert_null(call);
	nsexec_spec_free(spec);

	spec = new_spec();
	for (int i = 0; i < NSEXEC_MAX_FDS; i++)
		nsexec_spec_pass_fd(spec, 100 + i, 3 + i, NULL);
	assert_int_equal(nsexec_spec_status(spec), 0);
	nsexec_spec_pass_fd(spec, 500, 500, NULL);
	assert_int_equal(nsexec_spec_status(spec), -E2BIG);
	nsexec_spec_free(spec);
}

static void
answers_find_their_calls_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	const struct nsexec_target target = { "web", NULL };
	Nsexec__V1__WaitResponse wait = NSEXEC__V1__WAIT_RESPONSE__INIT;
	Nsexec__V1__ExitStatus exit = NSEXEC__V1__EXIT_STATUS__INIT;
	Nsexec__V1__DeleteResponse delete = NSEXEC__V1__DELETE_RESPONSE__INIT;
	struct nsexec_call *first, *second;
	struct nsexec_exit result;

	assert_int_equal(nsexec_call_wait(fixture->nsexec, &target, 0, &first),
			 0);
	assert_int_equal(
		nsexec_call_delete(fixture->nsexec, "x", false, &second), 0);
	fixture_answer(fixture, 3, &delete.base);
	assert_int_equal(nsexec_call_await(second, 5000), 0);
	assert_false(nsexec_call_done(first));
	assert_int_equal(nsexec_call_result(first), -EINPROGRESS);
	assert_int_equal(nsexec_call_await(first, 1), -ETIMEDOUT);
	exit.has_signal = 1;
	exit.signal = 9;
	wait.exit = &exit;
	fixture_answer(fixture, 1, &wait.base);
	assert_int_equal(nsexec_call_await(first, 5000), 0);
	assert_int_equal(nsexec_call_get_exit(first, &result), 0);
	assert_int_equal(result.signal, 9);
	assert_int_equal(result.code, -1);
	assert_false(result.unknown);
	assert_int_equal(nsexec_call_get_exit(second, &result), -EBADMSG);
	nsexec_call_free(first);
	nsexec_call_free(second);
}

static void
refusal_gives_every_field_of_the_record(void **state)
{
	struct fixture *fixture = *state;
	Nsexec__V1__ErrorDetail detail = NSEXEC__V1__ERROR_DETAIL__INIT;
	const struct nsexec_error *error;
	struct nsexec_call *call;

	detail.has_code = 1;
	detail.code = NSEXEC__V1__ERROR_CODE__MAP_INVALID;
	detail.stage = (char *)"relay";
	detail.step = (char *)"map";
	detail.syscall = (char *)"write";
	detail.has_errno_value = 1;
	detail.errno_value = EPERM;
	detail.object = (char *)"row 1";
	detail.rule = (char *)"rows overlap";
	detail.hint = (char *)"change it";
	detail.has_retryable = detail.retryable = 1;
	detail.message = (char *)"one line\nor two";
	assert_int_equal(nsexec_call_start(fixture->nsexec, "web", &call), 0);
	fixture_refuse(fixture, 1, 3, &detail);
	assert_int_equal(nsexec_call_await(call, 5000), -EREMOTEIO);
	error = nsexec_call_error(call);
	assert_int_equal(error->code, NSEXEC_MAP_INVALID);
	assert_string_equal(nsexec_code_name(error->code), "MAP_INVALID");
	assert_int_equal(error->ttrpc_code, 3);
	assert_int_equal(error->errno_value, EPERM);
	assert_string_equal(error->stage, "relay");
	assert_string_equal(error->step, "map");
	assert_string_equal(error->syscall, "write");
	assert_string_equal(error->object, "row 1");
	assert_string_equal(error->rule, "rows overlap");
	assert_string_equal(error->hint, "change it");
	assert_true(error->retryable);
	/* One line, whatever the sender thinks. */
	assert_null(strchr(error->message, '\n'));
	nsexec_call_free(call);
}

static void
refusal_without_detail_has_a_code_by_its_status(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_call *call;

	assert_int_equal(
		nsexec_call_raw(fixture->nsexec, "Nope", NULL, 0, &call), 0);
	fixture_refuse(fixture, 1, 12, NULL);
	assert_int_equal(nsexec_call_await(call, 5000), -EREMOTEIO);
	assert_int_equal(nsexec_call_error(call)->code, NSEXEC_UNSUPPORTED);
	assert_string_equal(nsexec_call_error(call)->message, "refused");
	nsexec_call_free(call);
}

static void
broken_connection_ends_every_call(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_call *calls[3], *late = NULL;

	nsexec_set_reconnect(fixture->nsexec, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(nsexec_call_list(fixture->nsexec, &calls[i]),
				 0);
	fd_close(&fixture->peer);
	assert_true(nsexec_call_await(calls[1], 5000) < 0);
	for (int i = 0; i < 3; i++) {
		assert_true(nsexec_call_done(calls[i]));
		assert_true(nsexec_call_result(calls[i]) < 0);
		assert_string_equal(nsexec_call_error(calls[i])->stage,
				    "client");
		nsexec_call_free(calls[i]);
	}
	assert_int_equal(nsexec_fd(fixture->nsexec), -1);
	assert_int_equal(nsexec_call_list(fixture->nsexec, &late), -ENOTCONN);
}

static void
calls_outlive_a_closed_connection(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_call *call;

	assert_int_equal(nsexec_call_list(fixture->nsexec, &call), 0);
	fixture->nsexec = nsexec_close(fixture->nsexec);
	assert_int_equal(nsexec_call_result(call), -ECANCELED);
	nsexec_call_free(call);
}

static void
answer_to_a_freed_call_is_dropped(void **state)
{
	struct fixture *fixture = *state;
	Nsexec__V1__ListResponse list = NSEXEC__V1__LIST_RESPONSE__INIT;
	struct nsexec_call *forgotten, *call;

	assert_int_equal(nsexec_call_list(fixture->nsexec, &forgotten), 0);
	nsexec_call_free(forgotten);
	assert_int_equal(nsexec_call_list(fixture->nsexec, &call), 0);
	fixture_answer(fixture, 1, &list.base);
	fixture_answer(fixture, 3, &list.base);
	assert_int_equal(nsexec_call_await(call, 5000), 0);
	nsexec_call_free(call);
}

static void
answer_split_into_bytes_is_put_together(void **state)
{
	struct fixture *fixture = *state;
	/* len 4, stream 1, Response: payload of 2 bytes. */
	static const uint8_t bytes[] = { 0, 0, 0, 4,	0, 0, 0,
					 1, 2, 0, 0x12, 2, 8, 1 };
	struct nsexec_call *call;
	const uint8_t *payload;
	size_t size;

	assert_int_equal(
		nsexec_call_raw(fixture->nsexec, "Any", NULL, 0, &call), 0);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_false(nsexec_call_done(call));
		assert_int_equal(write(fixture->peer, &bytes[i], 1), 1);
		assert_int_equal(nsexec_dispatch(fixture->nsexec), 0);
	}
	assert_int_equal(nsexec_call_payload(call, &payload, &size), 0);
	assert_int_equal(size, 2);
	assert_memory_equal(payload, "\x08\x01", 2);
	nsexec_call_free(call);
}

static void
oversized_frame_ends_the_connection(void **state)
{
	struct fixture *fixture = *state;
	static const uint8_t bytes[] = { 0, 0x40, 0, 1, 0, 0, 0, 1, 2, 0 };
	struct nsexec_call *call;

	assert_int_equal(nsexec_call_list(fixture->nsexec, &call), 0);
	assert_int_equal(fd_write_all(fixture->peer, bytes, sizeof(bytes)), 0);
	assert_int_equal(nsexec_call_await(call, 5000), -EPROTO);
	nsexec_call_free(call);
}

static void
count_call(struct nsexec_call *call, void *data)
{
	(*(int *)data)++;
}

static void
stream_gives_its_events_and_then_its_end(void **state)
{
	struct fixture *fixture = *state;
	static const enum nsexec_event_type types[] = { NSEXEC_EVENT_EXITED };
	const struct nsexec_filter filter = { .from_seq = 7,
					      .types = types,
					      .n_types = 1 };
	struct nsexec_call *stream;
	struct nsexec_event *event;
	struct ttrpc_header header;
	Nsexec__V1__EventsRequest *request;
	Ttrpc__Request *envelope;
	int calls = 0;

	assert_int_equal(nsexec_events_open(fixture->nsexec, &filter, &stream),
			 0);
	nsexec_call_on_done(stream, count_call, &calls);
	envelope = fixture_request(fixture, &header);
	assert_int_equal(header.flags, TTRPC_REMOTE_CLOSED);
	request = nsexec__v1__events_request__unpack(
		NULL, envelope->payload.len, envelope->payload.data);
	assert_int_equal(request->from_seq, 7);
	assert_int_equal(request->types[0], NSEXEC_EVENT_EXITED);
	nsexec__v1__events_request__free_unpacked(request, NULL);
	ttrpc__request__free_unpacked(envelope, NULL);

	assert_int_equal(nsexec_next_event(stream, &event), -EAGAIN);
	assert_int_equal(nsexec_await_event(stream, 1, &event), -ETIMEDOUT);
	for (uint64_t seq = 7; seq < 10; seq++)
		fixture_event(fixture, 1, seq, 0);
	header = (struct ttrpc_header){ .stream_id = 1,
					.type = TTRPC_DATA,
					.flags = TTRPC_REMOTE_CLOSED |
						 TTRPC_NO_DATA };
	fixture_send_frame(fixture, &header, NULL);
	for (uint64_t seq = 7; seq < 10; seq++) {
		assert_int_equal(nsexec_await_event(stream, 5000, &event), 0);
		assert_int_equal(event->seq, seq);
		assert_string_equal(event->container, "web");
		nsexec_event_free(event);
	}
	assert_int_equal(nsexec_await_event(stream, 5000, &event), -ENODATA);
	assert_int_equal(calls, 4);
	nsexec_call_free(stream);
}

static void
stream_that_fails_gives_its_record_after_its_events(void **state)
{
	struct fixture *fixture = *state;
	const struct nsexec_filter filter = { .from_seq = 1 };
	struct nsexec_call *stream;
	struct nsexec_event *event;

	assert_int_equal(nsexec_events_open(fixture->nsexec, &filter, &stream),
			 0);
	fixture_event(fixture, 1, 1, 0);
	fixture_refuse(fixture, 1, 8, NULL);
	assert_int_equal(nsexec_await_event(stream, 5000, &event), 0);
	nsexec_event_free(event);
	assert_int_equal(nsexec_await_event(stream, 5000, &event), -EREMOTEIO);
	assert_int_equal(nsexec_call_error(stream)->code, NSEXEC_OVERLOADED);
	nsexec_call_free(stream);
}

static void
untaken_events_stop_the_reading_and_not_the_memory(void **state)
{
	struct fixture *fixture = *state;
	const struct nsexec_filter filter = { .from_seq = 1 };
	struct nsexec_call *stream;
	uint64_t seq = 0;

	assert_int_equal(nsexec_events_open(fixture->nsexec, &filter, &stream),
			 0);
	while (nsexec_poll_events(fixture->nsexec) & POLLIN && seq < 100000) {
		fixture_event(fixture, 1, ++seq, 0);
		assert_int_equal(nsexec_dispatch(fixture->nsexec), 0);
	}
	assert_true(seq < 10000);
	nsexec_call_free(stream);
	assert_true(nsexec_poll_events(fixture->nsexec) & POLLIN);
}

/* Read what came on the fd channel; the descriptors are closed again. */
static void
check_channel(struct fixture *fixture, const uint8_t *token, ino_t expected)
{
	int channel = accept4(fixture->fd_listener, NULL, NULL, SOCK_CLOEXEC);
	uint8_t data[32];
	int fds[4];
	size_t n_fds;
	struct stat st;

	assert_true(channel >= 0);
	assert_int_equal(fd_recv(channel, data, sizeof(data), NULL, 0, &n_fds),
			 16);
	assert_memory_equal(data, token, 16);
	assert_int_equal(fd_recv(channel, data, sizeof(data), fds, 4, &n_fds),
			 1);
	assert_int_equal(n_fds, 1);
	assert_int_equal(fstat(fds[0], &st), 0);
	assert_int_equal(st.st_ino, expected);
	fd_close(&fds[0]);
	fd_close(&channel);
}

static void
descriptors_travel_on_the_fd_channel_once_each(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_spec *spec = new_spec();
	Nsexec__V1__RunRequest *run;
	struct stat st;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(fstat(fd, &st), 0);
	nsexec_spec_arg(spec, "true");
	nsexec_spec_stdio_fd(spec, 1, fd);
	nsexec_spec_stdio_fd(spec, 2, fd);
	nsexec_spec_pass_fd(spec, fd, 9, "log");
	run = run_and_read(fixture, spec, NULL);
	assert_int_equal(run->n_fds, 1);
	assert_int_equal(run->fd_token.len, 16);
	assert_null(run->spec->process->stdin);
	assert_int_equal(run->spec->process->stdout->fd_index, 0);
	assert_int_equal(run->spec->process->stderr->fd_index, 0);
	assert_int_equal(run->spec->process->fds[0]->number, 9);
	check_channel(fixture, run->fd_token.data, st.st_ino);
	nsexec__v1__run_request__free_unpacked(run, NULL);
	nsexec_spec_free(spec);
	fd_close(&fd);
}

static void
pidfd_comes_back_on_the_fd_channel(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_spec *spec = new_spec();
	const struct nsexec_start start = { .want_pidfd = true };
	Nsexec__V1__RunResponse answer = NSEXEC__V1__RUN_RESPONSE__INIT;
	struct nsexec_call *call;
	int channel, sent = open("/dev/null", O_RDWR | O_CLOEXEC), got;

	nsexec_spec_arg(spec, "true");
	assert_int_equal(nsexec_call_run(fixture->nsexec, spec, &start, &call),
			 0);
	channel = accept4(fixture->fd_listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(channel >= 0);
	assert_int_equal(nsexec_call_take_pidfd(call), -EINPROGRESS);
	assert_int_equal(fd_send(channel, "P", 1, &sent, 1), 0);
	fixture_answer(fixture, 1, &answer.base);
	assert_int_equal(nsexec_call_await(call, 5000), 0);
	got = nsexec_call_take_pidfd(call);
	assert_true(got >= 0);
	assert_int_equal(nsexec_call_take_pidfd(call), -ENODATA);
	nsexec_call_free(call);
	nsexec_spec_free(spec);
	fd_close(&got);
	fd_close(&sent);
	fd_close(&channel);
}

#define TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_of_unknown_form_is_refused),
		TEST(run_request_carries_the_description),
		TEST(what_was_not_set_is_absent_and_zero_is_present),
		TEST(first_bad_setter_sticks_and_nothing_is_sent),
		TEST(answers_find_their_calls_in_any_order),
		TEST(refusal_gives_every_field_of_the_record),
		TEST(refusal_without_detail_has_a_code_by_its_status),
		TEST(broken_connection_ends_every_call),
		TEST(calls_outlive_a_closed_connection),
		TEST(answer_to_a_freed_call_is_dropped),
		TEST(answer_split_into_bytes_is_put_together),
		TEST(oversized_frame_ends_the_connection),
		TEST(stream_gives_its_events_and_then_its_end),
		TEST(stream_that_fails_gives_its_record_after_its_events),
		TEST(untaken_events_stop_the_reading_and_not_the_memory),
		TEST(descriptors_travel_on_the_fd_channel_once_each),
		TEST(pidfd_comes_back_on_the_fd_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
