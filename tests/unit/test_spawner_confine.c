/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a difference between two processes is a confinement. */
#include "tests/unit/unit.h"

#include <linux/sched.h>

#include "spawn/spawner_confine.h"

static const struct confinement own = {
	.namespaces = { 1, 2, 3, 4, 5, 6, 7, 8 },
	.root_dev = 9,
	.root_inode = 10,
	.root_mount = 11,
};

#define BIT(kind) POLICY_CONFINED_BIT(POLICY_CONFINED_##kind)

static void
same_as_the_spawner_is_not_confined(void **state)
{
	struct confinement other = own;

	assert_int_equal(confinement_compare(&own, &other), 0);
	snprintf(other.label, sizeof(other.label), "unconfined");
	assert_int_equal(confinement_compare(&own, &other), 0);
	snprintf(other.label, sizeof(other.label),
		 "unconfined_u:unconfined_r:unconfined_t:s0");
	assert_int_equal(confinement_compare(&own, &other), 0);
}

static void
namespaces_that_confine_are_told_apart(void **state)
{
	static const struct {
		uint32_t flag, found;
	} rows[] = {
		{ CLONE_NEWUSER, BIT(USERNS) },
		{ CLONE_NEWNS, BIT(MNTNS) },
		{ CLONE_NEWPID, BIT(PIDNS) },
		{ CLONE_NEWNET, BIT(NETNS) },
		{ CLONE_NEWCGROUP, BIT(CGROUP_ROOT) },
		{ CLONE_NEWUTS, 0 },
		{ CLONE_NEWIPC, 0 },
		{ CLONE_NEWTIME, 0 },
	};
	struct confinement other;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		other = own;
		for (j = 0; j < N_NS_KINDS; j++)
			if (ns_kinds[j].clone_flag == rows[i].flag)
				other.namespaces[j] += 100;
		assert_int_equal(confinement_compare(&own, &other),
				 rows[i].found);
	}
}

static void
root_directory_is_the_mount_as_well(void **state)
{
	struct confinement other = own;

	other.root_inode++;
	assert_int_equal(confinement_compare(&own, &other), BIT(CHROOT));
	other = own;
	other.root_dev++;
	assert_int_equal(confinement_compare(&own, &other), BIT(CHROOT));
	other = own;
	other.root_mount++;
	assert_int_equal(confinement_compare(&own, &other), BIT(CHROOT));
	/* all mounts of another mount namespace are others */
	other.namespaces[ns_kind_by_flag(CLONE_NEWNS)] += 100;
	assert_int_equal(confinement_compare(&own, &other), BIT(MNTNS));
}

static void
filter_beyond_the_spawners_own_confines(void **state)
{
	struct confinement filtered = own, other = own;

	other.seccomp = 2;
	other.n_filters = 1;
	assert_int_equal(confinement_compare(&own, &other), BIT(SECCOMP));
	filtered.seccomp = 2;
	filtered.n_filters = 1;
	assert_int_equal(confinement_compare(&filtered, &other), 0);
	other.n_filters = 2;
	assert_int_equal(confinement_compare(&filtered, &other), BIT(SECCOMP));
	other = own;
	other.seccomp = 1; /* strict */
	assert_int_equal(confinement_compare(&own, &other), BIT(SECCOMP));
}

static void
no_new_privs_and_labels_confine(void **state)
{
	struct confinement other = own, labelled = own;

	other.no_new_privs = true;
	assert_int_equal(confinement_compare(&own, &other), BIT(NO_NEW_PRIVS));
	other = own;
	snprintf(other.label, sizeof(other.label), "firefox (enforce)");
	assert_int_equal(confinement_compare(&own, &other), BIT(LABEL));
	labelled = other;
	assert_int_equal(confinement_compare(&labelled, &other), 0);
	snprintf(other.label, sizeof(other.label), "unconfined2");
	assert_int_equal(confinement_compare(&own, &other), BIT(LABEL));
}

static void
status_is_read_by_its_lines(void **state)
{
	struct confinement read = { 0 };

	assert_int_equal(confinement_parse_status("Name:\ta\\nSeccomp:\t0\n"
						  "NoNewPrivs:\t1\n"
						  "Seccomp:\t2\n"
						  "Seccomp_filters:\t3\n",
						  &read),
			 0);
	assert_true(read.no_new_privs);
	assert_int_equal(read.seccomp, 2);
	assert_int_equal(read.n_filters, 3);
	assert_int_equal(
		confinement_parse_status("Name:\ta\nNoNewPrivs:\t0\n", &read),
		0);
	assert_false(read.no_new_privs);
	assert_int_equal(read.seccomp, 0);
	assert_int_equal(
		confinement_parse_status("Name:\ta\nSeccomp:\t0\n", &read),
		-EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_the_spawner_is_not_confined),
		cmocka_unit_test(namespaces_that_confine_are_told_apart),
		cmocka_unit_test(root_directory_is_the_mount_as_well),
		cmocka_unit_test(filter_beyond_the_spawners_own_confines),
		cmocka_unit_test(no_new_privs_and_labels_confine),
		cmocka_unit_test(status_is_read_by_its_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
