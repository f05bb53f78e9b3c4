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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failed_step_and_errno_choose_the_code),
		cmocka_unit_test(message_names_stage_step_call_object_and_hint),
		cmocka_unit_test(every_text_of_a_detail_is_utf8),
		cmocka_unit_test(longest_texts_are_cut_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
