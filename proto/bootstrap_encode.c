/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoder of bootstrap messages: what is marked present, in runc's order of
 * emission, by the functions that the table names. What was written is then
 * decoded strictly: an encoder that can emit what its own decoder refuses
 * would only move the error to the wrong process. See bootstrap.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/bootstrap_table.h"

static int printf_like(4, 5)
	encode_error(struct bootstrap_error *error, const struct bootstrap *msg,
		     int attr, const char *fmt, ...)
{
	size_t used;
	va_list ap;

	error->attr = attr;
	error->offset = 0;
	error->type =
		bootstrap_attr_number(msg->dialect, (enum bootstrap_attr)attr);
	snprintf(error->text, sizeof(error->text), "attribute %s (%u): ",
		 bootstrap_attr_name((enum bootstrap_attr)attr), error->type);
	used = strlen(error->text);
	va_start(ap, fmt);
	vsnprintf(error->text + used, sizeof(error->text) - used, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

void
bootstrap_write_u32(struct nlmsg_builder *builder, uint16_t number,
		    const struct bootstrap *msg, const void *field)
{
	nlmsg_put(builder, number, field, sizeof(uint32_t));
}

void
bootstrap_write_bool(struct nlmsg_builder *builder, uint16_t number,
		     const struct bootstrap *msg, const void *field)
{
	uint8_t byte;
	bool truth;

	memcpy(&truth, field, sizeof(truth));
	byte = truth;
	if (dialect_has_short_bools(msg->dialect))
		nlmsg_put_unpadded(builder, number, &byte, sizeof(byte));
	else
		nlmsg_put_u32(builder, number, truth);
}

void
bootstrap_write_text(struct nlmsg_builder *builder, uint16_t number,
		     const struct bootstrap *msg, const void *field)
{
	const char *text;

	memcpy(&text, field, sizeof(text));
	nlmsg_put_text(builder, number, text ? text : "");
}

void
bootstrap_write_bytes(struct nlmsg_builder *builder, uint16_t number,
		      const struct bootstrap *msg, const void *field)
{
	const struct bootstrap_bytes *bytes = field;

	nlmsg_put(builder, number, bytes->data, bytes->size);
}

static void
write_sized_text(struct nlmsg_builder *builder, uint16_t number,
		 const char *text, size_t size)
{
	nlmsg_open(builder, number);
	nlmsg_append(builder, text, size);
	nlmsg_append(builder, "", 1);
	nlmsg_close(builder);
}

void
bootstrap_write_uid_map(struct nlmsg_builder *builder, uint16_t number,
			const struct bootstrap *msg, const void *field)
{
	write_sized_text(builder, number, msg->uid_map, msg->uid_map_size);
}

void
bootstrap_write_gid_map(struct nlmsg_builder *builder, uint16_t number,
			const struct bootstrap *msg, const void *field)
{
	write_sized_text(builder, number, msg->gid_map, msg->gid_map_size);
}

void
bootstrap_write_mount_sources(struct nlmsg_builder *builder, uint16_t number,
			      const struct bootstrap *msg, const void *field)
{
	write_sized_text(builder, number, msg->mount_sources.data,
			 msg->mount_sources.size);
}

void
bootstrap_write_fd_roles(struct nlmsg_builder *builder, uint16_t number,
			 const struct bootstrap *msg, const void *field)
{
	nlmsg_put(builder, number, field,
		  msg->n_fd_roles * sizeof(msg->fd_roles[0]));
}

void
bootstrap_write_exec_block(struct nlmsg_builder *builder, uint16_t number,
			   const struct bootstrap *msg, const void *field)
{
	nlmsg_put(builder, number, field, sizeof(msg->exec_block));
}

/* Size on the wire: NUL counted, 0 = none. */
static uint32_t
text_size(const char *text)
{
	size_t size = text && text[0] ? strlen(text) + 1 : 0;

	/* Longer than any attribute: the append after it will refuse. */
	return size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
}

static void
append_text(struct nlmsg_builder *builder, const char *text)
{
	if (text && text[0])
		nlmsg_append(builder, text, strlen(text) + 1);
}

void
bootstrap_write_joins(struct nlmsg_builder *builder, uint16_t number,
		      const struct bootstrap *msg, const void *field)
{
	size_t i;

	nlmsg_open(builder, number);
	for (i = 0; i < msg->n_joins; i++) {
		const struct bootstrap_join *join = &msg->joins[i];

		nlmsg_append_u32(builder, join->how);
		nlmsg_append_u32(builder, join->clone_flag);
		nlmsg_append_u32(builder, join->number);
		nlmsg_append_u32(builder, text_size(join->path));
		nlmsg_append_u64(builder, join->start_time);
		nlmsg_append_u64(builder, join->inode);
		append_text(builder, join->path);
	}
	nlmsg_close(builder);
}

void
bootstrap_write_groups(struct nlmsg_builder *builder, uint16_t number,
		       const struct bootstrap *msg, const void *field)
{
	nlmsg_put(builder, number, field,
		  msg->n_groups * sizeof(msg->groups[0]));
}

void
bootstrap_write_caps(struct nlmsg_builder *builder, uint16_t number,
		     const struct bootstrap *msg, const void *field)
{
	nlmsg_put(builder, number, field, sizeof(msg->caps));
}

void
bootstrap_write_rlimits(struct nlmsg_builder *builder, uint16_t number,
			const struct bootstrap *msg, const void *field)
{
	nlmsg_put(builder, number, field,
		  msg->n_rlimits * sizeof(msg->rlimits[0]));
}

void
bootstrap_write_mounts(struct nlmsg_builder *builder, uint16_t number,
		       const struct bootstrap *msg, const void *field)
{
	size_t i;

	nlmsg_open(builder, number);
	for (i = 0; i < msg->n_mounts; i++) {
		const struct bootstrap_mount *mount = &msg->mounts[i];

		nlmsg_append_u32(builder, mount->kind);
		nlmsg_append_u32(builder, mount->flags);
		nlmsg_append_u32(builder, text_size(mount->source));
		nlmsg_append_u32(builder, text_size(mount->destination));
		nlmsg_append_u32(builder, text_size(mount->data));
		append_text(builder, mount->source);
		append_text(builder, mount->destination);
		append_text(builder, mount->data);
	}
	nlmsg_close(builder);
}

void
bootstrap_write_stdio(struct nlmsg_builder *builder, uint16_t number,
		      const struct bootstrap *msg, const void *field)
{
	size_t i;

	nlmsg_open(builder, number);
	for (i = 0; i < 3; i++) {
		nlmsg_append_u32(builder, msg->stdio[i].kind);
		nlmsg_append_u32(builder, msg->stdio[i].fd_index);
		nlmsg_append_u32(builder, text_size(msg->stdio[i].path));
		append_text(builder, msg->stdio[i].path);
	}
	nlmsg_close(builder);
}

void
bootstrap_write_passed_fds(struct nlmsg_builder *builder, uint16_t number,
			   const struct bootstrap *msg, const void *field)
{
	nlmsg_put(builder, number, field,
		  msg->n_passed_fds * sizeof(msg->passed_fds[0]));
}

static int
check_counts(const struct bootstrap *msg, struct bootstrap_error *error)
{
	const struct {
		enum bootstrap_attr attr;
		size_t n, max;
	} counts[] = {
		{ BOOTSTRAP_FD_ROLES, msg->n_fd_roles, N_FD_ROLES },
		{ BOOTSTRAP_JOINS, msg->n_joins, BOOTSTRAP_MAX_JOINS },
		{ BOOTSTRAP_GROUPS, msg->n_groups, BOOTSTRAP_MAX_GROUPS },
		{ BOOTSTRAP_RLIMITS, msg->n_rlimits, BOOTSTRAP_MAX_RLIMITS },
		{ BOOTSTRAP_MOUNTS, msg->n_mounts, BOOTSTRAP_MAX_MOUNTS },
		{ BOOTSTRAP_PASSED_FDS, msg->n_passed_fds,
		  BOOTSTRAP_MAX_CHANNEL_FDS },
	};
	size_t i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		if (counts[i].n <= counts[i].max)
			continue;
		encode_error(error, msg, (int)counts[i].attr,
			     "%zu entries, at most %zu", counts[i].n,
			     counts[i].max);
		return -EMSGSIZE;
	}
	return 0;
}

static int
builder_error(const struct bootstrap *msg, const struct nlmsg_builder *builder,
	      int attr, struct bootstrap_error *error)
{
	if (builder->attr_too_long)
		encode_error(error, msg, attr,
			     "over %u bytes with its header of 4",
			     NLMSG_ATTR_LEN_MAX);
	else
		encode_error(error, msg, attr,
			     "does not fit: the message goes over %zu bytes",
			     builder->size);
	return builder->error;
}

/* One pass over the order of emission; only_bools picks one half of it. */
static int
write_attrs(const struct bootstrap *msg, struct nlmsg_builder *builder,
	    bool bools, bool others, struct bootstrap_error *error)
{
	size_t i;

	for (i = 0; i < N_BOOTSTRAP_ATTRS; i++) {
		enum bootstrap_attr attr =
			(enum bootstrap_attr)bootstrap_order[i];
		const struct bootstrap_row *row = &bootstrap_rows[attr];
		uint16_t number = bootstrap_attr_number(msg->dialect, attr);
		bool is_bool = row->write == bootstrap_write_bool;

		if (!bootstrap_has(msg, attr) || !(is_bool ? bools : others))
			continue;
		if (number == 0)
			return encode_error(error, msg, (int)attr,
					    "dialect %s does not have it",
					    dialect_name(msg->dialect));
		row->write(builder, number, msg,
			   (const char *)msg + row->offset);
		if (builder->error < 0)
			return builder_error(msg, builder, (int)attr, error);
	}
	return 0;
}

/*
 * An unpadded bool of M0 is legal only as the last attribute, and runc rc4 and
 * rc5 could emit two of them, or one before another attribute: a message that
 * their own reader could not read. Ours puts the one bool last.
 */
static int
write_all(const struct bootstrap *msg, struct nlmsg_builder *builder,
	  struct bootstrap_error *error)
{
	int r;

	if (!dialect_has_short_bools(msg->dialect))
		return write_attrs(msg, builder, true, true, error);
	if (bootstrap_has(msg, BOOTSTRAP_SETGROUP) &&
	    bootstrap_has(msg, BOOTSTRAP_ROOTLESS))
		return encode_error(error, msg, BOOTSTRAP_ROOTLESS,
				    "stands beside setgroup, but a bool of %s "
				    "must be last",
				    dialect_name(msg->dialect));
	r = write_attrs(msg, builder, false, true, error);
	if (r < 0)
		return r;
	return write_attrs(msg, builder, true, false, error);
}

int
bootstrap_encode(const struct bootstrap *msg, void *buf, size_t buf_size,
		 size_t *ret_size, struct bootstrap_error *ret_error)
{
	struct bootstrap_wire wire = { .dialect = msg->dialect,
				       .type = msg->type,
				       .data = buf };
	struct nlmsg_builder builder;
	struct bootstrap check;
	int r;

	*ret_error = (struct bootstrap_error){ .attr = -1 };
	if (!dialect_name(msg->dialect)) {
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "message: no dialect");
		return -EINVAL;
	}
	r = check_counts(msg, ret_error);
	if (r < 0)
		return r;
	nlmsg_builder_init(&builder, buf, buf_size, msg->type, msg->seq);
	if (builder.error < 0) {
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "message: the buffer of %zu bytes is too small",
			 buf_size);
		return builder.error;
	}
	r = write_all(msg, &builder, ret_error);
	if (r < 0)
		return r;
	r = nlmsg_builder_end(&builder, &wire.size);
	if (r < 0)
		return r;
	r = bootstrap_decode_all(&wire, &check, ret_error);
	if (r < 0)
		return r == -EMSGSIZE ? r : -EINVAL;
	*ret_size = wire.size;
	return 0;
}
