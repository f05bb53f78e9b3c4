/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of proto/policy.h: who matches, what that gives, what is refused. */
#include "tests/unit/unit.h"

#include <linux/sched.h>
#include <stdlib.h>

#include "proto/nsplan.h"
#include "tests/unit/policy_fixture.h"

static struct policy_table *
table_new(void)
{
	struct policy_table *table = malloc(sizeof(*table));

	assert_non_null(table);
	policy_table_init(table);
	return table;
}

static void
assert_checked(struct policy_table *table)
{
	const char *why;

	policy_table_seal(table);
	assert_int_equal(policy_check(table, &why), 0);
	assert_null(why);
}

static struct policy_rights
rights_of(const struct policy_table *table, struct policy_subject subject)
{
	struct policy_rights rights;

	policy_match(table, &subject, &rights);
	return rights;
}

static enum errcode
ask(const struct policy_rights *rights, struct policy_request request)
{
	struct policy_refusal refusal;

	if (policy_request_check(rights, &request, &refusal) == 0)
		return ERRCODE_NONE;
	assert_true(refusal.rule[0] && refusal.hint[0] && refusal.object[0]);
	assert_non_null(strstr(refusal.rule, rights->name));
	assert_non_null(strstr(refusal.rule, rights->source));
	return refusal.code;
}

static void
every_word_is_found_and_told_once(void **state)
{
	int i;

	for (i = 0; i < N_POLICY_VERBS; i++)
		assert_int_equal(policy_verb_find(policy_verb_names[i]), i);
	for (i = 0; i < N_POLICY_CONFINEMENTS; i++)
		assert_int_equal(
			policy_confinement_find(policy_confinement_names[i]),
			i);
	for (i = 0; i < N_POLICY_QUOTAS; i++) {
		assert_int_equal(policy_quota_find(policy_quota_rows[i].name),
				 i);
		assert_true(policy_quota_rows[i].initial <=
				    policy_quota_rows[i].max ||
			    policy_quota_rows[i].initial ==
				    POLICY_QUOTA_INHERIT);
	}
	assert_int_equal(policy_verb_find("rnu"), -1);
	assert_int_equal(policy_confinement_find(""), -1);
	assert_int_equal(policy_quota_find("Containers"), -1);
}

static void
without_a_policy_only_unconfined_root_is_an_admin(void **state)
{
	struct policy_table *empty = table_new();
	const struct policy_table *tables[] = { NULL, empty };
	struct policy_subject confined = subject_of(0), folded = subject_of(0);
	struct policy_rights rights;
	size_t i;

	assert_checked(empty);
	confined.confined = POLICY_CONFINED_BIT(POLICY_CONFINED_MNTNS);
	folded.owner = 1000;
	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		rights = rights_of(tables[i], subject_of(0));
		assert_true(rights.admin);
		assert_false(rights.no_new_privs);
		assert_int_equal(rights.verbs, POLICY_VERBS_ALL);
		assert_false(rights_of(tables[i], confined).admin);
		assert_false(rights_of(tables[i], folded).admin);
		rights = rights_of(tables[i], subject_of(1000));
		assert_false(rights.admin);
		assert_true(rights.no_new_privs);
		assert_int_equal(rights.verbs, POLICY_VERBS_ORDINARY);
		assert_int_equal(rights.create_kinds, NSPLAN_ALL_FLAGS);
		assert_int_equal(rights.n_uid_ranges, 0);
		assert_int_equal(rights.quotas[POLICY_QUOTA_CONTAINERS], 128);
		assert_int_equal(rights.quotas[POLICY_QUOTA_TASKS],
				 POLICY_QUOTA_INHERIT);
		assert_int_equal(rights.rule, -1);
		assert_string_equal(rights.name, "default");
	}
	free(empty);
}

static void
the_first_rule_that_matches_decides(void **state)
{
	struct policy_table *table = table_new();
	struct policy_rule *rule;
	struct policy_rights rights;

	rule = rule_add_uid(table, 1000);
	rule->settings = POLICY_SET_VERBS;
	rule->verbs = POLICY_VERB_BIT(POLICY_VERB_LIST);
	rule = rule_add_any(table);
	rule->settings = POLICY_SET_VERBS;
	assert_checked(table);
	rights = rights_of(table, subject_of(1000));
	assert_int_equal(rights.verbs, POLICY_VERB_BIT(POLICY_VERB_LIST));
	assert_int_equal(rights.rule, 0);
	assert_string_equal(rights.name, "r1");
	assert_string_equal(rights.source, "policy.json:1");
	rights = rights_of(table, subject_of(1001));
	assert_int_equal(rights.verbs, 0);
	assert_int_equal(rights.rule, 1);
	free(table);
}

