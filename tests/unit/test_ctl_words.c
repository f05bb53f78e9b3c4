/* SPDX-License-Identifier: Apache-2.0 */
/* The words and quantities of nsexecctl's command line. */
#include "config.h"

#include "tests/unit/unit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "client/ctl.h"
#include "client/lost_signal.h"

static void
signals_go_by_name_prefix_and_number(void **state)
{
	int sig = 0;

	assert_int_equal(ctl_parse_signal("KILL", &sig), 0);
	assert_int_equal(sig, SIGKILL);
	assert_int_equal(ctl_parse_signal("sigterm", &sig), 0);
	assert_int_equal(sig, SIGTERM);
	assert_int_equal(ctl_parse_signal("64", &sig), 0);
	assert_int_equal(sig, 64);
	assert_int_equal(ctl_parse_signal("RTMIN+2", &sig), 0);
	assert_int_equal(sig, SIGRTMIN + 2);
	assert_int_equal(ctl_parse_signal("0", &sig), -EINVAL);
	assert_int_equal(ctl_parse_signal("65", &sig), -EINVAL);
	assert_int_equal(ctl_parse_signal("", &sig), -EINVAL);
	assert_int_equal(ctl_parse_signal("NOSUCH", &sig), -EINVAL);
}

static void
capabilities_go_by_any_spelling(void **state)
{
	int capability = -1;

	assert_int_equal(ctl_parse_capability("CAP_NET_ADMIN", &capability), 0);
	assert_int_equal(capability, 12);
	assert_int_equal(ctl_parse_capability("chown", &capability), 0);
	assert_int_equal(capability, 0);
	assert_int_equal(
		ctl_parse_capability("checkpoint_restore", &capability), 0);
	assert_int_equal(capability, 40);
	assert_int_equal(ctl_parse_capability("64", &capability), -EINVAL);
	assert_int_equal(ctl_parse_capability("net", &capability), -EINVAL);
	assert_string_equal(ctl_capability_name(21), "sys_admin");
	assert_null(ctl_capability_name(41));
}

static void
limits_have_soft_and_hard(void **state)
{
	struct ctl_rlimit limit;

	assert_int_equal(ctl_parse_rlimit("nofile=64:128", &limit), 0);
	assert_int_equal(limit.resource, RLIMIT_NOFILE);
	assert_int_equal(limit.soft, 64);
	assert_int_equal(limit.hard, 128);
	assert_int_equal(ctl_parse_rlimit("RLIMIT_CORE=unlimited", &limit), 0);
	assert_int_equal(limit.soft, UINT64_MAX);
	assert_int_equal(limit.hard, UINT64_MAX);
	assert_int_equal(ctl_parse_rlimit("nofile=128:64", &limit), -EINVAL);
	assert_int_equal(ctl_parse_rlimit("nofile", &limit), -EINVAL);
	assert_int_equal(ctl_parse_rlimit("nofile=", &limit), -EINVAL);
	assert_int_equal(ctl_parse_rlimit("no=1", &limit), -EINVAL);
	assert_int_equal(ctl_parse_rlimit("RLIMIT_=1", &limit), -EINVAL);
}

static void
durations_have_units(void **state)
{
	uint64_t ms = 0;

	assert_int_equal(ctl_parse_duration("1.5", &ms), 0);
	assert_int_equal(ms, 1500);
	assert_int_equal(ctl_parse_duration("300ms", &ms), 0);
	assert_int_equal(ms, 300);
	assert_int_equal(ctl_parse_duration("2m", &ms), 0);
	assert_int_equal(ms, 120000);
	assert_int_equal(ctl_parse_duration("-1", &ms), -EINVAL);
	assert_int_equal(ctl_parse_duration("1x", &ms), -EINVAL);
	assert_int_equal(ctl_parse_duration("nan", &ms), -EINVAL);
	assert_int_equal(ctl_parse_duration("9999999999", &ms), -EINVAL);
	assert_int_equal(ctl_parse_duration("", &ms), -EINVAL);
}

static void
times_are_rfc3339_with_nanoseconds(void **state)
{
	char buf[CTL_TIME_MAX];

	assert_string_equal(ctl_format_time(1, buf),
			    "1970-01-01T00:00:00.000000001Z");
	assert_string_equal(ctl_format_time(1767225600123456789u, buf),
			    "2026-01-01T00:00:00.123456789Z");
}

static void
variables_that_the_daemon_sets_are_not_passed(void **state)
{
	assert_true(ctl_env_passes("A=b"));
	assert_true(ctl_env_passes("A="));
	assert_false(ctl_env_passes("NSEXEC_FDNAMES=3=a"));
	assert_false(ctl_env_passes("=x"));
	assert_false(ctl_env_passes("x"));
}

static void
exited_event_has_the_documented_fields(void **state)
{
	const struct nsexec_exit exit = { .code = 7, .oom_kills = 2 };
	const struct nsexec_event event = { .seq = 3,
					    .realtime_ns = 5,
					    .type = NSEXEC_EVENT_EXITED,
					    .container = "id",
					    .name = "na\xffme",
					    .pid = 12,
					    .exit = &exit };
	json_t *value = ctl_json_event(&event);
	static const char *const keys[] = {
		"v",	"epoch",     "seq",  "time",   "boottime_ns",
		"type", "container", "name", "pid",    "pid_inode",
		"code", "signal",    "core", "rusage", "oom_kills"
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_non_null(json_object_get(value, keys[i]));
	assert_int_equal(json_integer_value(json_object_get(value, "code")), 7);
	assert_int_equal(
		json_integer_value(json_object_get(value, "oom_kills")), 2);
	assert_true(json_is_null(json_object_get(value, "signal")));
	assert_string_equal(json_string_value(json_object_get(value, "type")),
			    "exited");
	assert_string_equal(json_string_value(json_object_get(value, "name")),
			    "na\\xffme");
	json_decref(value);
}

static void
dropped_signals_are_told_from_delivered_ones(void **state)
{
	static const char first[] = "Name:\tx\nNSpid:\t123\t1\n"
				    "SigCgt:\t0000000000004000\n";
	static const char second[] = "NSpid:\t123\t2\nSigCgt:\t0\n";
	static const char host[] = "NSpid:\t1\nSigCgt:\t0\n";

	assert_true(signal_is_lost_by(first, SIGINT));
	assert_false(signal_is_lost_by(first, SIGTERM)); /* handled: bit 14 */
	assert_false(signal_is_lost_by(first, SIGKILL));
	assert_false(signal_is_lost_by(second, SIGINT));
	assert_false(signal_is_lost_by(host, SIGINT));
	assert_false(signal_is_lost_by("", SIGINT));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dropped_signals_are_told_from_delivered_ones),
		cmocka_unit_test(signals_go_by_name_prefix_and_number),
		cmocka_unit_test(capabilities_go_by_any_spelling),
		cmocka_unit_test(limits_have_soft_and_hard),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(times_are_rfc3339_with_nanoseconds),
		cmocka_unit_test(variables_that_the_daemon_sets_are_not_passed),
		cmocka_unit_test(exited_event_has_the_documented_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
