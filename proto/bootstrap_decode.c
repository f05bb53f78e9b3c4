/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoder of bootstrap messages: walks the attributes, refuses what is
 * unknown, doubled or of a wrong length, and hands each value to the function
 * that the table names. Allocates nothing and copies no text: the result
 * points into the message. Runs in the root process on bytes that a subverted
 * daemon may have written. See bootstrap.h.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"
#include "proto/bootstrap_table.h"
#include "proto/nsplan.h"

static void
error_prefix(struct bootstrap_error *error, enum dialect dialect, int attr,
	     uint16_t number)
{
	error->attr = attr;
	error->type = number;
	if (attr >= 0)
		snprintf(
			error->text, sizeof(error->text), "attribute %s (%u): ",
			bootstrap_attr_name((enum bootstrap_attr)attr), number);
	else if (number != 0)
		snprintf(error->text, sizeof(error->text),
			 "attribute %u: ", number);
	else
		snprintf(error->text, sizeof(error->text), "message: ");
}

static void
error_vprintf(struct bootstrap_error *error, const char *fmt, va_list ap)
{
	size_t used = strlen(error->text);

	vsnprintf(error->text + used, sizeof(error->text) - used, fmt, ap);
}

static void printf_like(2, 3)
	error_printf(struct bootstrap_error *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_vprintf(error, fmt, ap);
	va_end(ap);
}

static void
decoder_prefix(struct bootstrap_decoder *decoder)
{
	enum dialect dialect = decoder->msg->dialect;

	error_prefix(decoder->error, dialect, (int)decoder->attr,
		     bootstrap_attr_number(dialect, decoder->attr));
	decoder->error->offset = decoder->offset;
}

int
bootstrap_fail(struct bootstrap_decoder *decoder, const char *fmt, ...)
{
	va_list ap;

	decoder_prefix(decoder);
	va_start(ap, fmt);
	error_vprintf(decoder->error, fmt, ap);
	va_end(ap);
	return -EBADMSG;
}

int
bootstrap_fail_limit(struct bootstrap_decoder *decoder, const char *fmt, ...)
{
	va_list ap;

	decoder_prefix(decoder);
	va_start(ap, fmt);
	error_vprintf(decoder->error, fmt, ap);
	va_end(ap);
	return -EMSGSIZE;
}

static void *
decoder_field(struct bootstrap_decoder *decoder)
{
	return (char *)decoder->msg + bootstrap_rows[decoder->attr].offset;
}

static int
read_u32_value(struct bootstrap_decoder *decoder, const struct nlmsg_attr *attr,
	       uint32_t *ret)
{
	if (nlmsg_attr_u32(attr, ret) < 0)
		return bootstrap_fail(decoder, "value of %zu bytes, must be 4",
				      attr->size);
	return 0;
}

int
bootstrap_read_u32(struct bootstrap_decoder *decoder,
		   const struct nlmsg_attr *attr)
{
	const struct bootstrap_row *row = &bootstrap_rows[decoder->attr];
	uint32_t value;
	int r;

	r = read_u32_value(decoder, attr, &value);
	if (r < 0)
		return r;
	if (value < row->min || value > row->max)
		return bootstrap_fail(decoder, "%u is out of range %u..%u",
				      value, row->min, row->max);
	memcpy(decoder_field(decoder), &value, sizeof(value));
	return 0;
}

/*
 * M1 to M3: 4 bytes, and any non-zero byte means true, since runc's writer and
 * reader disagree on big-endian hosts. 2016: one byte, the message's last.
 */