static void
what_a_rule_does_not_set_stays(void **state)
{
	struct policy_table *table = table_new();
	struct policy_rule *rule = rule_add_any(table);
	struct policy_rights rights;

	rule->quotas_set = 1u << POLICY_QUOTA_CONTAINERS;
	rule->quotas[POLICY_QUOTA_CONTAINERS] = 3;
	assert_checked(table);
	rights = rights_of(table, subject_of(1000));
	assert_int_equal(rights.verbs, POLICY_VERBS_ORDINARY);
	assert_true(rights.no_new_privs);
	assert_int_equal(rights.quotas[POLICY_QUOTA_CONTAINERS], 3);
	assert_int_equal(rights.quotas[POLICY_QUOTA_CONNECTIONS], 32);
	assert_int_equal(rights.quotas_set, 1u << POLICY_QUOTA_CONTAINERS);
	/* root stays what it is, too */
	rights = rights_of(table, subject_of(0));
	assert_true(rights.admin);
	assert_int_equal(rights.verbs, POLICY_VERBS_ALL);
	free(table);
}

static void
every_condition_matches_its_own_only(void **state)
{
	static const uint32_t groups[] = { 4, 27 };
	struct policy_subject subject = subject_of(1000);
	struct policy_table *table = table_new();
	struct policy_rule *rule = rule_add(table);

	rule->conditions = POLICY_IF_GID | POLICY_IF_LABEL | POLICY_IF_UNIT;
	rule->n_gids = 1;
	rule->gids[0] = (struct idmap_range){ 20, 10 };
	rule->n_labels = 2;
	snprintf(rule->labels[0], POLICY_LABEL_MAX, "docker-*");
	snprintf(rule->labels[1], POLICY_LABEL_MAX, "lxc");
	rule->n_units = 1;
	snprintf(rule->units[0], POLICY_UNIT_MAX, "ci.service");
	assert_checked(table);

	subject.groups = groups;
	subject.n_groups = ARRAY_SIZE(groups);
	subject.label = "docker-default (enforce)";
	subject.unit = "ci.service";
	assert_int_equal(rights_of(table, subject).rule, 0);
	subject.label = "lxc";
	assert_int_equal(rights_of(table, subject).rule, 0);
	subject.label = "lxc2";
	assert_int_equal(rights_of(table, subject).rule, -1);
	subject.label = "docker";
	assert_int_equal(rights_of(table, subject).rule, -1);
	subject.label = NULL;
	assert_int_equal(rights_of(table, subject).rule, -1);
	subject.label = "lxc";
	subject.unit = "ci.service2";
	assert_int_equal(rights_of(table, subject).rule, -1);
	subject.unit = NULL;
	assert_int_equal(rights_of(table, subject).rule, -1);
	subject.unit = "ci.service";
	subject.n_groups = 1;
	assert_int_equal(rights_of(table, subject).rule, -1);
	subject.gid = 29;
	assert_int_equal(rights_of(table, subject).rule, 0);
	subject.gid = 30;
	assert_int_equal(rights_of(table, subject).rule, -1);
	free(table);
}

static void
give_everything(struct policy_rule *rule)
{
	rule->settings = POLICY_SET_ADMIN | POLICY_SET_NO_NEW_PRIVS |
			 POLICY_SET_UID_RANGES | POLICY_SET_GID_RANGES |
			 POLICY_SET_ALLOW_CONFINED;
	rule->admin = 1;
	rule->n_uid_ranges = rule->n_gid_ranges = 1;
	rule->uid_ranges[0] = (struct idmap_range){ 300000, 65536 };
	rule->gid_ranges[0] = (struct idmap_range){ 300000, 65536 };
	rule->allow_confined = POLICY_CONFINED_ALL;
}

static void
a_delegated_id_is_bound_by_its_owners_rule_without_its_extras(void **state)
{
	struct policy_subject folded = subject_of(100005);
	struct policy_table *table = table_new();
	struct policy_rule *rule = rule_add_uid(table, 1000);
	struct policy_rights rights;

	give_everything(rule);
	assert_checked(table);
	rights = rights_of(table, subject_of(1000));
	assert_true(rights.admin);
	assert_false(rights.no_new_privs);
	assert_int_equal(rights.n_uid_ranges, 1);

	folded.owner = 1000;
	rights = rights_of(table, folded);
	assert_int_equal(rights.rule, 0);
	assert_false(rights.admin);
	assert_true(rights.no_new_privs);
	assert_int_equal(rights.n_uid_ranges, 0);
	assert_int_equal(rights.n_gid_ranges, 0);
	assert_int_equal(rights.verbs, POLICY_VERBS_ORDINARY);

	rule->uids[0].first = 100005;
	policy_table_seal(table);
	assert_true(rights_of(table, folded).admin);
	free(table);
}

