/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nsexecctl bootstrap encode|decode|diff|lint: look into a bootstrap message,
 * and make one. Needs no daemon and no privilege: a runc developer can feed it
 * what strace caught. The dialect is always told, never guessed. Exit status:
 * 0, 1 (bad message, differs, findings), 2 (usage).
 */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/ctl.h"
#include "client/input.h"
#include "lib/fd.h"
#include "lib/text_stream.h"
#include "lib/util.h"
#include "proto/bootstrap_text.h"
#include "proto/ops.h"

/* Hexadecimal or JSON of the largest message is below this. */
#define INPUT_LIMIT (1024u * 1024u)
#define EXIT_BAD 1

struct options {
	struct ctl *ctl;
	enum dialect dialect;
	bool json;
	bool hex;
	const char *files[3]; /* the verb first */
	size_t n_files;
};

/* A message read and decoded; the bytes belong to it. */
struct input {
	uint8_t *bytes;
	size_t size;
	struct bootstrap msg;
};

static void
input_auto_deinit(struct input *input)
{
	free(input->bytes);
}
#define input_auto __attribute__((cleanup(input_auto_deinit)))

static const struct argp_option option_table[] = {
	{ "dialect", 'd', "D", 0, "D1, D2, M0, M1, M2, M3 or NX", 0 },
	{ "json", 'j', NULL, 0, "JSON instead of text, in and out", 0 },
	{ "hex", 'x', NULL, 0, "The message is hexadecimal (also strace -xx)",
	  0 },
	{ 0 },
};

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'd':
		options->dialect = dialect_parse(arg);
		if (options->dialect == DIALECT_NONE)
			ctl_option_error(state, "unknown dialect: %s", arg);
		return 0;
	case 'j':
		options->json = true;
		return 0;
	case 'x':
		options->hex = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->n_files == ARRAY_SIZE(options->files))
			ctl_option_error(state, "too many files");
		options->files[options->n_files++] = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int
complain(const struct options *options, const char *object, const char *text,
	 const char *hint)
{
	json_t *record;

	if (!options->json && !ctl_json(options->ctl)) {
		fprintf(stderr, "nsexecctl bootstrap: %s: %s\n", object, text);
		if (hint[0])
			fprintf(stderr, "hint: %s\n", hint);
		return EXIT_BAD;
	}
	record =
		json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:b}", "v", 1, "code",
			  "INVALID_ARGUMENT", "stage", "none", "object", object,
			  "rule", text, "hint", hint, "retryable", 0);
	if (record)
		json_dumpf(record, stderr, JSON_COMPACT);
	json_decref(record);
	fputc('\n', stderr);
	return EXIT_BAD;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Digits in pairs; blanks, quotes, '|' and the "\x" of strace are jumped
 * over, '#' begins a comment. In place. */
static int
from_hex(char *text, size_t *size)
{
	size_t i, n = 0;
	int high = -1;

	for (i = 0; text[i]; i++) {
		if (text[i] == '#') {
			i += strcspn(text + i, "\n");
			if (!text[i])
				break;
		}
		if (text[i] == '\\' && text[i + 1] == 'x') {
			i++;
			continue;
		}
		if (strchr(" \t\r\n\"|,", text[i])) {
			if (high >= 0)
				return -EINVAL;
			continue;
		}
		if (hex_value(text[i]) < 0)
			return -EINVAL;
		if (high < 0) {
			high = hex_value(text[i]);
			continue;
		}
		text[n++] = (char)(high * 16 + hex_value(text[i]));
		high = -1;
	}
	*size = n;
	return high < 0 ? 0 : -EINVAL;
}

static void
hint_dialects(const struct options *options, const struct input *input,
	      char *hint, size_t size)
{
	unsigned int others = bootstrap_other_dialects(
		options->dialect, NULL, input->bytes, input->size);
	size_t used = 0;
	int i;

	hint[0] = '\0';
	for (i = DIALECT_D1; i < N_DIALECTS; i++) {
		if (!(others & (1u << i)))
			continue;
		used += (size_t)snprintf(hint + used, size - used, "%s%s",
					 used ? ", "
					      : "these bytes are a message of ",
					 dialect_name((enum dialect)i));
	}
}

/* Read the bytes of a message. 0 or the exit status. */
static int
read_bytes(const struct options *options, const char *path, struct input *input)
{
	char *text = NULL;
	int r;

	r = input_read(path, INPUT_LIMIT, &text, &input->size);
	if (r < 0)
		return complain(options, path, strerror(-r), "");
	input->bytes = (uint8_t *)text;
	if (options->hex && from_hex(text, &input->size) < 0)
		return complain(options, path, "is no hexadecimal text", "");
	return 0;
}

static int
read_message(const struct options *options, const char *path,
	     struct input *input)
{
	uint16_t type = BOOTSTRAP_TYPE, told = 0;
	struct bootstrap_error error;
	char hint[128];
	int r;

