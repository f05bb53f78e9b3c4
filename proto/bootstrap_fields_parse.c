/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From named fields to a message, the way back of bootstrap_fields.c. Texts go
 * into the document's arena. Here a value must have its form; whether it may
 * be sent is for bootstrap_encode() to say.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"
#include "proto/bootstrap_fields.h"
#include "proto/bootstrap_table.h"
#include "proto/nsplan.h"

/* What is being read. */
struct reader {
	struct bootstrap_document *document;
	const char *name;
	struct bootstrap_text_error *error;
};

static int printf_like(2, 3)
	field_fail(struct reader *reader, const char *fmt, ...)
{
	struct bootstrap_text_error *error = reader->error;
	va_list ap;
	int used;

	used = snprintf(error->text, sizeof(error->text), "%s: ", reader->name);
	if (used < 0 || (size_t)used >= sizeof(error->text))
		return -EINVAL;
	va_start(ap, fmt);
	vsnprintf(error->text + used, sizeof(error->text) - (size_t)used, fmt,
		  ap);
	va_end(ap);
	return -EINVAL;
}

/* The bytes of an escaped value, NUL behind them. */
static int
unescape(struct reader *reader, const char *value, const char **ret,
	 size_t *ret_size)
{
	char *out = arena_alloc(&reader->document->arena, strlen(value) + 1);

	if (!out)
		return -ENOMEM;
	if (bootstrap_unescape(value, out, ret_size) < 0)
		return field_fail(reader, "has a wrong escape (\\n \\0 \\\\ "
					  "\\xNN)");
	*ret = out;
	return 0;
}

/* A text: a NUL inside it would end it unseen. */
static int
unescape_text(struct reader *reader, const char *value, const char **ret)
{
	size_t size;
	int r;

	r = unescape(reader, value, ret, &size);
	if (r < 0)
		return r;
	if (strlen(*ret) != size)
		return field_fail(reader, "has a NUL inside");
	return 0;
}

static int
parse_number(struct reader *reader, const char *value, uint64_t max,
	     uint64_t *ret)
{
	if (text_parse_u64(value, max, ret) < 0)
		return field_fail(reader, "\"%.40s\" is no number up to %llu",
				  value, (unsigned long long)max);
	return 0;
}

static int
parse_u32(struct reader *reader, const char *value, uint32_t *ret)
{
	uint64_t number = 0;
	int r;

	r = parse_number(reader, value, UINT32_MAX, &number);
	*ret = (uint32_t)number;
	return r;
}

/* "0x1f" or "31". */
static int
parse_bits(struct reader *reader, const char *value, uint64_t *ret)
{
	char *end;

	if (strncmp(value, "0x", 2) != 0)
		return parse_number(reader, value, UINT64_MAX, ret);
	errno = 0;
	*ret = strtoull(value + 2, &end, 16);
	if (!value[2] || strchr("+- \t", value[2]) || *end || errno)
		return field_fail(reader, "\"%.40s\" is no number", value);
	return 0;
}

static int
find_word(const char *const *words, size_t n_words, const char *word,
	  uint32_t *ret)
{
	size_t i;

	for (i = 0; i < n_words; i++) {
		if (words[i] && strcmp(words[i], word) == 0) {
			*ret = (uint32_t)i;
			return 0;
		}
	}
	return -ENOENT;
}

/* A word, or any number. */
static int
parse_word(struct reader *reader, const struct field_row *row,
	   const char *value, uint32_t *ret)
{
	if (find_word(row->words, row->n_words, value, ret) == 0)
		return 0;
	if (text_parse_u32(value, ret) == 0)
		return 0;
	return field_fail(reader, "unknown word \"%.40s\"", value);
}

