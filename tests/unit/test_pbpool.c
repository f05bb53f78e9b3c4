/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the check of the wire refuses before protobuf-c decodes it, and that
 * what it lets pass is decoded as what was sent.
 */
#include "tests/unit/unit.h"

#include "proto/nsexec.pb-c.h"
#include "proto/pbpool.h"
#include "proto/record.pb-c.h"
#include "proto/ttrpc_frame.h"

#define BITS_32 (UINT64_C(1) << 32)
#define NEGATIVE(n) ((uint64_t) - (int64_t)(n))

/* A message as it is written, and the check's last word on it. */
struct wire {
	uint8_t bytes[1024];
	size_t size;
	char text[PB_TEXT_MAX];
};

static void
put(struct wire *wire, uint64_t value)
{
	assert_true(wire->size + TTRPC_VARINT_MAX <= sizeof(wire->bytes));
	wire->size += ttrpc_varint_encode(value, wire->bytes + wire->size);
}

static void
put_number(struct wire *wire, uint32_t field, uint64_t value)
{
	put(wire, (uint64_t)field << 3);
	put(wire, value);
}

static void
put_bytes(struct wire *wire, uint32_t field, const void *data, size_t size)
{
	put(wire, (uint64_t)field << 3 | 2);
	put(wire, size);
	assert_true(wire->size + size <= sizeof(wire->bytes));
	memcpy(wire->bytes + wire->size, data, size);
	wire->size += size;
}

static int
check(struct wire *wire, const ProtobufCMessageDescriptor *type, size_t budget)
{
	const struct pb_input input = { wire->bytes, wire->size, budget };

	return pb_check(type, &input, wire->text);
}

/* One number in one field, alone or as the only one of a packed list. */
static int
check_number(const ProtobufCMessageDescriptor *type, uint32_t field,
	     uint64_t value, bool packed)
{
	struct wire wire = { .size = 0 }, list = { .size = 0 };
	int r;

	if (packed) {
		put(&list, value);
		put_bytes(&wire, field, list.bytes, list.size);
	} else {
		put_number(&wire, field, value);
	}
	r = check(&wire, type, 4096);
	if (r < 0)
		assert_non_null(strstr(wire.text, "a number over 32 bits"));
	return r;
}

struct number_field {
	const ProtobufCMessageDescriptor *type;
	uint32_t number;
	bool is_signed, repeated;
};

/* What is cut off to 32 bits would be another number: 2^32 would be root. */
static void
numbers_that_do_not_fit_are_refused_and_all_others_are_not(void **state)
{
	const struct number_field fields[] = {
		{ &nsexec__v1__process__descriptor, 4, false, false },
		{ &nsexec__v1__process__descriptor, 6, false, true },
		{ &nsexec__v1__process__descriptor, 12, true, false },
		{ &nsexec__v1__namespace__descriptor, 1, true, false },
		{ &nsexec__v1__events_request__descriptor, 4, true, true },
		{ &nsexec__v1__list_request__descriptor, 1, true, true },
		{ &nsexec__record__exit__descriptor, 2, true, false },
	};
	const uint64_t never[] = { BITS_32, BITS_32 + 1, BITS_32 << 8,
				   UINT64_C(1) << 63,
				   NEGATIVE(INT64_C(1) << 31) - 1 };
	const uint64_t always[] = { 0, 1, INT32_MAX };
	const uint64_t negative[] = { NEGATIVE(1), NEGATIVE(INT64_C(1) << 31) };
	const uint64_t high[] = { UINT64_C(1) << 31, UINT32_MAX };
	size_t i, k;

	for (i = 0; i < 2 * ARRAY_SIZE(fields); i++) {
		const struct number_field *f = &fields[i / 2];
		bool packed = i % 2;

		if (packed && !f->repeated)
			continue;
		for (k = 0; k < ARRAY_SIZE(never); k++)
			assert_int_equal(check_number(f->type, f->number,
						      never[k], packed),
					 -EBADMSG);
		for (k = 0; k < ARRAY_SIZE(always); k++)
			assert_int_equal(check_number(f->type, f->number,
						      always[k], packed),
					 0);
		for (k = 0; k < 2; k++) {
			assert_int_equal(check_number(f->type, f->number,
						      negative[k], packed),
					 f->is_signed ? 0 : -EBADMSG);
			assert_int_equal(check_number(f->type, f->number,
						      high[k], packed),
					 f->is_signed ? -EBADMSG : 0);
		}
	}
}

