/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy file: whatever is taken makes a table that policy_check() takes, and
 * whoever no rule names by id gets no extra of it; whatever is refused leaves
 * the table alone and says why in one printable line.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/policy_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
match_unnamed(const struct policy_table *table)
{
	/* odd ids: no rule of a seed names them */
	static const uint32_t groups[] = { 76543 };
	struct policy_subject subject = { .uid = 54321,
					  .owner = 54321,
					  .gid = 54321,
					  .groups = groups,
					  .n_groups = 1,
					  .label = "x",
					  .unit = "ci.service" };
	struct policy_rights rights;
	struct policy_request request = { .verbs = POLICY_VERBS_ALL };
	struct policy_refusal refusal;
	const struct policy_rule *rule;

	policy_match(table, &subject, &rights);
	rule = rights.rule < 0 ? NULL : &table->rules[rights.rule];
	if (!rule || !(rule->conditions & (POLICY_IF_UID | POLICY_IF_GID)))
		assert(!rights.admin && rights.no_new_privs &&
		       !rights.n_uid_ranges && !rights.n_gid_ranges);
	if (!rights.admin)
		assert(policy_request_check(&rights, &request, &refusal) < 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy_table table, before;
	char text[POLICY_ERROR_MAX];
	struct policy_error error;
	const char *why;
	size_t i;

	if (!table.magic)
		policy_table_init(&before);
	table = before;
	if (policy_json_append(&table, "f", (const char *)data, size, &error) <
	    0) {
		assert(memcmp(&table, &before, sizeof(table)) == 0);
		assert(error.rule[0] && error.remedy[0]);
		policy_error_format(&error, text);
		for (i = 0; text[i]; i++)
			assert((unsigned char)text[i] >= ' ');
		return 0;
	}
	policy_table_seal(&table);
	assert(policy_check(&table, &why) == 0);
	match_unnamed(&table);
	return 0;
}
