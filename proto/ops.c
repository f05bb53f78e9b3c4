/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoder of the small messages between nsexecd and nsexec-spawner: requests
 * other than START and EXEC, answers, and the reports of stages. A stage runs
 * as the caller, who may trace it: what it reports is checked like anything
 * from outside. One table says what each attribute is. See ops.h.
 */
#include "proto/ops.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"

enum op_kind {
	OP_KIND_U32,
	OP_KIND_U64,
	OP_KIND_BOOL,
	OP_KIND_TEXT,
	OP_KIND_ID,
	OP_KIND_STRUCT, /* exactly as long as the field */
	OP_KIND_PIDS,
	OP_KIND_FAILURE,
	OP_KIND_WHO,
};

/* min and max are for OP_KIND_U32; size for OP_KIND_STRUCT. */
struct op_attr_row {
	enum op_kind kind;
	size_t offset;
	uint32_t min, max;
	size_t size;
};

#define FIELD(f) offsetof(struct op_message, f)
#define SLOT(a) [OP_ATTR_##a - OP_ATTR_CONTAINER]
static const struct op_attr_row rows[] = {
	SLOT(CONTAINER) = { OP_KIND_ID, FIELD(container) },
	SLOT(PID) = { OP_KIND_U32, FIELD(pid), 1, INT_MAX },
	SLOT(SIGNAL) = { OP_KIND_U32, FIELD(signal), 0, 64 },
	SLOT(UID) = { OP_KIND_U32, FIELD(uid), 0, UINT32_MAX - 1 },
	SLOT(START_TIME) = { OP_KIND_U64, FIELD(start_time) },
	SLOT(EXECED) = { OP_KIND_BOOL, FIELD(execed) },
	SLOT(EXITED) = { OP_KIND_BOOL, FIELD(exited) },
	SLOT(WAIT_STATUS) = { OP_KIND_U32, FIELD(wait_status), 0, UINT32_MAX },
	SLOT(RUSAGE) = { OP_KIND_STRUCT, FIELD(rusage), 0, 0,
			 sizeof(struct op_rusage) },
	SLOT(NAMESPACES) = { OP_KIND_STRUCT, FIELD(namespaces), 0, 0,
			     8 * sizeof(uint64_t) },
	SLOT(PIDS) = { OP_KIND_PIDS, FIELD(pids) },
	SLOT(FAILURE) = { OP_KIND_FAILURE, FIELD(failure) },
	SLOT(CODE) = { OP_KIND_U32, FIELD(code), 0, 255 },
	SLOT(RULE) = { OP_KIND_TEXT, FIELD(rule) },
	SLOT(OOM_KILLS) = { OP_KIND_U64, FIELD(oom_kills) },
	SLOT(WHO) = { OP_KIND_WHO, FIELD(who) },
	SLOT(QUOTA) = { OP_KIND_STRUCT, FIELD(quota), 0, 0,
			sizeof(struct op_quota) },
	SLOT(JOINS) = { OP_KIND_STRUCT, FIELD(joins), 0, 0,
			sizeof(struct op_joins) },
	SLOT(PROGRAM) = { OP_KIND_STRUCT, FIELD(program), 0, 0,
			  sizeof(struct op_program) },
};
_Static_assert(ARRAY_SIZE(rows) == OP_ATTR_PROGRAM - OP_ATTR_CONTAINER + 1,
	       "every attribute has a row");
_Static_assert(ARRAY_SIZE(rows) <= 32, "present is 32 bits");

/* Append at most size - 1 bytes of text and a NUL; returns the new end. */
static uint8_t *
put_word(uint8_t *at, const char *text, size_t size)
{
	size_t n = strnlen(text, size - 1);

	memcpy(at, text, n);
	at[n] = '\0';
	return at + n + 1;
}

void
op_put_failure(struct nlmsg_builder *builder, const struct failure *failure)
{
	uint8_t value[8 + 2 * FAILURE_WORD_MAX + FAILURE_OBJECT_MAX];
	uint32_t stage = (uint32_t)failure->stage;
	uint32_t error = (uint32_t)failure->error;
	uint8_t *at = value;

	memcpy(at, &stage, 4);
	memcpy(at + 4, &error, 4);
	at = put_word(at + 8, failure->step, sizeof(failure->step));
	at = put_word(at, failure->syscall, sizeof(failure->syscall));
	at = put_word(at, failure->object, sizeof(failure->object));
	nlmsg_put(builder, OP_ATTR_FAILURE, value, (size_t)(at - value));
}

