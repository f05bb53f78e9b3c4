/* SPDX-License-Identifier: Apache-2.0 */
/* The ttrpc frame codec, and decoding within a budget. */
#include "tests/unit/unit.h"

#include "proto/nsexec.pb-c.h"
#include "proto/pbpool.h"
#include "proto/ttrpc.pb-c.h"
#include "proto/ttrpc_frame.h"

/* The worked example of the protocol: a call of the Go client, 1.1.1. */
static const uint8_t go_request[] = {
	0x00, 0x00, 0x00, 0x57, 0x00, 0x00, 0x00, 0x01, 0x01, 0x00, 0x0a,
	0x0e, 'n',  's',  'e',	'x',  'e',  'c',  '.',	'v',  '1',  '.',
	'E',  'x',  'e',  'c',	0x12, 0x05, 'S',  't',	'a',  'r',  't',
	0x1a, 0x14, 0x0a, 0x04, 'w',  'e',  'b',  '1',	0x12, 0x02, 's',
	'h',  0x12, 0x02, '-',	'c',  0x12, 0x04, 't',	'r',  'u',  'e',
	0x20, 0x8c, 0xf8, 0xd4, 0xb9, 0x07, 0x2a, 0x22, 0x0a, 0x1a, 'c',
	'o',  'n',  't',  'a',	'i',  'n',  'e',  'r',	'd',  '-',  'n',
	'a',  'm',  'e',  's',	'p',  'a',  'c',  'e',	'-',  't',  't',
	'r',  'p',  'c',  0x12, 0x04, 'd',  'e',  'm',	'o',
};

static void
header_of_go_client_decodes_and_encodes(void **state)
{
	struct ttrpc_header header;
	uint8_t bytes[TTRPC_HEADER_SIZE];

	assert_int_equal(sizeof(go_request), 97);
	assert_int_equal(ttrpc_header_decode(go_request, &header), 0);
	assert_int_equal(header.length, 87);
	assert_int_equal(header.stream_id, 1);
	assert_int_equal(header.type, TTRPC_REQUEST);
	assert_int_equal(header.flags, 0);
	ttrpc_header_encode(&header, bytes);
	assert_memory_equal(bytes, go_request, sizeof(bytes));
}

static void
first_byte_must_be_zero(void **state)
{
	uint8_t bytes[TTRPC_HEADER_SIZE] = { 0, 0xff, 0xff, 0xff };
	struct ttrpc_header header;

	assert_int_equal(ttrpc_header_decode(bytes, &header), 0);
	assert_int_equal(header.length, 0xffffff);
	bytes[0] = 1;
	assert_int_equal(ttrpc_header_decode(bytes, &header), -EPROTO);
}

static void
peek_finds_the_method_in_any_prefix_that_has_it(void **state)
{
	const uint8_t *data = go_request + TTRPC_HEADER_SIZE;
	struct ttrpc_slice service, method;
	size_t n;

	for (n = 0; n <= 87; n++) {
		int r = ttrpc_request_peek(data, n, &service, &method);

		assert_int_equal(r, n < 23 ? -EAGAIN : 0);
	}
	assert_int_equal(service.size, 14);
	assert_memory_equal(service.data, "nsexec.v1.Exec", 14);
	assert_int_equal(method.size, 5);
	assert_memory_equal(method.data, "Start", 5);
	/* Groups are no part of any Request. */
	assert_int_equal(ttrpc_request_peek("\x0b", 1, &service, &method),
			 -EBADMSG);
}

static void
varints_have_64_bits_and_no_more(void **state)
{
	const uint64_t values[] = { 0,	 1,	127,	    128,
				    300, 16384, UINT32_MAX, UINT64_MAX };
	uint8_t bytes[TTRPC_VARINT_MAX];
	uint64_t value;
	size_t i, n, k;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		n = ttrpc_varint_encode(values[i], bytes);
		for (k = 0; k < n; k++)
			assert_int_equal(ttrpc_varint_decode(bytes, k, &value),
					 0);
		assert_int_equal(ttrpc_varint_decode(bytes, n, &value), n);
		assert_true(value == values[i]);
	}
	memset(bytes, 0xff, sizeof(bytes));
	bytes[9] = 2;
	assert_int_equal(ttrpc_varint_decode(bytes, 10, &value), -EBADMSG);
	bytes[9] = 0x81;
	assert_int_equal(ttrpc_varint_decode(bytes, 10, &value), -EBADMSG);
}