static int
parse_flags(struct reader *reader, char *value, uint32_t *ret)
{
	char *word, *save = NULL;
	int kind;

	*ret = 0;
	if (strcmp(value, "none") == 0)
		return 0;
	for (word = strtok_r(value, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		kind = ns_kind_by_name(word, strlen(word));
		if (kind < 0)
			return field_fail(reader, "\"%.40s\" is no namespace",
					  word);
		*ret |= ns_kinds[kind].clone_flag;
	}
	return 0;
}

static int
parse_list(struct reader *reader, const struct field_row *row, char *value,
	   uint32_t *numbers, size_t *n)
{
	size_t max = row->words ? N_FD_ROLES : BOOTSTRAP_MAX_GROUPS;
	char *word, *save = NULL;
	int r;

	*n = 0;
	if (strcmp(value, "none") == 0)
		return 0;
	for (word = strtok_r(value, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		if (*n == max)
			return field_fail(reader, "more than %zu entries", max);
		r = parse_word(reader, row, word, &numbers[(*n)++]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Take the next "name=value" of a record; *ret_value is "" without '='. */
static char *
next_pair(char **save, const char **ret_value)
{
	char *word = strtok_r(NULL, " ", save), *equals;

	if (!word)
		return NULL;
	equals = strchr(word, '=');
	*ret_value = equals ? equals + 1 : "";
	if (equals)
		*equals = '\0';
	return word;
}

static int
unknown_pair(struct reader *reader, const char *name)
{
	return field_fail(reader, "unknown word \"%.40s\"", name);
}

static int
parse_join(struct reader *reader, char *first, char **save)
{
	struct bootstrap *msg = &reader->document->msg;
	struct bootstrap_join *join = &msg->joins[msg->n_joins];
	int r = 0, kind = ns_kind_by_name(first, strlen(first));
	const char *value;
	char *name;

	if (msg->n_joins == BOOTSTRAP_MAX_JOINS)
		return field_fail(reader, "more than %d", BOOTSTRAP_MAX_JOINS);
	if (kind < 0)
		return field_fail(reader, "\"%.40s\" is no namespace", first);
	join->clone_flag = ns_kinds[kind].clone_flag;
	while (r == 0 && (name = next_pair(save, &value))) {
		if (strcmp(name, "path") == 0) {
			join->how = JOIN_PATH;
			r = unescape_text(reader, value, &join->path);
		} else if (strcmp(name, "pid") == 0) {
			join->how = JOIN_PID;
			r = parse_u32(reader, value, &join->number);
		} else if (strcmp(name, "fd") == 0) {
			join->how = JOIN_FD;
			r = parse_u32(reader, value, &join->number);
		} else if (strcmp(name, "start-time") == 0) {
			r = parse_number(reader, value, UINT64_MAX,
					 &join->start_time);
		} else if (strcmp(name, "inode") == 0) {
			r = parse_number(reader, value, UINT64_MAX,
					 &join->inode);
		} else {
			r = unknown_pair(reader, name);
		}
	}
	msg->n_joins++;
	return r;
}

static int
parse_rlimit(struct reader *reader, char *first, char **save)
{
	struct bootstrap *msg = &reader->document->msg;
	struct bootstrap_rlimit *limit = &msg->rlimits[msg->n_rlimits];
	const char *value;
	char *name;
	int r = 0;

	if (msg->n_rlimits == BOOTSTRAP_MAX_RLIMITS)
		return field_fail(reader, "more than %d",
				  BOOTSTRAP_MAX_RLIMITS);
	if (find_word(rlimit_words, N_RLIMIT_WORDS, first, &limit->resource) <
	    0)
		return unknown_pair(reader, first);
	while (r == 0 && (name = next_pair(save, &value))) {
		if (strcmp(name, "soft") == 0)
			r = parse_number(reader, value, UINT64_MAX,
					 &limit->soft);
		else if (strcmp(name, "hard") == 0)
			r = parse_number(reader, value, UINT64_MAX,
					 &limit->hard);
		else
			r = unknown_pair(reader, name);
	}
	msg->n_rlimits++;
	return r;
}

static int
parse_mount_flags(struct reader *reader, const char *value, uint32_t *ret)
{
	char copy[64];
	char *word, *save = NULL;
	uint32_t bit;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", value) >= sizeof(copy))
		return field_fail(reader, "too many flags");
	for (word = strtok_r(copy, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		if (find_word(mount_flag_words, N_MOUNT_FLAG_WORDS, word,
			      &bit) < 0)
			return unknown_pair(reader, word);
		*ret |= 1u << bit;
	}
	return 0;
}

static int
parse_mount(struct reader *reader, char *first, char **save)
{
	struct bootstrap *msg = &reader->document->msg;
	struct bootstrap_mount *mount = &msg->mounts[msg->n_mounts];
	const char *value;
	char *name;
	int r = 0;

	if (msg->n_mounts == BOOTSTRAP_MAX_MOUNTS)
		return field_fail(reader, "more than %d", BOOTSTRAP_MAX_MOUNTS);
	if (find_word(mount_kind_words, N_MOUNT_KIND_WORDS, first,
		      &mount->kind) < 0)
		return unknown_pair(reader, first);
	while (r == 0 && (name = next_pair(save, &value))) {
		if (strcmp(name, "flags") == 0)
			r = parse_mount_flags(reader, value, &mount->flags);
		else if (strcmp(name, "source") == 0)
			r = unescape_text(reader, value, &mount->source);
		else if (strcmp(name, "destination") == 0)
			r = unescape_text(reader, value, &mount->destination);
		else if (strcmp(name, "data") == 0)
			r = unescape_text(reader, value, &mount->data);
		else
			r = unknown_pair(reader, name);
	}
	msg->n_mounts++;
	return r;
}

static int
parse_stdio(struct reader *reader, char *first, char **save)
{
	static const char *const words[] = { NULL, "null", "fd", "path" };
	struct bootstrap_stdio *stdio = reader->document->msg.stdio;
	const char *value;
	char *name;
	size_t i;
	int r = 0;

	for (i = 0; i < 3 && stdio[i].kind; i++)
		;
	if (i == 3)
		return field_fail(reader, "more than 3");
	if (find_word(words, ARRAY_SIZE(words), first, &stdio[i].kind) < 0)
		return unknown_pair(reader, first);
	while (r == 0 && (name = next_pair(save, &value))) {
		if (strcmp(name, "fd") == 0)
			r = parse_u32(reader, value, &stdio[i].fd_index);
		else if (strcmp(name, "path") == 0)
			r = unescape_text(reader, value, &stdio[i].path);
		else
			r = unknown_pair(reader, name);
	}
	return r;
}

/* Of names, which all must be there once; value i goes to ret[i]. */
static int
parse_pairs(struct reader *reader, char *record, const char *const *names,
	    size_t n_names, uint64_t *ret)
{
	uint32_t seen = 0, i;
	char *word, *equals, *save = NULL;
	int r;

	for (word = strtok_r(record, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		equals = strchr(word, '=');
		if (equals)
			*equals = '\0';
		if (!equals || find_word(names, n_names, word, &i) < 0)
			return unknown_pair(reader, word);
		r = parse_bits(reader, equals + 1, &ret[i]);
		if (r < 0)
			return r;
		seen |= 1u << i;
	}
	if (seen != (1u << n_names) - 1)
		return field_fail(reader, "a word is missing");
	return 0;
}

static int
parse_caps(struct reader *reader, char *value)
{
	static const char *const names[] = { "present",	    "bounding",
					     "permitted",   "effective",
					     "inheritable", "ambient" };
	struct bootstrap_caps *caps = &reader->document->msg.caps;
	uint64_t numbers[ARRAY_SIZE(names)];
	size_t i;
	int r;

	r = parse_pairs(reader, value, names, ARRAY_SIZE(names), numbers);
	if (r < 0)
		return r;
	caps->present = (uint32_t)numbers[0];
	for (i = 0; i < N_CAP_SET_WORDS; i++)
		*caps_set(caps, i) = numbers[i + 1];
	return 0;
}

static int
parse_block(struct reader *reader, char *value)
{
	static const char *const names[] = { "argc", "envc", "size" };
	uint64_t numbers[ARRAY_SIZE(names)];
	int r;

	r = parse_pairs(reader, value, names, ARRAY_SIZE(names), numbers);
	if (r < 0)
		return r;
	reader->document->msg.exec_block = (struct bootstrap_exec_block){
		.argc = (uint32_t)numbers[0],
		.envc = (uint32_t)numbers[1],
		.size = numbers[2],
	};
	return 0;
}

static int
parse_passed_fd(struct reader *reader, char *value)
{
	static const char *const names[] = { "number", "fd" };
	struct bootstrap *msg = &reader->document->msg;
	uint64_t numbers[ARRAY_SIZE(names)];
	int r;

	if (msg->n_passed_fds == BOOTSTRAP_MAX_CHANNEL_FDS)
		return field_fail(reader, "more than %d",
				  BOOTSTRAP_MAX_CHANNEL_FDS);
	r = parse_pairs(reader, value, names, ARRAY_SIZE(names), numbers);
	if (r < 0)
		return r;
	msg->passed_fds[msg->n_passed_fds++] = (struct bootstrap_passed_fd){
		.fd_index = (uint32_t)numbers[1],
		.number = (uint32_t)numbers[0],
	};
	return 0;
}

/* One record of a list; "none" is the empty list. */
static int
parse_record(struct reader *reader, enum field_form form, char *value)
{
	char *save = NULL, *first;

	if (strcmp(value, "none") == 0)
		return 0;
	if (form == FORM_PASSED_FD)
		return parse_passed_fd(reader, value);
	first = strtok_r(value, " ", &save);
	if (!first)
		return field_fail(reader, "is empty");
	switch (form) {
	case FORM_JOIN:
		return parse_join(reader, first, &save);
	case FORM_RLIMIT:
		return parse_rlimit(reader, first, &save);
	case FORM_MOUNT:
		return parse_mount(reader, first, &save);
	default:
		return parse_stdio(reader, first, &save);
	}
}

static int
parse_scalar(struct reader *reader, const struct field_row *row,
	     const char *value, void *field)
{
	bool truth = strcmp(value, "true") == 0;
	uint64_t bits = 0;
	uint32_t number = 0;
	int64_t sign = 0;
	int r = 0;

	if (row->form == FORM_BOOL) {
		if (!truth && strcmp(value, "false") != 0)
			return field_fail(reader, "neither true nor false");
		memcpy(field, &truth, sizeof(truth));
		return 0;
	}
	if (row->form == FORM_WORD) {
		r = parse_word(reader, row, value, &number);
	} else if (row->form == FORM_I32) {
		if (text_parse_i64(value, INT32_MIN, INT32_MAX, &sign) < 0)
			return field_fail(reader, "is no number");
		number = (uint32_t)(int32_t)sign;
	} else if (row->form == FORM_OCTAL) {
		for (; *value >= '0' && *value <= '7' && bits < 01000000;
		     value++)
			bits = bits * 8 + (uint64_t)(*value - '0');
		if (*value)
			return field_fail(reader, "is no octal number");
		number = (uint32_t)bits;
	} else {
		r = parse_u32(reader, value, &number);
	}
	memcpy(field, &number, sizeof(number));
	return r;
}

static int
parse_bytes(struct reader *reader, const char *value, void *field)
{
	struct bootstrap_bytes *bytes = field;

	return unescape(reader, value, &bytes->data, &bytes->size);
}

static int
parse_value(struct reader *reader, enum bootstrap_attr attr, char *value)
{
	struct bootstrap *msg = &reader->document->msg;
	const struct field_row *row = &field_rows[attr];
	void *field = (char *)msg + bootstrap_rows[attr].offset;
	const char *text = NULL;
	int r;

	switch (row->form) {
	case FORM_FLAGS:
		return parse_flags(reader, value, &msg->clone_flags);
	case FORM_TEXT:
		r = unescape_text(reader, value, &text);
		memcpy(field, &text, sizeof(text));
		return r;
	case FORM_UID_MAP:
		return unescape(reader, value, &msg->uid_map,
				&msg->uid_map_size);
	case FORM_GID_MAP:
		return unescape(reader, value, &msg->gid_map,
				&msg->gid_map_size);
	case FORM_BYTES:
		return parse_bytes(reader, value, field);
	case FORM_WORDS:
		return parse_list(reader, row, value, msg->fd_roles,
				  &msg->n_fd_roles);
	case FORM_NUMBERS:
		return parse_list(reader, row, value, msg->groups,
				  &msg->n_groups);
	case FORM_BLOCK:
		return parse_block(reader, value);
	case FORM_CAPS:
		return parse_caps(reader, value);
	default:
		return parse_scalar(reader, row, value, field);
	}
}

int
bootstrap_field_apply(struct bootstrap_document *document, const char *name,
		      const char *value, struct bootstrap_text_error *ret_error)
{
	struct reader reader = { document, name, ret_error };
	struct bootstrap *msg = &document->msg;
	char *copy;
	int attr;

	for (attr = 0; attr < N_BOOTSTRAP_ATTRS; attr++)
		if (strcmp(field_rows[attr].name, name) == 0)
			break;
	if (attr == N_BOOTSTRAP_ATTRS)
		return field_fail(&reader, "no attribute has this name");
	copy = arena_text(&document->arena, value, strlen(value));
	if (!copy)
		return -ENOMEM;
	if (field_rows[attr].form >= FORM_JOIN) {
		bootstrap_mark(msg, (enum bootstrap_attr)attr);
		return parse_record(&reader, field_rows[attr].form, copy);
	}
	if (bootstrap_has(msg, (enum bootstrap_attr)attr))
		return field_fail(&reader, "is there twice");
	bootstrap_mark(msg, (enum bootstrap_attr)attr);
	return parse_value(&reader, (enum bootstrap_attr)attr, copy);
}
