/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises of proto/idmap_rights.h. The two sides are two implementations: each
 * is held against a third here, which looks at every id by itself, and both
 * against each other, over random maps and ranges of a small world of ids; and
 * over those at the ends of the id space, where one cannot count.
 */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "proto/idmap_rights.h"

#define WORLD 24u
#define ROUNDS 200000

static struct resolved_user
user_of(uint32_t uid, uint32_t gid)
{
	return (struct resolved_user){
		.magic = RESOLVE_MAGIC,
		.version = RESOLVE_VERSION,
		.uid = uid,
		.owner = uid,
		.has_name = 1,
		.gid = gid,
	};
}

/* Decide both ways; they must agree in everything. */
static struct idmap_verdict
decide(const struct idmap *map, const struct idmap_rights *rights)
{
	struct idmap_verdict uid, gid;
	int r = idmap_uid_decide(map, rights, &uid);

	assert_int_equal(idmap_gid_decide(map, rights, &gid), r);
	assert_int_equal(r, uid.why == IDMAP_ALLOWED ? 0 : -EPERM);
	assert_int_equal(uid.why, gid.why);
	if (r < 0)
		assert_int_equal(uid.row, gid.row);
	assert_int_equal(uid.delegated, gid.delegated);
	return uid;
}

static enum idmap_refusal
one_row(uint32_t host_id, uint32_t size, const struct idmap_rights *rights)
{
	struct idmap map = { .n_rows = 1 };

	map.rows[0] = (struct idmap_row){ 0, host_id, size };
	return decide(&map, rights).why;
}

static void
own_id_alone_needs_no_delegation(void **state)
{
	const struct idmap_rights rights = { .own = 1000 };
	struct idmap map = { .rows = { { 0, 1000, 1 }, { 1, 1000, 1 } },
			     .n_rows = 1 };

	assert_int_equal(decide(&map, &rights).why, IDMAP_ALLOWED);
	assert_false(decide(&map, &rights).delegated);
	map.n_rows = 2;
	assert_int_equal(decide(&map, &rights).why, IDMAP_OWN_TWICE);
	map.n_rows = 0;
	assert_int_equal(decide(&map, &rights).why, IDMAP_NO_ROWS);
	assert_int_equal(one_row(1000, 2, &rights), IDMAP_NOT_DELEGATED);
	assert_int_equal(one_row(999, 1, &rights), IDMAP_NOT_DELEGATED);
	assert_int_equal(one_row(1000, 0, &rights), IDMAP_EMPTY_ROW);
}

static void
row_may_span_ranges_that_touch_and_no_gap(void **state)
{
	static const struct idmap_range ranges[] = { { 300, 100 },
						     { 100, 100 },
						     { 200, 100 },
						     { 450, 50 },
						     { 250, 20 } };
	const struct idmap_rights rights = { 1000, ranges, ARRAY_SIZE(ranges),
					     NULL };

	assert_int_equal(one_row(100, 300, &rights), IDMAP_ALLOWED);
	assert_int_equal(one_row(100, 301, &rights), IDMAP_NOT_DELEGATED);
	assert_int_equal(one_row(99, 2, &rights), IDMAP_NOT_DELEGATED);
	assert_int_equal(one_row(399, 1, &rights), IDMAP_ALLOWED);
	assert_int_equal(one_row(399, 52, &rights), IDMAP_NOT_DELEGATED);
	assert_int_equal(one_row(450, 50, &rights), IDMAP_ALLOWED);
}

static void
host_id_0_is_never_given_but_as_the_own(void **state)
{
	static const struct idmap_range range = { 0, 4294967295u };
	struct idmap_rights rights = { 1000, &range, 1, NULL };
	struct idmap map = { .rows = { { 0, 0, 1 } }, .n_rows = 1 };

	assert_int_equal(one_row(0, 1, &rights), IDMAP_HOST_ZERO);
	assert_int_equal(one_row(0, 4294967295u, &rights), IDMAP_HOST_ZERO);
	assert_int_equal(one_row(1, 4294967294u, &rights), IDMAP_ALLOWED);
	rights.own = 0;
	assert_int_equal(one_row(0, 1, &rights), IDMAP_ALLOWED);
	assert_false(decide(&map, &rights).delegated);
	assert_int_equal(one_row(0, 2, &rights), IDMAP_HOST_ZERO);
}

