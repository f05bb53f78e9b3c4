/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of proto/who.h: what cannot be is not even looked at. */
#include "tests/unit/unit.h"

#include "proto/who.h"

static struct who
good(void)
{
	struct policy_subject subject = { .uid = 1000, .owner = 1000 };
	struct who who = { .magic = WHO_MAGIC,
			   .version = WHO_VERSION,
			   .size = sizeof(who),
			   .uid = 1000,
			   .gid = 1000,
			   .resolved = { .magic = RESOLVE_MAGIC,
					 .version = RESOLVE_VERSION,
					 .uid = 1000,
					 .owner = 1000 } };

	policy_match(NULL, &subject, &who.rights);
	return who;
}

static void
a_good_record_is_taken(void **state)
{
	struct who who = good(), got;

	assert_int_equal(who_decode(&who, sizeof(who), &got), 0);
	assert_memory_equal(&who, &got, sizeof(who));
}

static void
another_size_is_refused(void **state)
{
	uint8_t bytes[sizeof(struct who) + 8] = { 0 };
	struct who who = good(), got;

	memcpy(bytes, &who, sizeof(who));
	assert_int_equal(who_decode(bytes, 0, &got), -EBADMSG);
	assert_int_equal(who_decode(bytes, sizeof(who) - 1, &got), -EBADMSG);
	assert_int_equal(who_decode(bytes, sizeof(who) + 1, &got), -EBADMSG);
}

static void
a_bool_is_0_or_1(void **state)
{
	static const size_t bools[] = {
		offsetof(struct who, rights.admin),
		offsetof(struct who, rights.no_new_privs),
		offsetof(struct who, rights.any_join_owner),
	};
	uint8_t bytes[sizeof(struct who)];
	struct who who = good(), got;

	for (size_t i = 0; i < sizeof(bools) / sizeof(bools[0]); i++) {
		memcpy(bytes, &who, sizeof(who));
		bytes[bools[i]] = 2;
		assert_int_equal(who_decode(bytes, sizeof(bytes), &got),
				 -EBADMSG);
	}
}

static void
every_field_out_of_range_is_refused(void **state)
{
	struct who who, got;
#define REFUSED(change) \
	do { \
		who = good(); \
		change; \
		assert_int_equal(who_decode(&who, sizeof(who), &got), \
				 -EBADMSG); \
	} while (0)
	REFUSED(who.magic++);
	REFUSED(who.version++);
	REFUSED(who.size--);
	REFUSED(who.uid++);
	REFUSED(who.resolved.magic++);
	REFUSED(who.rights.n_uid_ranges = POLICY_MAX_RANGES + 1);
	REFUSED(who.rights.n_gid_ranges = UINT32_MAX);
	REFUSED(who.rights.join_owners.n_ranges = POLICY_MAX_RANGES + 1);
	REFUSED(memset(who.label, 'x', sizeof(who.label)));
	REFUSED(memset(who.unit, 'x', sizeof(who.unit)));
	REFUSED(memset(who.rights.name, 'x', sizeof(who.rights.name)));
	REFUSED(memset(who.rights.source, 'x', sizeof(who.rights.source)));
#undef REFUSED
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_record_is_taken),
		cmocka_unit_test(another_size_is_refused),
		cmocka_unit_test(a_bool_is_0_or_1),
		cmocka_unit_test(every_field_out_of_range_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
