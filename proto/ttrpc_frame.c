/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ttrpc frame codec; see ttrpc_frame.h. Bytes are read one at a time, never
 * through a cast. Every length is compared as "left < wanted", so that no sum
 * of attacker's numbers is ever formed.
 */
#include "proto/ttrpc_frame.h"

#include <errno.h>
#include <string.h>

static uint32_t
read_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static void
write_be32(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 24);
	p[1] = (uint8_t)(value >> 16);
	p[2] = (uint8_t)(value >> 8);
	p[3] = (uint8_t)value;
}

int
ttrpc_header_decode(const uint8_t data[TTRPC_HEADER_SIZE],
		    struct ttrpc_header *ret)
{
	if (data[0] != 0)
		return -EPROTO;
	ret->length = read_be32(data);
	ret->stream_id = read_be32(data + 4);
	ret->type = data[8];
	ret->flags = data[9];
	return 0;
}

void
ttrpc_header_encode(const struct ttrpc_header *header,
		    uint8_t ret[TTRPC_HEADER_SIZE])
{
	write_be32(ret, header->length);
	write_be32(ret + 4, header->stream_id);
	ret[8] = header->type;
	ret[9] = header->flags;
}

int
ttrpc_varint_decode(const uint8_t *data, size_t size, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < TTRPC_VARINT_MAX; i++) {
		if (i == size)
			return 0;
		/* The tenth byte holds bit 63 alone. */
		if (i == TTRPC_VARINT_MAX - 1 && data[i] > 1)
			return -EBADMSG;
		value |= (uint64_t)(data[i] & 0x7f) << (7 * i);
		if (data[i] < 0x80) {
			*ret = value;
			return (int)i + 1;
		}
	}
	return -EBADMSG;
}

size_t
ttrpc_varint_encode(uint64_t value, uint8_t ret[TTRPC_VARINT_MAX])
{
	size_t n = 0;

	while (value >= 0x80) {
		ret[n++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	ret[n++] = (uint8_t)value;
	return n;
}

/* Wire types of protobuf; groups (3, 4) are refused. */
enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct field {
	uint64_t number;
	struct ttrpc_slice bytes; /* of WIRE_BYTES */
	size_t used;		  /* with tag and length */
};

static int
field_bytes_decode(const uint8_t *data, size_t size, size_t at,
		   struct field *ret)
{
	uint64_t length;
	int n;

	n = ttrpc_varint_decode(data + at, size - at, &length);
	if (n <= 0)
		return n < 0 ? n : -EAGAIN;
	at += (size_t)n;
	if (size - at < length)
		return -EAGAIN;
	ret->bytes.data = data + at;
	ret->bytes.size = (size_t)length;
	ret->used = at + (size_t)length;
	return 0;
}

/* One field at data. 0, -EAGAIN (cut off) or -EBADMSG. */
static int
field_decode(const uint8_t *data, size_t size, struct field *ret)
{
	uint64_t tag, value;
	size_t at, fixed;
	int n;

	memset(ret, 0, sizeof(*ret));
	n = ttrpc_varint_decode(data, size, &tag);
	if (n <= 0)
		return n < 0 ? n : -EAGAIN;
	at = (size_t)n;
	ret->number = tag >> 3;
	switch (tag & 7) {
	case WIRE_VARINT:
		n = ttrpc_varint_decode(data + at, size - at, &value);
		if (n <= 0)
			return n < 0 ? n : -EAGAIN;
		ret->used = at + (size_t)n;
		return 0;
	case WIRE_BYTES:
		return field_bytes_decode(data, size, at, ret);
	case WIRE_64:
	case WIRE_32:
		fixed = (tag & 7) == WIRE_64 ? 8 : 4;
		if (size - at < fixed)
			return -EAGAIN;
		ret->used = at + fixed;
		return 0;
	default:
		return -EBADMSG;
	}
}

int
ttrpc_request_peek(const void *data, size_t size,
		   struct ttrpc_slice *ret_service,
		   struct ttrpc_slice *ret_method)
{
	struct ttrpc_slice service = { 0 }, method = { 0 };
	const uint8_t *p = data;
	struct field field;
	int r;

	while (!service.data || !method.data) {
		r = field_decode(p, size, &field);
		if (r < 0)
			return r;
		if (field.number == 1 && field.bytes.data)
			service = field.bytes;
		else if (field.number == 2 && field.bytes.data)
			method = field.bytes;
		p += field.used;
		size -= field.used;
	}
	*ret_service = service;
	*ret_method = method;
	return 0;
}

size_t
ttrpc_response_prefix(uint32_t stream_id, size_t size,
		      uint8_t ret[TTRPC_RESPONSE_PREFIX_MAX])
{
	struct ttrpc_header header = { .stream_id = stream_id,
				       .type = TTRPC_RESPONSE };
	size_t n = 0;

	if (size > 0) {
		/* Field 2, length-delimited. */
		ret[TTRPC_HEADER_SIZE] = 0x12;
		n = 1 + ttrpc_varint_encode(size, ret + TTRPC_HEADER_SIZE + 1);
	}
	header.length = (uint32_t)(n + size);
	ttrpc_header_encode(&header, ret);
	return TTRPC_HEADER_SIZE + n;
}
