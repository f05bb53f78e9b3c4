/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nsexecd's codecs when there is no memory: records, events, the state of a
 * reload, requests, the configuration. Each says -ENOMEM at whichever
 * allocation it is, changes nothing and keeps nothing.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/event_ring.h"
#include "daemon/handover_record.h"
#include "daemon/oci_state.h"
#include "daemon/pack.h"
#include "daemon/record.h"
#include "daemon/record_event.h"
#include "daemon/record_store.h"
#include "daemon/request.h"
#include "lib/fd.h"
#include "proto/pbpool.h"
#include "tests/unit/alloc_fail.h"

#define BYTES(text) ((ProtobufCBinaryData){ sizeof(text) - 1, (uint8_t *)text })

static struct container *sample;
static uint8_t *record;
static size_t record_size;

static int
set_up(void **state)
{
	struct task *task;

	assert_int_equal(container_new(&sample), 0);
	task = &sample->init;
	task_init(task, NULL, sample, 1);
	strcpy(sample->id, "web-1");
	strcpy(sample->name, "web");
	sample->owner = 1000;
	sample->command = strdup("/bin/true");
	sample->labels = calloc(3, sizeof(char *));
	sample->labels[0] = strdup("bundle=/srv");
	sample->labels[1] = strdup("a=b");
	sample->n_labels = 2;
	sample->has_key = sample->has_lease = true;
	task->pid = 42;
	task->state = TASK_CREATED;
	task->gate = GATE_NAMED;
	task->joins.kinds = 1;
	task->failure = calloc(1, sizeof(*task->failure));
	(void)error_set(task->failure, ERRCODE_DEADLINE, "exec", "object",
			"rule", "hint");
	assert_int_equal(record_task_encode(task, NSEXEC__RECORD__STAGE__ENDED,
					    &record, &record_size),
			 0);
	return 0;
}

static int
tear_down(void **state)
{
	sample = container_free(sample);
	free(record);
	return 0;
}

/* Records */

static int
encode_record(void *data)
{
	uint8_t *bytes = ALLOC_FAIL_KEPT;
	size_t size = 77;
	int r = record_task_encode(&sample->init, NSEXEC__RECORD__STAGE__COMMIT,
				   &bytes, &size);

	if (r < 0) {
		assert_ptr_equal(bytes, ALLOC_FAIL_KEPT);
		assert_int_equal(size, 77);
		return r;
	}
	free(bytes);
	return 0;
}

static int
decode_record(void *data)
{
	Nsexec__Record__Task *task = ALLOC_FAIL_KEPT;
	int r = record_task_decode(record, record_size, &task);

	if (r < 0) {
		assert_ptr_equal(task, ALLOC_FAIL_KEPT);
		return r;
	}
	nsexec__record__task__free_unpacked(task, NULL);
	return 0;
}

/* What restores owns the half of it, too. */
static int
restore_record_of(void *data)
{
	struct container *copy;
	int r = container_new(&copy);

	if (r < 0)
		return r;
	task_init(&copy->init, NULL, copy, 2);
	r = record_task_restore(data, copy, &copy->init);
	if (r == 0)
		assert_string_equal(copy->labels[1], "a=b");
	container_free(copy);
	return r;
}

static void
record_says_no_memory_and_not_that_it_is_bad(void **state)
{
	Nsexec__Record__Task *task;

	assert_int_equal(alloc_fail_each(encode_record, NULL), 1);
	assert_true(alloc_fail_each(decode_record, NULL) > 10);
	assert_int_equal(record_task_decode(record, record_size, &task), 0);
	assert_true(alloc_fail_each(restore_record_of, task) >= 6);
	nsexec__record__task__free_unpacked(task, NULL);
}

static int
load_numbering(void *data)
{
	return record_store_load_numbering(data);
}

