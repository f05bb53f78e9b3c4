/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See process_file.h. The text is prepared first: jansson has no depth limit
 * of ours, and no integers over 63 bits, of which an unlimited resource limit
 * (2^64-1) is one. Those become {"<key>": "digits"}, which only get_u64()
 * takes; a file that says so itself gains nothing.
 */
#include "config.h"

#include "client/process_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "lib/text_stream.h"
#include "lib/util.h"
#include "proto/json_load.h"

#define BIG_KEY "\\u0001"
#define BIG_KEY_READ "\001"
/* More than any digits of a 64 bit number, and than the frame around them. */
#define BIG_SIZE 40

struct reader {
	const struct process_opts *opts;
	struct ctl_complaint *complaint;
	unsigned int limits_seen;
};

static int printf_like(3, 4) refuse(const struct reader *reader,
				    const char *field, const char *fmt, ...)
{
	va_list args;

	(void)snprintf(reader->complaint->object,
		       sizeof(reader->complaint->object), "%s", field);
	va_start(args, fmt);
	(void)vsnprintf(reader->complaint->rule,
			sizeof(reader->complaint->rule), fmt, args);
	va_end(args);
	return -EINVAL;
}

/* --- the text ------------------------------------------------------------ */

/* A number begins at text: copy it, in a frame if jansson cannot take it. */
static size_t
copy_number(const char *text, FILE *out)
{
	const size_t size = strspn(text, "-+.eE0123456789");
	char digits[BIG_SIZE];
	uint64_t number;

	if (size < sizeof(digits) && strspn(text, "0123456789") == size) {
		memcpy(digits, text, size);
		digits[size] = '\0';
		if (text_parse_u64(digits, UINT64_MAX, &number) == 0 &&
		    number > INT64_MAX) {
			fprintf(out, "{\"" BIG_KEY "\":\"%s\"}", digits);
			return size;
		}
	}
	fwrite(text, 1, size, out);
	return size;
}

/* Depth is held, big numbers are framed; the rest is jansson's to judge. */
static int
prepare(const struct reader *reader, const char *text, size_t size, FILE *out)
{
	bool in_string = false;
	unsigned int depth = 0;

	for (size_t i = 0; i < size;) {
		const char c = text[i];

		if (in_string && c == '\\' && i + 1 < size) {
			fwrite(text + i, 1, 2, out);
			i += 2;
			continue;
		}
		if (c == '"')
			in_string = !in_string;
		if (!in_string && (c == '{' || c == '[') &&
		    ++depth > PROCESS_FILE_MAX_DEPTH)
			return refuse(reader, "process",
				      "is nested more than %d deep",
				      PROCESS_FILE_MAX_DEPTH);
		if (!in_string && (c == '}' || c == ']') && depth > 0)
			depth--;
		if (!in_string && ((c >= '0' && c <= '9') || c == '-')) {
			i += copy_number(text + i, out);
			continue;
		}
		fputc(c, out);
		i++;
	}
	return 0;
}

static int
load(const struct reader *reader, const char *text, size_t size, json_t **ret)
{
	free_auto char *prepared = NULL;
	size_t prepared_size = 0;
	json_error_t error;
	struct text_stream stream;
	int r, closed;

	r = text_stream_open(&stream);
	if (r < 0)
		return r;
	r = prepare(reader, text, size, stream.out);
	closed = text_stream_close(&stream, &prepared, &prepared_size);
	if (r < 0 || closed < 0)
		return r < 0 ? r : closed;
	r = json_load(prepared, prepared_size, ret, &error);
	if (r == 0 || r == -ENOMEM)
		return r;
	return refuse(reader, "process", "is no JSON: line %d: %.80s",
		      error.line, error.text);
}

/* --- values -------------------------------------------------------------- */

static int
get_u64(const struct reader *reader, const char *field, const json_t *value,
	uint64_t max, uint64_t *ret)
{
	const char *digits =
		json_string_value(json_object_size(value) == 1
					  ? json_object_get(value, BIG_KEY_READ)
					  : NULL);

	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*ret = (uint64_t)json_integer_value(value);
		if (*ret <= max)
			return 0;
	}
	if (digits && text_parse_u64(digits, max, ret) == 0)
		return 0;
	return refuse(reader, field, "needs a number from 0 to %llu",
		      (unsigned long long)max);
}

