/* SPDX-License-Identifier: Apache-2.0 */
/* What the test says as the spawner and as a stage; see core_fixture.h. */
#include "tests/unit/core_fixture.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"

#define CHILD_START_TIME 4711

const struct status_answer running = { .execed = true };
const struct status_answer ended = { .execed = true,
				     .exited = true,
				     .wait_status = 7 << 8 };
const struct status_answer died = { .exited = true, .wait_status = 9 };

/* The spawner */

static void
on_spawner(void *userdata, int fd, unsigned int events)
{
	struct core_fixture *fixture = userdata;

	loop_quit(fixture->daemon.loop);
}

static void
request_read(struct core_fixture *fixture)
{
	struct bootstrap_error boot_error;
	struct nlmsg_error error;
	int fds[4] = { -1, -1, -1, -1 };
	size_t n_fds;
	ssize_t size = fd_recv(fixture->spawner, fixture->data,
			       sizeof(fixture->data), fds, 4, &n_fds);
	struct nlmsg_header header;

	assert_true(size > 0);
	assert_int_equal(nlmsg_header_decode(fixture->data, (size_t)size,
					     &header, &error),
			 0);
	fixture->type = header.type;
	fixture->seq = header.seq;
	if (header.type == OP_START || header.type == OP_EXEC) {
		assert_int_equal(bootstrap_decode(DIALECT_NX, header.type,
						  fixture->data, (size_t)size,
						  &fixture->boot, &boot_error),
				 0);
		fd_close(&fixture->init_channel);
		fixture->init_channel = fd_steal(&fds[0]);
	} else {
		assert_int_equal(op_decode(fixture->data, (size_t)size,
					   &fixture->msg, &error),
				 0);
	}
	for (size_t i = 0; i < 4; i++)
		fd_close(&fds[i]);
}

void
spawner_expect(struct core_fixture *fixture, enum op op)
{
	for (;;) {
		while (fd_wait_readable(fixture->spawner, 0) == 0)
			core_turn(fixture);
		request_read(fixture);
		if (fixture->type != OP_PING || op == OP_PING)
			break;
		spawner_say_done(fixture);
	}
	assert_int_equal(fixture->type, op);
}

void
spawner_accept(struct core_fixture *fixture)
{
	await_fd(fixture, fixture->listener);
	fixture->spawner = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fixture->spawner >= 0);
	assert_int_equal(watch_new_fd(fixture->daemon.loop, fixture->spawner,
				      LOOP_READ, on_spawner, fixture,
				      &fixture->spawner_watch),
			 0);
	spawner_expect(fixture, OP_LIST);
}

void
spawner_greet(struct core_fixture *fixture)
{
	spawner_accept(fixture);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_PING);
	spawner_say_done(fixture);
}

static void
answer_begin(struct nlmsg_builder *builder, uint8_t *data, size_t size,
	     uint16_t type, uint32_t seq)
{
	nlmsg_builder_init(builder, data, size, type, seq);
}

static void
answer_send(struct nlmsg_builder *builder, int sock, int fd)
{
	size_t size;

	assert_int_equal(nlmsg_builder_end(builder, &size), 0);
	assert_int_equal(fd_send(sock, builder->data, size, &fd, fd >= 0), 0);
}

void
spawner_say_done(struct core_fixture *fixture)
{
	struct nlmsg_builder builder;
	uint8_t data[64];

	answer_begin(&builder, data, sizeof(data), ANSWER_DONE, fixture->seq);
	answer_send(&builder, fixture->spawner, -1);
}

void
spawner_say_error(struct core_fixture *fixture, const char *step, int error)
{
	struct nlmsg_builder builder;
	struct failure failure;
	uint8_t data[512];

	failure_set(&failure, STAGE_SPAWNER, step, "", error, "%s", "");
	answer_begin(&builder, data, sizeof(data), ANSWER_ERROR, fixture->seq);
	op_put_failure(&builder, &failure);
	answer_send(&builder, fixture->spawner, -1);
}

