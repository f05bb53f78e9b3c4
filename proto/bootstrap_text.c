/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text form of a message: a header line, then one line per field; and the
 * comparison of two messages in that form. See bootstrap_text.h.
 */
#include "proto/bootstrap_text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"
#include "proto/bootstrap_fields.h"
#include "proto/ops.h"

void
bootstrap_document_deinit(struct bootstrap_document *document)
{
	arena_deinit(&document->arena);
}

static void
fields_auto_deinit(struct bootstrap_fields **fields)
{
	if (*fields)
		bootstrap_fields_deinit(*fields);
	free(*fields);
}
#define fields_auto __attribute__((cleanup(fields_auto_deinit)))

static int
fields_new(const struct bootstrap *msg, struct bootstrap_fields **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	return bootstrap_fields_build(msg, *ret);
}

int
bootstrap_text_print(const struct bootstrap *msg, const char *const *notes,
		     size_t n_notes, FILE *out)
{
	fields_auto struct bootstrap_fields *fields = NULL;
	size_t i;
	int r;

	r = fields_new(msg, &fields);
	if (r < 0)
		return r;
	fprintf(out, "bootstrap %s seq %" PRIu32 "%s\n",
		dialect_name(msg->dialect), msg->seq,
		msg->type == OP_EXEC ? " exec" : "");
	for (i = 0; i < n_notes; i++)
		fprintf(out, "# %s\n", notes[i]);
	for (i = 0; i < fields->n; i++)
		fprintf(out, "%s: %s\n", fields->items[i].name,
			fields->items[i].value);
	return 0;
}

static int
line_fail(struct bootstrap_text_error *error, const char *text)
{
	snprintf(error->text, sizeof(error->text), "%s", text);
	return -EINVAL;
}

/* "bootstrap M3 seq 1 [exec]" */
static int
parse_header(char *line, struct bootstrap *msg,
	     struct bootstrap_text_error *error)
{
	char *save = NULL;
	const char *words[6] = { "", "", "", "", "", NULL };
	size_t n = 0;
	char *word;

	for (word = strtok_r(line, " ", &save); word && n < 6;
	     word = strtok_r(NULL, " ", &save))
		words[n++] = word;
	if (n < 4 || n > 5 || strcmp(words[0], "bootstrap") != 0 ||
	    strcmp(words[2], "seq") != 0)
		return line_fail(error, "the first line must be: bootstrap "
					"DIALECT seq NUMBER [exec]");
	msg->dialect = dialect_parse(words[1]);
	if (msg->dialect == DIALECT_NONE)
		return line_fail(error, "unknown dialect");
	if (text_parse_u32(words[3], &msg->seq) < 0)
		return line_fail(error, "seq is no number of 32 bits");
	msg->type = BOOTSTRAP_TYPE;
	if (n == 5) {
		if (strcmp(words[4], "exec") != 0 || msg->dialect != DIALECT_NX)
			return line_fail(error, "only NX has exec messages");
		msg->type = OP_EXEC;
	}
	return 0;
}

static int
parse_line(struct bootstrap_document *document, char *line,
	   struct bootstrap_text_error *error)
{
	char *colon;

	if (line[0] == '#' || line[0] == '\0')
		return 0;
	if (document->msg.dialect == DIALECT_NONE)
		return parse_header(line, &document->msg, error);
	colon = strstr(line, ": ");
	if (!colon) {
		/* an empty value may have lost its blank to an editor */
		colon = line + strlen(line) - 1;
		if (*colon != ':')
			return line_fail(error, "is no \"name: value\"");
		*colon = '\0';
		return bootstrap_field_apply(document, line, "", error);
	}
	*colon = '\0';
	return bootstrap_field_apply(document, line, colon + 2, error);
}

int
bootstrap_text_parse(const char *text, size_t size,
		     struct bootstrap_document *ret,
		     struct bootstrap_text_error *ret_error)
{
	size_t at = 0;
	int r;

	memset(ret, 0, sizeof(*ret));
	memset(ret_error, 0, sizeof(*ret_error));
	if (memchr(text, '\0', size))
		return line_fail(ret_error, "there is a NUL byte in the text");
	while (at < size) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t length = end ? (size_t)(end - (text + at)) : size - at;
		char *line = arena_text(&ret->arena, text + at, length);

		if (!line)
			return -ENOMEM;
		ret_error->line++;
		r = parse_line(ret, line, ret_error);
		if (r < 0)
			return r;
		at += length + 1;
	}
	ret_error->line = 0;
	if (ret->msg.dialect == DIALECT_NONE)
		return line_fail(ret_error, "there is no header line");
	return 0;
}

static bool
field_equal(const struct bootstrap_field *a, const struct bootstrap_field *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->value, b->value) == 0;
}

/* Print the fields of a that b has not; records of a list are matched one to
 * one, whatever their order elsewhere. */
static int
print_missing(const struct bootstrap_fields *a,
	      const struct bootstrap_fields *b, char sign, FILE *out)
{
	bool taken[BOOTSTRAP_MAX_FIELDS] = { false };
	size_t i, k;
	int n = 0;

	for (i = 0; i < a->n; i++) {
		for (k = 0; k < b->n; k++)
			if (!taken[k] &&
			    field_equal(&a->items[i], &b->items[k]))
				break;
		if (k < b->n) {
			taken[k] = true;
			continue;
		}
		fprintf(out, "%c %s: %s\n", sign, a->items[i].name,
			a->items[i].value);
		n++;
	}
	return n;
}

int
bootstrap_diff(const struct bootstrap *a, const struct bootstrap *b, FILE *out)
{
	fields_auto struct bootstrap_fields *a_fields = NULL;
	fields_auto struct bootstrap_fields *b_fields = NULL;
	int r, n = 0;

	r = fields_new(a, &a_fields);
	if (r < 0)
		return r;
	r = fields_new(b, &b_fields);
	if (r < 0)
		return r;
	if (a->seq != b->seq) {
		fprintf(out, "- seq: %" PRIu32 "\n+ seq: %" PRIu32 "\n", a->seq,
			b->seq);
		n += 2;
	}
	n += print_missing(a_fields, b_fields, '-', out);
	n += print_missing(b_fields, a_fields, '+', out);
	return n;
}
