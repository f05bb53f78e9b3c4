/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Header and attributes of a message: a walker that never leaves the bytes it
 * was given and always makes progress, and a builder whose errors stick. All
 * reads of wire bytes go through memcpy: nothing here is aligned by promise.
 * See nlmsg.h.
 */
#include "proto/nlmsg.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static int
nlmsg_fail(struct nlmsg_error *error, const char *rule, uint16_t type,
	   size_t offset)
{
	error->rule = rule;
	error->type = type;
	error->offset = offset;
	return -EBADMSG;
}

int
nlmsg_header_decode(const void *data, size_t size, struct nlmsg_header *ret,
		    struct nlmsg_error *ret_error)
{
	const uint8_t *bytes = data;

	if (size < NLMSG_HEADER_SIZE)
		return nlmsg_fail(ret_error, "shorter than its 16 byte header",
				  0, size);
	memcpy(&ret->len, bytes, 4);
	memcpy(&ret->type, bytes + 4, 2);
	memcpy(&ret->flags, bytes + 6, 2);
	memcpy(&ret->seq, bytes + 8, 4);
	memcpy(&ret->pid, bytes + 12, 4);
	if (ret->len < NLMSG_HEADER_SIZE)
		return nlmsg_fail(ret_error, "length below 16", 0, 0);
	if (ret->len > NLMSG_MAX)
		return nlmsg_fail(ret_error, "length over 131072", 0, 0);
	if (ret->len > size)
		return nlmsg_fail(ret_error,
				  "length beyond the bytes that came", 0, 0);
	if (ret->len < size)
		return nlmsg_fail(ret_error, "bytes after its end", 0,
				  ret->len);
	return 0;
}

void
nlmsg_iter_init(struct nlmsg_iter *iter, const void *data, size_t size)
{
	iter->data = data;
	iter->size = size;
	iter->offset = NLMSG_HEADER_SIZE;
}

