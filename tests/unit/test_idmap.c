/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of proto/idmap.h: which row breaks which rule, presets as rows. */
#include "tests/unit/unit.h"

#include "proto/idmap.h"

static struct idmap map;
static struct idmap_error error;
static char text[IDMAP_MAX_TEXT + 2];

static int
parse(const char *from)
{
	return idmap_parse(from, strlen(from), &map, &error);
}

static int
check(const char *from)
{
	assert_int_equal(parse(from), 0);
	return idmap_check(&map, &error);
}

static const char *
format(void)
{
	size_t size;

	assert_int_equal(idmap_format(&map, text, sizeof(text), &size), 0);
	assert_int_equal(size, strlen(text));
	return text;
}

static void
text_round_trips(void **state)
{
	assert_int_equal(parse("0 1000 1\n1 100000 65536\n"), 0);
	assert_int_equal(map.n_rows, 2);
	assert_string_equal(format(), "0 1000 1\n1 100000 65536\n");
	assert_int_equal(parse("0 0 4294967295"), 0);
	assert_string_equal(format(), "0 0 4294967295\n");
}

static void
padded_form_of_proc_is_read(void **state)
{
	assert_int_equal(parse("         0       1000          1\n"
			       "         1     100000      65536\n"),
			 0);
	assert_string_equal(format(), "0 1000 1\n1 100000 65536\n");
}

static void
wrong_text_names_its_row(void **state)
{
	static const struct {
		const char *text;
		const char *rule;
	} rows[] = {
		{ "", "the map has no rows" },
		{ "\n", "row 0: container id is not a decimal number" },
		{ "0 1000 1\n\n1 1 1\n",
		  "row 1: container id is not a decimal number" },
		{ "0 1000\n", "row 0: size is not a decimal number" },
		{ "0\n", "row 0: host id is not a decimal number" },
		{ "0 1 1\n1 x 1\n", "row 1: host id is not a decimal number" },
		{ "-1 0 1\n", "row 0: container id is not a decimal number" },
		{ "00 0 1\n", "row 0: container id is not a decimal number" },
		{ "0x10 0 1\n", "row 0: host id is not a decimal number" },
		{ "0 4294967296 1\n", "row 0: host id is above 4294967295" },
		{ "0 99999999999999999999 1\n",
		  "row 0: host id is above 4294967295" },
		{ "0 1 1 1\n", "row 0: text after the size" },
		{ "0 1 1,\n", "row 0: text after the size" },
		{ "0:1:1\n", "row 0: host id is not a decimal number" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].text), -EINVAL);
		assert_string_equal(error.rule, rows[i].rule);
		assert_true(error.hint[0] != '\0');
	}
}