static void
response_prefix_is_what_protobuf_would_write(void **state)
{
	const size_t sizes[] = { 0, 1, 127, 128, 20000 };
	uint8_t payload[20000] = { 0 }, want[20100];
	uint8_t got[TTRPC_RESPONSE_PREFIX_MAX];
	size_t i, n, size;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		Ttrpc__Response response = TTRPC__RESPONSE__INIT;
		struct ttrpc_header header;

		response.payload.data = payload;
		response.payload.len = sizes[i];
		size = ttrpc__response__pack(&response, want);
		n = ttrpc_response_prefix(9, sizes[i], got);
		assert_int_equal(ttrpc_header_decode(got, &header), 0);
		assert_int_equal(header.length, size);
		assert_int_equal(header.stream_id, 9);
		assert_int_equal(header.type, TTRPC_RESPONSE);
		assert_memory_equal(got + TTRPC_HEADER_SIZE, want,
				    n - TTRPC_HEADER_SIZE);
		assert_int_equal(n - TTRPC_HEADER_SIZE + sizes[i], size);
	}
}

static void
budget_is_four_times_the_frame_and_a_mebibyte(void **state)
{
	assert_int_equal(pbpool_budget(0), 1 << 20);
	assert_int_equal(pbpool_budget(1000), (1 << 20) + 4000);
	assert_int_equal(pbpool_budget(4 << 20), 16 << 20);
	assert_int_equal(pbpool_budget(SIZE_MAX), 16 << 20);
}

/* However little it may have, decoding fails cleanly or succeeds. */
static void
decoder_survives_every_budget(void **state)
{
	const uint8_t *data = go_request + TTRPC_HEADER_SIZE;
	_Alignas(16) uint8_t scratch[64];
	size_t budget, n_failed = 0;
	struct pbpool pool;

	for (budget = 0; budget < 4096; budget += 16) {
		Ttrpc__Request *request;

		pbpool_init(&pool, budget, scratch, sizeof(scratch));
		request = ttrpc__request__unpack(&pool.allocator, 87, data);
		assert_int_equal(request == NULL, pool.exhausted);
		if (request)
			assert_string_equal(request->method, "Start");
		else
			n_failed++;
		assert_true(pool.used <= budget);
		pbpool_deinit(&pool);
	}
	assert_true(n_failed > 10 && n_failed < 200);
}

static int
check(const ProtobufCMessageDescriptor *type, const char *bytes, size_t size,
      char text[PB_TEXT_MAX])
{
	const struct pb_input input = { (const uint8_t *)bytes, size, 1000 };

	return pb_check(type, &input, text);
}

static void
wire_check_names_what_is_wrong(void **state)
{
	const ProtobufCMessageDescriptor *type =
		&nsexec__v1__process__descriptor;
	char text[PB_TEXT_MAX], many[2 * 65];
	size_t i;

	assert_int_equal(check(type, "\x0a\x01x\x0a\x01y", 6, text), 0);
	/* groups: packed and single */
	assert_int_equal(check(type, "\x32\x02\x01\x02\x30\x05", 6, text), 0);
	assert_int_equal(check(type, "\x32\x02\x01\xff", 4, text), -EBADMSG);
	assert_non_null(strstr(text, "groups"));
	/* uid twice, uid as text, a cut string, field number 0, a group */
	assert_int_equal(check(type, "\x20\x00\x20\x00", 4, text), -EBADMSG);
	assert_non_null(strstr(text, "uid is given twice"));
	assert_int_equal(check(type, "\x22\x01x", 3, text), -EBADMSG);
	assert_non_null(strstr(text, "uid"));
	assert_int_equal(check(type, "\x0a\x02x", 3, text), -EBADMSG);
	assert_int_equal(check(type, "\x02\x00", 2, text), -EBADMSG);
	assert_int_equal(check(type, "\x0b\x0c", 2, text), -EBADMSG);
	/* a fault inside stdin */
	assert_int_equal(check(type, "\x72\x02\x10\xff", 4, text), -EBADMSG);
	for (i = 0; i < 65; i++)
		memcpy(many + 2 * i, "\x78\x01", 2);
	/* field 15 is stdout, a message: wrong wire type */
	assert_int_equal(check(type, many, 2, text), -EBADMSG);
	assert_int_equal(check(&nsexec__v1__version_request__descriptor, many,
			       2 * 64, text),
			 -E2BIG);
	memset(many, 0x0a, sizeof(many));
	for (i = 0; i < 65; i++)
		many[2 * i + 1] = 0;
	assert_int_equal(check(type, many, sizeof(many), text), -E2BIG);
	assert_non_null(strstr(text, "1000 bytes"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_of_go_client_decodes_and_encodes),
		cmocka_unit_test(first_byte_must_be_zero),
		cmocka_unit_test(
			peek_finds_the_method_in_any_prefix_that_has_it),
		cmocka_unit_test(varints_have_64_bits_and_no_more),
		cmocka_unit_test(response_prefix_is_what_protobuf_would_write),
		cmocka_unit_test(budget_is_four_times_the_frame_and_a_mebibyte),
		cmocka_unit_test(decoder_survives_every_budget),
		cmocka_unit_test(wire_check_names_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