	r = read_bytes(options, path, input);
	if (r != 0)
		return r;
	if (input->size >= NLMSG_HEADER_SIZE)
		memcpy(&told, input->bytes + 4, sizeof(told));
	if (options->dialect == DIALECT_NX && told == OP_EXEC)
		type = OP_EXEC;
	r = bootstrap_decode(options->dialect, type, input->bytes, input->size,
			     &input->msg, &error);
	if (r == 0)
		return 0;
	hint_dialects(options, input, hint, sizeof(hint));
	return complain(options, path, error.text, hint);
}

static const char *
file_or_stdin(const struct options *options)
{
	return options->n_files > 0 ? options->files[0] : "-";
}

static int
run_decode(const struct options *options)
{
	static const char *const notes[] = {
		"encoded again, the bytes differ from these: the order of "
		"attributes, the header or a bool is not as runc writes it",
	};
	input_auto struct input input = { 0 };
	size_t n_notes;
	int r;

	r = read_message(options, file_or_stdin(options), &input);
	if (r != 0)
		return r;
	n_notes = bootstrap_is_canonical(&input.msg, input.bytes, input.size)
			  ? 0
			  : 1;
	if (options->json)
		r = bootstrap_json_print(&input.msg, notes, n_notes, stdout);
	else
		r = bootstrap_text_print(&input.msg, notes, n_notes, stdout);
	return r < 0 ? complain(options, "output", strerror(-r), "") : 0;
}

static int
write_message(const struct options *options, const uint8_t *bytes, size_t size)
{
	size_t i;
	int r;

	if (!options->hex) {
		r = fd_write_all(STDOUT_FILENO, bytes, size);
		return r < 0 ? complain(options, "output", strerror(-r), "")
			     : 0;
	}
	for (i = 0; i < size; i++)
		printf("%02x%c", bytes[i],
		       i % 16 == 15 || i + 1 == size ? '\n' : ' ');
	return 0;
}

static void
document_auto_deinit(struct bootstrap_document *document)
{
	bootstrap_document_deinit(document);
}

static int
parse_document(const struct options *options, const char *path,
	       struct bootstrap_document *document)
{
	struct bootstrap_text_error error = { 0 };
	free_auto char *text = NULL;
	char where[64] = "";
	size_t size, start;
	int r;

	r = input_read(path, INPUT_LIMIT, &text, &size);
	if (r < 0)
		return complain(options, path, strerror(-r), "");
	start = strspn(text, " \t\r\n");
	if (options->json || text[start] == '{')
		r = bootstrap_json_parse(text, size, document, &error);
	else
		r = bootstrap_text_parse(text, size, document, &error);
	if (r == -ENOMEM)
		return complain(options, path, strerror(ENOMEM), "");
	if (r == 0)
		return 0;
	if (error.line > 0)
		snprintf(where, sizeof(where), "line %zu", error.line);
	return complain(options, where[0] ? where : path, error.text, "");
}

static int
run_encode(const struct options *options)
{
	__attribute__((cleanup(
		document_auto_deinit))) struct bootstrap_document document = {
		0
	};
	const char *path = file_or_stdin(options);
	free_auto uint8_t *bytes = malloc(NLMSG_MAX);
	struct bootstrap_error error;
	size_t size;
	int r;

	if (!bytes)
		return complain(options, path, strerror(ENOMEM), "");
	r = parse_document(options, path, &document);
	if (r != 0)
		return r;
	if (document.msg.dialect != options->dialect)
		return complain(options, path,
				"is written in another dialect than the one "
				"that --dialect tells",
				"write the dialect that is meant into both");
	r = bootstrap_encode(&document.msg, bytes, NLMSG_MAX, &size, &error);
	if (r < 0)
		return complain(options, path, error.text, "");
	return write_message(options, bytes, size);
}

/* "+ name: value" lines as an array of strings. */
static int
print_diff_json(char *text, bool equal)
{
	json_t *lines = json_array(), *whole;
	char *line, *save = NULL;

	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		json_array_append_new(lines, json_string(line));
	whole = json_pack("{s:i, s:b, s:o}", "v", 1, "equal", equal,
			  "differences", lines);
	if (!whole || json_dumpf(whole, stdout, JSON_INDENT(2)) < 0)
		return EXIT_BAD;
	json_decref(whole);
	putchar('\n');
	return equal ? 0 : EXIT_BAD;
}