static void
a_group_gives_a_delegated_id_no_extra(void **state)
{
	struct policy_subject folded = subject_of(100005);
	struct policy_table *table = table_new();
	struct policy_rule *rule = rule_add(table);

	rule->conditions = POLICY_IF_GID;
	rule->n_gids = 1;
	rule->gids[0] = (struct idmap_range){ 100005, 1 };
	give_everything(rule);
	assert_checked(table);
	assert_true(rights_of(table, folded).admin);
	folded.owner = 1000;
	assert_false(rights_of(table, folded).admin);
	free(table);
}

static void
confinement_is_refused_unless_a_rule_frees_of_it(void **state)
{
	struct policy_subject subject = subject_of(1000);
	struct policy_table *table = table_new();
	struct policy_rule *rule = rule_add_any(table);
	struct policy_rights rights;

	rule->settings = POLICY_SET_ALLOW_CONFINED;
	rule->allow_confined =
		POLICY_CONFINED_BIT(POLICY_CONFINED_NO_NEW_PRIVS);
	assert_checked(table);
	subject.confined = rule->allow_confined;
	rights = rights_of(NULL, subject);
	assert_int_equal(ask(&rights, (struct policy_request){ 0 }),
			 ERRCODE_CONFINED);
	rights = rights_of(table, subject);
	assert_int_equal(rights.confined, 0);
	assert_int_equal(ask(&rights, (struct policy_request){ 0 }),
			 ERRCODE_NONE);
	subject.confined |= POLICY_CONFINED_BIT(POLICY_CONFINED_CHROOT);
	rights = rights_of(table, subject);
	assert_int_equal(rights.confined,
			 POLICY_CONFINED_BIT(POLICY_CONFINED_CHROOT));
	assert_int_equal(ask(&rights, (struct policy_request){ 0 }),
			 ERRCODE_CONFINED);
	free(table);
}

static void
a_confined_root_needs_a_rule_of_its_own(void **state)
{
	struct policy_subject root = subject_of(0);
	struct policy_table *table = table_new();
	struct policy_rule *rule = rule_add_any(table);
	struct policy_rights rights;

	root.confined = POLICY_CONFINED_BIT(POLICY_CONFINED_MNTNS);
	rule->settings = POLICY_SET_ALLOW_CONFINED;
	rule->allow_confined = root.confined;
	assert_checked(table);
	rights = rights_of(table, root);
	assert_int_equal(rights.confined, root.confined);
	rule->conditions = POLICY_IF_UID;
	rule->n_uids = 1;
	rule->uids[0] = (struct idmap_range){ 0, 1 };
	assert_checked(table);
	rights = rights_of(table, root);
	assert_int_equal(rights.confined, 0);
	assert_false(rights.admin);
	rule->settings |= POLICY_SET_ADMIN;
	rule->admin = 1;
	assert_checked(table);
	assert_true(rights_of(table, root).admin);
	free(table);
}

static void
requests_get_one_code_a_cause(void **state)
{
	struct policy_rights user = rights_of(NULL, subject_of(1000));
	struct policy_rights root = rights_of(NULL, subject_of(0));
	struct policy_request request = {
		.verbs = POLICY_VERB_BIT(POLICY_VERB_RUN),
		.create_kinds = CLONE_NEWNET,
	};

	assert_int_equal(ask(&user, request), ERRCODE_NEED_USERNS);
	assert_int_equal(ask(&root, request), ERRCODE_NONE);
	request.create_kinds |= CLONE_NEWUSER;
	assert_int_equal(ask(&user, request), ERRCODE_NONE);
	request.create_kinds = CLONE_NEWNET;
	request.join_kinds = CLONE_NEWUSER;
	assert_int_equal(ask(&user, request), ERRCODE_NONE);
	user.join_kinds = CLONE_NEWNET;
	assert_int_equal(ask(&user, request), ERRCODE_PERMISSION_DENIED);
	user.join_kinds = NSPLAN_ALL_FLAGS;
	user.verbs &= ~POLICY_VERB_BIT(POLICY_VERB_JOIN);
	assert_int_equal(ask(&user, request), ERRCODE_PERMISSION_DENIED);
	request.join_kinds = request.create_kinds = 0;
	assert_int_equal(ask(&user, request), ERRCODE_NONE);
	request.new_privs = true;
	assert_int_equal(ask(&user, request), ERRCODE_PERMISSION_DENIED);
	assert_int_equal(ask(&root, request), ERRCODE_NONE);
	request.new_privs = false;
	request.verbs = UINT32_MAX;
	assert_int_equal(ask(&root, request), ERRCODE_PERMISSION_DENIED);
	request.verbs = POLICY_VERBS_ALL;
	assert_int_equal(ask(&root, request), ERRCODE_NONE);
	assert_int_equal(ask(&user, request), ERRCODE_PERMISSION_DENIED);
}