/* Set aside, it would begin a new epoch and give each number again. */
static void
numbers_stay_on_record_without_memory(void **state)
{
	char dir[] = "/tmp/nsx-alloc-XXXXXX", path[64];
	struct daemon daemon = { .n_begun = 3 };

	assert_non_null(mkdtemp(dir));
	assert_int_equal(record_store_new(dir, &daemon.records), 0);
	assert_int_equal(event_log_new(&daemon, 8, 1, &daemon.events), 0);
	assert_int_equal(record_store_numbering(&daemon), 0);
	snprintf(path, sizeof(path), "%s/.numbering", dir);
	assert_true(alloc_fail_each(load_numbering, &daemon) >= 3);
	assert_int_equal(access(path, F_OK), 0);
	daemon.events = event_log_free(daemon.events);
	daemon.records = record_store_free(daemon.records);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* Events */

static struct event_record
sample_event(void)
{
	static const struct task_exit ended = { .present = true };

	return (struct event_record){
		.draft = { .type = EVENT_EXITED,
			   .owner = 1000,
			   .container = "web-1",
			   .name = "web",
			   .exec_id = "x",
			   .exit = &ended,
			   .error = sample->init.failure },
		.seqs = { 1, 2 },
	};
}

static int
encode_event(void *data)
{
	const struct event_record event = sample_event();
	uint8_t *bytes = ALLOC_FAIL_KEPT;
	size_t size = 77;
	int r = record_event_encode(&event, &bytes, &size);

	if (r < 0) {
		assert_ptr_equal(bytes, ALLOC_FAIL_KEPT);
		assert_int_equal(size, 77);
		return r;
	}
	free(bytes);
	return 0;
}

/* Texts may be missing; never that it failed, and with what. */
static int
pack_failure(void *data)
{
	struct info_packed packed;
	int r;

	info_pack(sample, &packed);
	assert_non_null(packed.info.failure);
	assert_int_equal(packed.info.failure->code, ERRCODE_DEADLINE);
	r = packed.failure ? 0 : -ENOMEM;
	info_packed_deinit(&packed);
	return r;
}

struct bytes {
	uint8_t *data;
	size_t size;
};

static int
decode_event(void *data)
{
	const struct bytes *bytes = data;
	struct event_record_parts parts;
	struct event_record event;
	int r = record_event_decode(bytes->data, bytes->size, &event, &parts);

	if (r == 0)
		assert_string_equal(event.draft.error->rule, "rule");
	event_record_parts_deinit(&parts);
	return r;
}

static const uint8_t epoch[16] = { 1, 2, 3 };

static int
new_ring(void *data)
{
	struct event_ring *ring = ALLOC_FAIL_KEPT;
	int r = event_ring_new(epoch, &ring);

	if (r < 0)
		assert_ptr_equal(ring, ALLOC_FAIL_KEPT);
	else
		event_ring_free(ring);
	return r;
}

/* On error the descriptor is still its caller's. */
static int
open_ring(void *data)
{
	struct event_ring *kept = data, *ring = ALLOC_FAIL_KEPT;
	fd_auto int fd = fcntl(event_ring_fd(kept), F_DUPFD_CLOEXEC, 3);
	int r = event_ring_open(fd, epoch, event_ring_id(kept), &ring);

	if (r < 0) {
		assert_ptr_equal(ring, ALLOC_FAIL_KEPT);
		assert_true(fcntl(fd, F_GETFD) >= 0);
		return r;
	}
	fd_steal(&fd);
	event_ring_free(ring);
	return 0;
}

static void
ignore_event(void *userdata, const struct event_record *event)
{
}

static int
walk_log(void *data)
{
	return event_log_walk(data, ignore_event, NULL);
}

static void
event_is_not_bad_for_want_of_memory(void **state)
{
	const struct event_record event = sample_event();
	struct daemon daemon = { 0 };
	struct event_ring *ring;
	struct bytes bytes;

	assert_int_equal(alloc_fail_each(encode_event, NULL), 1);
	assert_int_equal(record_event_encode(&event, &bytes.data, &bytes.size),
			 0);
	assert_true(alloc_fail_each(decode_event, &bytes) > 6);
	free(bytes.data);
	assert_int_equal(alloc_fail_each(new_ring, NULL), 1);
	assert_int_equal(event_ring_new(epoch, &ring), 0);
	assert_int_equal(alloc_fail_each(open_ring, ring), 1);
	assert_int_equal(event_log_new(&daemon, 8, 1, &daemon.events), 0);
	assert_int_equal(event_log_attach(daemon.events, ring), 0);
	event_publish(daemon.events, &event.draft);
	assert_true(alloc_fail_each(walk_log, daemon.events) > 6);
	event_log_free(daemon.events);
}

/* The state of a reload */

static int
write_handover(void *data)
{
	Nsexec__Handover__End end = NSEXEC__HANDOVER__END__INIT;
	int r;

	end.has_n_peers = true;
	r = handover_record_write(*(int *)data, HANDOVER_END, &end.base);
	if (r < 0)
		assert_int_equal(lseek(*(int *)data, 0, SEEK_END), 0);
	assert_int_equal(ftruncate(*(int *)data, 0), 0);
	assert_int_equal(lseek(*(int *)data, 0, SEEK_SET), 0);
	return r;
}

static int
read_handover(void *data)
{
	const struct bytes *bytes = data;

	return handover_records_read(bytes->data, bytes->size, NULL, NULL);
}

static void
write_sample(int fd)
{
	Nsexec__Handover__Begin begin = NSEXEC__HANDOVER__BEGIN__INIT;
	Nsexec__Handover__Reader reader = NSEXEC__HANDOVER__READER__INIT;
	Nsexec__Handover__Call call = NSEXEC__HANDOVER__CALL__INIT;
	Nsexec__Handover__Peer peer = NSEXEC__HANDOVER__PEER__INIT;
	Nsexec__Handover__End end = NSEXEC__HANDOVER__END__INIT;
	Nsexec__Handover__Call *calls[] = { &call };
	char *containers[] = { "web", "db" };

	begin.has_boot_id = begin.has_epoch = begin.has_last_id = true;
	begin.boot_id = begin.epoch = BYTES("0123456789abcdef");
	begin.last_id = 9;
	reader.n_containers = 2;
	reader.containers = containers;
	reader.has_cursor = reader.has_stream = true;
	reader.cursor = 5;
	reader.stream = true;
	call.has_id = call.has_stream_id = true;
	call.id = 2;
	call.stream_id = 1;
	call.method = "Events";
	call.reader = &reader;
	peer.has_id = peer.has_in = true;
	peer.id = 1;
	peer.in = BYTES("half a frame");
	peer.calls = calls;
	peer.n_calls = 1;
	end.has_n_peers = true;
	end.n_peers = 1;
	assert_int_equal(handover_record_write(fd, HANDOVER_BEGIN, &begin.base),
			 0);
	assert_int_equal(handover_record_write(fd, HANDOVER_PEER, &peer.base),
			 0);
	assert_int_equal(handover_record_write(fd, HANDOVER_END, &end.base), 0);
}

static void
state_of_a_reload_is_written_and_read_whole_or_not(void **state)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	uint8_t file[4096];
	struct bytes bytes = { .data = file };

	assert_int_equal(alloc_fail_each(write_handover, &fd), 1);
	write_sample(fd);
	bytes.size = (size_t)pread(fd, file, sizeof(file), 0);
	assert_true(alloc_fail_each(read_handover, &bytes) > 10);
	close(fd);
}

