/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnsexec when there is no memory: what it encodes and decodes, and the file
 * of a process.
 */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "client/internal.h"
#include "client/process_file.h"
#include "tests/unit/alloc_fail.h"

#define BYTES(text) ((ProtobufCBinaryData){ sizeof(text) - 1, (uint8_t *)text })

/* Descriptions of starts */

static int
fill_spec(void *data)
{
	struct nsexec_spec *spec = ALLOC_FAIL_KEPT;
	int r = nsexec_spec_new(&spec);

	if (r < 0) {
		assert_ptr_equal(spec, ALLOC_FAIL_KEPT);
		return r;
	}
	nsexec_spec_id(spec, "web");
	nsexec_spec_name(spec, "name");
	nsexec_spec_name(spec, "another");
	nsexec_spec_new_ns(spec, NSEXEC_NS_NET);
	nsexec_spec_join_path(spec, NSEXEC_NS_UTS, "/run/uts");
	nsexec_spec_join_pid(spec, NSEXEC_NS_IPC, 5, 6);
	nsexec_spec_join_fd(spec, NSEXEC_NS_MNT, 0);
	nsexec_spec_map_preset(spec, NSEXEC_MAP_EXPLICIT);
	for (uint32_t i = 0; i < 5; i++) {
		nsexec_spec_map_uid(spec, i, 1000 + i, 1);
		nsexec_spec_map_gid(spec, i, 1000 + i, 1);
		nsexec_spec_arg(spec, "arg");
		nsexec_spec_env(spec, "A=1");
		nsexec_spec_label(spec, "a=b");
		nsexec_spec_group(spec, i);
		nsexec_spec_rlimit(spec, (int)i, 1, 2);
	}
	nsexec_spec_cwd(spec, "/");
	nsexec_spec_cwd(spec, "/srv");
	nsexec_spec_capabilities(spec, NSEXEC_CAPS_BOUNDING, 1);
	nsexec_spec_stdio_fd(spec, 0, 1);
	nsexec_spec_stdio_path(spec, 0, "/tmp/fifo");
	nsexec_spec_pass_fd(spec, 2, 3, "log");
	r = nsexec_spec_status(spec);
	if (r == 0)
		assert_int_equal(spec->message->process->n_args, 5);
	nsexec_spec_free(spec);
	return r;
}

static void
bad_description_is_freed_whole(void **state)
{
	assert_true(alloc_fail_each(fill_spec, NULL) > 50);
}

/* Answers */

static struct nsexec_call *
answered(const ProtobufCMessage *message)
{
	struct nsexec_call *call;

	assert_int_equal(call_new(&call), 0);
	call->done = true;
	call->result = 0;
	call->response = message->descriptor;
	call->payload_size = protobuf_c_message_get_packed_size(message);
	call->payload = malloc(call->payload_size + 1);
	assert_non_null(call->payload);
	protobuf_c_message_pack(message, call->payload);
	return call;
}

/* Each *ret is as it was on error. */
#define GET(name, type, free_fn, check) \
	static int get_##name(void *data) \
	{ \
		type *value = ALLOC_FAIL_KEPT; \
		int r = nsexec_call_get_##name(data, &value); \
\
		if (r < 0) { \
			assert_ptr_equal(value, ALLOC_FAIL_KEPT); \
			return r; \
		} \
		check; \
		free_fn(value); \
		return 0; \
	}
#define SAME(field, text) assert_string_equal(value->field, text)
GET(info, struct nsexec_info, nsexec_info_free,
    (SAME(command, "/bin/true"), SAME(cgroup, "u0/web"), SAME(labels[0], "a")))
GET(oci_state, char, free, assert_string_equal(value, "{}"))
GET(metrics, char, free, assert_string_equal(value, "# EOF"))
GET(list, struct nsexec_list, nsexec_list_free,
    (assert_int_equal(value->n_items, 2), SAME(items[1]->command, "/bin/true")))
GET(version, struct nsexec_version, nsexec_version_free,
    SAME(features[0].name, "landlock"))
GET(processes, struct nsexec_processes, nsexec_processes_free,
    SAME(items[0].name, "sh"))
GET(plan, struct nsexec_plan, nsexec_plan_free, SAME(steps[0].stage, "init"))
GET(batch, struct nsexec_batch, nsexec_batch_free,
    (assert_int_equal(value->n_items, 2),
     SAME(items[0]->info->command, "/bin/true"),
     SAME(items[0]->error->rule, "rule")))

static int
get_exec(void *data)
{
	char *id = ALLOC_FAIL_KEPT;
	uint64_t inode = 77;
	pid_t pid = 77;
	int r = nsexec_call_get_exec(data, &id, &pid, &inode);

	if (r < 0) {
		assert_ptr_equal(id, ALLOC_FAIL_KEPT);
		assert_true(pid == 77 && inode == 77);
		return r;
	}
	free(id);
	return 0;
}