static size_t
align4(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

int
nlmsg_iter_next(struct nlmsg_iter *iter, struct nlmsg_attr *ret_attr,
		struct nlmsg_error *ret_error)
{
	size_t left, i, end;
	uint16_t len, type;

	if (iter->offset >= iter->size)
		return 0;
	left = iter->size - iter->offset;
	if (left < NLMSG_ATTR_HEADER_SIZE)
		return nlmsg_fail(ret_error, "less than an attribute header", 0,
				  iter->offset);
	memcpy(&len, iter->data + iter->offset, 2);
	memcpy(&type, iter->data + iter->offset + 2, 2);
	if (len < NLMSG_ATTR_HEADER_SIZE)
		return nlmsg_fail(ret_error, "nla_len below 4", type,
				  iter->offset);
	if (len > left)
		return nlmsg_fail(ret_error, "nla_len beyond the message", type,
				  iter->offset);
	end = align4(len) < left ? align4(len) : left;
	for (i = len; i < end; i++)
		if (iter->data[iter->offset + i] != 0)
			return nlmsg_fail(ret_error, "padding is not zero",
					  type, iter->offset);
	*ret_attr = (struct nlmsg_attr){
		.type = type,
		.value = iter->data + iter->offset + NLMSG_ATTR_HEADER_SIZE,
		.size = (size_t)len - NLMSG_ATTR_HEADER_SIZE,
		.offset = iter->offset,
	};
	iter->offset += end;
	return 1;
}

void
nlmsg_builder_init(struct nlmsg_builder *builder, void *data, size_t size,
		   uint16_t type, uint32_t seq)
{
	uint16_t flags = NLMSG_FLAG_REQUEST;

	*builder = (struct nlmsg_builder){
		.data = data,
		.size = size < NLMSG_MAX ? size : NLMSG_MAX,
	};
	if (size < NLMSG_HEADER_SIZE) {
		builder->error = -EMSGSIZE;
		return;
	}
	memset(builder->data, 0, NLMSG_HEADER_SIZE);
	memcpy(builder->data + 4, &type, 2);
	memcpy(builder->data + 6, &flags, 2);
	memcpy(builder->data + 8, &seq, 4);
	builder->used = NLMSG_HEADER_SIZE;
}

static void
builder_fail(struct nlmsg_builder *builder, uint16_t type, bool too_long)
{
	builder->error = -EMSGSIZE;
	builder->error_type = type;
	builder->attr_too_long = too_long;
}

void
nlmsg_open(struct nlmsg_builder *builder, uint16_t type)
{
	uint8_t *at;

	if (builder->error < 0)
		return;
	assert(builder->open == 0);
	if (builder->size - builder->used < NLMSG_ATTR_HEADER_SIZE) {
		builder_fail(builder, type, false);
		return;
	}
	at = builder->data + builder->used;
	memset(at, 0, NLMSG_ATTR_HEADER_SIZE);
	memcpy(at + 2, &type, 2);
	builder->open = builder->used;
	builder->used += NLMSG_ATTR_HEADER_SIZE;
}

void
nlmsg_append(struct nlmsg_builder *builder, const void *data, size_t size)
{
	uint16_t type;

	if (builder->error < 0 || size == 0)
		return;
	assert(builder->open > 0);
	memcpy(&type, builder->data + builder->open + 2, 2);
	/* The bug of CVE-2021-43784 was a length that wrapped here. */
	if (size > NLMSG_ATTR_LEN_MAX - (builder->used - builder->open)) {
		builder_fail(builder, type, true);
		return;
	}
	if (size > builder->size - builder->used) {
		builder_fail(builder, type, false);
		return;
	}
	memcpy(builder->data + builder->used, data, size);
	builder->used += size;
}

void
nlmsg_append_u32(struct nlmsg_builder *builder, uint32_t value)
{
	nlmsg_append(builder, &value, sizeof(value));
}

void
nlmsg_append_u64(struct nlmsg_builder *builder, uint64_t value)
{
	nlmsg_append(builder, &value, sizeof(value));
}

static void
builder_close(struct nlmsg_builder *builder, bool padded)
{
	size_t end, pad;
	uint16_t len, type;

	if (builder->error < 0)
		return;
	assert(builder->open > 0);
	len = (uint16_t)(builder->used - builder->open);
	memcpy(builder->data + builder->open, &len, 2);
	end = padded ? align4(builder->used) : builder->used;
	if (end > builder->size) {
		memcpy(&type, builder->data + builder->open + 2, 2);
		builder_fail(builder, type, false);
		return;
	}
	pad = end - builder->used;
	memset(builder->data + builder->used, 0, pad);
	builder->used = end;
	builder->open = 0;
}

void
nlmsg_close(struct nlmsg_builder *builder)
{
	builder_close(builder, true);
}

void
nlmsg_put(struct nlmsg_builder *builder, uint16_t type, const void *value,
	  size_t size)
{
	nlmsg_open(builder, type);
	nlmsg_append(builder, value, size);
	builder_close(builder, true);
}

void
nlmsg_put_unpadded(struct nlmsg_builder *builder, uint16_t type,
		   const void *value, size_t size)
{
	nlmsg_open(builder, type);
	nlmsg_append(builder, value, size);
	builder_close(builder, false);
}

void
nlmsg_put_u32(struct nlmsg_builder *builder, uint16_t type, uint32_t value)
{
	nlmsg_put(builder, type, &value, sizeof(value));
}

void
nlmsg_put_u64(struct nlmsg_builder *builder, uint16_t type, uint64_t value)
{
	nlmsg_put(builder, type, &value, sizeof(value));
}

void
nlmsg_put_text(struct nlmsg_builder *builder, uint16_t type, const char *text)
{
	nlmsg_put(builder, type, text, strlen(text) + 1);
}

int
nlmsg_builder_end(struct nlmsg_builder *builder, size_t *ret_size)
{
	uint32_t len;

	if (builder->error < 0)
		return builder->error;
	assert(builder->open == 0);
	assert(builder->used >= NLMSG_HEADER_SIZE &&
	       builder->used <= NLMSG_MAX);
	len = (uint32_t)builder->used;
	memcpy(builder->data, &len, 4);
	*ret_size = builder->used;
	return 0;
}

int
nlmsg_attr_u32(const struct nlmsg_attr *attr, uint32_t *ret)
{
	if (attr->size != sizeof(*ret))
		return -EBADMSG;
	memcpy(ret, attr->value, sizeof(*ret));
	return 0;
}

int
nlmsg_attr_u64(const struct nlmsg_attr *attr, uint64_t *ret)
{
	if (attr->size != sizeof(*ret))
		return -EBADMSG;
	memcpy(ret, attr->value, sizeof(*ret));
	return 0;
}

int
nlmsg_attr_text(const struct nlmsg_attr *attr, const char **ret)
{
	if (attr->size < 1)
		return -EBADMSG;
	if (memchr(attr->value, '\0', attr->size) !=
	    attr->value + attr->size - 1)
		return -EBADMSG;
	*ret = (const char *)attr->value;
	return 0;
}
