/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of proto/ops.h: the small messages round, and hostile ones. */
#include "tests/unit/unit.h"

#include "proto/ops.h"

static uint8_t buf[8192];

static void
start(struct nlmsg_builder *builder, uint16_t type)
{
	nlmsg_builder_init(builder, buf, sizeof(buf), type, 42);
}

static int
finish(struct nlmsg_builder *builder, struct op_message *ret)
{
	struct nlmsg_error error;
	size_t size;

	assert_int_equal(nlmsg_builder_end(builder, &size), 0);
	return op_decode(buf, size, ret, &error);
}

static void
every_attribute_round_trips(void **state)
{
	struct op_rusage rusage = { 1, 2, 3 };
	uint64_t namespaces[8] = { 1, 2, 3, 4, 5, 6, 7, UINT64_MAX };
	uint32_t pids[2] = { 17, 18 }, pid;
	struct nlmsg_builder builder;
	struct op_message msg;

	start(&builder, ANSWER_STATUS);
	nlmsg_put_text(&builder, OP_ATTR_CONTAINER, "web-1");
	nlmsg_put_u32(&builder, OP_ATTR_PID, 123);
	nlmsg_put_u32(&builder, OP_ATTR_SIGNAL, 15);
	nlmsg_put_u32(&builder, OP_ATTR_UID, 1000);
	nlmsg_put_u64(&builder, OP_ATTR_START_TIME, 99);
	nlmsg_put_u32(&builder, OP_ATTR_EXECED, 1);
	nlmsg_put_u32(&builder, OP_ATTR_EXITED, 1);
	nlmsg_put_u32(&builder, OP_ATTR_WAIT_STATUS, 0x2a00);
	nlmsg_put(&builder, OP_ATTR_RUSAGE, &rusage, sizeof(rusage));
	nlmsg_put(&builder, OP_ATTR_NAMESPACES, namespaces, sizeof(namespaces));
	nlmsg_put(&builder, OP_ATTR_PIDS, pids, sizeof(pids));
	nlmsg_put_u32(&builder, OP_ATTR_CODE, 3);
	nlmsg_put_text(&builder, OP_ATTR_RULE, "owner or admin");
	nlmsg_put_u64(&builder, OP_ATTR_OOM_KILLS, 3);
	assert_int_equal(finish(&builder, &msg), 0);

	assert_int_equal(msg.header.type, ANSWER_STATUS);
	assert_int_equal(msg.header.seq, 42);
	assert_string_equal(msg.container, "web-1");
	assert_int_equal(msg.pid, 123);
	assert_int_equal(msg.signal, 15);
	assert_int_equal(msg.uid, 1000);
	assert_int_equal(msg.start_time, 99);
	assert_true(msg.execed && msg.exited);
	assert_int_equal(msg.wait_status, 0x2a00);
	assert_int_equal(msg.rusage.max_rss_kib, 3);
	assert_int_equal(msg.oom_kills, 3);
	assert_true(msg.namespaces[7] == UINT64_MAX);
	assert_int_equal(msg.n_pids, 2);
	memcpy(&pid, msg.pids + 4, 4);
	assert_int_equal(pid, 18);
	assert_int_equal(msg.code, 3);
	assert_string_equal(msg.rule, "owner or admin");
	assert_true(op_has(&msg, OP_ATTR_RULE));
	assert_false(op_has(&msg, OP_ATTR_FAILURE));
}

static void
failure_round_trips_and_is_cut_to_fit(void **state)
{
	struct failure failure;
	struct nlmsg_builder builder;
	struct op_message msg;

	failure_set(&failure, STAGE_INIT, "mount-proc", "mount", EPERM, "%s",
		    "/proc");
	start(&builder, REPORT_FAILED);
	op_put_failure(&builder, &failure);
	assert_int_equal(finish(&builder, &msg), 0);
	assert_memory_equal(&msg.failure, &failure, sizeof(failure));

	/* A field without any NUL is not read beyond. */
	memset(failure.step, 'x', sizeof(failure.step));
	start(&builder, REPORT_FAILED);
	op_put_failure(&builder, &failure);
	assert_int_equal(finish(&builder, &msg), 0);
	assert_int_equal(strlen(msg.failure.step), sizeof(failure.step) - 1);
}

