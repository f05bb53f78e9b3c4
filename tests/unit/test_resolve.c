/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of proto/resolve.h: nothing that cannot be is believed. */
#include "tests/unit/unit.h"

#include "proto/resolve.h"

static struct resolved_user
good(void)
{
	return (struct resolved_user){
		.magic = RESOLVE_MAGIC,
		.version = RESOLVE_VERSION,
		.uid = 1000,
		.owner = 1000,
		.has_name = 1,
		.gid = 1000,
		.n_uid_ranges = 1,
		.uid_ranges = { { 100000, 65536 } },
	};
}

static void
a_good_record_is_taken(void **state)
{
	struct resolved_user user = good();

	assert_int_equal(resolve_check(&user, 1000), 0);
	user.uid_ranges[0] = (struct idmap_range){ 0, UINT32_MAX };
	assert_int_equal(resolve_check(&user, 1000), 0);
}

static void
another_uids_record_is_refused(void **state)
{
	struct resolved_user user = good();

	assert_int_equal(resolve_check(&user, 1001), -EBADMSG);
}

static void
every_field_out_of_range_is_refused(void **state)
{
	struct resolved_user user = good();

	user.magic++;
	assert_int_equal(resolve_check(&user, 1000), -EBADMSG);
	user = good();
	user.version++;
	assert_int_equal(resolve_check(&user, 1000), -EBADMSG);
	user = good();
	user.has_name = 2;
	assert_int_equal(resolve_check(&user, 1000), -EBADMSG);
	user = good();
	user.any_group = 2;
	assert_int_equal(resolve_check(&user, 1000), -EBADMSG);
	user = good();
	user.n_uid_ranges = RESOLVE_MAX_RANGES + 1;
	assert_int_equal(resolve_check(&user, 1000), -EBADMSG);
	user = good();
	user.n_gid_ranges = UINT32_MAX;
	assert_int_equal(resolve_check(&user, 1000), -EBADMSG);
	user = good();
	user.uid_ranges[0].size = 0;
	assert_int_equal(resolve_check(&user, 1000), -EBADMSG);
	user = good();
	user.uid_ranges[0] = (struct idmap_range){ UINT32_MAX, 1 };
	assert_int_equal(resolve_check(&user, 1000), -EBADMSG);
	user = good();
	user.uid_ranges[0] = (struct idmap_range){ 1, UINT32_MAX };
	assert_int_equal(resolve_check(&user, 1000), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_record_is_taken),
		cmocka_unit_test(another_uids_record_is_refused),
		cmocka_unit_test(every_field_out_of_range_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
