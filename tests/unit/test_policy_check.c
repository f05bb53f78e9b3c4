/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of policy_check(): no field is believed that cannot be. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "proto/nsplan.h"
#include "tests/unit/policy_fixture.h"

static struct policy_table *table;

/* One rule that uses every field. */
static void
set_up(void)
{
	struct policy_rule *rule;
	size_t i;

	policy_table_init(table);
	rule = rule_add_uid(table, 1000);
	rule->conditions = POLICY_IF_UID | POLICY_IF_GID | POLICY_IF_LABEL |
			   POLICY_IF_UNIT;
	rule->n_gids = rule->n_labels = rule->n_units = 1;
	rule->gids[0] = (struct idmap_range){ 0, 1 };
	snprintf(rule->labels[0], POLICY_LABEL_MAX, "docker-*");
	snprintf(rule->units[0], POLICY_UNIT_MAX, "ci.service");
	rule->settings = POLICY_SET_ALL;
	rule->admin = rule->no_new_privs = 1;
	rule->verbs = POLICY_VERBS_ALL;
	rule->create_kinds = rule->join_kinds = NSPLAN_ALL_FLAGS;
	rule->allow_confined = POLICY_CONFINED_ALL;
	rule->join_owners.self = rule->join_owners.n_ranges = 1;
	rule->join_owners.ranges[0] = (struct idmap_range){ 0, UINT32_MAX };
	rule->n_uid_ranges = rule->n_gid_ranges = 1;
	rule->uid_ranges[0] = (struct idmap_range){ 1, UINT32_MAX - 1 };
	rule->gid_ranges[0] = (struct idmap_range){ UINT32_MAX - 1, 1 };
	rule->quotas_set = (1u << N_POLICY_QUOTAS) - 1;
	for (i = 0; i < N_POLICY_QUOTAS; i++)
		rule->quotas[i] = policy_quota_rows[i].max;
}

static int
verdict(void)
{
	const char *why = "unset";
	int r;

	policy_table_seal(table);
	r = policy_check(table, &why);
	assert_true(r == 0 ? why == NULL : why && why[0]);
	return r;
}

static void
a_rule_that_uses_every_field_is_taken(void **state)
{
	set_up();
	assert_int_equal(verdict(), 0);
}

static void
a_full_table_is_taken_and_one_rule_more_is_not(void **state)
{
	policy_table_init(table);
	while (table->n_rules < POLICY_MAX_RULES)
		rule_add_any(table);
	assert_int_equal(verdict(), 0);
	table->n_rules++;
	assert_int_equal(verdict(), -EBADMSG);
}

