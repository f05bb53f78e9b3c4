/* SPDX-License-Identifier: Apache-2.0 */
/* The core between a played spawner and a noting server; see the header. */
#include "tests/unit/core_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/record.h"
#include "lib/fd.h"
#include "lib/sys.h"

#define DEADLINE_MS 5000

/* The server's side of rpc.h, instead of server.c's. */
static struct core_fixture *
of_server(struct server *server)
{
	return (struct core_fixture *)server;
}

static struct answer *
note(struct server *server, uint64_t call_id)
{
	struct core_fixture *fixture = of_server(server);
	struct answer *answer = &fixture->answers[fixture->n_answers++];

	assert_true(fixture->n_answers < ARRAY_SIZE(fixture->answers));
	assert_false(answer->call_id);
	for (size_t i = 0; i + 1 < fixture->n_answers; i++)
		assert_true(fixture->answers[i].call_id != call_id);
	answer->call_id = call_id;
	loop_quit(fixture->daemon.loop);
	return answer;
}

int
rpc_reply(struct server *server, uint64_t call_id,
	  const ProtobufCMessage *response)
{
	struct answer *answer = note(server, call_id);

	answer->size = protobuf_c_message_get_packed_size(response);
	answer->packed = malloc(answer->size + 1);
	protobuf_c_message_pack(response, answer->packed);
	return 0;
}

int
rpc_fail(struct server *server, uint64_t call_id, const struct error *error)
{
	struct answer *answer = note(server, call_id);

	answer->failed = true;
	answer->error = *error;
	return 0;
}

int
rpc_stream_send(struct server *server, uint64_t call_id,
		const ProtobufCMessage *message)
{
	return -ESTALE;
}

int
rpc_stream_end(struct server *server, uint64_t call_id)
{
	return -ESTALE;
}

int
rpc_connection_fd(struct server *server, uint64_t peer_id)
{
	return of_server(server)->caller_fd;
}

int
fdchan_take(struct server *server, const struct rpc_caller *caller,
	    const uint8_t token[16])
{
	return -EAGAIN;
}

int
fdchan_wait(struct server *server, const uint8_t token[16], uint64_t call_id,
	    int timeout_ms, void (*fn)(struct daemon *daemon, uint64_t call_id))
{
	return -ENOENT;
}

void
server_ask_again(struct server *server)
{
}

/* The loop */

static void
on_deadline(void *userdata)
{
	((struct core_fixture *)userdata)->late = true;
	loop_quit(((struct core_fixture *)userdata)->daemon.loop);
}

void
core_turn(struct core_fixture *fixture)
{
	watch_timer_set(fixture->deadline, DEADLINE_MS);
	assert_int_equal(loop_run(fixture->daemon.loop), 0);
	watch_timer_set(fixture->deadline, -1);
	assert_false(fixture->late);
}

static void
on_awaited(void *userdata, int fd, unsigned int events)
{
	struct core_fixture *fixture = userdata;

	loop_quit(fixture->daemon.loop);
}

/* Turn the loop until this fd can be read. */
void
await_fd(struct core_fixture *fixture, int fd)
{
	struct watch *watch;

	assert_int_equal(watch_new_fd(fixture->daemon.loop, fd, LOOP_READ,
				      on_awaited, fixture, &watch),
			 0);
	while (fd_wait_readable(fd, 0) == 0)
		core_turn(fixture);
	watch_free(watch);
}

/* Setup */

static void
core_begin(struct core_fixture *fixture)
{
	fixture->daemon.config = &fixture->config;
	fixture->daemon.server = (struct server *)fixture;
	assert_int_equal(core_new(&fixture->daemon), 0);
	core_start(&fixture->daemon);
}