static int
run_diff(const struct options *options)
{
	input_auto struct input a = { 0 };
	input_auto struct input b = { 0 };
	free_auto char *text = NULL;
	struct text_stream stream;
	int r, closed;
	size_t size;

	r = read_message(options, options->files[0], &a);
	if (r != 0)
		return r;
	r = read_message(options, options->files[1], &b);
	if (r != 0)
		return r;
	if (text_stream_open(&stream) < 0)
		return complain(options, "output", strerror(ENOMEM), "");
	r = bootstrap_diff(&a.msg, &b.msg, stream.out);
	closed = text_stream_close(&stream, &text, &size);
	if (r < 0 || closed < 0)
		return complain(options, "output", strerror(ENOMEM), "");
	if (options->json)
		return print_diff_json(text, r == 0);
	fputs(text, stdout);
	if (r == 0 &&
	    (a.size != b.size || memcmp(a.bytes, b.bytes, a.size) != 0))
		puts("# equal in what they say, but the bytes differ");
	return r == 0 ? 0 : EXIT_BAD;
}

static const char *
severity_name(enum bootstrap_severity severity)
{
	return severity == BOOTSTRAP_TRAP ? "trap" : "note";
}

static void
print_findings_json(const struct bootstrap_finding *findings, size_t n)
{
	json_t *list = json_array(), *whole;
	size_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(
			list,
			json_pack("{s:s, s:s, s:s}", "severity",
				  severity_name(findings[i].severity), "rule",
				  findings[i].rule, "text", findings[i].text));
	whole = json_pack("{s:i, s:o}", "v", 1, "findings", list);
	if (whole && json_dumpf(whole, stdout, JSON_INDENT(2)) == 0)
		putchar('\n');
	json_decref(whole);
}

static int
run_lint(const struct options *options)
{
	free_auto struct bootstrap_finding *findings =
		calloc(BOOTSTRAP_MAX_FINDINGS, sizeof(*findings));
	input_auto struct input input = { 0 };
	size_t i, n, n_traps = 0;
	int r;

	if (!findings)
		return complain(options, "lint", strerror(ENOMEM), "");
	r = read_message(options, file_or_stdin(options), &input);
	if (r != 0)
		return r;
	n = bootstrap_lint(&input.msg, input.bytes, input.size, findings);
	for (i = 0; i < n; i++)
		n_traps += findings[i].severity == BOOTSTRAP_TRAP;
	if (options->json)
		print_findings_json(findings, n);
	for (i = 0; i < n && !options->json; i++)
		printf("%s %s: %s\n", severity_name(findings[i].severity),
		       findings[i].rule, findings[i].text);
	return n_traps > 0 ? EXIT_BAD : 0;
}

const struct ctl_word bootstrap_words[] = {
	{ "encode", "text to message", NULL, CTL_OPERAND_FILE },
	{ "decode", "message to text", NULL, CTL_OPERAND_FILE },
	{ "diff", "compare two messages", NULL, CTL_OPERAND_FILE },
	{ "lint", "say what is known to go wrong", NULL, CTL_OPERAND_FILE },
	{ 0 },
};

/* In the order of bootstrap_words. */
static const struct verb {
	size_t min_files, max_files;
	int (*run)(const struct options *options);
} verbs[] = {
	{ 0, 1, run_encode },
	{ 0, 1, run_decode },
	{ 2, 2, run_diff },
	{ 0, 1, run_lint },
};
_Static_assert(ARRAY_SIZE(verbs) + 1 == ARRAY_SIZE(bootstrap_words),
	       "a row for each word");

const struct argp bootstrap_argp = {
	.options = option_table,
	.parser = parse_option,
	.args_doc = "encode|decode|diff|lint --dialect D [FILE|-] [FILE]",
	.doc = "Look into a bootstrap message, or make one."
	       "\vencode reads the text or JSON that decode prints and writes "
	       "the message; diff compares two; lint says what is legal but "
	       "known to go wrong. Exit status: 0, 1 bad message, difference "
	       "or trap found, 2 usage.",
};

int
cmd_bootstrap(struct ctl *ctl, int argc, char **argv)
{
	struct options options = { .ctl = ctl, .dialect = DIALECT_NONE };
	struct ctl_line line = { argc, argv, false, 0 };
	const struct verb *verb = NULL;
	size_t i;

	ctl_parse(ctl, &bootstrap_argp, &line, &options);
	for (i = 0; i < ARRAY_SIZE(verbs) && options.n_files > 0; i++)
		if (strcmp(bootstrap_words[i].name, options.files[0]) == 0)
			verb = &verbs[i];
	if (!verb || options.n_files - 1 < verb->min_files ||
	    options.n_files - 1 > verb->max_files)
		return ctl_usage(ctl, "write encode, decode or lint with at "
				      "most one FILE, or diff with two");
	if (options.dialect == DIALECT_NONE)
		return ctl_usage(ctl, "which dialect? write --dialect D1, D2, "
				      "M0, M1, M2, M3 or NX");
	options.n_files--;
	memmove(options.files, options.files + 1,
		options.n_files * sizeof(options.files[0]));
	return verb->run(&options);
}
