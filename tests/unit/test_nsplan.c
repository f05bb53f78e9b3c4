/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of proto/nsplan.h as tables: kinds, flags, the order of steps. */
#include "tests/unit/unit.h"

#include "lib/sys.h"
#include "proto/nsplan.h"

static void
kinds_are_runcs_order_and_the_kernels_flags(void **state)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} want[] = {
		{ "user", 0x10000000 },	  { "ipc", 0x08000000 },
		{ "uts", 0x04000000 },	  { "net", 0x40000000 },
		{ "pid", 0x20000000 },	  { "mnt", 0x00020000 },
		{ "cgroup", 0x02000000 }, { "time", 0x00000080 },
	};
	uint32_t all = 0;
	int i;

	for (i = 0; i < N_NS_KINDS; i++) {
		assert_string_equal(ns_kinds[i].name, want[i].name);
		assert_int_equal(ns_kinds[i].clone_flag, want[i].flag);
		assert_int_equal(ns_kind_by_flag(want[i].flag), i);
		assert_int_equal(
			ns_kind_by_name(want[i].name, strlen(want[i].name)), i);
		all |= want[i].flag;
	}
	assert_int_equal(all, NSPLAN_ALL_FLAGS);
}

static void
unknown_kinds_are_not_found(void **state)
{
	assert_int_equal(ns_kind_by_name("users", 5), -1);
	assert_int_equal(ns_kind_by_name("use", 3), -1);
	assert_int_equal(ns_kind_by_name("", 0), -1);
	assert_int_equal(ns_kind_by_name("mount", 5), -1);
	assert_int_equal(ns_kind_by_flag(0), -1);
	assert_int_equal(ns_kind_by_flag(CLONE_NEWNET | CLONE_NEWUTS), -1);
	assert_int_equal(ns_kind_by_flag(0x100), -1);
}

static void
clone_makes_user_and_pid_and_unshare_the_rest(void **state)
{
	uint32_t all = NSPLAN_ALL_FLAGS;

	assert_int_equal(nsplan_clone_flags(all), CLONE_NEWUSER | CLONE_NEWPID);
	assert_int_equal(nsplan_unshare_flags(all),
			 CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
				 CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWTIME);
	assert_int_equal(nsplan_clone_flags(CLONE_NEWNET), 0);
	assert_int_equal(nsplan_unshare_flags(CLONE_NEWPID), 0);
	assert_int_equal(nsplan_unshare_flags(0x100), 0);
}

static const char *const pass_words[] = {
	[NSPLAN_JOIN_EARLY] = "early", [NSPLAN_JOIN_USER] = "join",
	[NSPLAN_JOIN_LATE] = "late",   [NSPLAN_CLONE] = "clone",
	[NSPLAN_MAP] = "map",	       [NSPLAN_BECOME] = "become",
	[NSPLAN_UNSHARE] = "unshare",  [NSPLAN_OFFSETS] = "offsets",
};

/* "early:net join:user clone:user,pid ..." */
static void
describe(const struct nsplan_step *steps, size_t n, char *out, size_t size)
{
	size_t i, k, used = 0;

	out[0] = '\0';
	for (i = 0; i < n; i++) {
		const char *separator = ":";

		used += (size_t)snprintf(out + used, size - used, "%s%s",
					 i ? " " : "",
					 pass_words[steps[i].pass]);
		for (k = 0; k < N_NS_KINDS; k++) {
			if (!(steps[i].flags & ns_kinds[k].clone_flag))
				continue;
			used += (size_t)snprintf(out + used, size - used,
						 "%s%s", separator,
						 ns_kinds[k].name);
			separator = ",";
		}
	}
}