static void
owners_of_joined_namespaces_are_narrowed(void **state)
{
	struct policy_subject folded = subject_of(100005);
	struct policy_table *table = table_new();
	struct policy_rule *rule = rule_add_uid(table, 1000);
	struct policy_rights rights;
	struct policy_refusal refusal;

	folded.owner = 1000;
	rule->settings = POLICY_SET_JOIN_OWNERS;
	rule->join_owners.self = 1;
	rule->join_owners.n_ranges = 1;
	rule->join_owners.ranges[0] = (struct idmap_range){ 2000, 2 };
	assert_checked(table);
	rights = rights_of(table, folded);
	assert_int_equal(
		policy_join_owner_check(&rights, &folded, 1000, &refusal), 0);
	assert_int_equal(
		policy_join_owner_check(&rights, &folded, 2001, &refusal), 0);
	assert_int_equal(
		policy_join_owner_check(&rights, &folded, 2002, &refusal),
		-EPERM);
	assert_int_equal(refusal.code, ERRCODE_PERMISSION_DENIED);
	assert_string_equal(refusal.object, "2002");
	assert_int_equal(policy_join_owner_check(&rights, &folded, 0, &refusal),
			 -EPERM);
	rights = rights_of(NULL, folded);
	assert_int_equal(policy_join_owner_check(&rights, &folded, 0, &refusal),
			 0);
	free(table);
}

static void
an_admin_joins_others_namespaces_only_with_its_verb(void **state)
{
	struct policy_subject root = subject_of(0);
	struct policy_rights rights = rights_of(NULL, root);
	struct policy_refusal refusal;

	assert_int_equal(
		policy_join_owner_check(&rights, &root, 1000, &refusal), 0);
	rights.verbs &= POLICY_VERBS_ORDINARY;
	assert_int_equal(
		policy_join_owner_check(&rights, &root, 1000, &refusal),
		-EPERM);
	assert_int_equal(policy_join_owner_check(&rights, &root, 0, &refusal),
			 0);
}

static void
units_are_taken_from_system_slices_only(void **state)
{
	static const struct {
		const char *path, *unit;
	} rows[] = {
		{ "/system.slice/ci.service", "ci.service" },
		{ "/system.slice/system-a.slice/a@1.service/x", "a@1.service" },
		{ "/user.slice/user-1000.slice/user@1000.service/app.slice/"
		  "ci.service",
		  "user@1000.service" },
		{ "/user.slice/user-1000.slice/session-3.scope",
		  "session-3.scope" },
		{ "/init.scope", "init.scope" },
		{ "/", NULL },
		{ "", NULL },
		{ "/.slice/ci.service", NULL },
		{ "/mine/ci.service", NULL },
		{ "/system.slice", NULL },
		{ "/system.slice/.service", NULL },
	};
	char buf[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = policy_unit_of_cgroup(rows[i].path, buf, sizeof(buf));

		assert_int_equal(r, rows[i].unit ? 0 : -ENOENT);
		if (rows[i].unit)
			assert_string_equal(buf, rows[i].unit);
	}
	assert_int_equal(policy_unit_of_cgroup("/a.service", buf, 9), -ENOENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_word_is_found_and_told_once),
		cmocka_unit_test(
			without_a_policy_only_unconfined_root_is_an_admin),
		cmocka_unit_test(the_first_rule_that_matches_decides),
		cmocka_unit_test(what_a_rule_does_not_set_stays),
		cmocka_unit_test(every_condition_matches_its_own_only),
		cmocka_unit_test(
			a_delegated_id_is_bound_by_its_owners_rule_without_its_extras),
		cmocka_unit_test(a_group_gives_a_delegated_id_no_extra),
		cmocka_unit_test(
			confinement_is_refused_unless_a_rule_frees_of_it),
		cmocka_unit_test(a_confined_root_needs_a_rule_of_its_own),
		cmocka_unit_test(requests_get_one_code_a_cause),
		cmocka_unit_test(owners_of_joined_namespaces_are_narrowed),
		cmocka_unit_test(
			an_admin_joins_others_namespaces_only_with_its_verb),
		cmocka_unit_test(units_are_taken_from_system_slices_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