static void
sums_do_not_wrap_at_two_to_the_32(void **state)
{
	static const struct {
		uint32_t host_id, size;
		enum idmap_refusal why;
	} table[] = {
		{ 4294967290u, 5, IDMAP_ALLOWED },
		{ 4294967290u, 6, IDMAP_BEYOND_LAST },
		{ 4294967294u, 1, IDMAP_ALLOWED },
		{ 4294967295u, 1, IDMAP_BEYOND_LAST },
		{ 4294967295u, 4294967295u, IDMAP_BEYOND_LAST },
		{ 4294967290u, 4294967295u, IDMAP_BEYOND_LAST },
		{ 1, 4294967295u, IDMAP_BEYOND_LAST },
		{ 1, 4294967294u, IDMAP_NOT_DELEGATED },
		{ 0, 4294967295u, IDMAP_NOT_DELEGATED },
		{ 4294967289u, 6, IDMAP_NOT_DELEGATED },
		{ 0, 1, IDMAP_NOT_DELEGATED },
	};
	static const struct idmap_range range = { 4294967290u, 5 };
	const struct idmap_rights rights = { 1000, &range, 1, NULL };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_equal(
			one_row(table[i].host_id, table[i].size, &rights),
			table[i].why);
}

static void
a_delegated_row_beside_the_own_one_says_so(void **state)
{
	static const struct idmap_range range = { 100000, 65536 };
	const struct idmap_rights rights = { 1000, &range, 1, NULL };
	struct idmap map = {
		.rows = { { 0, 1000, 1 },
			  { 1, 100000, 65536 },
			  { 65537, 0, 1 } },
		.n_rows = 2,
	};
	struct idmap_verdict verdict = decide(&map, &rights);
	char text[IDMAP_VERDICT_MAX];

	assert_int_equal(verdict.why, IDMAP_ALLOWED);
	assert_true(verdict.delegated);
	map.n_rows = 3;
	verdict = decide(&map, &rights);
	assert_int_equal(verdict.row, 2);
	idmap_verdict_text(&verdict, &map, &rights, "uid", text);
	assert_string_equal(text, "uid map row 2: host ids 0+1: not delegated; "
				  "allowed: 1000, 100000+65536");
}

static void
rights_end_without_name_or_primary_group(void **state)
{
	struct resolved_user user = user_of(1000, 100);
	struct idmap_rights uid, gid;
	static const struct {
		uint32_t uid, gid, has_name, any_group;
		bool given;
	} table[] = {
		{ 1000, 100, 1, 0, true },  { 1000, 101, 1, 0, false },
		{ 1000, 101, 1, 1, true },  { 1000, 100, 0, 0, false },
		{ 1000, 100, 0, 1, false }, { 1001, 100, 1, 1, false },
	};

	user.n_uid_ranges = 1;
	user.uid_ranges[0] = (struct idmap_range){ 5000, 10 };
	user.n_gid_ranges = 2;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		user.has_name = table[i].has_name;
		user.any_group = table[i].any_group;
		idmap_rights_uid(&user, table[i].uid, table[i].gid, &uid);
		idmap_rights_gid(&user, table[i].uid, table[i].gid, &gid);
		assert_int_equal(uid.own, table[i].uid);
		assert_int_equal(gid.own, table[i].gid);
		assert_int_equal(uid.n_ranges, table[i].given ? 1 : 0);
		assert_int_equal(gid.n_ranges, table[i].given ? 2 : 0);
		assert_int_equal(uid.why_none == NULL, table[i].given);
		assert_int_equal(gid.why_none == NULL, table[i].given);
	}
	idmap_rights_uid(NULL, 7, 8, &uid);
	idmap_rights_gid(NULL, 7, 8, &gid);
	assert_int_equal(uid.own, 7);
	assert_int_equal(gid.own, 8);
	assert_int_equal(uid.n_ranges + gid.n_ranges, 0);
}

