/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of rules made by hand, for tests of proto/policy.h. */
#ifndef NSX_TESTS_UNIT_POLICY_FIXTURE_H
#define NSX_TESTS_UNIT_POLICY_FIXTURE_H

#include <stdio.h>

#include "proto/policy.h"

/* A further rule, with a name of its own; the test fills in the rest. */
static inline struct policy_rule *
rule_add(struct policy_table *table)
{
	struct policy_rule *rule = &table->rules[table->n_rules++];

	table->n_files = 1;
	snprintf(rule->name, sizeof(rule->name), "r%u", table->n_rules);
	snprintf(rule->source, sizeof(rule->source), "policy.json:%u",
		 table->n_rules);
	return rule;
}

static inline struct policy_rule *
rule_add_uid(struct policy_table *table, uint32_t uid)
{
	struct policy_rule *rule = rule_add(table);

	rule->conditions = POLICY_IF_UID;
	rule->n_uids = 1;
	rule->uids[0] = (struct idmap_range){ uid, 1 };
	return rule;
}

static inline struct policy_rule *
rule_add_any(struct policy_table *table)
{
	struct policy_rule *rule = rule_add(table);

	rule->conditions = POLICY_IF_ANY;
	return rule;
}

static inline struct policy_subject
subject_of(uint32_t uid)
{
	return (struct policy_subject){ .uid = uid, .owner = uid, .gid = uid };
}

#endif
