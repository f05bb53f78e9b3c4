/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a caller's bytes go through before a method sees them: frames cut from
 * a stream, the early look for the method, the check of the wire, decoding
 * within the budget. Input: bytes as they come on the RPC socket.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "proto/nsexec.pb-c.h"
#include "proto/pbpool.h"
#include "proto/ttrpc.pb-c.h"
#include "proto/ttrpc_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessage *
decode(struct pbpool *pool, const ProtobufCMessageDescriptor *type,
       const uint8_t *data, size_t size)
{
	const struct pb_input input = { data, size, pool->budget - pool->used };
	const ProtobufCMessage *message;
	char text[PB_TEXT_MAX];

	if (pb_check(type, &input, text) < 0) {
		assert(text[0] != '\0' && memchr(text, 0, sizeof(text)));
		return NULL;
	}
	message = protobuf_c_message_unpack(type, &pool->allocator, size, data);
	assert(pool->used <= pool->budget);
	return message;
}

static void
try_payload(struct pbpool *pool, const Ttrpc__Request *request)
{
	const ProtobufCMethodDescriptor *method;

	method = protobuf_c_service_descriptor_get_method_by_name(
		&nsexec__v1__nsexec__descriptor, request->method);
	if (method)
		decode(pool, method->input, request->payload.data,
		       request->payload.len);
}

static void
try_request(const uint8_t *data, size_t size)
{
	struct ttrpc_slice service, method;
	const Ttrpc__Request *request;
	struct pbpool pool;
	int r;

	r = ttrpc_request_peek(data, size, &service, &method);
	assert(r <= 0);
	if (r == 0) {
		assert(service.data + service.size <= data + size);
		assert(method.data + method.size <= data + size);
	}
	pbpool_init(&pool, pbpool_budget(size), NULL, 0);
	request = (const Ttrpc__Request *)decode(
		&pool, &ttrpc__request__descriptor, data, size);
	if (request) {
		/* The early look and the decoder agree. */
		assert(r < 0 || (strlen(request->method) <= method.size &&
				 memcmp(request->method, method.data,
					strlen(request->method)) == 0));
		try_payload(&pool, request);
	}
	pbpool_deinit(&pool);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[TTRPC_HEADER_SIZE];
	struct ttrpc_header header;

	while (size >= TTRPC_HEADER_SIZE) {
		if (ttrpc_header_decode(data, &header) < 0)
			return 0;
		ttrpc_header_encode(&header, again);
		assert(memcmp(again, data, sizeof(again)) == 0);
		data += TTRPC_HEADER_SIZE;
		size -= TTRPC_HEADER_SIZE;
		/* A frame that is cut off is looked into as well. */
		if (header.length > size)
			header.length = (uint32_t)size;
		if (header.type == TTRPC_REQUEST)
			try_request(data, header.length);
		data += header.length;
		size -= header.length;
	}
	return 0;
}
