/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of policy files: flags, texts, ids, ranges, words, lists. Each says
 * where and why when it refuses. See policy_json_values.h.
 */
#include "proto/policy_json_values.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"

/* --- where we are, and errors ------------------------------------------- */

size_t
policy_path_add(struct policy_reader *reader, const char *fmt, ...)
{
	size_t used = strlen(reader->path);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reader->path + used, sizeof(reader->path) - used, fmt, ap);
	va_end(ap);
	return used;
}

void
policy_path_cut(struct policy_reader *reader, size_t used)
{
	reader->path[used] = '\0';
}

unsigned int
policy_scan(const char *text, size_t size, size_t nth, unsigned int *ret_line)
{
	unsigned int depth = 0, deepest = 0, line = 1;
	bool in_string = false;
	size_t i;

	*ret_line = 0;
	for (i = 0; i < size; i++) {
		if (text[i] == '\n')
			line++;
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if (text[i] == '{' || text[i] == '[') {
			if (text[i] == '{' && depth == 2 && nth-- == 0)
				*ret_line = line;
			deepest = ++depth > deepest ? depth : deepest;
		} else if ((text[i] == '}' || text[i] == ']') && depth > 0)
			depth--;
	}
	return deepest;
}

int
policy_refuse(struct policy_reader *reader, const char *remedy, const char *fmt,
	      ...)
{
	char rule[sizeof(reader->error->rule)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(rule, sizeof(rule), fmt, ap);
	va_end(ap);
	policy_error_set(reader->error, reader->file, remedy, "%s", rule);
	snprintf(reader->error->path, sizeof(reader->error->path), "%s",
		 reader->path);
	if (reader->rule)
		policy_scan(reader->text, reader->size, reader->index,
			    &reader->error->line);
	return -EINVAL;
}

const char *
policy_shown(const char *text, char buf[POLICY_SHOWN_MAX])
{
	return text_escape(buf, POLICY_SHOWN_MAX, text, strlen(text));
}

/* --- values -------------------------------------------------------------- */

int
policy_read_flag(struct policy_reader *reader, json_t *value, uint32_t *ret)
{
	if (!json_is_boolean(value))
		return policy_refuse(reader,
				     "write true or false without quotes",
				     "is no boolean");
	*ret = json_is_true(value);
	return 0;
}

int
policy_array_check(struct policy_reader *reader, json_t *value, size_t min,
		   size_t max)
{
	if (!json_is_array(value))
		return policy_refuse(reader, "write a list: [ ... ]",
				     "is no list");
	if (json_array_size(value) < min)
		return policy_refuse(reader,
				     "leave the key out, or fill the list",
				     "an empty list");
	if (json_array_size(value) > max)
		return policy_refuse(
			reader,
			"merge entries, or spread them over several "
			"rules",
			"%zu entries, and %zu are the most",
			json_array_size(value), max);
	return 0;
}

int
policy_read_string(struct policy_reader *reader, json_t *value, size_t max,
		   const char **ret)
{
	const char *text;
	size_t i;

	if (!json_is_string(value))
		return policy_refuse(reader, "write it in quotes",
				     "is no string");
	text = json_string_value(value);
	if (!text[0] || json_string_length(value) >= max)
		return policy_refuse(
			reader, "shorten it, or give it a value",
			"a text of %zu bytes, and 1 to %zu are allowed",
			json_string_length(value), max - 1);
	for (i = 0; text[i]; i++)
		if (text[i] < ' ' || text[i] > '~')
			return policy_refuse(reader, "write printable ASCII",
					     "byte %zu is not printable ASCII",
					     i);
	*ret = text;
	return 0;
}

int
policy_read_ids(struct policy_reader *reader, json_t *value,
		struct idmap_range *ret)
{
	char copy[24] = "", buf[POLICY_SHOWN_MAX], *dash;
	static const char remedy[] =
		"write 1000, or \"1000-1999\", from 0 to 4294967294";
	uint32_t first, last;

	if (json_is_integer(value)) {
		if (json_integer_value(value) < 0 ||
		    json_integer_value(value) >= UINT32_MAX)
			return policy_refuse(reader, remedy, "is no id");
		first = last = (uint32_t)json_integer_value(value);
	} else if (!json_is_string(value)) {
		return policy_refuse(reader, remedy, "is neither id nor range");
	} else {
		if (json_string_length(value) < sizeof(copy))
			memcpy(copy, json_string_value(value),
			       json_string_length(value) + 1);
		dash = strchr(copy, '-');
		if (dash)
			*dash++ = '\0';
		if (text_parse_u32(copy, &first) < 0 ||
		    text_parse_u32(dash ? dash : copy, &last) < 0 ||
		    last < first || last == UINT32_MAX)
			return policy_refuse(
				reader, remedy, "\"%s\" is no range of ids",
				policy_shown(json_string_value(value), buf));
	}
	*ret = (struct idmap_range){ first, last - first + 1 };
	return 0;
}

int
policy_read_id_list(struct policy_reader *reader, json_t *value,
		    struct idmap_range *ranges, size_t max, uint32_t *ret_n)
{
	size_t i, used;
	json_t *item;
	int r = policy_array_check(reader, value, 1, max);

	if (r < 0)
		return r;
	json_array_foreach(value, i, item)
	{
		used = policy_path_add(reader, "[%zu]", i);
		r = policy_read_ids(reader, item, &ranges[i]);
		if (r < 0)
			return r;
		policy_path_cut(reader, used);
	}
	*ret_n = (uint32_t)json_array_size(value);
	return 0;
}

int
policy_read_words(struct policy_reader *reader, json_t *value,
		  const struct policy_vocabulary *vocabulary, uint32_t *ret)
{
	uint32_t mask = 0, bit;
	char buf[POLICY_SHOWN_MAX];
	size_t i, used;
	json_t *item;
	int r = policy_array_check(reader, value, 0, 32);

	if (r < 0)
		return r;
	json_array_foreach(value, i, item)
	{
		used = policy_path_add(reader, "[%zu]", i);
		if (!json_is_string(item))
			return policy_refuse(reader, vocabulary->remedy,
					     "is no string");
		bit = vocabulary->bit(json_string_value(item));
		if (!bit)
			return policy_refuse(
				reader, vocabulary->remedy,
				"no such word: \"%s\"",
				policy_shown(json_string_value(item), buf));
		if (mask & bit)
			return policy_refuse(reader, "leave one of them out",
					     "\"%s\" is there twice",
					     json_string_value(item));
		mask |= bit;
		policy_path_cut(reader, used);
	}
	*ret = mask;
	return 0;
}

int
policy_read_patterns(struct policy_reader *reader, json_t *value, char *out,
		     size_t size)
{
	const char *text, *star;
	size_t i, used;
	json_t *item;
	int r = policy_array_check(reader, value, 1, POLICY_MAX_PATTERNS);

	if (r < 0)
		return r;
	json_array_foreach(value, i, item)
	{
		used = policy_path_add(reader, "[%zu]", i);
		r = policy_read_string(reader, item, size, &text);
		if (r < 0)
			return r;
		star = strchr(text, '*');
		if (star && star[1])
			return policy_refuse(
				reader,
				"write the beginning and one * at its "
				"end",
				"* stands before other bytes");
		memcpy(out + i * size, text, strlen(text) + 1);
		policy_path_cut(reader, used);
	}
	return 0;
}