/* The bad one is found wherever it is in a list. */
static void
packed_lists_are_checked_to_their_end(void **state)
{
	for (size_t at = 0; at < 9; at++) {
		struct wire wire = { .size = 0 }, list = { .size = 0 };

		for (size_t i = 0; i < 9; i++)
			put(&list, i == at ? BITS_32 : UINT32_MAX);
		put_bytes(&wire, 6, list.bytes, list.size);
		assert_int_equal(
			check(&wire, &nsexec__v1__process__descriptor, 4096),
			-EBADMSG);
		assert_string_equal(wire.text,
				    "field groups: a number over 32 bits");
		/* the last one is there by half */
		wire.size = 0;
		put_bytes(&wire, 6, "\x01\x80", 2);
		assert_int_equal(
			check(&wire, &nsexec__v1__process__descriptor, 4096),
			-EBADMSG);
		assert_string_equal(wire.text,
				    "field groups: a number is cut off");
	}
}

/* 64 bits are whole; a bool of any bit is true, as all readers have it. */
static void
numbers_that_pass_are_decoded_as_they_were_sent(void **state)
{
	const uint64_t values[] = { 0, 1, BITS_32, UINT64_C(1) << 63,
				    UINT64_MAX };
	struct wire wire;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		Nsexec__V1__ResourceLimit *limit;
		Nsexec__V1__Namespace *ns;

		wire.size = 0;
		put_number(&wire, 2, values[i]);
		assert_int_equal(check(&wire,
				       &nsexec__v1__resource_limit__descriptor,
				       4096),
				 0);
		limit = nsexec__v1__resource_limit__unpack(NULL, wire.size,
							   wire.bytes);
		assert_non_null(limit);
		assert_true(limit->soft == values[i]);
		nsexec__v1__resource_limit__free_unpacked(limit, NULL);
		assert_int_equal(
			check(&wire, &nsexec__v1__namespace__descriptor, 4096),
			0);
		ns = nsexec__v1__namespace__unpack(NULL, wire.size, wire.bytes);
		assert_non_null(ns);
		assert_true(ns->has_create);
		assert_int_equal(ns->create, values[i] != 0);
		nsexec__v1__namespace__free_unpacked(ns, NULL);
	}
}

static void
nul_is_refused_anywhere_in_a_text_and_left_to_others_in_bytes(void **state)
{
	const ProtobufCMessageDescriptor *spec =
		&nsexec__v1__container_spec__descriptor;
	char text[8];
	size_t at;

	for (at = 0; at < sizeof(text); at++) {
		const uint32_t texts[] = { 1, 2, 17 };
		struct wire wire;

		memset(text, 'a', sizeof(text));
		text[at] = '\0';
		for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
			wire.size = 0;
			put_bytes(&wire, texts[i], text, sizeof(text));
			assert_int_equal(check(&wire, spec, 4096), -EBADMSG);
			assert_non_null(
				strstr(wire.text, "a NUL byte in a text"));
		}
		/* a hostname is bytes; the daemon looks at those itself */
		wire.size = 0;
		put_bytes(&wire, 7, text, sizeof(text));
		assert_int_equal(check(&wire, spec, 4096), 0);
	}
}

/* 64 in all of a message, however deep they are. */
static void
unknown_fields_are_counted_through_all_depths(void **state)
{
	const ProtobufCMessageDescriptor *type =
		&nsexec__v1__run_request__descriptor;
	struct wire wire, spec, process;
	unsigned int n;

	for (n = PB_UNKNOWN_MAX; n <= PB_UNKNOWN_MAX + 1; n++) {
		wire.size = spec.size = process.size = 0;
		for (unsigned int i = 0; i < n; i++)
			put_number(i % 3 == 0	? &wire
				   : i % 3 == 1 ? &spec
						: &process,
				   500 + i, i);
		put_bytes(&spec, 15, process.bytes, process.size);
		put_bytes(&wire, 1, spec.bytes, spec.size);
		assert_int_equal(check(&wire, type, 65536),
				 n > PB_UNKNOWN_MAX ? -EBADMSG : 0);
	}
	assert_non_null(strstr(wire.text, "more than 64 unknown fields"));
}

