/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one format inside: a netlink message header and attributes, as runc
 * sends them to its bootstrap program (no kernel netlink is involved).
 *
 *	u32 len | u16 type | u16 flags | u32 seq | u32 pid     16 bytes
 *	{ u16 nla_len | u16 nla_type | value | zero padding to 4 } ...
 *
 * Native byte order. nla_len counts its own 4 bytes and the value, not the
 * padding; len counts everything. Everything here works on memory that the
 * caller owns, allocates nothing and never reads past what it was given.
 */
#ifndef NSX_PROTO_NLMSG_H
#define NSX_PROTO_NLMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

#define NLMSG_HEADER_SIZE 16u
#define NLMSG_ATTR_HEADER_SIZE 4u
#define NLMSG_MAX (128u * 1024u)  /* whole message */
#define NLMSG_ATTR_LEN_MAX 65535u /* nla_len */
#define NLMSG_FLAG_REQUEST 1u

struct nlmsg_header {
	uint32_t len;
	uint16_t type;
	uint16_t flags;
	uint32_t seq;
	uint32_t pid;
};

/* A value inside a message: borrowed, valid as long as the message. */
struct nlmsg_attr {
	uint16_t type;
	const uint8_t *value;
	size_t size;
	size_t offset; /* of the attribute in the message, for diagnostics */
};

/* What was wrong, for an error text. All static strings. */
struct nlmsg_error {
	const char *rule;
	uint16_t type; /* attribute, 0 = the header */
	size_t offset;
};

/*
 * Read the header. 0, or -EBADMSG with *ret_error if fewer than 16 bytes are
 * there, len < 16, len > NLMSG_MAX or len != size.
 */
must_check int nlmsg_header_decode(const void *data, size_t size,
				   struct nlmsg_header *ret,
				   struct nlmsg_error *ret_error);

/* Walks the attributes of a message whose header was accepted. */
struct nlmsg_iter {
	const uint8_t *data;
	size_t size;
	size_t offset;
};
void nlmsg_iter_init(struct nlmsg_iter *iter, const void *data, size_t size);
/*
 * 1 = *ret_attr is set, 0 = end, -EBADMSG = nla_len below 4, beyond the end, or
 * padding not zero. Always makes progress. The padding of the last attribute
 * may be missing (2016's bools): who does not speak those dialects refuses a
 * message whose size is no multiple of 4.
 */
must_check int nlmsg_iter_next(struct nlmsg_iter *iter,
			       struct nlmsg_attr *ret_attr,
			       struct nlmsg_error *ret_error);

/*
 * Builds a message in a buffer of fixed size. Errors stick: after the first
 * one every further call does nothing and nlmsg_builder_end() returns it.
 */
struct nlmsg_builder {
	uint8_t *data;
	size_t size; /* of the buffer */
	size_t used;
	size_t open; /* offset of the attribute being built */
	int error;
	uint16_t error_type; /* attribute that did not fit */
	bool attr_too_long;  /* it was over 65,535 bytes by itself */
};
void nlmsg_builder_init(struct nlmsg_builder *builder, void *data, size_t size,
			uint16_t type, uint32_t seq);
void nlmsg_put(struct nlmsg_builder *builder, uint16_t type, const void *value,
	       size_t size);
/* Without padding: legal only for the last attribute of D1, D2 and M0. */
void nlmsg_put_unpadded(struct nlmsg_builder *builder, uint16_t type,
			const void *value, size_t size);
void nlmsg_put_u32(struct nlmsg_builder *builder, uint16_t type,
		   uint32_t value);
void nlmsg_put_u64(struct nlmsg_builder *builder, uint16_t type,
		   uint64_t value);
/* text and its NUL, which nla_len counts. */
void nlmsg_put_text(struct nlmsg_builder *builder, uint16_t type,
		    const char *text);
/* An attribute in pieces: open, append, close. */
void nlmsg_open(struct nlmsg_builder *builder, uint16_t type);
void nlmsg_append(struct nlmsg_builder *builder, const void *data, size_t size);
void nlmsg_append_u32(struct nlmsg_builder *builder, uint32_t value);
void nlmsg_append_u64(struct nlmsg_builder *builder, uint64_t value);
void nlmsg_close(struct nlmsg_builder *builder);
/*
 * Fill in len. 0 and the message's size, -EMSGSIZE: an attribute over 65,535
 * bytes or a message over the buffer or 128 KiB (error_type names it).
 */
must_check int nlmsg_builder_end(struct nlmsg_builder *builder,
				 size_t *ret_size);

/* Strict scalar reads of a value: 0 or -EBADMSG. */
must_check int nlmsg_attr_u32(const struct nlmsg_attr *attr, uint32_t *ret);
must_check int nlmsg_attr_u64(const struct nlmsg_attr *attr, uint64_t *ret);
/* A NUL-terminated value without inner NUL. */
must_check int nlmsg_attr_text(const struct nlmsg_attr *attr, const char **ret);

#endif