/* Requests */

struct request {
	Nsexec__V1__RunRequest run;
	Nsexec__V1__ContainerSpec spec;
	Nsexec__V1__Process process;
	Nsexec__V1__Mount mount, *mounts[1];
	ProtobufCBinaryData args[2], env[1];
	char long_label[5000], *labels[2];
};

static void
request_init(struct request *s)
{
	s->run = (Nsexec__V1__RunRequest)NSEXEC__V1__RUN_REQUEST__INIT;
	s->spec = (Nsexec__V1__ContainerSpec)NSEXEC__V1__CONTAINER_SPEC__INIT;
	s->process = (Nsexec__V1__Process)NSEXEC__V1__PROCESS__INIT;
	s->mount = (Nsexec__V1__Mount)NSEXEC__V1__MOUNT__INIT;
	s->run.spec = &s->spec;
	s->run.has_key = true;
	s->run.key = BYTES("0123456789abcdef");
	s->spec.process = &s->process;
	s->args[0] = BYTES("/bin/sh");
	s->args[1] = BYTES("-c");
	s->env[0] = BYTES("A=1");
	s->process.args = s->args;
	s->process.n_args = 2;
	s->process.env = s->env;
	s->process.n_env = 1;
	s->process.has_cwd = s->process.has_oom_score_adj = true;
	s->process.cwd = BYTES("/srv");
	s->process.oom_score_adj = 5;
	memset(s->long_label, 'x', sizeof(s->long_label));
	s->long_label[1] = '=';
	s->long_label[1000] = '\0';
	s->labels[0] = s->labels[1] = s->long_label;
	s->spec.labels = s->labels;
	s->spec.n_labels = 2;
}