/* What is inside is not looked at: no depth of theirs is ours. */
static void
unknown_fields_may_nest_as_deep_as_they_like(void **state)
{
	static uint8_t deep[34 << 10];
	const struct pb_input input = { deep, sizeof(deep), 1 << 20 };
	char text[PB_TEXT_MAX];
	size_t left = sizeof(deep);

	/* from without: a field 60 of all that is left, again and again */
	for (size_t at = 0; left > 6;) {
		at += ttrpc_varint_encode(60 << 3 | 2, deep + at);
		left = sizeof(deep) - at;
		left -= left > 127 + 2 ? (left > 16383 + 3 ? 3 : 2) : 1;
		at += ttrpc_varint_encode(left, deep + at);
	}
	assert_int_equal(
		pb_check(&nsexec__v1__run_request__descriptor, &input, text),
		0);
	memset(deep, 0x0b, sizeof(deep)); /* groups in groups */
	assert_int_equal(
		pb_check(&nsexec__v1__run_request__descriptor, &input, text),
		-EBADMSG);
}

/* An empty entry costs its pointer, its record and its struct. */
static void
empty_entries_are_counted_before_they_are_decoded(void **state)
{
	static uint8_t many[2 * 65536];
	const struct pb_input input = { many, sizeof(many),
					pbpool_budget(sizeof(many)) };
	const struct {
		const ProtobufCMessageDescriptor *type;
		uint8_t field;
	} lists[] = {
		{ &nsexec__v1__container_spec__descriptor, 3 },
		{ &nsexec__v1__container_spec__descriptor, 13 },
		{ &nsexec__v1__process__descriptor, 1 },
		{ &nsexec__v1__process__descriptor, 10 },
		{ &nsexec__v1__id_maps__descriptor, 2 },
		{ &nsexec__v1__events_request__descriptor, 3 },
	};
	char text[PB_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		for (size_t k = 0; k < sizeof(many); k += 2) {
			many[k] = (uint8_t)(lists[i].field << 3 | 2);
			many[k + 1] = 0;
		}
		assert_int_equal(pb_check(lists[i].type, &input, text), -E2BIG);
		assert_non_null(strstr(text, lists[i].type->short_name));
	}
}

static void
lists_of_a_fixed_width_must_have_their_wire_type(void **state)
{
	const ProtobufCMessageDescriptor *task =
		&nsexec__record__task__descriptor;
	struct wire wire = { .size = 0 };

	/* hash is 8 bytes; as a number or cut off it is none */
	put_number(&wire, 20, 7);
	assert_int_equal(check(&wire, task, 4096), -EBADMSG);
	assert_non_null(strstr(wire.text, "hash: wrong wire type"));
	for (size_t n = 0; n <= 8; n++) {
		wire.size = 0;
		put(&wire, 20 << 3 | 1);
		memset(wire.bytes + wire.size, 0xff, n);
		wire.size += n;
		assert_int_equal(check(&wire, task, 4096),
				 n < 8 ? -EBADMSG : 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			numbers_that_do_not_fit_are_refused_and_all_others_are_not),
		cmocka_unit_test(packed_lists_are_checked_to_their_end),
		cmocka_unit_test(
			numbers_that_pass_are_decoded_as_they_were_sent),
		cmocka_unit_test(
			nul_is_refused_anywhere_in_a_text_and_left_to_others_in_bytes),
		cmocka_unit_test(unknown_fields_are_counted_through_all_depths),
		cmocka_unit_test(unknown_fields_may_nest_as_deep_as_they_like),
		cmocka_unit_test(
			empty_entries_are_counted_before_they_are_decoded),
		cmocka_unit_test(
			lists_of_a_fixed_width_must_have_their_wire_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
