/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for decoding messages of strangers. A pool hands out memory for
 * protobuf-c up to a budget and gives it back all at once; beyond the budget
 * an allocation is NULL and the decoder fails cleanly. pb_check() looks at the
 * wire first, so that a bomb is refused before anything is allocated and with
 * a text that says what is wrong.
 */
#ifndef NSX_PROTO_PBPOOL_H
#define NSX_PROTO_PBPOOL_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

struct pbpool_chunk;

struct pbpool {
	ProtobufCAllocator allocator; /* give this to *_unpack() */
	size_t budget, used;
	uint8_t *at;
	size_t left;
	struct pbpool_chunk *chunks; /* owned */
	bool exhausted;		     /* an allocation was refused */
	bool no_memory;		     /* by malloc(3), within the budget */
};

/* 4 times the frame plus 1 MiB, 16 MiB at most. */
size_t pbpool_budget(size_t frame_size);

/*
 * scratch (lent, may be NULL) is used first and saves the heap's part of small
 * requests. Nothing fails here; what is unpacked lives until pbpool_deinit().
 */
void pbpool_init(struct pbpool *pool, size_t budget, void *scratch,
		 size_t scratch_size);
void pbpool_deinit(struct pbpool *pool);

/* More fields than this that the schema does not know are refused. */
#define PB_UNKNOWN_MAX 64u
#define PB_TEXT_MAX 160u

struct pb_input {
	const uint8_t *data;
	size_t size;
	size_t budget;
};

/*
 * Check the wire form of a message of this type before it is decoded: every
 * field whole and of the right wire type, nothing singular given twice (its
 * meaning would depend on the reader), few unknown fields, and a low estimate
 * of the memory it takes within budget. 0, -EBADMSG or -E2BIG; then text says
 * why and names the field.
 */
must_check int pb_check(const ProtobufCMessageDescriptor *type,
			const struct pb_input *input, char text[PB_TEXT_MAX]);

/*
 * Decode a message of our own side, with malloc(3). Gives *ret, for
 * protobuf_c_message_free_unpacked() with NULL; unchanged on error. -ENOMEM or
 * -EBADMSG, which protobuf-c itself does not tell apart.
 */
must_check int pb_unpack(const ProtobufCMessageDescriptor *type,
			 const void *data, size_t size, ProtobufCMessage **ret);

#endif