/* Take one NUL-ended text from *at, cut to size. */
static int
take_word(const uint8_t **at, const uint8_t *end, char *ret, size_t size)
{
	size_t left = (size_t)(end - *at), n;
	const uint8_t *nul;

	nul = left > 0 ? memchr(*at, '\0', left) : NULL;
	if (!nul)
		return -EBADMSG;
	n = (size_t)(nul - *at);
	n = n < size - 1 ? n : size - 1;
	memcpy(ret, *at, n);
	ret[n] = '\0';
	*at = nul + 1;
	return 0;
}

int
op_failure_decode(const struct nlmsg_attr *attr, struct failure *ret)
{
	const uint8_t *at = attr->value, *end = attr->value + attr->size;
	uint32_t stage, error;
	int r;

	if (attr->size < 8)
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	memcpy(&stage, at, 4);
	memcpy(&error, at + 4, 4);
	if (stage >= N_STAGES || error > INT_MAX)
		return -EBADMSG;
	ret->stage = (enum stage)stage;
	ret->error = (int)error;
	at += 8;
	r = take_word(&at, end, ret->step, sizeof(ret->step));
	if (r < 0)
		return r;
	r = take_word(&at, end, ret->syscall, sizeof(ret->syscall));
	if (r < 0)
		return r;
	r = take_word(&at, end, ret->object, sizeof(ret->object));
	if (r < 0)
		return r;
	return at == end ? 0 : -EBADMSG;
}

static int
field_u32(const struct op_attr_row *row, const struct nlmsg_attr *attr,
	  void *field)
{
	uint32_t value;
	bool truth;

	if (nlmsg_attr_u32(attr, &value) < 0)
		return -EBADMSG;
	if (row->kind == OP_KIND_BOOL) {
		if (value > 1)
			return -EBADMSG;
		truth = value;
		memcpy(field, &truth, sizeof(truth));
		return 0;
	}
	if (value < row->min || value > row->max)
		return -EBADMSG;
	memcpy(field, &value, sizeof(value));
	return 0;
}

static int
field_text(const struct op_attr_row *row, const struct nlmsg_attr *attr,
	   void *field)
{
	const char *text;

	if (nlmsg_attr_text(attr, &text) < 0)
		return -EBADMSG;
	/* The spawner makes paths of it. */
	if (row->kind == OP_KIND_ID && !text_is_id(text, attr->size - 1))
		return -EBADMSG;
	memcpy(field, &text, sizeof(text));
	return 0;
}

static int
field_decode(const struct op_attr_row *row, const struct nlmsg_attr *attr,
	     struct op_message *msg)
{
	void *field = (char *)msg + row->offset;
	uint64_t number;

	switch (row->kind) {
	case OP_KIND_U32:
	case OP_KIND_BOOL:
		return field_u32(row, attr, field);
	case OP_KIND_U64:
		if (nlmsg_attr_u64(attr, &number) < 0)
			return -EBADMSG;
		memcpy(field, &number, sizeof(number));
		return 0;
	case OP_KIND_TEXT:
	case OP_KIND_ID:
		return field_text(row, attr, field);
	case OP_KIND_STRUCT:
		if (attr->size != row->size)
			return -EBADMSG;
		memcpy(field, attr->value, row->size);
		return 0;
	case OP_KIND_PIDS:
		if (attr->size % sizeof(uint32_t) != 0)
			return -EBADMSG;
		msg->pids = attr->value;
		msg->n_pids = attr->size / sizeof(uint32_t);
		return 0;
	case OP_KIND_FAILURE:
		return op_failure_decode(attr, &msg->failure);
	case OP_KIND_WHO:
		msg->who = attr->value;
		msg->n_who = attr->size;
		return 0;
	}
	return -EBADMSG;
}

int
op_decode(const void *data, size_t size, struct op_message *ret,
	  struct nlmsg_error *ret_error)
{
	struct nlmsg_iter iter;
	struct nlmsg_attr attr;
	unsigned int slot;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = nlmsg_header_decode(data, size, &ret->header, ret_error);
	if (r < 0)
		return r;
	*ret_error =
		(struct nlmsg_error){ .rule = "length is no multiple of 4" };
	if (size % 4 != 0)
		return -EBADMSG;
	nlmsg_iter_init(&iter, data, size);
	while ((r = nlmsg_iter_next(&iter, &attr, ret_error)) > 0) {
		ret_error->type = attr.type;
		ret_error->offset = attr.offset;
		slot = (unsigned int)attr.type - OP_ATTR_CONTAINER;
		ret_error->rule = "unknown attribute";
		if (slot >= ARRAY_SIZE(rows))
			return -EBADMSG;
		ret_error->rule = "attribute twice";
		if ((ret->present >> slot) & 1)
			return -EBADMSG;
		ret_error->rule = "wrong size or value";
		if (field_decode(&rows[slot], &attr, ret) < 0)
			return -EBADMSG;
		ret->present |= 1u << slot;
	}
	return r;
}