static void
wrong_rows_are_named_with_rule_and_hint(void **state)
{
	static const struct {
		const char *text;
		int row;
		const char *rule;
	} rows[] = {
		{ "0 1000 0\n", 0, "row 0: size is 0" },
		{ "0 0 1\n4294967295 1 1\n", 1,
		  "row 1: container ids 4294967295+1 go beyond 4294967294" },
		{ "1 4294967295 1\n", 0,
		  "row 0: host ids 4294967295+1 go beyond 4294967294" },
		{ "1 0 4294967295\n", 0,
		  "row 0: container ids 1+4294967295 go beyond 4294967294" },
		{ "0 1000 10\n9 2000 1\n", 1,
		  "row 1: container ids 9..9 overlap row 0 (0..9)" },
		{ "0 100 10\n50 5 5\n20 105 10\n", 2,
		  "row 2: host ids 105..114 overlap row 0 (100..109)" },
		{ "0 0 1\n0 0 1\n", 1,
		  "row 1: container ids 0..0 overlap row 0 (0..0)" },
		{ "5 50 10\n0 100 6\n", 1,
		  "row 1: container ids 0..5 overlap row 0 (5..14)" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(check(rows[i].text), -EINVAL);
		assert_int_equal(error.row, rows[i].row);
		assert_string_equal(error.rule, rows[i].rule);
		assert_true(error.hint[0] != '\0');
	}
}

static void
neighbours_and_the_whole_space_are_fine(void **state)
{
	assert_int_equal(check("0 0 4294967295\n"), 0);
	assert_int_equal(check("0 100 10\n10 110 10\n"), 0);
	assert_int_equal(check("4294967294 0 1\n"), 0);
	assert_int_equal(check("10 110 10\n0 100 10\n"), 0);
}

static void
limits_are_340_rows_and_4094_bytes(void **state)
{
	uint32_t i;

	for (i = 0; i < IDMAP_MAX_ROWS; i++)
		map.rows[i] = (struct idmap_row){ i, i + 10, 1 };
	map.n_rows = IDMAP_MAX_ROWS;
	assert_int_equal(idmap_check(&map, &error), 0);
	map.n_rows = IDMAP_MAX_ROWS + 1;
	assert_int_equal(idmap_check(&map, &error), -EINVAL);
	assert_string_equal(error.rule, "341 rows, at most 340");
	map.n_rows = 0;
	assert_int_equal(idmap_check(&map, &error), -EINVAL);

	/* 24 bytes a row: 170 rows are 4,080 */
	for (i = 0; i < 171; i++)
		map.rows[i] =
			(struct idmap_row){ 1000000000 + i, 2000000000 + i, 1 };
	map.n_rows = 170;
	assert_int_equal(idmap_check(&map, &error), 0);
	map.n_rows = 171;
	assert_int_equal(idmap_check(&map, &error), -EINVAL);
	assert_string_equal(error.rule, "4104 bytes of text, at most 4094");
}

static void
more_rows_than_the_kernel_takes_are_not_read(void **state)
{
	static char long_text[IDMAP_MAX_ROWS * 8 + 64];
	size_t used = 0;
	int i;

	for (i = 0; i <= IDMAP_MAX_ROWS; i++)
		used += (size_t)sprintf(long_text + used, "%d 5 1\n", i % 9);
	assert_int_equal(parse(long_text), -EINVAL);
	assert_string_equal(error.rule,
			    "row 340: more rows than the 340 the kernel takes");
}

static void
format_refuses_a_small_buffer(void **state)
{
	size_t size;

	assert_int_equal(parse("0 1000 1\n"), 0);
	assert_int_equal(idmap_format(&map, text, 9, &size), -EMSGSIZE);
	assert_int_equal(idmap_format(&map, text, 10, &size), 0);
}

static void
lookup_finds_the_outside_id(void **state)
{
	uint32_t host = 0;

	assert_int_equal(parse("0 1000 1\n1 100000 65536\n"), 0);
	assert_true(idmap_lookup(&map, 0, &host));
	assert_int_equal(host, 1000);
	assert_true(idmap_lookup(&map, 65536, &host));
	assert_int_equal(host, 165535);
	assert_false(idmap_lookup(&map, 65537, &host));
	assert_int_equal(parse("5 0 4294967290\n"), 0);
	assert_false(idmap_lookup(&map, 4, &host));
	assert_true(idmap_lookup(&map, 4294967294, &host));
	assert_int_equal(host, 4294967289);
}

static void
presets_are_these_rows(void **state)
{
	static const struct idmap_range ranges[] = { { 100000, 1000 },
						     { 300000, 65536 } };
	static const struct {
		enum idmap_preset preset;
		uint32_t own, max;
		size_t n_ranges;
		const char *want; /* NULL = refused */
	} rows[] = {
		{ IDMAP_ROOT, 1000, 4294967294, 0, "0 1000 1\n" },
		{ IDMAP_CURRENT, 1000, 4294967294, 0, "1000 1000 1\n" },
		{ IDMAP_IDENTITY, 0, 4294967294, 0, "0 0 4294967295\n" },
		{ IDMAP_AUTO, 1000, 4294967294, 2,
		  "0 1000 1\n1 100000 1000\n1001 300000 65536\n" },
		{ IDMAP_AUTO, 1000, 4294967294, 0, NULL },
		{ IDMAP_KEEP_ID, 1000, 4294967294, 2,
		  "1000 1000 1\n0 100000 1000\n1001 300000 65536\n" },
		{ IDMAP_KEEP_ID, 1500, 4294967294, 2,
		  "1500 1500 1\n0 100000 1000\n1000 300000 500\n"
		  "1501 300500 65036\n" },
		{ IDMAP_KEEP_ID, 0, 4294967294, 1, "0 0 1\n1 100000 1000\n" },
		{ IDMAP_KEEP_ID, 5000, 4294967294, 1,
		  "5000 5000 1\n0 100000 1000\n" },
		{ IDMAP_KEEP_ID, 1000, 4294967294, 0, NULL },
		/* own id inside its own delegated range */
		{ IDMAP_AUTO, 100000, 4294967294, 1, NULL },
		{ IDMAP_MAX_UID, 0, 4294967294, 0,
		  "0 4294967294 1\n1 1 4294967293\n" },
		{ IDMAP_AUTO_PRIVATE, 1000, 4294967294, 2,
		  "0 1000 1\n1 300000 65536\n" },
		{ IDMAP_AUTO_PRIVATE, 1000, 4294967294, 1, NULL },
		{ IDMAP_MAX_UID, 0, 65535, 0, "0 65535 1\n1 1 65534\n" },
		{ IDMAP_MAX_UID, 0, 1, 0, "0 1 1\n" },
		{ IDMAP_MAX_UID, 0, 0, 0, NULL },
		{ IDMAP_EXPLICIT, 0, 1, 0, NULL },
		{ N_IDMAP_PRESETS, 0, 1, 0, NULL },
	};
	size_t i;
	int r;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		r = idmap_preset_build(rows[i].preset, rows[i].own, rows[i].max,
				       ranges, rows[i].n_ranges, &map, &error);
		if (!rows[i].want) {
			assert_int_equal(r, -EINVAL);
			assert_true(error.rule[0] && error.hint[0]);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(format(), rows[i].want);
	}
}

static void
too_many_ranges_are_refused(void **state)
{
	static struct idmap_range ranges[400];
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (struct idmap_range){ 100000 + 10 * i, 1 };
	assert_int_equal(idmap_preset_build(IDMAP_AUTO, 1000, 1, ranges, 400,
					    &map, &error),
			 -EINVAL);
	assert_string_equal(error.rule,
			    "more than 340 rows from the delegated ranges");
}

static void
ranges_beyond_the_id_space_are_cut(void **state)
{
	static const struct idmap_range ranges[] = { { 0, 4294967295 } };

	assert_int_equal(
		idmap_preset_build(IDMAP_AUTO, 5, 1, ranges, 1, &map, &error),
		-EINVAL); /* 5 is in the range */
	assert_int_equal(map.rows[1].size, 4294967294);
}

static void
subuid_lines_are_read_as_newuidmap_reads_them(void **state)
{
	static const char file[] = "alice:100000:65536\n"
				   "bob:200000:65536\n"
				   "1000:300000:10\n"
				   "alice:400000\n"
				   "alice:x:1\n"
				   "alice:1:2:3\n"
				   "alice:500000:0\n"
				   ":1:1\n"
				   "\n"
				   "alice:4294967295:1\n"
				   "alicex:1:1\n"
				   "alice:600000:7";
	struct idmap_range ranges[8];

	assert_int_equal(idmap_ranges_parse(file, strlen(file), "alice", 1000,
					    ranges, 8),
			 3);
	assert_int_equal(ranges[0].first, 100000);
	assert_int_equal(ranges[1].first, 300000);
	assert_int_equal(ranges[2].first, 600000);
	assert_int_equal(ranges[2].size, 7);
	assert_int_equal(idmap_ranges_parse(file, strlen(file), "alice", 1000,
					    ranges, 2),
			 2);
	assert_int_equal(
		idmap_ranges_parse(file, strlen(file), NULL, 1000, ranges, 8),
		1);
	assert_int_equal(
		idmap_ranges_parse(file, strlen(file), "carol", 1, ranges, 8),
		0);
	assert_int_equal(idmap_ranges_parse("", 0, "alice", 1, ranges, 8), 0);
}

static void
preset_names_go_both_ways(void **state)
{
	int i;

	for (i = IDMAP_EXPLICIT; i < N_IDMAP_PRESETS; i++)
		assert_int_equal(idmap_preset_parse(idmap_preset_name(
					 (enum idmap_preset)i)),
				 i);
	assert_int_equal(idmap_preset_parse("max"), 0);
	assert_null(idmap_preset_name((enum idmap_preset)0));
	assert_null(idmap_preset_name(N_IDMAP_PRESETS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_round_trips),
		cmocka_unit_test(padded_form_of_proc_is_read),
		cmocka_unit_test(wrong_text_names_its_row),
		cmocka_unit_test(wrong_rows_are_named_with_rule_and_hint),
		cmocka_unit_test(neighbours_and_the_whole_space_are_fine),
		cmocka_unit_test(limits_are_340_rows_and_4094_bytes),
		cmocka_unit_test(more_rows_than_the_kernel_takes_are_not_read),
		cmocka_unit_test(format_refuses_a_small_buffer),
		cmocka_unit_test(lookup_finds_the_outside_id),
		cmocka_unit_test(presets_are_these_rows),
		cmocka_unit_test(too_many_ranges_are_refused),
		cmocka_unit_test(ranges_beyond_the_id_space_are_cut),
		cmocka_unit_test(subuid_lines_are_read_as_newuidmap_reads_them),
		cmocka_unit_test(preset_names_go_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