static int
decode_request(void *data)
{
	struct error error = { 0 };
	struct spec *spec = ALLOC_FAIL_KEPT;
	int r = spec_new(&spec);

	if (r < 0) {
		assert_ptr_equal(spec, ALLOC_FAIL_KEPT);
		return r;
	}
	r = request_run(data, spec, &error);
	if (r < 0)
		assert_int_equal(error.code, ERRCODE_OVERLOADED);
	else
		assert_int_equal(spec->n_labels, 2);
	spec_free(spec);
	return r;
}

/* As dispatch.c does, without a scratch. */
static int
unpack_request(void *data)
{
	const struct bytes *bytes = data;
	struct pbpool pool;
	void *message;

	pbpool_init(&pool, 1u << 20, NULL, 0);
	message = nsexec__v1__run_request__unpack(&pool.allocator, bytes->size,
						  bytes->data);
	assert_true((message == NULL) == pool.no_memory);
	pbpool_deinit(&pool);
	return message ? 0 : -ENOMEM;
}

static void
failure_is_told_without_its_texts(void **state)
{
	assert_int_equal(alloc_fail_each(pack_failure, NULL), 1);
}

static void
request_is_refused_as_overload(void **state)
{
	struct request request;
	struct bytes bytes;

	request_init(&request);
	assert_true(alloc_fail_each(decode_request, &request.run) >= 4);
	bytes.size = nsexec__v1__run_request__get_packed_size(&request.run);
	bytes.data = malloc(bytes.size);
	nsexec__v1__run_request__pack(&request.run, bytes.data);
	assert_true(alloc_fail_each(unpack_request, &bytes) >= 1);
	free(bytes.data);
}

/* Texts */

static int
format_oci_state(void *data)
{
	char *text = ALLOC_FAIL_KEPT;
	int r = oci_state_format(sample, &text);

	if (r < 0) {
		assert_ptr_equal(text, ALLOC_FAIL_KEPT);
		return r;
	}
	assert_non_null(strstr(text, "\"pid\":42"));
	assert_non_null(strstr(text, "\"a\":\"b\""));
	free(text);
	return 0;
}

static void
oci_state_has_every_field_or_is_none(void **state)
{
	assert_true(alloc_fail_each(format_oci_state, NULL) > 10);
}

#define CGROUP "/sys/fs/cgroup/a-name-that-is-longer-than-sixteen-bytes"

static int
parse_config(void *data)
{
	static const char text[] =
		"{\"cgroup_root\": \"" CGROUP "\", \"log_level\": \"debug\", "
		"\"limits\": {\"connections_per_uid\": 7, "
		"\"starts_per_second\": 1000000}}";
	char error[CONFIG_ERROR_MAX];
	struct config config, before;
	int r;

	config_init(&config);
	before = config;
	r = config_parse(&config, "x.conf", text, sizeof(text) - 1, error);
	if (r < 0)
		assert_memory_equal(&config, &before, sizeof(config));
	else
		assert_string_equal(config.cgroup_root, CGROUP);
	config_deinit(&config);
	return r;
}

static int
read_config(void *data)
{
	char error[CONFIG_ERROR_MAX];
	struct config config;
	int r;

	config_init(&config);
	r = config_read(&config, data, error);
	config_deinit(&config);
	return r;
}

static void
configuration_is_taken_whole_or_not(void **state)
{
	char path[64];
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(alloc_fail_each(parse_config, NULL) > 20);
	assert_int_equal(write(fd, "{}", 2), 2);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_true(alloc_fail_each(read_config, path) >= 3);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_says_no_memory_and_not_that_it_is_bad),
		cmocka_unit_test(numbers_stay_on_record_without_memory),
		cmocka_unit_test(event_is_not_bad_for_want_of_memory),
		cmocka_unit_test(
			state_of_a_reload_is_written_and_read_whole_or_not),
		cmocka_unit_test(request_is_refused_as_overload),
		cmocka_unit_test(failure_is_told_without_its_texts),
		cmocka_unit_test(oci_state_has_every_field_or_is_none),
		cmocka_unit_test(configuration_is_taken_whole_or_not),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
