/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of a bootstrap message that are text with a grammar of their own:
 * namespace paths, id maps, time offsets, mount sources, argv and env. What
 * the kernel would refuse later with a bare EINVAL is refused here with its
 * row and rule. See bootstrap_table.h.
 */
#include <errno.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"
#include "proto/bootstrap_table.h"
#include "proto/idmap.h"
#include "proto/nsplan.h"

/* What a kernel of 64 bits takes as a whole second (KTIME_SEC_MAX). */
#define OFFSET_SECONDS_MAX INT64_C(9223372036)

/* NX knows each kind once; runc's encoders never repeat one either, but its
 * decoder takes it, and so do we. */
static int
note_join(struct bootstrap_decoder *decoder, uint32_t flag)
{
	if (decoder->msg->dialect == DIALECT_NX && (decoder->join_flags & flag))
		return bootstrap_fail(decoder, "joins %s twice",
				      ns_kinds[ns_kind_by_flag(flag)].name);
	decoder->join_flags |= flag;
	return 0;
}

/* "type:path"; the first colon ends the type, later ones are the path's. */
static int
check_ns_item(struct bootstrap_decoder *decoder, const char *item, size_t size)
{
	enum dialect dialect = decoder->msg->dialect;
	const char *colon = memchr(item, ':', size);
	char escaped[64];
	size_t name_size;
	int kind;

	if (dialect == DIALECT_D1)
		return 0;
	text_escape(escaped, sizeof(escaped), item, size);
	if (!colon)
		return bootstrap_fail(decoder, "\"%s\" is no type:path",
				      escaped);
	name_size = (size_t)(colon - item);
	kind = ns_kind_by_name(item, name_size);
	if (kind < 0 || kind >= dialect_n_ns_kinds(dialect)) {
		text_escape(escaped, sizeof(escaped), item, name_size);
		return bootstrap_fail(decoder,
				      "\"%s\" is no namespace type of %s",
				      escaped, dialect_name(dialect));
	}
	if (name_size + 1 == size)
		return bootstrap_fail(decoder, "%s has an empty path",
				      ns_kinds[kind].name);
	if (dialect == DIALECT_NX && colon[1] != '/')
		return bootstrap_fail(decoder, "path of %s is not absolute",
				      ns_kinds[kind].name);
	return note_join(decoder, ns_kinds[kind].clone_flag);
}

int
bootstrap_read_ns_paths(struct bootstrap_decoder *decoder,
			const struct nlmsg_attr *attr)
{
	const char *text, *item;
	size_t size, n_items = 0;
	int r;

	r = bootstrap_read_text_value(decoder, attr, &text);
	if (r < 0)
		return r;
	/* runc splits with strtok: empty items do not count. */
	for (item = text; *item; item += size) {
		item += strspn(item, ",");
		size = strcspn(item, ",");
		if (size == 0)
			break;
		r = check_ns_item(decoder, item, size);
		if (r < 0)
			return r;
		n_items++;
	}
	if (n_items == 0)
		return bootstrap_fail(decoder, "has no path");
	decoder->msg->ns_paths = text;
	return 0;
}

static size_t
count_rows(const char *text, size_t size)
{
	size_t i, n = 0;

	for (i = 0; i < size; i++)
		if (text[i] == '\n')
			n++;
	return text[size - 1] == '\n' ? n : n + 1;
}

static int
read_map(struct bootstrap_decoder *decoder, const struct nlmsg_attr *attr,
	 const char **ret, size_t *ret_size)
{
	struct idmap_error cause;
	struct idmap map;
	const char *text;
	size_t size, rows;
	int r;

	r = bootstrap_read_text_value(decoder, attr, &text);
	if (r < 0)
		return r;
	size = attr->size - 1;
	rows = count_rows(text, size);
	if (rows > IDMAP_MAX_ROWS)
		return bootstrap_fail_limit(decoder, "%zu rows, at most %d",
					    rows, IDMAP_MAX_ROWS);
	if (size > IDMAP_MAX_TEXT)
		return bootstrap_fail_limit(decoder,
					    "%zu bytes of text, at most %d",
					    size, IDMAP_MAX_TEXT);
	r = idmap_parse(text, size, &map, &cause);
	if (r < 0)
		return bootstrap_fail(decoder, "%s", cause.rule);
	r = idmap_check(&map, &cause);
	if (r < 0)
		return bootstrap_fail(decoder, "%s", cause.rule);
	*ret = text;
	*ret_size = size;
	return 0;
}

int
bootstrap_read_uid_map(struct bootstrap_decoder *decoder,
		       const struct nlmsg_attr *attr)
{
	return read_map(decoder, attr, &decoder->msg->uid_map,
			&decoder->msg->uid_map_size);
}

int
bootstrap_read_gid_map(struct bootstrap_decoder *decoder,
		       const struct nlmsg_attr *attr)
{
	return read_map(decoder, attr, &decoder->msg->gid_map,
			&decoder->msg->gid_map_size);
}

