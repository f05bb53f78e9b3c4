/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the resolver writes over a pipe: policy tables and records of users.
 * First byte: bit 0 = make the checksum right, so that the fields decide. The
 * rest is laid over an empty table. What is taken must be safe to match, and
 * whoever is not named gets no extra.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/policy.h"
#include "proto/resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
match_all(const struct policy_table *table)
{
	static const uint32_t groups[] = { 27, 100 };
	static const uint32_t uids[] = { 0, 1000, 100005, UINT32_MAX - 1 };
	struct policy_subject subject = { .owner = 1000,
					  .gid = 1000,
					  .groups = groups,
					  .n_groups = 2,
					  .label = "docker-default (enforce)",
					  .unit = "ci.service" };
	struct policy_request request = { .verbs = POLICY_VERBS_ALL,
					  .create_kinds = 0x40000000 };
	struct policy_rights rights;
	struct policy_refusal refusal;
	size_t i;

	for (i = 0; i < 8; i++) {
		subject.uid = uids[i / 2];
		subject.confined = i % 2 ? POLICY_CONFINED_ALL : 0;
		policy_match(table, &subject, &rights);
		if (!rights.admin)
			assert(!(rights.verbs & POLICY_VERBS_ADMIN));
		if (rights.rule >= 0 && !(table->rules[rights.rule].conditions &
					  (POLICY_IF_UID | POLICY_IF_GID)))
			assert(rights.n_uid_ranges == 0 &&
			       rights.n_gid_ranges == 0 && !rights.admin);
		if (policy_request_check(&rights, &request, &refusal) == 0)
			assert(rights.admin && !rights.confined);
		(void)!policy_join_owner_check(&rights, &subject, 5, &refusal);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct resolved_user user = { 0 };
	struct policy_table *table;
	const char *why;

	if (size < 1)
		return 0;
	table = malloc(sizeof(*table));
	assert(table);
	policy_table_init(table);
	memcpy(table, data + 1,
	       size - 1 < sizeof(*table) ? size - 1 : sizeof(*table));
	if (data[0] & 1)
		policy_table_seal(table);
	if (policy_check(table, &why) == 0)
		match_all(table);
	else
		assert(why && why[0]);
	free(table);

	memcpy(&user, data + 1,
	       size - 1 < sizeof(user) ? size - 1 : sizeof(user));
	if (resolve_check(&user, 1000) == 0)
		assert(user.n_uid_ranges <= RESOLVE_MAX_RANGES &&
		       user.n_gid_ranges <= RESOLVE_MAX_RANGES);
	return 0;
}