static void
every_bit_of_the_head_and_checksum_counts(void **state)
{
	size_t i, end = offsetof(struct policy_table, rules) +
			sizeof(table->rules[0]) + 64;
	const char *why;

	set_up();
	policy_table_seal(table);
	for (i = 0; i < end * 8; i++) {
		((uint8_t *)table)[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(policy_check(table, &why), -EBADMSG);
		((uint8_t *)table)[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(policy_check(table, &why), 0);
}

/* Where a value of 4 bytes stands, and one that cannot be. */
#define AT(field, value) \
	{ \
#field, offsetof(struct policy_rule, field), (value) \
	}
static const struct wrong {
	const char *name;
	size_t offset;
	uint32_t value;
} wrongs[] = {
	AT(conditions, 0),
	AT(conditions, POLICY_IF_ANY),
	AT(conditions, POLICY_IF_ANY | POLICY_IF_UID | POLICY_IF_GID |
			       POLICY_IF_LABEL | POLICY_IF_UNIT),
	AT(conditions, UINT32_MAX),
	AT(conditions, POLICY_IF_UID | POLICY_IF_GID | POLICY_IF_LABEL),
	AT(conditions, POLICY_IF_GID | POLICY_IF_LABEL | POLICY_IF_UNIT),
	AT(n_uids, 0),
	AT(n_uids, 2),
	AT(n_uids, POLICY_MAX_IDS + 1),
	AT(n_gids, UINT32_MAX),
	AT(n_labels, 0),
	AT(n_labels, POLICY_MAX_PATTERNS + 1),
	AT(n_units, 2),
	AT(n_units, UINT32_MAX),
	AT(uids[0].first, UINT32_MAX),
	AT(uids[0].size, 0),
	AT(uids[0].size, UINT32_MAX),
	AT(uids[1].first, 1),
	AT(gids[0].size, 0),
	AT(labels[0], 0),
	AT(labels[0], 0x2a2a2a2a), /* "****" */
	AT(labels[0], 0x0a0a0a0a),
	AT(labels[0][124], 0x61616161), /* after the NUL, and to the end */
	AT(labels[1], 1),
	AT(units[0], 0),
	AT(units[0][92], 0x61616161),
	AT(units[1], 1),
	AT(settings, POLICY_SET_ALL & ~POLICY_SET_ADMIN),
	AT(settings, POLICY_SET_ALL & ~POLICY_SET_VERBS),
	AT(settings, POLICY_SET_ALL & ~POLICY_SET_CREATE),
	AT(settings, POLICY_SET_ALL & ~POLICY_SET_JOIN),
	AT(settings, POLICY_SET_ALL & ~POLICY_SET_JOIN_OWNERS),
	AT(settings, POLICY_SET_ALL & ~POLICY_SET_UID_RANGES),
	AT(settings, POLICY_SET_ALL & ~POLICY_SET_GID_RANGES),
	AT(settings, POLICY_SET_ALL & ~POLICY_SET_NO_NEW_PRIVS),
	AT(settings, POLICY_SET_ALL & ~POLICY_SET_ALLOW_CONFINED),
	AT(settings, POLICY_SET_ALL + 1),
	AT(settings, UINT32_MAX),
	AT(admin, 0), /* with the verbs of admins */
	AT(admin, 2),
	AT(no_new_privs, 2),
	AT(verbs, POLICY_VERBS_ALL + 1),
	AT(create_kinds, 1),
	AT(join_kinds, UINT32_MAX),
	AT(allow_confined, POLICY_CONFINED_ALL + 1),
	AT(join_owners.self, 2),
	AT(join_owners.n_ranges, POLICY_MAX_RANGES + 1),
	AT(join_owners.n_ranges, 0),
	AT(join_owners.ranges[0].size, 0),
	AT(n_uid_ranges, UINT32_MAX),
	AT(n_uid_ranges, 0),
	AT(n_gid_ranges, 2),
	AT(uid_ranges[0].first, 0), /* host root */
	AT(uid_ranges[0].first, 2), /* ends in 2^32 */
	AT(uid_ranges[0].size, 0),
	AT(uid_ranges[3].size, 1),
	AT(gid_ranges[0].first, 0),
	AT(gid_ranges[0].first, UINT32_MAX),
	AT(quotas_set, 1u << N_POLICY_QUOTAS),
	AT(quotas_set, 0),
	AT(quotas[0], UINT32_MAX),
	AT(quotas[POLICY_QUOTA_TASKS], POLICY_QUOTA_INHERIT),
	AT(name, 0),
	AT(name, 0x2f2e2e2f), /* "/../" */
	AT(name[36], 0x61616161),
	AT(source, 0),
	AT(source[84], 0x61616161),
};

static void
every_field_out_of_range_is_refused(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrongs); i++) {
		set_up();
		memcpy((char *)&table->rules[0] + wrongs[i].offset,
		       &wrongs[i].value, sizeof(wrongs[i].value));
		if (verdict() == 0)
			fail_msg("%s = %u was taken", wrongs[i].name,
				 wrongs[i].value);
	}
}

static void
extras_need_a_uid_or_a_gid(void **state)
{
	static const uint32_t settings[] = { POLICY_SET_ADMIN,
					     POLICY_SET_NO_NEW_PRIVS,
					     POLICY_SET_UID_RANGES,
					     POLICY_SET_GID_RANGES };
	struct policy_rule *rule;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		policy_table_init(table);
		rule = rule_add(table);
		rule->conditions = POLICY_IF_UNIT;
		rule->n_units = 1;
		snprintf(rule->units[0], POLICY_UNIT_MAX, "ci.service");
		rule->settings = settings[i];
		rule->admin = settings[i] == POLICY_SET_ADMIN;
		rule->n_uid_ranges = settings[i] == POLICY_SET_UID_RANGES;
		rule->n_gid_ranges = settings[i] == POLICY_SET_GID_RANGES;
		rule->uid_ranges[0] =
			(struct idmap_range){ rule->n_uid_ranges,
					      rule->n_uid_ranges };
		rule->gid_ranges[0] =
			(struct idmap_range){ rule->n_gid_ranges,
					      rule->n_gid_ranges };
		assert_int_equal(verdict(), -EBADMSG);
		rule->conditions |= POLICY_IF_GID;
		rule->n_gids = 1;
		rule->gids[0] = (struct idmap_range){ 27, 1 };
		assert_int_equal(verdict(), 0);
	}
}

static void
two_rules_of_one_name_are_refused(void **state)
{
	policy_table_init(table);
	rule_add_any(table);
	memcpy(rule_add_any(table)->name, table->rules[0].name,
	       POLICY_NAME_MAX);
	assert_int_equal(verdict(), -EBADMSG);
}

static void
rules_without_a_file_are_refused(void **state)
{
	policy_table_init(table);
	rule_add_any(table);
	table->n_files = 0;
	assert_int_equal(verdict(), -EBADMSG);
}

/* With a good checksum each time: only the fields can tell. */
static void
random_words_never_make_an_admin_of_the_unnamed(void **state)
{
	struct policy_subject subject = subject_of(54321);
	struct policy_rights rights;
	uint32_t random = 1;
	int i, n_taken = 0;

	for (i = 0; i < 20000; i++) {
		uint32_t *words = (uint32_t *)&table->rules[0];

		if (i % 8 == 0)
			set_up();
		random = random * 1664525 + 1013904223;
		words[(random >> 8) % (sizeof(table->rules[0]) /
				       sizeof(*words))] ^= 1u << (random >> 27);
		if (verdict() < 0)
			continue;
		n_taken++;
		policy_match(table, &subject, &rights);
		if (rights.rule < 0 ||
		    !(table->rules[0].conditions & POLICY_IF_UID)) {
			assert_false(
				rights.admin &&
				!(table->rules[0].conditions & POLICY_IF_GID));
			assert_int_equal(rights.verbs & POLICY_VERBS_ADMIN, 0);
		}
	}
	assert_true(n_taken > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_that_uses_every_field_is_taken),
		cmocka_unit_test(
			a_full_table_is_taken_and_one_rule_more_is_not),
		cmocka_unit_test(every_bit_of_the_head_and_checksum_counts),
		cmocka_unit_test(every_field_out_of_range_is_refused),
		cmocka_unit_test(extras_need_a_uid_or_a_gid),
		cmocka_unit_test(two_rules_of_one_name_are_refused),
		cmocka_unit_test(rules_without_a_file_are_refused),
		cmocka_unit_test(
			random_words_never_make_an_admin_of_the_unnamed),
	};
	int r;

	table = malloc(sizeof(*table));
	if (!table)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	free(table);
	return r;
}