static int
listener_new(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

int
core_setup(void **state)
{
	struct core_fixture *fixture = calloc(1, sizeof(*fixture));
	int fds[2];

	strcpy(fixture->dir, "/tmp/nsx-core-XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	config_init(&fixture->config);
	assert_int_equal(config_set_run_dir(&fixture->config, fixture->dir), 0);
	assert_int_equal(loop_new(&fixture->daemon.loop), 0);
	assert_int_equal(watch_new_timer(fixture->daemon.loop, on_deadline,
					 fixture, &fixture->deadline),
			 0);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fixture->caller_fd = fds[0];
	close(fds[1]);
	fixture->spawner = -1;
	fixture->init_channel = -1;
	fixture->listener = listener_new(fixture->config.spawner_socket);
	core_begin(fixture);
	spawner_greet(fixture);
	*state = fixture;
	return 0;
}

static void
directory_remove(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[600];

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (unlink(name) < 0)
			directory_remove(name);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

int
core_teardown(void **state)
{
	struct core_fixture *fixture = *state;

	child_kill(fixture);
	fixture->spawner_watch = watch_free(fixture->spawner_watch);
	core_deinit(&fixture->daemon);
	fixture->deadline = watch_free(fixture->deadline);
	loop_free(fixture->daemon.loop);
	for (size_t i = 0; i < fixture->n_answers; i++)
		free(fixture->answers[i].packed);
	fd_close(&fixture->caller_fd);
	fd_close(&fixture->spawner);
	fd_close(&fixture->listener);
	fd_close(&fixture->init_channel);
	directory_remove(fixture->dir);
	config_deinit(&fixture->config);
	free(fixture);
	return 0;
}

void
core_restart(struct core_fixture *fixture)
{
	fixture->spawner_watch = watch_free(fixture->spawner_watch);
	core_deinit(&fixture->daemon);
	fd_close(&fixture->spawner);
	core_begin(fixture);
	spawner_accept(fixture);
}

/* Calls */

uint64_t
call_as(struct core_fixture *fixture, uid_t uid, const char *method,
	const ProtobufCMessage *request)
{
	struct rpc_caller caller = { uid, uid, 0, 1, uid, uid == 0, NULL };

	for (size_t i = 0; rpc_methods[i].name; i++) {
		if (strcmp(rpc_methods[i].name, method) != 0)
			continue;
		rpc_methods[i].fn(&fixture->daemon, ++fixture->last_call,
				  &caller, request);
		return fixture->last_call;
	}
	fail_msg("no method %s", method);
	return 0;
}

bool
is_answered(const struct core_fixture *fixture, uint64_t call_id)
{
	for (size_t i = 0; i < fixture->n_answers; i++) {
		if (fixture->answers[i].call_id == call_id)
			return true;
	}
	return false;
}

struct answer *
answer_to(struct core_fixture *fixture, uint64_t call_id)
{
	while (!is_answered(fixture, call_id))
		core_turn(fixture);
	for (size_t i = 0; i < fixture->n_answers; i++) {
		if (fixture->answers[i].call_id == call_id)
			return &fixture->answers[i];
	}
	return NULL;
}

uint64_t
call_run(struct core_fixture *fixture, const char *id, const char *key)
{
	Nsexec__V1__RunRequest request = NSEXEC__V1__RUN_REQUEST__INIT;
	Nsexec__V1__ContainerSpec spec = NSEXEC__V1__CONTAINER_SPEC__INIT;
	Nsexec__V1__Process process = NSEXEC__V1__PROCESS__INIT;
	ProtobufCBinaryData args = { 9, (uint8_t *)"/bin/true" };

	process.n_args = 1;
	process.args = &args;
	spec.process = &process;
	spec.id = (char *)id;
	request.spec = &spec;
	if (key) {
		request.has_key = true;
		request.key = (ProtobufCBinaryData){ 16, (uint8_t *)key };
	}
	return call_as(fixture, 0, "Run", &request.base);
}

uint64_t
call_id_only(struct core_fixture *fixture, const char *method, const char *id)
{
	/* all of them have the id as their first field */
	Nsexec__V1__StartRequest start = NSEXEC__V1__START_REQUEST__INIT;
	Nsexec__V1__WaitRequest wait = NSEXEC__V1__WAIT_REQUEST__INIT;
	Nsexec__V1__DeleteRequest delete = NSEXEC__V1__DELETE_REQUEST__INIT;

	start.id = wait.id = delete.id = (char *)id;
	if (strcmp(method, "Start") == 0)
		return call_as(fixture, 0, method, &start.base);
	if (strcmp(method, "Wait") == 0)
		return call_as(fixture, 0, method, &wait.base);
	return call_as(fixture, 0, method, &delete.base);
}

int
record_stage(const struct core_fixture *fixture, const char *id)
{
	Nsexec__Record__Task *record;
	uint8_t data[65536];
	char path[256];
	ssize_t size;
	int stage;

	snprintf(path, sizeof(path), "%s/0:%s", fixture->config.records_dir,
		 id);
	fd_auto int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	size = fd_read_all(fd, data, sizeof(data));
	assert_true(size > 0);
	assert_int_equal(record_task_decode(data, (size_t)size, &record), 0);
	stage = (int)record->stage;
	nsexec__record__task__free_unpacked(record, NULL);
	return stage;
}

const char *
event_types(const struct core_fixture *fixture, char *buf, size_t size)
{
	static const char *const names[N_EVENT_TYPES] = {
		[EVENT_CREATED] = "created", [EVENT_STARTED] = "started",
		[EVENT_EXITED] = "exited",   [EVENT_DELETED] = "deleted",
		[EVENT_FAILED] = "failed",
	};
	const struct event *event;
	uint64_t seq = 1;

	buf[0] = '\0';
	while ((event = event_from(fixture->daemon.events, 0, seq))) {
		snprintf(buf + strlen(buf), size - strlen(buf), "%s%s",
			 buf[0] ? " " : "",
			 names[event->type] ? names[event->type] : "?");
		seq = event->seq + 1;
	}
	return buf;
}