static int
get_id(const struct reader *reader, const char *field, const json_t *value,
       uint32_t *ret)
{
	uint64_t number;
	int r = get_u64(reader, field, value, UINT32_MAX - 1, &number);

	if (r >= 0)
		*ret = (uint32_t)number;
	return r;
}

static int
get_text(const struct reader *reader, const char *field, const json_t *value,
	 const char **ret)
{
	*ret = json_string_value(value);
	return *ret ? 0 : refuse(reader, field, "needs a text");
}

/* An array, whose elements get names: "field[3]". */
static int
each(struct reader *reader, const char *field, json_t *array,
     int (*fn)(struct reader *reader, const char *field, json_t *value))
{
	char element[64];
	json_t *value;
	size_t i;
	int r;

	if (!json_is_array(array))
		return refuse(reader, field, "needs a list");
	json_array_foreach(array, i, value)
	{
		(void)snprintf(element, sizeof(element), "%s[%zu]", field, i);
		r = fn(reader, element, value);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Every member of object must be one of names. */
static int
only(const struct reader *reader, const char *field, json_t *object,
     const char *const *names)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return refuse(reader, field, "needs an object");
	json_object_foreach(object, key, value)
	{
		char name[96], escaped[64];
		size_t i = 0;

		while (names[i] && strcmp(names[i], key) != 0)
			i++;
		if (names[i])
			continue;
		(void)snprintf(name, sizeof(name), "%s.%s", field,
			       text_escape(escaped, sizeof(escaped), key,
					   strlen(key)));
		return refuse(reader, name, "is no member of an OCI process");
	}
	return 0;
}

/* --- members ------------------------------------------------------------- */

static bool
given(const struct reader *reader, enum process_given what)
{
	return reader->opts->given & (1u << what);
}

static int
read_arg(struct reader *reader, const char *field, json_t *value)
{
	const char *text;
	int r = get_text(reader, field, value, &text);

	if (r >= 0)
		nsexec_spec_arg(reader->opts->spec, text);
	return r;
}

static int
read_args(struct reader *reader, const char *field, json_t *value)
{
	if (json_is_array(value) && json_array_size(value) == 0)
		return refuse(reader, field, "needs at least the program");
	return each(reader, field, value, read_arg);
}

static int
read_variable(struct reader *reader, const char *field, json_t *value)
{
	const char *text;
	int r = get_text(reader, field, value, &text);

	if (r < 0)
		return r;
	if (*text == '=' || !strchr(text, '='))
		return refuse(reader, field, "needs NAME=VALUE");
	if (ctl_env_passes(text) &&
	    !ctl_env_sets(reader->opts->env, reader->opts->n_env, text))
		nsexec_spec_env(reader->opts->spec, text);
	return 0;
}

static int
read_env(struct reader *reader, const char *field, json_t *value)
{
	return each(reader, field, value, read_variable);
}

static int
read_cwd(struct reader *reader, const char *field, json_t *value)
{
	const char *text;
	int r = get_text(reader, field, value, &text);

	if (r < 0)
		return r;
	if (*text != '/')
		return refuse(reader, field, "needs an absolute path");
	if (!given(reader, PROCESS_GIVEN_CWD))
		nsexec_spec_cwd(reader->opts->spec, text);
	return 0;
}

static int
read_group(struct reader *reader, const char *field, json_t *value)
{
	uint32_t gid;
	int r = get_id(reader, field, value, &gid);

	if (r >= 0 && !given(reader, PROCESS_GIVEN_GROUPS))
		nsexec_spec_group(reader->opts->spec, gid);
	return r;
}

static int
read_umask(struct reader *reader, const json_t *value)
{
	uint64_t mask;
	int r;

	if (!value)
		return 0;
	r = get_u64(reader, "process.user.umask", value, 0777, &mask);
	if (r >= 0 && !given(reader, PROCESS_GIVEN_UMASK))
		nsexec_spec_umask(reader->opts->spec, (mode_t)mask);
	return r;
}

static int
read_user(struct reader *reader, const char *field, json_t *value)
{
	static const char *const names[] = { "uid", "gid", "umask",
					     "additionalGids", NULL };
	struct nsexec_spec *spec = reader->opts->spec;
	json_t *groups = json_object_get(value, "additionalGids");
	uint32_t uid, gid;
	int r = only(reader, field, value, names);

	if (r >= 0)
		r = get_id(reader, "process.user.uid",
			   json_object_get(value, "uid"), &uid);
	if (r >= 0)
		r = get_id(reader, "process.user.gid",
			   json_object_get(value, "gid"), &gid);
	if (r >= 0)
		r = read_umask(reader, json_object_get(value, "umask"));
	if (r >= 0 && groups)
		r = each(reader, "process.user.additionalGids", groups,
			 read_group);
	if (r < 0)
		return r;
	if (!given(reader, PROCESS_GIVEN_UID))
		nsexec_spec_uid(spec, uid);
	if (!given(reader, PROCESS_GIVEN_GID))
		nsexec_spec_gid(spec, gid);
	return 0;
}

static int
read_set(struct reader *reader, const char *name, const json_t *list,
	 uint64_t *ret)
{
	char field[64];
	size_t i;
	json_t *value;

	*ret = 0;
	(void)snprintf(field, sizeof(field), "process.capabilities.%s", name);
	if (!list)
		return 0;
	if (!json_is_array(list))
		return refuse(reader, field, "needs a list");
	json_array_foreach(list, i, value)
	{
		const char *text = json_string_value(value);
		char escaped[48];
		int number;

		if (!text || strncmp(text, "CAP_", 4) != 0 ||
		    ctl_parse_capability(text, &number) < 0)
			return refuse(reader, field, "\"%s\" is no capability",
				      text_escape(escaped, sizeof(escaped),
						  text ? text : "",
						  text ? strlen(text) : 0));
		*ret |= UINT64_C(1) << number;
	}
	return 0;
}

/* As in runc: a set that is not named is empty. */
static int
read_capabilities(struct reader *reader, const char *field, json_t *value)
{
	static const char *const names[] = {
		[NSEXEC_CAPS_BOUNDING] = "bounding",
		[NSEXEC_CAPS_PERMITTED] = "permitted",
		[NSEXEC_CAPS_EFFECTIVE] = "effective",
		[NSEXEC_CAPS_INHERITABLE] = "inheritable",
		[NSEXEC_CAPS_AMBIENT] = "ambient",
		NULL,
	};
	int r = only(reader, field, value, names);

	for (int set = 0; r >= 0 && names[set]; set++) {
		uint64_t mask;

		r = read_set(reader, names[set],
			     json_object_get(value, names[set]), &mask);
		if (r >= 0)
			nsexec_spec_capabilities(
				reader->opts->spec,
				(enum nsexec_capability_set)set, mask);
	}
	return r;
}

static int
read_limit(struct reader *reader, const char *field, json_t *value)
{
	static const char *const names[] = { "type", "soft", "hard", NULL };
	const char *type;
	uint64_t soft, hard;
	int resource, r = only(reader, field, value, names);

	if (r < 0)
		return r;
	type = json_string_value(json_object_get(value, "type"));
	if (!type || strncmp(type, "RLIMIT_", 7) != 0 ||
	    ctl_parse_resource(type, strlen(type), &resource) < 0)
		return refuse(reader, field,
			      "needs a type such as "
			      "RLIMIT_NOFILE");
	r = get_u64(reader, field, json_object_get(value, "soft"), UINT64_MAX,
		    &soft);
	if (r >= 0)
		r = get_u64(reader, field, json_object_get(value, "hard"),
			    UINT64_MAX, &hard);
	if (r < 0)
		return r;
	if (soft > hard)
		return refuse(reader, field, "soft is above hard");
	if (reader->limits_seen & (1u << resource))
		return refuse(reader, field, "%s stands there twice", type);
	reader->limits_seen |= 1u << resource;
	if (!(reader->opts->rlimits & (1u << resource)))
		nsexec_spec_rlimit(reader->opts->spec, resource, soft, hard);
	return 0;
}

static int
read_limits(struct reader *reader, const char *field, json_t *value)
{
	return each(reader, field, value, read_limit);
}

static int
read_no_new_privileges(struct reader *reader, const char *field, json_t *value)
{
	if (!json_is_boolean(value))
		return refuse(reader, field, "needs true or false");
	if (!given(reader, PROCESS_GIVEN_NO_NEW_PRIVS))
		nsexec_spec_no_new_privileges(reader->opts->spec,
					      json_is_true(value));
	return 0;
}

static int
read_oom_score_adj(struct reader *reader, const char *field, json_t *value)
{
	const json_int_t score = json_integer_value(value);

	if (!json_is_integer(value) || score < -1000 || score > 1000)
		return refuse(reader, field,
			      "needs a number from -1000 to 1000");
	if (!given(reader, PROCESS_GIVEN_OOM_SCORE_ADJ))
		nsexec_spec_oom_score_adj(reader->opts->spec, (int)score);
	return 0;
}

static int
read_terminal(struct reader *reader, const char *field, json_t *value)
{
	if (json_is_true(value))
		return refuse(reader, field,
			      "needs a terminal, which this release does not "
			      "have");
	return json_is_false(value)
		       ? 0
		       : refuse(reader, field, "needs true or false");
}

/* Of a terminal: without one it says nothing (OCI), but must be right. */
static int
read_console_size(struct reader *reader, const char *field, json_t *value)
{
	static const char *const names[] = { "height", "width", NULL };
	uint64_t number;
	int r = only(reader, field, value, names);

	for (size_t i = 0; r >= 0 && names[i]; i++)
		r = get_u64(reader, field, json_object_get(value, names[i]),
			    UINT16_MAX, &number);
	return r;
}

/* A label or profile: none is the same as no member. */
static int
read_empty(struct reader *reader, const char *field, json_t *value)
{
	const char *text = json_string_value(value);

	if (text && !*text)
		return 0;
	return refuse(reader, field, "is not in this release");
}

static int
read_later(struct reader *reader, const char *field, json_t *value)
{
	(void)value;
	return refuse(reader, field, "is not in this release");
}

static const struct member {
	const char *name; /* after "process." */
	int (*read)(struct reader *reader, const char *field, json_t *value);
} members[] = {
	{ "process.terminal", read_terminal },
	{ "process.consoleSize", read_console_size },
	{ "process.user", read_user },
	{ "process.args", read_args },
	{ "process.env", read_env },
	{ "process.cwd", read_cwd },
	{ "process.capabilities", read_capabilities },
	{ "process.rlimits", read_limits },
	{ "process.noNewPrivileges", read_no_new_privileges },
	{ "process.oomScoreAdj", read_oom_score_adj },
	{ "process.apparmorProfile", read_empty },
	{ "process.selinuxLabel", read_empty },
	{ "process.scheduler", read_later },
	{ "process.ioPriority", read_later },
	{ "process.execCPUAffinity", read_later },
};
#define MEMBER_NAME(member) ((member)->name + strlen("process."))

static int
read_process(struct reader *reader, json_t *root)
{
	const char *names[ARRAY_SIZE(members) + 1] = { NULL };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		names[i] = MEMBER_NAME(&members[i]);
	r = only(reader, "process", root, names);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(members); i++) {
		json_t *value = json_object_get(root, names[i]);

		if (value)
			r = members[i].read(reader, members[i].name, value);
	}
	if (r < 0)
		return r;
	if (!json_object_get(root, "args"))
		return refuse(reader, "process.args", "is missing");
	if (!json_object_get(root, "cwd") && !given(reader, PROCESS_GIVEN_CWD))
		return refuse(reader, "process.cwd", "is missing");
	return 0;
}

int
process_file_parse(const char *text, size_t size,
		   const struct process_opts *opts, struct ctl_complaint *ret)
{
	struct reader reader = { .opts = opts, .complaint = ret };
	json_t *root = NULL;
	int r = load(&reader, text, size, &root);

	if (r >= 0)
		r = read_process(&reader, root);
	json_decref(root);
	return r;
}