int
bootstrap_read_bool(struct bootstrap_decoder *decoder,
		    const struct nlmsg_attr *attr)
{
	enum dialect dialect = decoder->msg->dialect;
	size_t i, want = dialect_has_short_bools(dialect) ? 1 : 4;
	bool truth = false;
	uint32_t value;

	if (attr->size != want)
		return bootstrap_fail(decoder, "bool of %zu bytes, must be %zu",
				      attr->size, want);
	if (want == 1 && attr->offset + 5 != decoder->message_size)
		return bootstrap_fail(decoder,
				      "a bool of %s has no padding and must "
				      "be the last bytes of the message",
				      dialect_name(dialect));
	for (i = 0; i < attr->size; i++)
		truth = truth || attr->value[i] != 0;
	if (dialect == DIALECT_NX) {
		memcpy(&value, attr->value, sizeof(value));
		if (value > 1)
			return bootstrap_fail(decoder, "bool is %u, not 0 or 1",
					      value);
	}
	memcpy(decoder_field(decoder), &truth, sizeof(truth));
	return 0;
}

int
bootstrap_read_clone_flags(struct bootstrap_decoder *decoder,
			   const struct nlmsg_attr *attr)
{
	uint32_t value;
	int r;

	r = read_u32_value(decoder, attr, &value);
	if (r < 0)
		return r;
	if (value & ~NSPLAN_ALL_FLAGS)
		return bootstrap_fail(decoder,
				      "0x%08x has bits that are no namespace "
				      "(0x%08x)",
				      value, value & ~NSPLAN_ALL_FLAGS);
	decoder->msg->clone_flags = value;
	return 0;
}

int
bootstrap_read_text_value(struct bootstrap_decoder *decoder,
			  const struct nlmsg_attr *attr, const char **ret)
{
	if (attr->size == 0 || attr->value[attr->size - 1] != '\0')
		return bootstrap_fail(decoder, "does not end in NUL");
	if (attr->size == 1)
		return bootstrap_fail(decoder, "is empty");
	if (nlmsg_attr_text(attr, ret) < 0)
		return bootstrap_fail(decoder, "has a NUL inside");
	return 0;
}

int
bootstrap_read_text(struct bootstrap_decoder *decoder,
		    const struct nlmsg_attr *attr)
{
	const struct bootstrap_row *row = &bootstrap_rows[decoder->attr];
	const char *text;
	int r;

	r = bootstrap_read_text_value(decoder, attr, &text);
	if (r < 0)
		return r;
	if (attr->size - 1 > row->max)
		return bootstrap_fail_limit(decoder, "%zu bytes, at most %u",
					    attr->size - 1, row->max);
	memcpy(decoder_field(decoder), &text, sizeof(text));
	return 0;
}

int
bootstrap_read_path(struct bootstrap_decoder *decoder,
		    const struct nlmsg_attr *attr)
{
	int r;

	r = bootstrap_read_text(decoder, attr);
	if (r < 0)
		return r;
	if (attr->value[0] != '/')
		return bootstrap_fail(decoder, "path is not absolute");
	return 0;
}

int
bootstrap_read_id(struct bootstrap_decoder *decoder,
		  const struct nlmsg_attr *attr)
{
	int r;

	r = bootstrap_read_text(decoder, attr);
	if (r < 0)
		return r;
	if (!text_is_id((const char *)attr->value, attr->size - 1))
		return bootstrap_fail(decoder,
				      "is no id (1 to 64 of A-Z a-z 0-9 _ . -, "
				      "the first alphanumeric)");
	return 0;
}

static int
header_error(struct bootstrap_error *error, const struct nlmsg_error *cause)
{
	error_prefix(error, DIALECT_NONE, -1, cause->type);
	error->offset = cause->offset;
	error_printf(error, "%s", cause->rule);
	return -EBADMSG;
}

