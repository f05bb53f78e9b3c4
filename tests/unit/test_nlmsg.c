/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of proto/nlmsg.h: bytes of a built message, refusals of a walk. */
#include "tests/unit/unit.h"

#include "proto/nlmsg.h"

static void
built_message_has_header_and_padding(void **state)
{
	static const uint8_t want[] = {
		0x20, 0, 0,    0,    0x30, 0xf2, 1, 0, /* len, type, flags */
		7,    0, 0,    0,    0,	   0,	 0, 0, /* seq, pid */
		6,    0, 0x92, 0x6a, 'u',  0,	 0, 0, /* text "u" */
		8,    0, 0x91, 0x6a, 1,	   2,	 0, 0,
	};
	uint8_t buf[64];
	struct nlmsg_builder builder;
	size_t size;

	nlmsg_builder_init(&builder, buf, sizeof(buf), 62000, 7);
	nlmsg_put_text(&builder, 27282, "u");
	nlmsg_put_u32(&builder, 27281, 0x201);
	assert_int_equal(nlmsg_builder_end(&builder, &size), 0);
	assert_int_equal(size, sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
}

static void
pieces_equal_a_whole(void **state)
{
	uint8_t a[64], b[64];
	struct nlmsg_builder builder;
	size_t a_size, b_size;

	nlmsg_builder_init(&builder, a, sizeof(a), 1, 1);
	nlmsg_open(&builder, 5);
	nlmsg_append_u32(&builder, 0x01020304);
	nlmsg_append_u64(&builder, 0x05060708);
	nlmsg_append(&builder, "x", 1);
	nlmsg_close(&builder);
	assert_int_equal(nlmsg_builder_end(&builder, &a_size), 0);

	nlmsg_builder_init(&builder, b, sizeof(b), 1, 1);
	nlmsg_put(&builder, 5, a + 20, 13);
	assert_int_equal(nlmsg_builder_end(&builder, &b_size), 0);
	assert_int_equal(a_size, b_size);
	assert_memory_equal(a, b, a_size);
}

static void
builder_errors_stick_and_name_the_attribute(void **state)
{
	static uint8_t big[NLMSG_MAX + 16], value[65536];
	struct nlmsg_builder builder;
	size_t size;

	nlmsg_builder_init(&builder, big, sizeof(big), 1, 1);
	nlmsg_put(&builder, 9, value, 65532);
	assert_int_equal(builder.error, -EMSGSIZE);
	assert_true(builder.attr_too_long);
	nlmsg_put_u32(&builder, 10, 0);
	assert_int_equal(nlmsg_builder_end(&builder, &size), -EMSGSIZE);
	assert_int_equal(builder.error_type, 9);

	nlmsg_builder_init(&builder, big, sizeof(big), 1, 1);
	nlmsg_put(&builder, 9, value, 65531);
	nlmsg_put(&builder, 10, value, 65531);
	assert_int_equal(nlmsg_builder_end(&builder, &size), -EMSGSIZE);
	assert_int_equal(builder.error_type, 10);
	assert_false(builder.attr_too_long);

	nlmsg_builder_init(&builder, big, 15, 1, 1);
	assert_int_equal(nlmsg_builder_end(&builder, &size), -EMSGSIZE);
	nlmsg_builder_init(&builder, big, 23, 1, 1);
	nlmsg_put_u32(&builder, 3, 0);
	assert_int_equal(nlmsg_builder_end(&builder, &size), -EMSGSIZE);
}

static void
largest_attribute_and_message_fit(void **state)
{
	static uint8_t big[NLMSG_MAX], value[65531];
	struct nlmsg_builder builder;
	size_t size;

	nlmsg_builder_init(&builder, big, sizeof(big), 1, 1);
	nlmsg_put(&builder, 9, value, 65531);
	nlmsg_put(&builder, 9, value, 65516);
	assert_int_equal(nlmsg_builder_end(&builder, &size), 0);
	assert_int_equal(size, NLMSG_MAX - 16 + 16);
}

static void
header_is_refused_when_it_lies(void **state)
{
	static uint8_t data[NLMSG_MAX + 4];
	struct nlmsg_header header;
	struct nlmsg_error error;
	static const struct {
		uint32_t len;
		size_t size;
		const char *rule;
	} rows[] = {
		{ 16, 0, "shorter than its 16 byte header" },
		{ 16, 15, "shorter than its 16 byte header" },
		{ 0, 16, "length below 16" },
		{ 15, 16, "length below 16" },
		{ 20, 16, "length beyond the bytes that came" },
		{ 16, 20, "bytes after its end" },
		{ NLMSG_MAX + 1, NLMSG_MAX + 1, "length over 131072" },
		{ UINT32_MAX, 16, "length over 131072" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		memcpy(data, &rows[i].len, 4);
		assert_int_equal(nlmsg_header_decode(data, rows[i].size,
						     &header, &error),
				 -EBADMSG);
		assert_string_equal(error.rule, rows[i].rule);
	}
	memcpy(data, &(uint32_t){ 16 }, 4);
	assert_int_equal(nlmsg_header_decode(data, 16, &header, &error), 0);
}

static int
walk(const void *attrs, size_t size, struct nlmsg_attr *last)
{
	uint8_t data[128] = { 0 };
	struct nlmsg_error error;
	struct nlmsg_iter iter;
	int r;

	memcpy(data + NLMSG_HEADER_SIZE, attrs, size);
	nlmsg_iter_init(&iter, data, NLMSG_HEADER_SIZE + size);
	while ((r = nlmsg_iter_next(&iter, last, &error)) > 0)
		last->value = NULL;
	return r;
}

static void
walk_ends_and_never_leaves_the_bytes(void **state)
{
	struct nlmsg_attr attr;

	assert_int_equal(walk("", 0, &attr), 0);
	assert_int_equal(walk("\4\0\1\0", 4, &attr), 0);
	assert_int_equal(walk("\5\0\1\0A", 5, &attr), 0);
	assert_int_equal(walk("\5\0\1\0A\0\0\0", 8, &attr), 0);
	assert_int_equal(walk("\0\0\1\0", 4, &attr), -EBADMSG);
	assert_int_equal(walk("\3\0\1\0", 4, &attr), -EBADMSG);
	assert_int_equal(walk("\5\0\1\0", 4, &attr), -EBADMSG);
	assert_int_equal(walk("\377\377\1\0A", 5, &attr), -EBADMSG);
	assert_int_equal(walk("\4\0\1", 3, &attr), -EBADMSG);
	assert_int_equal(walk("\5\0\1\0A\0\0\1", 8, &attr), -EBADMSG);
}

static void
scalars_are_strict(void **state)
{
	uint8_t bytes[9] = { 1, 0, 0, 0, 2, 0, 0, 0, 9 };
	struct nlmsg_attr attr = { .value = bytes };
	const char *text;
	uint64_t u64;
	uint32_t u32;
	size_t size;

	for (size = 0; size <= 9; size++) {
		attr.size = size;
		assert_int_equal(nlmsg_attr_u32(&attr, &u32),
				 size == 4 ? 0 : -EBADMSG);
		assert_int_equal(nlmsg_attr_u64(&attr, &u64),
				 size == 8 ? 0 : -EBADMSG);
	}
	assert_int_equal(u32, 1);
	assert_true(u64 == 0x200000001);

	attr.size = 0;
	assert_int_equal(nlmsg_attr_text(&attr, &text), -EBADMSG);
	attr = (struct nlmsg_attr){ .value = (const uint8_t *)"ab", .size = 2 };
	assert_int_equal(nlmsg_attr_text(&attr, &text), -EBADMSG);
	attr.size = 3;
	assert_int_equal(nlmsg_attr_text(&attr, &text), 0);
	assert_string_equal(text, "ab");
	attr = (struct nlmsg_attr){ .value = (const uint8_t *)"a\0b",
				    .size = 4 };
	assert_int_equal(nlmsg_attr_text(&attr, &text), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built_message_has_header_and_padding),
		cmocka_unit_test(pieces_equal_a_whole),
		cmocka_unit_test(builder_errors_stick_and_name_the_attribute),
		cmocka_unit_test(largest_attribute_and_message_fit),
		cmocka_unit_test(header_is_refused_when_it_lies),
		cmocka_unit_test(walk_ends_and_never_leaves_the_bytes),
		cmocka_unit_test(scalars_are_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