static int
decode_failure_value(const void *value, size_t size, struct op_message *msg)
{
	struct nlmsg_builder builder;

	start(&builder, REPORT_FAILED);
	nlmsg_put(&builder, OP_ATTR_FAILURE, value, size);
	return finish(&builder, msg);
}

static void
hostile_failures_are_refused(void **state)
{
	struct op_message msg;
	char long_word[8 + 300 + 3] = { 5, 0, 0, 0, 1, 0, 0, 0 };

#define BAD(text) \
	assert_int_equal(decode_failure_value(text, sizeof(text) - 1, &msg), \
			 -EBADMSG)
	BAD("");
	BAD("\5\0\0\0\1\0\0");
	BAD("\5\0\0\0\1\0\0\0");
	BAD("\5\0\0\0\1\0\0\0a\0b\0");
	BAD("\5\0\0\0\1\0\0\0a\0b\0c");
	BAD("\5\0\0\0\1\0\0\0a\0b\0c\0d");
	BAD("\6\0\0\0\1\0\0\0a\0b\0c\0");
	BAD("\5\0\0\0\0\0\0\200a\0b\0c\0");
	/* a word longer than the struct's is cut, not refused */
	memset(long_word + 8, 'w', 300);
	assert_int_equal(decode_failure_value(long_word, 309, &msg), -EBADMSG);
	assert_int_equal(decode_failure_value(long_word, 311, &msg), 0);
	assert_int_equal(strlen(msg.failure.step), FAILURE_WORD_MAX - 1);
	assert_string_equal(msg.failure.object, "");
}

/* One attribute that must be refused. */
static void
refused(uint16_t type, const void *value, size_t size)
{
	struct nlmsg_builder builder;
	struct op_message msg;

	start(&builder, OP_SIGNAL);
	nlmsg_put(&builder, type, value, size);
	assert_int_equal(finish(&builder, &msg), -EBADMSG);
}

static void
hostile_attributes_are_refused(void **state)
{
	static const char zeros[80];
	struct nlmsg_builder builder;
	struct op_message msg;

	refused(OP_ATTR_CONTAINER, "", 0);
	refused(OP_ATTR_CONTAINER, "\0", 1);
	refused(OP_ATTR_CONTAINER, "a", 1);
	refused(OP_ATTR_CONTAINER, "../x", 5);
	refused(OP_ATTR_CONTAINER, "a/b", 4);
	refused(OP_ATTR_CONTAINER, ".", 2);
	refused(OP_ATTR_CONTAINER, "a\0b", 4);
	refused(OP_ATTR_PID, "\0\0\0\0", 4);
	refused(OP_ATTR_PID, "\0\0\0\200", 4);
	refused(OP_ATTR_PID, "\1\0\0", 3);
	refused(OP_ATTR_SIGNAL, "\101\0\0\0", 4);
	refused(OP_ATTR_UID, "\377\377\377\377", 4);
	refused(OP_ATTR_START_TIME, "\0\0\0\0", 4);
	refused(OP_ATTR_EXECED, "\2\0\0\0", 4);
	refused(OP_ATTR_RUSAGE, zeros, 23);
	refused(OP_ATTR_OOM_KILLS, zeros, 4);
	refused(OP_ATTR_NAMESPACES, zeros, 72);
	refused(OP_ATTR_PIDS, zeros, 3);
	refused(OP_ATTR_RULE + 1, zeros, 4);
	refused(OP_ATTR_CONTAINER - 1, zeros, 4);
	refused(0, zeros, 4);

	start(&builder, OP_PING);
	nlmsg_put_u32(&builder, OP_ATTR_PID, 1);
	nlmsg_put_u32(&builder, OP_ATTR_PID, 1);
	assert_int_equal(finish(&builder, &msg), -EBADMSG);
	start(&builder, OP_PING);
	nlmsg_put_unpadded(&builder, OP_ATTR_RULE, "x\0", 2);
	assert_int_equal(finish(&builder, &msg), -EBADMSG);
}

static void
message_without_attributes_is_fine(void **state)
{
	struct nlmsg_builder builder;
	struct op_message msg;

	start(&builder, OP_PING);
	assert_int_equal(finish(&builder, &msg), 0);
	assert_int_equal(msg.present, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_attribute_round_trips),
		cmocka_unit_test(failure_round_trips_and_is_cut_to_fit),
		cmocka_unit_test(hostile_failures_are_refused),
		cmocka_unit_test(hostile_attributes_are_refused),
		cmocka_unit_test(message_without_attributes_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