static void
try_get(int (*get)(void *data), const void *message, unsigned int at_least)
{
	struct nsexec_call *call = answered(message);

	assert_true(alloc_fail_each(get, call) >= at_least);
	nsexec_call_free(call);
}

static char *labels[] = { (char *)"a", (char *)"b" };
static Nsexec__V1__ContainerInfo info;
static Nsexec__V1__ContainerInfo *infos[] = { &info, &info };
static Nsexec__V1__ErrorDetail detail;
static Nsexec__V1__Event event;

static int
set_up(void **state)
{
	detail = (Nsexec__V1__ErrorDetail)NSEXEC__V1__ERROR_DETAIL__INIT;
	detail.rule = (char *)"rule";
	info = (Nsexec__V1__ContainerInfo)NSEXEC__V1__CONTAINER_INFO__INIT;
	info.id = (char *)"web";
	info.labels = labels;
	info.n_labels = 2;
	info.has_command = info.has_cgroup = true;
	info.command = BYTES("/bin/true");
	info.cgroup = BYTES("u0/web");
	info.failure = &detail;
	event = (Nsexec__V1__Event)NSEXEC__V1__EVENT__INIT;
	event.has_epoch = event.has_seq = true;
	event.epoch = BYTES("0123456789abcdef");
	event.seq = 5;
	event.container = (char *)"web";
	event.error = &detail;
	event.info = &info;
	return 0;
}

static void
answer_of_a_container_is_whole_or_none(void **state)
{
	Nsexec__V1__StateResponse one = NSEXEC__V1__STATE_RESPONSE__INIT;
	Nsexec__V1__ListResponse many = NSEXEC__V1__LIST_RESPONSE__INIT;
	Nsexec__V1__ExecResponse exec = NSEXEC__V1__EXEC_RESPONSE__INIT;

	one.info = &info;
	one.has_oci_json = true;
	one.oci_json = BYTES("{}");
	try_get(get_info, &one, 10);
	try_get(get_oci_state, &one, 10);
	many.containers = infos;
	many.n_containers = 2;
	try_get(get_list, &many, 20);
	exec.exec_id = (char *)"x";
	try_get(get_exec, &exec, 3);
}

static void
answer_with_a_table_is_whole_or_none(void **state)
{
	Nsexec__V1__VersionResponse version =
		NSEXEC__V1__VERSION_RESPONSE__INIT;
	Nsexec__V1__Feature feature = NSEXEC__V1__FEATURE__INIT;
	Nsexec__V1__Feature *features[] = { &feature };
	Nsexec__V1__ProcessesResponse list =
		NSEXEC__V1__PROCESSES_RESPONSE__INIT;
	Nsexec__V1__ProcessInfo process = NSEXEC__V1__PROCESS_INFO__INIT;
	Nsexec__V1__ProcessInfo *processes[] = { &process };
	Nsexec__V1__ExplainResponse plan = NSEXEC__V1__EXPLAIN_RESPONSE__INIT;
	Nsexec__V1__ExplainStep step = NSEXEC__V1__EXPLAIN_STEP__INIT;
	Nsexec__V1__ExplainStep *steps[] = { &step };
	Nsexec__V1__MetricsResponse metrics =
		NSEXEC__V1__METRICS_RESPONSE__INIT;

	feature.name = (char *)"landlock";
	version.features = features;
	version.n_features = 1;
	try_get(get_version, &version, 4);
	process.name = (char *)"sh";
	list.processes = processes;
	list.n_processes = 1;
	try_get(get_processes, &list, 4);
	step.stage = (char *)"init";
	plan.steps = steps;
	plan.n_steps = 1;
	try_get(get_plan, &plan, 4);
	metrics.text = (char *)"# EOF";
	try_get(get_metrics, &metrics, 3);
}

/* Events */

/* One that came on a stream. */
static int
next_event(void *data)
{
	const ProtobufCBinaryData *bytes = data;
	static struct nsexec nsexec = { .epoll_fd = -1, .timer_fd = -1 };
	struct nsexec_event *taken = ALLOC_FAIL_KEPT;
	struct nsexec_call *stream;
	int r = call_new(&stream);

	if (r < 0)
		return r;
	stream->queue_owner = &nsexec;
	r = call_queue_event(stream, bytes->data, bytes->len);
	if (r == 0) {
		r = nsexec_next_event(stream, &taken);
		assert_true((r < 0) == (stream->events != NULL));
	}
	if (r < 0) {
		assert_ptr_equal(taken, ALLOC_FAIL_KEPT);
	} else {
		assert_string_equal(taken->info->command, "/bin/true");
		assert_int_equal(stream->position.next_seq, 6);
		nsexec_event_free(taken);
	}
	nsexec_call_free(stream);
	assert_int_equal(nsexec.n_queued, 0);
	return r;
}

