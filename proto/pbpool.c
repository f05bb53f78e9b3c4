/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena with a budget for protobuf-c, and the check of the wire before it;
 * see pbpool.h. protobuf-c takes 48 bytes of heap for two bytes of wire (one
 * record per field, and a doubling table of them), which is why a message is
 * counted before it is decoded.
 */
#include "proto/pbpool.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ttrpc_frame.h"

#define MIB ((size_t)1 << 20)
#define CHUNK_SIZE ((size_t)64 << 10)
#define ALIGNMENT ((size_t)16)

struct pbpool_chunk {
	struct pbpool_chunk *next;
	_Alignas(16) uint8_t data[];
};

size_t
pbpool_budget(size_t frame_size)
{
	if (frame_size > (15 * MIB) / 4)
		return 16 * MIB;
	return 4 * frame_size + MIB;
}

static void *
pbpool_alloc_within(struct pbpool *pool, size_t size)
{
	struct pbpool_chunk *chunk;
	size_t chunk_size;
	void *memory;

	if (size > pool->budget)
		return NULL;
	size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
	if (size == 0)
		size = ALIGNMENT;
	if (pool->budget - pool->used < size)
		return NULL;
	if (pool->left < size) {
		chunk_size = size > CHUNK_SIZE ? size : CHUNK_SIZE;
		chunk = malloc(sizeof(*chunk) + chunk_size);
		if (!chunk) {
			pool->no_memory = true;
			return NULL;
		}
		chunk->next = pool->chunks;
		pool->chunks = chunk;
		pool->at = chunk->data;
		pool->left = chunk_size;
	}
	memory = pool->at;
	pool->at += size;
	pool->left -= size;
	pool->used += size;
	return memory;
}

static void *
pbpool_alloc(void *userdata, size_t size)
{
	struct pbpool *pool = userdata;
	void *memory = pbpool_alloc_within(pool, size);

	if (!memory)
		pool->exhausted = true;
	return memory;
}

static void
pbpool_ignore_free(void *userdata, void *memory)
{
}

void
pbpool_init(struct pbpool *pool, size_t budget, void *scratch,
	    size_t scratch_size)
{
	*pool = (struct pbpool){
		.allocator = { .alloc = pbpool_alloc,
			       .free = pbpool_ignore_free,
			       .allocator_data = pool },
		.budget = budget,
		.at = scratch,
		.left = scratch ? scratch_size & ~(ALIGNMENT - 1) : 0,
	};
	assert(((uintptr_t)scratch & (ALIGNMENT - 1)) == 0);
}

void
pbpool_deinit(struct pbpool *pool)
{
	struct pbpool_chunk *chunk;

	while ((chunk = pool->chunks)) {
		pool->chunks = chunk->next;
		free(chunk);
	}
	pool->at = NULL;
	pool->left = 0;
}

/* The state of one check, through all messages inside the first. */
struct check {
	size_t budget;
	size_t estimate;
	uint32_t n_unknown;
	unsigned int depth;
	char *text;
};

/* The schema has no recursive message; this only says so. */
#define DEPTH_MAX 16u
/* One field's record in protobuf-c's decoder. */
#define RECORD_SIZE ((size_t)40)

static int printf_like(3, 4)
	refuse(struct check *check, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(check->text, PB_TEXT_MAX, fmt, ap);
	va_end(ap);
	return r;
}

static int check_message(struct check *check,
			 const ProtobufCMessageDescriptor *type,
			 const uint8_t *data, size_t size);

/* One field on the wire. */
struct wire_field {
	uint32_t number;
	unsigned int wire;
	uint64_t value;	     /* of wire type 0 */
	const uint8_t *data; /* of wire type 2 */
	size_t size;
	size_t used;
};

static bool
wire_value_decode(const uint8_t *data, size_t size, struct wire_field *field)
{
	uint64_t value;
	int n;

	switch (field->wire) {
	case 0:
		n = ttrpc_varint_decode(data, size, &field->value);
		field->used += n > 0 ? (size_t)n : 0;
		return n > 0;
	case 1:
	case 5:
		field->used += field->wire == 1 ? 8 : 4;
		return size >= (field->wire == 1 ? 8u : 4u);
	case 2:
		n = ttrpc_varint_decode(data, size, &value);
		if (n <= 0 || size - (size_t)n < value)
			return false;
		field->data = data + n;
		field->size = (size_t)value;
		field->used += (size_t)n + field->size;
		return true;
	default:
		return false;
	}
}

static bool
wire_field_decode(const uint8_t *data, size_t size, struct wire_field *ret)
{
	uint64_t tag;
	int n;

	n = ttrpc_varint_decode(data, size, &tag);
	/* Field numbers have 29 bits and 0 is none. */
	if (n <= 0 || tag >> 32 || tag >> 3 == 0)
		return false;
	*ret = (struct wire_field){ .number = (uint32_t)(tag >> 3),
				    .wire = (unsigned int)(tag & 7),
				    .used = (size_t)n };
	return wire_value_decode(data + n, size - (size_t)n, ret);
}

static unsigned int
type_wire(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return 5;
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 1;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return 2;
	default:
		return 0;
	}
}

/*
 * The decoder cuts the upper half off, and 4294967296 would be root. A negative
 * number is sent with its sign in all 64 bits.
 */
