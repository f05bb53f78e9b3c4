/* SPDX-License-Identifier: Apache-2.0 */
/* Strict numbers, escaping, UTF-8, ids. See text.h. */
#include "lib/text.h"

#include <errno.h>
#include <string.h>

int
text_parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	const char *p;

	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return -EINVAL;
	for (p = text; *p; p++)
		if (*p < '0' || *p > '9')
			return -EINVAL;
	for (p = text; *p; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	if (value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

int
text_parse_u32(const char *text, uint32_t *ret)
{
	uint64_t value = 0;
	int r;

	r = text_parse_u64(text, UINT32_MAX, &value);
	if (r < 0)
		return r;
	*ret = (uint32_t)value;
	return 0;
}

int
text_parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = text[0] == '-';
	uint64_t value = 0;
	int64_t number;
	int r;

	r = text_parse_u64(text + negative, INT64_MAX, &value);
	if (r < 0)
		return r;
	number = negative ? -(int64_t)value : (int64_t)value;
	if (number < min || number > max)
		return -ERANGE;
	*ret = number;
	return 0;
}

/* Length of the UTF-8 sequence at p (1 to 4), or 0 if it is not one. */
static size_t
utf8_length(const unsigned char *p, size_t left)
{
	uint32_t code;
	size_t i, n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (left < n)
		return 0;
	code = p[0] & (0xffu >> (n + 1));
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = (code << 6) | (p[i] & 0x3fu);
	}
	if ((n == 3 && code < 0x800) || (n == 4 && code < 0x10000))
		return 0;
	if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return n;
}

bool
text_is_utf8(const void *data, size_t size)
{
	const unsigned char *p = data;
	size_t i = 0, n;

	while (i < size) {
		n = p[i] ? utf8_length(p + i, size - i) : 0;
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

char *
text_escape(char *out, size_t out_size, const void *data, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = data;
	size_t i = 0, o = 0, n;
	char piece[4];

	if (out_size == 0)
		return out;
	while (i < size) {
		size_t used = 1;

		n = utf8_length(p + i, size - i);
		if (p[i] == '\\') {
			memcpy(piece, "\\\\", 2);
			n = 2;
		} else if (n == 0 || p[i] < 0x20 || p[i] == 0x7f) {
			piece[0] = '\\';
			piece[1] = 'x';
			piece[2] = hex[p[i] >> 4];
			piece[3] = hex[p[i] & 15];
			n = 4;
		} else {
			memcpy(piece, p + i, n);
			used = n;
		}
		if (o + n >= out_size)
			break;
		memcpy(out + o, piece, n);
		o += n;
		i += used;
	}
	out[o] = '\0';
	return out;
}

bool
text_is_id(const char *text, size_t size)
{
	size_t i;

	if (size < 1 || size > 64)
		return false;
	for (i = 0; i < size; i++) {
		char c = text[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			     (c >= 'A' && c <= 'Z');

		if (!alnum && (i == 0 || (c != '_' && c != '.' && c != '-')))
			return false;
	}
	return true;
}