static int
decode_header(const struct bootstrap_wire *wire, struct bootstrap *ret,
	      struct bootstrap_error *error)
{
	enum dialect dialect = wire->dialect;
	struct nlmsg_header header;
	struct nlmsg_error cause;
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->dialect = dialect;
	r = nlmsg_header_decode(wire->data, wire->size, &header, &cause);
	if (r < 0)
		return header_error(error, &cause);
	ret->seq = header.seq;
	ret->type = header.type;
	error_prefix(error, dialect, -1, 0);
	error->offset = 4;
	if (header.type == 2) {
		error_printf(error, "type 2 is NLMSG_ERROR");
		return -EBADMSG;
	}
	if (header.type != wire->type) {
		error_printf(error, "type %u, must be %u", header.type,
			     wire->type);
		return -EBADMSG;
	}
	/* 2016: decode_attr() looks at the padding of the last one. */
	if (wire->size % 4 != 0 && !dialect_has_short_bools(dialect)) {
		error_printf(error, "length %zu is no multiple of 4",
			     wire->size);
		return -EBADMSG;
	}
	return 0;
}

static int
decode_attr(struct bootstrap_decoder *decoder, const struct nlmsg_attr *attr)
{
	struct bootstrap *msg = decoder->msg;
	int found = bootstrap_attr_find(msg->dialect, attr->type);
	size_t end = attr->offset + NLMSG_ATTR_HEADER_SIZE + attr->size;
	int r;

	if (found < 0) {
		error_prefix(decoder->error, msg->dialect, -1, attr->type);
		decoder->error->offset = attr->offset;
		error_printf(decoder->error,
			     "dialect %s has no attribute of this number",
			     dialect_name(msg->dialect));
		return -EBADMSG;
	}
	decoder->attr = (enum bootstrap_attr)found;
	decoder->offset = attr->offset;
	if (bootstrap_has(msg, decoder->attr))
		return bootstrap_fail(decoder, "is there twice");
	r = bootstrap_rows[found].read(decoder, attr);
	if (r < 0)
		return r;
	if (bootstrap_rows[found].read != bootstrap_read_bool &&
	    ((end + 3) & ~(size_t)3) > decoder->message_size)
		return bootstrap_fail(decoder, "its padding is missing");
	bootstrap_mark(msg, decoder->attr);
	return 0;
}

/* The walker found the attributes' chain broken: say what most likely is. */
static int
walk_error(const struct bootstrap *msg, const struct nlmsg_error *cause,
	   struct bootstrap_error *error)
{
	int found = bootstrap_attr_find(msg->dialect, cause->type);

	error_prefix(error, msg->dialect, found, cause->type);
	error->offset = cause->offset;
	if (found >= 0 && dialect_has_short_bools(msg->dialect) &&
	    bootstrap_rows[found].read == bootstrap_read_bool)
		error_printf(error,
			     "a bool of %s has no padding and must be the last "
			     "bytes of the message",
			     dialect_name(msg->dialect));
	else
		error_printf(error, "%s at offset %zu", cause->rule,
			     cause->offset);
	return -EBADMSG;
}

int
bootstrap_decode_all(const struct bootstrap_wire *wire, struct bootstrap *ret,
		     struct bootstrap_error *ret_error)
{
	struct bootstrap_decoder decoder = {
		.msg = ret,
		.error = ret_error,
		.message_size = wire->size,
	};
	struct nlmsg_error cause = { 0 };
	struct nlmsg_iter iter;
	struct nlmsg_attr attr;
	int r;

	assert(wire->dialect > DIALECT_NONE && wire->dialect < N_DIALECTS);
	r = decode_header(wire, ret, ret_error);
	if (r < 0)
		return r;
	nlmsg_iter_init(&iter, wire->data, wire->size);
	while ((r = nlmsg_iter_next(&iter, &attr, &cause)) > 0) {
		r = decode_attr(&decoder, &attr);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return walk_error(ret, &cause, ret_error);
	if (wire->dialect == DIALECT_NX)
		return bootstrap_check_nx(&decoder);
	return 0;
}

int
bootstrap_decode(enum dialect dialect, uint16_t expected_type, const void *data,
		 size_t size, struct bootstrap *ret,
		 struct bootstrap_error *ret_error)
{
	struct bootstrap_wire wire = { dialect, expected_type, data, size };

	return bootstrap_decode_all(&wire, ret, ret_error) < 0 ? -EBADMSG : 0;
}
