/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as printable ASCII and back, for the text form of a message: nothing
 * is lost and nothing can break a line or a record. See bootstrap_text.h.
 */
#include <errno.h>

#include "proto/bootstrap_fields.h"

void
bootstrap_escape(FILE *out, const void *data, size_t size, bool in_record)
{
	const unsigned char *bytes = data;
	size_t i;

	for (i = 0; i < size; i++) {
		unsigned char c = bytes[i];

		if (c == '\n')
			fputs("\\n", out);
		else if (c == '\0')
			fputs("\\0", out);
		else if (c == '\\')
			fputs("\\\\", out);
		else if (c < 0x20 || c > 0x7e || (c == ' ' && in_record))
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One escape after its backslash: the characters it took, or -1. */
static int
unescape_one(const char *at, char *ret)
{
	switch (at[0]) {
	case 'n':
		*ret = '\n';
		return 1;
	case '0':
		*ret = '\0';
		return 1;
	case '\\':
		*ret = '\\';
		return 1;
	case 'x':
		if (hex_digit(at[1]) < 0 || hex_digit(at[2]) < 0)
			return -1;
		*ret = (char)(hex_digit(at[1]) * 16 + hex_digit(at[2]));
		return 3;
	default:
		return -1;
	}
}

int
bootstrap_unescape(const char *value, char *ret, size_t *ret_size)
{
	size_t n = 0;
	int took;

	while (*value) {
		if (*value != '\\') {
			ret[n++] = *value++;
			continue;
		}
		took = unescape_one(value + 1, &ret[n]);
		if (took < 0)
			return -EINVAL;
		n++;
		value += 1 + took;
	}
	ret[n] = '\0';
	*ret_size = n;
	return 0;
}