static void
say_child(struct core_fixture *fixture, uint32_t seq, bool with_pidfd)
{
	struct nlmsg_builder builder;
	uint8_t data[128];

	child_kill(fixture);
	fixture->child = fork();
	if (fixture->child == 0) {
		/* a stray copy of the channel and its end never comes */
		if (sys_close_range(3, ~0u, 0) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	fd_auto int pidfd = sys_pidfd_open(fixture->child);
	assert_true(pidfd >= 0);
	answer_begin(&builder, data, sizeof(data), ANSWER_CHILD, seq);
	fixture->child_pid = fixture->child;
	nlmsg_put_u32(&builder, OP_ATTR_PID, (uint32_t)fixture->child);
	nlmsg_put_u64(&builder, OP_ATTR_START_TIME, CHILD_START_TIME);
	answer_send(&builder, fixture->spawner, with_pidfd ? pidfd : -1);
}

void
spawner_say_child(struct core_fixture *fixture, uint32_t seq)
{
	say_child(fixture, seq, true);
}

void
spawner_say_child_unwatched(struct core_fixture *fixture, uint32_t seq)
{
	say_child(fixture, seq, false);
}

static void
entry_begin(struct nlmsg_builder *builder, uint8_t *data, size_t size,
	    const struct core_fixture *fixture, const char *id)
{
	answer_begin(builder, data, size, ANSWER_ENTRY, fixture->seq);
	nlmsg_put_text(builder, OP_ATTR_CONTAINER, id);
	nlmsg_put_u32(builder, OP_ATTR_PID, (uint32_t)fixture->child_pid);
	nlmsg_put_u32(builder, OP_ATTR_UID, 0);
	nlmsg_put_u64(builder, OP_ATTR_START_TIME, CHILD_START_TIME);
}

void
spawner_say_entry(struct core_fixture *fixture, const char *id, bool execed,
		  bool exited)
{
	struct nlmsg_builder builder;
	uint8_t data[256];

	entry_begin(&builder, data, sizeof(data), fixture, id);
	nlmsg_put_u32(&builder, OP_ATTR_EXECED, execed);
	nlmsg_put_u32(&builder, OP_ATTR_EXITED, exited);
	answer_send(&builder, fixture->spawner, -1);
}

static void
put_status(struct nlmsg_builder *builder, const struct status_answer *status)
{
	struct op_rusage rusage = { 1, 2, 3 };

	nlmsg_put_u32(builder, OP_ATTR_EXECED, status->execed);
	nlmsg_put_u32(builder, OP_ATTR_EXITED, status->exited);
	if (!status->exited)
		return;
	nlmsg_put_u32(builder, OP_ATTR_WAIT_STATUS,
		      (uint32_t)status->wait_status);
	nlmsg_put(builder, OP_ATTR_RUSAGE, &rusage, sizeof(rusage));
	nlmsg_put_u64(builder, OP_ATTR_OOM_KILLS, 4);
}

void
spawner_say_whole_entry(struct core_fixture *fixture, const char *id,
			const struct status_answer *status)
{
	fd_auto int pidfd = sys_pidfd_open(fixture->child_pid);
	struct nlmsg_builder builder;
	uint8_t data[256];

	assert_true(pidfd >= 0);
	entry_begin(&builder, data, sizeof(data), fixture, id);
	put_status(&builder, status);
	answer_send(&builder, fixture->spawner, pidfd);
}

void
spawner_say_status(struct core_fixture *fixture,
		   const struct status_answer *status)
{
	struct nlmsg_builder builder;
	uint8_t data[256];

	answer_begin(&builder, data, sizeof(data), ANSWER_STATUS, fixture->seq);
	nlmsg_put_u32(&builder, OP_ATTR_PID, (uint32_t)fixture->child_pid);
	put_status(&builder, status);
	answer_send(&builder, fixture->spawner, -1);
}

void
child_kill(struct core_fixture *fixture)
{
	if (fixture->child <= 0)
		return;
	kill(fixture->child, SIGKILL);
	waitpid(fixture->child, NULL, 0);
	fixture->child = 0;
}

/* The stage */

void
stage_say_ready(struct core_fixture *fixture)
{
	uint64_t namespaces[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct nlmsg_builder builder;
	uint8_t data[128];

	answer_begin(&builder, data, sizeof(data), REPORT_READY, 0);
	nlmsg_put(&builder, OP_ATTR_NAMESPACES, namespaces, sizeof(namespaces));
	nlmsg_put_u32(&builder, OP_ATTR_PID, 1);
	answer_send(&builder, fixture->init_channel, -1);
}

void
stage_say_failed(struct core_fixture *fixture, const char *step,
		 const char *syscall_name, int error)
{
	struct nlmsg_builder builder;
	struct failure failure;
	uint8_t data[512];

	failure_set(&failure, STAGE_INIT, step, syscall_name, error, "%s",
		    "/bin/true");
	answer_begin(&builder, data, sizeof(data), REPORT_FAILED, 0);
	op_put_failure(&builder, &failure);
	answer_send(&builder, fixture->init_channel, -1);
}

void
stage_close(struct core_fixture *fixture)
{
	fd_close(&fixture->init_channel);
}

void
stage_expect_gate(struct core_fixture *fixture)
{
	char byte = 0;

	await_fd(fixture, fixture->init_channel);
	assert_int_equal(read(fixture->init_channel, &byte, 1), 1);
	assert_int_equal(byte, 'G');
}

/* Both, as far as a test begins with it */

uint64_t
run_to_gate(struct core_fixture *fixture, const char *id)
{
	uint64_t call = call_run(fixture, id, NULL);

	spawner_expect(fixture, OP_START);
	spawner_say_child(fixture, fixture->seq);
	stage_say_ready(fixture);
	stage_expect_gate(fixture);
	return call;
}

void
end_it(struct core_fixture *fixture)
{
	child_kill(fixture);
	spawner_expect(fixture, OP_STATUS);
	spawner_say_status(fixture, &ended);
	spawner_expect(fixture, OP_REAP);
	spawner_say_done(fixture);
	spawner_expect(fixture, OP_CGROUP_REMOVE);
	spawner_say_done(fixture);
}

uint64_t
call_create(struct core_fixture *fixture, uid_t uid, const char *id)
{
	Nsexec__V1__CreateRequest request = NSEXEC__V1__CREATE_REQUEST__INIT;
	Nsexec__V1__ContainerSpec spec = NSEXEC__V1__CONTAINER_SPEC__INIT;
	Nsexec__V1__Process process = NSEXEC__V1__PROCESS__INIT;
	ProtobufCBinaryData args = { 9, (uint8_t *)"/bin/true" };

	process.n_args = 1;
	process.args = &args;
	spec.process = &process;
	spec.id = (char *)id;
	request.spec = &spec;
	return call_as(fixture, uid, "Create", &request.base);
}

uint64_t
create(struct core_fixture *fixture, const char *id)
{
	uint64_t call = call_create(fixture, 0, id);

	spawner_expect(fixture, OP_START);
	assert_int_equal(fixture->boot.gate, GATE_NAMED);
	spawner_say_child(fixture, fixture->seq);
	stage_say_ready(fixture);
	assert_false(answer_to(fixture, call)->failed);
	return call;
}