int
bootstrap_read_oom(struct bootstrap_decoder *decoder,
		   const struct nlmsg_attr *attr)
{
	const char *text;
	int64_t value;
	int r;

	r = bootstrap_read_text_value(decoder, attr, &text);
	if (r < 0)
		return r;
	r = text_parse_i64(text, -1000, 1000, &value);
	if (r == -ERANGE)
		return bootstrap_fail(decoder, "is out of range -1000..1000");
	if (r < 0)
		return bootstrap_fail(decoder, "is not a decimal number");
	decoder->msg->oom_score_adj = text;
	return 0;
}

/* Copy the word at *at and go past the one space, or the end, behind it. */
static int
take_word(const char **at, const char *end, char *ret, size_t ret_size)
{
	size_t left = (size_t)(end - *at), n;
	const char *space = left > 0 ? memchr(*at, ' ', left) : NULL;

	n = space ? (size_t)(space - *at) : left;
	if (n == 0 || n >= ret_size)
		return -EINVAL;
	memcpy(ret, *at, n);
	ret[n] = '\0';
	*at = space ? space + 1 : end;
	return 0;
}

/* "monotonic 172800 0"; returns bit 0 for monotonic, bit 1 for boottime. */
static int
parse_offset(struct bootstrap_decoder *decoder, const char *line, size_t size,
	     int row)
{
	char clock[16], seconds[24], nanoseconds[24];
	const char *at = line, *end = line + size;
	int64_t value;

	if (take_word(&at, end, clock, sizeof(clock)) < 0 ||
	    take_word(&at, end, seconds, sizeof(seconds)) < 0 ||
	    take_word(&at, end, nanoseconds, sizeof(nanoseconds)) < 0 ||
	    at != end || line[size - 1] == ' ')
		return bootstrap_fail(decoder,
				      "row %d is not: clock seconds "
				      "nanoseconds",
				      row);
	if (text_parse_i64(seconds, -OFFSET_SECONDS_MAX, OFFSET_SECONDS_MAX,
			   &value) < 0)
		return bootstrap_fail(decoder,
				      "row %d: seconds are not a number of "
				      "-9223372036..9223372036",
				      row);
	if (text_parse_i64(nanoseconds, 0, 999999999, &value) < 0)
		return bootstrap_fail(decoder,
				      "row %d: nanoseconds are not a number of "
				      "0..999999999",
				      row);
	if (strcmp(clock, "monotonic") == 0)
		return 1;
	if (strcmp(clock, "boottime") == 0)
		return 2;
	return bootstrap_fail(decoder,
			      "row %d: the clock is neither monotonic nor "
			      "boottime",
			      row);
}

int
bootstrap_read_time_offsets(struct bootstrap_decoder *decoder,
			    const struct nlmsg_attr *attr)
{
	const char *text, *line;
	int r, row = 0, seen = 0;
	size_t size;

	r = bootstrap_read_text_value(decoder, attr, &text);
	if (r < 0)
		return r;
	for (line = text; *line; row++) {
		size = strcspn(line, "\n");
		if (size == 0)
			return bootstrap_fail(decoder, "row %d is empty", row);
		r = parse_offset(decoder, line, size, row);
		if (r < 0)
			return r;
		if (seen & r)
			return bootstrap_fail(decoder,
					      "row %d: that clock is there "
					      "twice",
					      row);
		seen |= r;
		line += size + (line[size] == '\n');
	}
	decoder->msg->time_offsets = text;
	return 0;
}

/* M2: config.mounts in order, each "" or a bind source with its NUL, and then
 * the NUL of the attribute itself. */
int
bootstrap_read_mount_sources(struct bootstrap_decoder *decoder,
			     const struct nlmsg_attr *attr)
{
	if (attr->size == 0 || attr->value[attr->size - 1] != '\0')
		return bootstrap_fail(decoder, "does not end in NUL");
	if (attr->size == 1)
		return bootstrap_fail(decoder, "is empty");
	if (attr->value[attr->size - 2] != '\0')
		return bootstrap_fail(decoder,
				      "its last source does not end in NUL");
	decoder->msg->mount_sources = (struct bootstrap_bytes){
		.data = (const char *)attr->value,
		.size = attr->size - 1,
	};
	return 0;
}

int
bootstrap_read_argv(struct bootstrap_decoder *decoder,
		    const struct nlmsg_attr *attr)
{
	if (attr->size == 0)
		return bootstrap_fail(decoder, "has no string");
	if (attr->value[attr->size - 1] != '\0')
		return bootstrap_fail(decoder, "does not end in NUL");
	decoder->msg->argv = (struct bootstrap_bytes){
		.data = (const char *)attr->value,
		.size = attr->size,
	};
	return 0;
}

int
bootstrap_read_env(struct bootstrap_decoder *decoder,
		   const struct nlmsg_attr *attr)
{
	const char *text = (const char *)attr->value;
	size_t at, n = 0;

	if (attr->size > 0 && attr->value[attr->size - 1] != '\0')
		return bootstrap_fail(decoder, "does not end in NUL");
	for (at = 0; at < attr->size; at += strlen(text + at) + 1, n++) {
		const char *equals = strchr(text + at, '=');

		if (!equals)
			return bootstrap_fail(decoder,
					      "entry %zu is no NAME=VALUE", n);
		if (equals == text + at)
			return bootstrap_fail(decoder,
					      "entry %zu has an empty name", n);
	}
	decoder->msg->env = (struct bootstrap_bytes){
		.data = text,
		.size = attr->size,
	};
	return 0;
}