#define USER CLONE_NEWUSER
#define PID CLONE_NEWPID
#define NET CLONE_NEWNET
#define UTS CLONE_NEWUTS
#define MNT CLONE_NEWNS
#define TIME CLONE_NEWTIME
static const struct {
	uint32_t join, create;
	bool user_first, offsets;
	const char *want;
} plans[] = {
	{ 0, 0, false, false, "clone" },
	{ 0, NET, false, false, "clone unshare:net" },
	{ 0, PID, false, false, "clone:pid" },
	{ 0, USER, false, false, "clone:user map:user become:user" },
	{ 0, USER | PID | MNT | UTS, false, false,
	  "clone:user,pid map:user become:user unshare:uts,mnt" },
	{ 0, TIME, false, true, "clone unshare:time offsets:time" },
	{ 0, USER | TIME, false, true,
	  "clone:user map:user become:user unshare:time offsets:time" },
	{ 0, NSPLAN_ALL_FLAGS, false, false,
	  "clone:user,pid map:user become:user "
	  "unshare:ipc,uts,net,mnt,cgroup,time" },
	{ NET, 0, false, false, "early:net late:net clone" },
	{ USER, 0, false, false, "join:user clone" },
	{ USER, 0, true, false, "join:user clone" },
	{ USER | NET, 0, false, false, "early:net join:user late:net clone" },
	{ USER | NET, 0, true, false, "join:user early:net late:net clone" },
	{ USER | NET | PID, MNT | UTS, false, false,
	  "early:net early:pid join:user late:net late:pid clone "
	  "unshare:uts,mnt" },
	{ NET, USER | MNT, false, false,
	  "early:net late:net clone:user map:user become:user unshare:mnt" },
	{ TIME | PID, 0, false, false,
	  "early:pid early:time late:pid late:time clone" },
	{ NSPLAN_ALL_FLAGS, 0, false, false,
	  "early:ipc early:uts early:net early:pid early:mnt early:cgroup "
	  "early:time join:user late:ipc late:uts late:net late:pid late:mnt "
	  "late:cgroup late:time clone" },
};

static void
steps_come_in_the_order_that_works(void **state)
{
	struct nsplan_step steps[NSPLAN_MAX_STEPS];
	char text[1024];
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(plans); i++) {
		assert_int_equal(nsplan_build(plans[i].join, plans[i].create,
					      plans[i].user_first,
					      plans[i].offsets, steps, &n),
				 0);
		assert_true(n <= NSPLAN_MAX_STEPS);
		describe(steps, n, text, sizeof(text));
		assert_string_equal(text, plans[i].want);
	}
}

static void
contradictions_are_refused(void **state)
{
	struct nsplan_step steps[NSPLAN_MAX_STEPS];
	size_t n;

	assert_int_equal(nsplan_build(NET, NET, false, false, steps, &n),
			 -EINVAL);
	assert_int_equal(nsplan_build(USER, USER | PID, true, false, steps, &n),
			 -EINVAL);
	assert_int_equal(nsplan_build(0x100, 0, false, false, steps, &n),
			 -EINVAL);
	assert_int_equal(nsplan_build(0, 0x80000000, false, false, steps, &n),
			 -EINVAL);
	assert_int_equal(nsplan_build(0, NET, false, true, steps, &n), -EINVAL);
	assert_int_equal(nsplan_build(TIME, 0, false, true, steps, &n),
			 -EINVAL);
}

/* Every way to create, join or leave each kind: nothing lost or doubled. */
static void
every_combination_is_complete(void **state)
{
	struct nsplan_step steps[NSPLAN_MAX_STEPS];
	uint32_t join, create, made, late, early;
	size_t combination, rest, i, n, k;

	for (combination = 0; combination < 6561; combination++) {
		join = create = made = late = early = 0;
		rest = combination;
		for (k = 0; k < N_NS_KINDS; k++, rest /= 3) {
			if (rest % 3 == 1)
				join |= ns_kinds[k].clone_flag;
			else if (rest % 3 == 2)
				create |= ns_kinds[k].clone_flag;
		}
		assert_int_equal(nsplan_build(join, create, combination & 1,
					      false, steps, &n),
				 0);
		for (i = 0; i < n; i++) {
			if (steps[i].pass == NSPLAN_CLONE ||
			    steps[i].pass == NSPLAN_UNSHARE)
				made |= steps[i].flags;
			else if (steps[i].pass == NSPLAN_JOIN_LATE ||
				 steps[i].pass == NSPLAN_JOIN_USER)
				late |= steps[i].flags;
			else if (steps[i].pass == NSPLAN_JOIN_EARLY)
				early |= steps[i].flags;
		}
		assert_int_equal(made, create);
		assert_int_equal(late, join);
		assert_int_equal(early, join & ~(uint32_t)CLONE_NEWUSER);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_are_runcs_order_and_the_kernels_flags),
		cmocka_unit_test(unknown_kinds_are_not_found),
		cmocka_unit_test(clone_makes_user_and_pid_and_unshare_the_rest),
		cmocka_unit_test(steps_come_in_the_order_that_works),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(every_combination_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
