/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: what a failed step means, and that its text can be sent. */
#include "tests/unit/unit.h"

#include "daemon/error.h"
#include "daemon/error_pack.h"
#include "lib/text.h"

static const struct {
	const char *step, *syscall;
	int error;
	enum errcode code;
	bool retryable;
} rows[] = {
	{ "exec", "execve", ENOENT, ERRCODE_EXEC_FAILED, false },
	{ "exec", "execve", EACCES, ERRCODE_EXEC_FAILED, false },
	{ "exec", "execve", ENOMEM, ERRCODE_EXEC_FAILED, true },
	{ "join-net", "setns", EPERM, ERRCODE_NS_DENIED, false },
	{ "join-mnt", "openat", ENOENT, ERRCODE_NOT_FOUND, false },
	{ "join-uts", "setns", EINVAL, ERRCODE_NS_TYPE_MISMATCH, false },
	{ "clone-init", "clone3", ENOSPC, ERRCODE_NS_LIMIT, true },
	{ "unshare", "unshare", ENOSPC, ERRCODE_NS_LIMIT, true },
	{ "unshare", "unshare", EPERM, ERRCODE_NS_DENIED, false },
	{ "map-uid", "write", EPERM, ERRCODE_MAP_DENIED, false },
	{ "gate", "", ETIMEDOUT, ERRCODE_DEADLINE, true },
	{ "mount", "mount_setattr", ENOSYS, ERRCODE_UNSUPPORTED, false },
	{ "hostname", "sethostname", EINVAL, ERRCODE_STAGE_FAILED, false },
	{ "clone-relay", "pipe2", EMFILE, ERRCODE_STAGE_FAILED, true },
};

static void
failed_step_and_errno_choose_the_code(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct failure failure;
		struct error error;

		failure_set(&failure, STAGE_INIT, rows[i].step, rows[i].syscall,
			    rows[i].error, "%s", "object");
		error_from_failure(&error, &failure);
		assert_int_equal(error.code, rows[i].code);
		assert_int_equal(error.retryable, rows[i].retryable);
		assert_string_equal(error.failure.object, "object");
	}
}

static void
message_names_stage_step_call_object_and_hint(void **state)
{
	struct failure failure;
	struct error error;
	char text[512];

	failure_set(&failure, STAGE_RELAY, "join-net", "setns", EPERM, "%s",
		    "/proc/7/ns/net");
	error_from_failure(&error, &failure);
	error_message(&error, text, sizeof(text));
	assert_non_null(strstr(text, "relay: cannot join-net: setns "
				     "/proc/7/ns/net: Operation not"));
	assert_non_null(strstr(text, "("));
}

static void
every_text_of_a_detail_is_utf8(void **state)
{
	struct error_packed packed;
	struct failure failure;
	struct error error;

	failure_set(&failure, STAGE_INIT, "\xff\xfe", "\x80", EIO, "%s",
		    "/tmp/\xff\n\x01");
	error_from_failure(&error, &failure);
	error_rule(&error, "rule \xc3");
	error_hint(&error, "hint \xf0\x9f");
	error_pack(&error, &packed);
	const char *texts[] = { packed.detail.stage,   packed.detail.step,
				packed.detail.syscall, packed.detail.object,
				packed.detail.rule,    packed.detail.hint,
				packed.detail.message };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_true(text_is_utf8(texts[i], strlen(texts[i])));
	assert_non_null(strstr(packed.detail.object, "\\xff"));
}

static void
longest_texts_are_cut_not_overrun(void **state)
{
	char buf[16];
	struct error error;
	char big[1024];

	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	(void)error_set(&error, ERRCODE_INTERNAL, big, big, big, big);
	assert_int_equal(strlen(error.rule), sizeof(error.rule) - 1);
	error_message(&error, buf, sizeof(buf));
	assert_int_equal(strlen(buf), sizeof(buf) - 1);
}

static void
reached_bound_is_told_as_numbers_and_as_text(void **state)
{
	struct error_packed packed;
	struct error error;

	(void)error_set(&error, ERRCODE_QUOTA, "check-quota", "starts", "rule",
			"hint");
	error_pack(&error, &packed);
	assert_null(packed.detail.quota_kind);
	assert_false(packed.detail.has_limit);
	error.quota = (struct error_quota){ "starts", 16, 15, true, 40 };
	error_pack(&error, &packed);
	assert_string_equal(packed.detail.quota_kind, "starts");
	assert_int_equal(packed.detail.limit, 16);
	assert_true(packed.detail.has_used);
	assert_int_equal(packed.detail.used, 15);
	assert_int_equal(packed.detail.retry_ms, 40);
	assert_non_null(strstr(packed.message,
			       "; limit 16, 15 used, try again in 40 ms"));
	error.quota.has_used = false;
	error_pack(&error, &packed);
	assert_false(packed.detail.has_used);
	assert_non_null(
		strstr(packed.message, "; limit 16, try again in 40 ms"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failed_step_and_errno_choose_the_code),
		cmocka_unit_test(message_names_stage_step_call_object_and_hint),
		cmocka_unit_test(every_text_of_a_detail_is_utf8),
		cmocka_unit_test(longest_texts_are_cut_not_overrun),
		cmocka_unit_test(reached_bound_is_told_as_numbers_and_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