static int
check_number(struct check *check, const ProtobufCFieldDescriptor *field,
	     uint64_t value)
{
	bool fits;

	switch (field->type) {
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_SINT32:
		fits = value <= UINT32_MAX;
		break;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_ENUM:
		fits = value <= INT32_MAX || value >= (uint64_t)INT32_MIN;
		break;
	default:
		fits = true;
		break;
	}
	return fits ? 0
		    : refuse(check, -EBADMSG, "field %s: a number over 32 bits",
			     field->name);
}

/* A packed list of varints: count them, each whole. */
static int
check_packed(struct check *check, const ProtobufCFieldDescriptor *field,
	     const struct wire_field *wire)
{
	size_t at = 0;
	uint64_t value;
	int n, r;

	if (type_wire(field->type) != 0) {
		check->estimate += 2 * wire->size;
		return 0;
	}
	while (at < wire->size) {
		n = ttrpc_varint_decode(wire->data + at, wire->size - at,
					&value);
		if (n <= 0)
			return refuse(check, -EBADMSG,
				      "field %s: a number is cut off",
				      field->name);
		r = check_number(check, field, value);
		if (r < 0)
			return r;
		at += (size_t)n;
		check->estimate += 8;
	}
	return 0;
}

static int
check_known(struct check *check, const ProtobufCFieldDescriptor *field,
	    const struct wire_field *wire)
{
	bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
	const ProtobufCMessageDescriptor *inner;

	if (wire->wire != type_wire(field->type)) {
		if (repeated && wire->wire == 2)
			return check_packed(check, field, wire);
		return refuse(check, -EBADMSG, "field %s: wrong wire type %u",
			      field->name, wire->wire);
	}
	if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
		inner = field->descriptor;
		check->estimate += inner->sizeof_message;
		return check_message(check, inner, wire->data, wire->size);
	}
	/* A C string would end there, and be another text than was sent. */
	if (field->type == PROTOBUF_C_TYPE_STRING && wire->size > 0 &&
	    memchr(wire->data, '\0', wire->size))
		return refuse(check, -EBADMSG, "field %s: a NUL byte in a text",
			      field->name);
	check->estimate += wire->wire == 2 ? wire->size + 16 : 8;
	return wire->wire == 0 ? check_number(check, field, wire->value) : 0;
}

/* Which of a message's fields were seen: 64 is more than any type has. */
static int
check_once(struct check *check, const ProtobufCMessageDescriptor *type,
	   const ProtobufCFieldDescriptor *field, uint64_t *seen)
{
	uint64_t bit = UINT64_C(1) << (field - type->fields);

	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return 0;
	if (*seen & bit)
		return refuse(check, -EBADMSG, "field %s is given twice",
			      field->name);
	*seen |= bit;
	return 0;
}

static int
check_field(struct check *check, const ProtobufCMessageDescriptor *type,
	    const struct wire_field *wire, uint64_t *seen)
{
	const ProtobufCFieldDescriptor *field;
	int r;

	check->estimate += RECORD_SIZE;
	field = protobuf_c_message_descriptor_get_field(type, wire->number);
	if (field) {
		r = check_once(check, type, field, seen);
		if (r == 0)
			r = check_known(check, field, wire);
		if (r < 0)
			return r;
	} else if (++check->n_unknown > PB_UNKNOWN_MAX) {
		return refuse(check, -EBADMSG,
			      "more than %u unknown fields in %s",
			      PB_UNKNOWN_MAX, type->short_name);
	}
	if (check->estimate > check->budget)
		return refuse(check, -E2BIG,
			      "decoding %s takes more than %zu bytes",
			      type->short_name, check->budget);
	return 0;
}

static int
check_message(struct check *check, const ProtobufCMessageDescriptor *type,
	      const uint8_t *data, size_t size)
{
	struct wire_field wire;
	uint64_t seen = 0;
	int r = 0;

	assert(type->n_fields <= 64 && check->depth < DEPTH_MAX);
	check->depth++;
	while (size > 0 && r == 0) {
		if (!wire_field_decode(data, size, &wire)) {
			r = refuse(check, -EBADMSG,
				   "%s: a field is cut off or has no valid tag",
				   type->short_name);
			break;
		}
		r = check_field(check, type, &wire, &seen);
		data += wire.used;
		size -= wire.used;
	}
	check->depth--;
	return r;
}

int
pb_check(const ProtobufCMessageDescriptor *type, const struct pb_input *input,
	 char text[PB_TEXT_MAX])
{
	struct check check = { .budget = input->budget, .text = text };

	text[0] = '\0';
	check.estimate = type->sizeof_message;
	return check_message(&check, type, input->data, input->size);
}

static void *
noting_alloc(void *userdata, size_t size)
{
	void *memory = malloc(size);

	if (!memory)
		*(bool *)userdata = true;
	return memory;
}

static void
noting_free(void *userdata, void *memory)
{
	free(memory);
}

int
pb_unpack(const ProtobufCMessageDescriptor *type, const void *data, size_t size,
	  ProtobufCMessage **ret)
{
	bool failed = false;
	ProtobufCAllocator allocator = { .alloc = noting_alloc,
					 .free = noting_free,
					 .allocator_data = &failed };
	ProtobufCMessage *message;

	message = protobuf_c_message_unpack(type, &allocator, size, data);
	if (!message)
		return failed ? -ENOMEM : -EBADMSG;
	*ret = message;
	return 0;
}
