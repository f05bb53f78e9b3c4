/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttrpc frames: 10 bytes of header, big-endian, then length bytes of data
 * (PROTOCOL.md of containerd/ttrpc; spec/ttrpc.md 1.1). Pure functions, shared
 * by the daemon and the client; reading and writing is theirs.
 *
 *	0-3 data length   4-7 stream id   8 type   9 flags
 */
#ifndef NSX_PROTO_TTRPC_FRAME_H
#define NSX_PROTO_TTRPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

#define TTRPC_HEADER_SIZE 10u
/* More data than this is answered RESOURCE_EXHAUSTED. */
#define TTRPC_DATA_MAX 4194304u

enum ttrpc_type {
	TTRPC_REQUEST = 1,  /* opens a stream */
	TTRPC_RESPONSE = 2, /* ends it */
	TTRPC_DATA = 3,
};

/* Of a Request: 0 unary; "remote" is as the receiver of the flag sees it. */
#define TTRPC_REMOTE_CLOSED 0x01u /* Request, Data: sender sends no more */
#define TTRPC_REMOTE_OPEN 0x02u	  /* Request: Data will follow */
#define TTRPC_NO_DATA 0x04u	  /* Data: this is no message */

struct ttrpc_header {
	uint32_t length;
	uint32_t stream_id;
	uint8_t type; /* enum ttrpc_type or anything else */
	uint8_t flags;
};

/* -EPROTO if the first byte is not 0: then the sender does not speak ttrpc. */
must_check int ttrpc_header_decode(const uint8_t data[TTRPC_HEADER_SIZE],
				   struct ttrpc_header *ret);
void ttrpc_header_encode(const struct ttrpc_header *header,
			 uint8_t ret[TTRPC_HEADER_SIZE]);

/* Bytes that lie in a message, not NUL-ended. */
struct ttrpc_slice {
	const uint8_t *data; /* NULL: not there */
	size_t size;
};

/*
 * Look for service and method in the first bytes of a Request that may not
 * have arrived whole. 0: both found; -EAGAIN: not in these bytes; -EBADMSG:
 * this will be no valid Request. ret_* borrow from data.
 */
must_check int ttrpc_request_peek(const void *data, size_t size,
				  struct ttrpc_slice *ret_service,
				  struct ttrpc_slice *ret_method);

/* A protobuf varint of 64 bits: at most 10 bytes, bits over 64 refused. */
#define TTRPC_VARINT_MAX 10u
/* Bytes used; 0: cut off; -EBADMSG: no varint. */
must_check int ttrpc_varint_decode(const uint8_t *data, size_t size,
				   uint64_t *ret);
/* Bytes written. */
size_t ttrpc_varint_encode(uint64_t value, uint8_t ret[TTRPC_VARINT_MAX]);

/* Header, then tag and length of Response.payload: what precedes a message. */
#define TTRPC_RESPONSE_PREFIX_MAX (TTRPC_HEADER_SIZE + 1 + TTRPC_VARINT_MAX)
/*
 * Write what precedes a message of size bytes in a successful Response (an
 * empty message is a Response of length 0). Returns the bytes written.
 */
size_t ttrpc_response_prefix(uint32_t stream_id, size_t size,
			     uint8_t ret[TTRPC_RESPONSE_PREFIX_MAX]);

#endif