/* Two that nobody has taken when the connection is lost. */
static int
lose_with_events(void *data)
{
	const ProtobufCBinaryData *bytes = data;
	static struct nsexec nsexec = { .epoll_fd = -1, .timer_fd = -1 };
	struct nsexec_call *stream;
	size_t n = 0;
	int r = call_new(&stream);

	if (r < 0)
		return r;
	stream->queue_owner = &nsexec;
	r = call_queue_event(stream, bytes[0].data, bytes[0].len);
	if (r == 0)
		r = call_queue_event(stream, bytes[1].data, bytes[1].len);
	if (r == 0) {
		call_note_events(stream);
		for (struct queued_event *e = stream->events; e; e = e->next)
			n++;
		/* what is kept and what will come are all, and each once */
		assert_int_equal(n, stream->position.known
					    ? stream->position.next_seq - 5
					    : 0);
		assert_int_equal(nsexec.n_queued, n);
		r = n == 2 ? 0 : -ENOMEM;
	}
	nsexec_call_free(stream);
	assert_int_equal(nsexec.n_queued, 0);
	return r;
}

static void
no_event_is_lost_or_doubled_at_a_resumption(void **state)
{
	ProtobufCBinaryData bytes[2];

	for (size_t i = 0; i < 2; i++) {
		event.seq = 5 + i;
		bytes[i].len = nsexec__v1__event__get_packed_size(&event);
		bytes[i].data = malloc(bytes[i].len);
		assert_non_null(bytes[i].data);
		nsexec__v1__event__pack(&event, bytes[i].data);
	}
	event.seq = 5;
	assert_true(alloc_fail_each(lose_with_events, bytes) >= 10);
	free(bytes[0].data);
	free(bytes[1].data);
}

static void
event_is_kept_until_there_is_memory_for_it(void **state)
{
	Nsexec__V1__NextEventsResponse batch =
		NSEXEC__V1__NEXT_EVENTS_RESPONSE__INIT;
	Nsexec__V1__Event *events[] = { &event, &event };
	ProtobufCBinaryData bytes;

	batch.events = events;
	batch.n_events = 2;
	try_get(get_batch, &batch, 30);
	bytes.len = nsexec__v1__event__get_packed_size(&event);
	bytes.data = malloc(bytes.len);
	assert_non_null(bytes.data);
	nsexec__v1__event__pack(&event, bytes.data);
	assert_true(alloc_fail_each(next_event, &bytes) > 15);
	free(bytes.data);
}

/* exec -p */

static int
parse_process(void *data)
{
	struct ctl_complaint complaint = { .object = "" };
	struct process_opts opts = { .ctl = NULL };
	const char *text = data;
	int r = nsexec_spec_new(&opts.spec);

	if (r < 0)
		return r;
	r = process_file_parse(text, strlen(text), &opts, &complaint);
	if (r == 0) /* what a description lacks is told when it is sent */
		r = opts.spec->status;
	if (r == 0) {
		const Nsexec__V1__Process *process =
			opts.spec->message->process;

		assert_int_equal(process->n_args, 3);
		assert_true(process->rlimits[0]->hard == UINT64_MAX);
		assert_int_equal(process->env[0].len, 20002);
	}
	nsexec_spec_free(opts.spec);
	return r;
}

static void
process_file_is_taken_as_written_or_not(void **state)
{
	static const char format[] =
		"{\"args\": [\"sh\", \"-c\", \"a text longer than sixteen\"], "
		"\"cwd\": \"/\", \"user\": {\"uid\": 0, \"gid\": 0, "
		"\"additionalGids\": [1, 2]}, \"env\": [\"A=%s\"], "
		"\"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", \"soft\": 5, "
		"\"hard\": 18446744073709551615}]}";
	static char value[20001], text[21000];

	memset(value, 'x', sizeof(value) - 1);
	snprintf(text, sizeof(text), format, value);
	assert_true(alloc_fail_each(parse_process, text) > 50);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_description_is_freed_whole),
		cmocka_unit_test(answer_of_a_container_is_whole_or_none),
		cmocka_unit_test(answer_with_a_table_is_whole_or_none),
		cmocka_unit_test(event_is_kept_until_there_is_memory_for_it),
		cmocka_unit_test(no_event_is_lost_or_doubled_at_a_resumption),
		cmocka_unit_test(process_file_is_taken_as_written_or_not),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
