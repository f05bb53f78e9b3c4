/* SPDX-License-Identifier: Apache-2.0 */
/* Starts on a connection that has just activated its daemon (client/resume.c).
 */
#include "config.h"

#include "tests/unit/client_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"

static struct nsexec_spec *
spec_with_streams(void)
{
	struct nsexec_spec *spec;

	assert_int_equal(nsexec_spec_new(&spec), 0);
	nsexec_spec_arg(spec, "true");
	nsexec_spec_stdio_fd(spec, 1, STDERR_FILENO);
	return spec;
}

/* The next request is of this method; its stream id. */
static uint32_t
expect(struct fixture *fixture, const char *method)
{
	struct ttrpc_header header;
	Ttrpc__Request *request = fixture_request(fixture, &header);

	assert_string_equal(request->method, method);
	ttrpc__request__free_unpacked(request, NULL);
	return header.stream_id;
}

static void
expect_nothing(const struct fixture *fixture)
{
	struct pollfd poll_fd = { .fd = fixture->peer, .events = POLLIN };

	assert_int_equal(poll(&poll_fd, 1, 0), 0);
}

static void
answer_version(struct fixture *fixture, uint32_t stream_id)
{
	Nsexec__V1__VersionResponse answer = NSEXEC__V1__VERSION_RESPONSE__INIT;

	fixture_answer(fixture, stream_id, &answer.base);
}

static void
start_is_held_until_the_daemon_has_answered(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_spec *spec = spec_with_streams();
	Nsexec__V1__RunResponse answer = NSEXEC__V1__RUN_RESPONSE__INIT;
	struct nsexec_call *first, *second;
	uint32_t version;
	int channels[2];

	fixture_fd_close(fixture);
	assert_int_equal(nsexec_call_run(fixture->nsexec, spec, NULL, &first),
			 0);
	assert_int_equal(nsexec_call_run(fixture->nsexec, spec, NULL, &second),
			 0);
	nsexec_spec_free(spec);
	version = expect(fixture, "Version");
	expect_nothing(fixture);
	fixture_fd_listen(fixture);
	answer_version(fixture, version);
	assert_int_equal(nsexec_call_await(first, 0), -ETIMEDOUT);
	assert_int_equal(expect(fixture, "Run"), version + 2);
	assert_int_equal(expect(fixture, "Run"), version + 4);
	for (size_t i = 0; i < 2; i++) {
		channels[i] =
			accept4(fixture->fd_listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(channels[i] >= 0);
	}
	fixture_answer(fixture, version + 4, &answer.base);
	assert_int_equal(nsexec_call_await(second, 5000), 0);
	assert_false(nsexec_call_done(first));
	fixture_answer(fixture, version + 2, &answer.base);
	assert_int_equal(nsexec_call_await(first, 5000), 0);
	nsexec_call_free(first);
	nsexec_call_free(second);
	fd_close(&channels[0]);
	fd_close(&channels[1]);
}

/* The daemon of a blocking call, in a process of its own. */
static void
serve(struct fixture *fixture)
{
	Nsexec__V1__RunResponse answer = NSEXEC__V1__RUN_RESPONSE__INIT;
	Nsexec__V1__ContainerInfo info = NSEXEC__V1__CONTAINER_INFO__INIT;
	const uint32_t version = expect(fixture, "Version");

	fixture_fd_listen(fixture);
	answer_version(fixture, version);
	info.id = (char *)"web";
	answer.info = &info;
	fixture_answer(fixture, expect(fixture, "Run"), &answer.base);
}

static void
blocking_start_waits_for_the_fd_socket(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_spec *spec = spec_with_streams();
	struct nsexec_info *info = NULL;
	int status;
	pid_t pid;

	fixture_fd_close(fixture);
	pid = fork();
	if (pid == 0) {
		serve(fixture);
		_exit(0);
	}
	assert_int_equal(nsexec_run(fixture->nsexec, spec, &info), 0);
	assert_string_equal(info->id, "web");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	nsexec_info_free(info);
	nsexec_spec_free(spec);
	/* The child's socket is there still; take its place for teardown. */
	fixture_fd_close(fixture);
	fixture_fd_listen(fixture);
}

static void
daemon_without_an_fd_socket_fails_the_held_start(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_spec *spec = spec_with_streams();
	struct nsexec_call *call, *later;

	fixture_fd_close(fixture);
	assert_int_equal(nsexec_call_run(fixture->nsexec, spec, NULL, &call),
			 0);
	answer_version(fixture, expect(fixture, "Version"));
	assert_int_equal(nsexec_call_await(call, 5000), -ENOENT);
	assert_string_equal(nsexec_call_error(call)->step, "open-fd-channel");
	nsexec_call_free(call);
	/* And from now on at once. */
	assert_int_equal(nsexec_call_run(fixture->nsexec, spec, NULL, &later),
			 -ENOENT);
	expect_nothing(fixture);
	nsexec_spec_free(spec);
	fixture_fd_listen(fixture);
}

static void
start_without_descriptors_is_not_held(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_spec *spec;
	struct nsexec_call *call;

	fixture_fd_close(fixture);
	assert_int_equal(nsexec_spec_new(&spec), 0);
	nsexec_spec_arg(spec, "true");
	assert_int_equal(nsexec_call_run(fixture->nsexec, spec, NULL, &call),
			 0);
	expect(fixture, "Run");
	nsexec_call_free(call);
	nsexec_spec_free(spec);
	fixture_fd_listen(fixture);
}

static void
freed_held_start_is_never_sent(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_spec *spec = spec_with_streams();
	struct nsexec_call *call, *other;
	uint32_t version;

	fixture_fd_close(fixture);
	assert_int_equal(nsexec_call_run(fixture->nsexec, spec, NULL, &call),
			 0);
	version = expect(fixture, "Version");
	nsexec_call_free(call);
	fixture_fd_listen(fixture);
	answer_version(fixture, version);
	assert_int_equal(nsexec_call_list(fixture->nsexec, &other), 0);
	assert_int_equal(nsexec_call_await(other, 0), -ETIMEDOUT);
	expect(fixture, "List");
	expect_nothing(fixture);
	nsexec_call_free(other);
	nsexec_spec_free(spec);
}

static void
broken_or_closed_connection_ends_held_starts(void **state)
{
	struct fixture *fixture = *state;
	struct nsexec_spec *spec = spec_with_streams();
	struct nsexec_call *call;
	struct nsexec *closed;

	fixture_fd_close(fixture);
	assert_int_equal(nsexec_connect(fixture->address, &closed), 0);
	assert_int_equal(nsexec_call_run(closed, spec, NULL, &call), 0);
	nsexec_close(closed);
	assert_int_equal(nsexec_call_result(call), -ECANCELED);
	nsexec_call_free(call);
	nsexec_set_reconnect(fixture->nsexec, 0);
	assert_int_equal(nsexec_call_run(fixture->nsexec, spec, NULL, &call),
			 0);
	fd_close(&fixture->peer);
	assert_true(nsexec_call_await(call, 5000) < 0);
	assert_true(nsexec_call_done(call));
	nsexec_call_free(call);
	nsexec_spec_free(spec);
	fixture_fd_listen(fixture);
}

#define TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(start_is_held_until_the_daemon_has_answered),
		TEST(blocking_start_waits_for_the_fd_socket),
		TEST(daemon_without_an_fd_socket_fails_the_held_start),
		TEST(start_without_descriptors_is_not_held),
		TEST(freed_held_start_is_never_sent),
		TEST(broken_or_closed_connection_ends_held_starts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