/* The third opinion: id by id, in a world of WORLD ids from base on. */
static bool
id_is_delegated(const struct idmap_rights *rights, uint64_t id)
{
	for (size_t i = 0; i < rights->n_ranges; i++)
		if (id >= rights->ranges[i].first &&
		    id < (uint64_t)rights->ranges[i].first +
				    rights->ranges[i].size)
			return true;
	return false;
}

static bool
third_opinion(const struct idmap *map, const struct idmap_rights *rights,
	      bool *delegated)
{
	size_t n_delegated = 0;

	for (size_t i = 0; i < map->n_rows; i++) {
		const struct idmap_row *row = &map->rows[i];
		bool own = row->size == 1 && row->host_id == rights->own;
		bool all = row->size > 0 && row->host_id > 0;

		for (uint64_t k = 0; all && k < row->size; k++)
			all = row->host_id + k < UINT32_MAX &&
			      id_is_delegated(rights, row->host_id + k);
		if (!all && (!own || row->host_id == UINT32_MAX))
			return false;
		n_delegated += all;
	}
	*delegated = n_delegated > 0;
	return map->n_rows > 0 && (n_delegated > 0 || map->n_rows == 1);
}

static uint32_t
some(uint32_t n)
{
	return (uint32_t)random() % n;
}

/* first + size stay in the world; a range is never empty. */
static struct idmap_range
some_range(uint32_t base)
{
	const uint32_t first = some(WORLD - 1);

	return (struct idmap_range){ base + first,
				     1 + some(WORLD - 1 - first) % 9 };
}

static void
both_sides_and_counting_agree(uint32_t base)
{
	struct idmap_range ranges[5];
	struct idmap_rights rights = { .ranges = ranges };
	static struct idmap map;
	size_t n_allowed = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct idmap_verdict verdict;
		bool delegated = false, allowed;

		rights.own = base + some(WORLD);
		rights.n_ranges = some(6);
		for (size_t i = 0; i < rights.n_ranges; i++)
			ranges[i] = some_range(base);
		map.n_rows = some(4);
		for (size_t i = 0; i < map.n_rows; i++)
			map.rows[i] = (struct idmap_row){
				0,
				some(4) ? base + some(WORLD) : rights.own,
				some(3) ? 1 + some(8) : some(2),
			};
		verdict = decide(&map, &rights);
		allowed = third_opinion(&map, &rights, &delegated);
		assert_int_equal(verdict.why == IDMAP_ALLOWED, allowed);
		if (allowed)
			assert_int_equal(verdict.delegated, delegated);
		n_allowed += allowed;
	}
	/* a test of refusals alone would prove nothing */
	assert_in_range(n_allowed, ROUNDS / 20, ROUNDS - ROUNDS / 20);
}

static void
two_implementations_and_counting_agree_at_both_ends(void **state)
{
	srandom(4711);
	both_sides_and_counting_agree(0);
	both_sides_and_counting_agree(100000);
	both_sides_and_counting_agree(UINT32_MAX - WORLD + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_id_alone_needs_no_delegation),
		cmocka_unit_test(row_may_span_ranges_that_touch_and_no_gap),
		cmocka_unit_test(host_id_0_is_never_given_but_as_the_own),
		cmocka_unit_test(sums_do_not_wrap_at_two_to_the_32),
		cmocka_unit_test(a_delegated_row_beside_the_own_one_says_so),
		cmocka_unit_test(rights_end_without_name_or_primary_group),
		cmocka_unit_test(
			two_implementations_and_counting_agree_at_both_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
