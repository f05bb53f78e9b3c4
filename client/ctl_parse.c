/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines by argp, with failures as typed records.
 *
 * argp and getopt print what they object to themselves, as text. So a line is
 * scanned first, by getopt_long(3) and the same tables, silently: what argp
 * would object to is reported from here, and --json counts wherever it stands.
 * An option's own parser reports by ctl_option_error().
 */
#include "config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl.h"
#include "lib/util.h"

/* What getopt_long(3) returns for the option items[i] of a table. */
#define LONG_BASE 0x10000

static void
options_add(struct ctl_options *to, const struct ctl_option *option)
{
	assert(to->n < CTL_MAX_OPTIONS);
	to->items[to->n++] = *option;
}

static void
options_read_group(struct ctl_options *to, const struct argp *argp)
{
	const struct argp_option *row = argp->options, *own = row;

	/* argp's own end of a table: nothing of these is set. */
	for (; row && (row->key || row->name || row->doc || row->group);
	     row++) {
		const bool letter =
			row->key > 0 && row->key < 128 && isgraph(row->key);

		if (!(row->flags & OPTION_ALIAS))
			own = row;
		if ((!row->name && !letter) || (row->flags & OPTION_DOC))
			continue;
		options_add(to,
			    &(struct ctl_option){
				    .name = row->name,
				    .letter = letter ? row->key : 0,
				    .arg = own->arg,
				    .arg_optional = (own->flags &
						     OPTION_ARG_OPTIONAL) != 0,
				    .hidden = (own->flags & OPTION_HIDDEN) != 0,
				    .doc = own->doc,
				    .key = row->key,
			    });
	}
	for (const struct argp_child *child = argp->children;
	     child && child->argp; child++)
		options_read_group(to, child->argp);
}

void
ctl_options_read(const struct argp *argp, struct ctl_options *ret)
{
	ret->n = 0;
	options_read_group(ret, argp);
	/* argp brings these to every table. */
	options_add(ret, &(struct ctl_option){ .name = "help",
					       .letter = '?',
					       .doc = "List the options" });
	options_add(ret, &(struct ctl_option){ .name = "usage",
					       .doc = "Show how to write it" });
}

/* The tables in getopt's form. */
struct getopt_tables {
	struct option longs[CTL_MAX_OPTIONS + 1];
	char letters[3 * CTL_MAX_OPTIONS + 3];
};

static void
tables_build(const struct ctl_options *options, bool payload,
	     struct getopt_tables *ret)
{
	size_t n_longs = 0, size = 0;

	memset(ret, 0, sizeof(*ret));
	if (payload)
		ret->letters[size++] = '+';
	ret->letters[size++] = ':';
	for (size_t i = 0; i < options->n; i++) {
		const struct ctl_option *option = &options->items[i];
		const int colons = !option->arg		  ? 0
				   : option->arg_optional ? 2
							  : 1;

		if (option->name)
			ret->longs[n_longs++] =
				(struct option){ option->name, colons, NULL,
						 LONG_BASE + (int)i };
		/* '?' is getopt's word for an error. */
		if (option->letter && option->letter != '?') {
			ret->letters[size++] = (char)option->letter;
			for (int c = 0; c < colons; c++)
				ret->letters[size++] = ':';
		}
	}
}

/* The option of a value that getopt returned; NULL: no such. */
static const struct ctl_option *
option_find(const struct ctl_options *options, int value)
{
	if (value >= LONG_BASE && (size_t)(value - LONG_BASE) < options->n)
		return &options->items[value - LONG_BASE];
	for (size_t i = 0; i < options->n; i++) {
		if (options->items[i].letter &&
		    options->items[i].letter == value)
			return &options->items[i];
	}
	return NULL;
}

static bool
is_ambiguous(const struct ctl_options *options, const char *word)
{
	const size_t size = strcspn(word, "=");

	for (size_t i = 0; i < options->n; i++) {
		if (options->items[i].name &&
		    strncmp(options->items[i].name, word, size) == 0)
			return true;
	}
	return false;
}

/* What getopt refused, told by its variables. */
static void
describe(const struct ctl_options *options, bool missing, const char *word,
	 struct ctl_complaint *ret)
{
	const struct ctl_option *option =
		optopt ? option_find(options, optopt) : NULL;

	if (optopt && optopt < LONG_BASE)
		(void)snprintf(ret->object, sizeof(ret->object), "-%c", optopt);
	else if (option)
		(void)snprintf(ret->object, sizeof(ret->object), "--%s",
			       option->name);
	else
		(void)snprintf(ret->object, sizeof(ret->object), "%.*s",
			       (int)strcspn(word, "="), word);
	(void)snprintf(ret->rule, sizeof(ret->rule), "%s%s",
		       missing	? "needs "
		       : option ? "takes no argument"
		       : is_ambiguous(options, word + strspn(word, "-")) &&
				       !optopt
			       ? "may be one of several options"
			       : "is no option",
		       missing ? option->arg : "");
}

/* What decides how a failure is told counts wherever it stands. A wrong value
 * is argp's to refuse. */
static void
note_option(struct ctl *ctl, const struct ctl_option *option, const char *arg)
{
	if (option->name && strcmp(option->name, "json") == 0)
		ctl->output = CTL_OUTPUT_JSON;
	else if (option->letter == 'o' && arg)
		(void)!ctl_parse_output(arg, &ctl->output);
	else if (option->name && strcmp(option->name, "compat") == 0 && arg)
		ctl->compat_runc = strcmp(arg, "runc") == 0;
}

/* Walk the line. false and *ret: the first thing that is wrong with it. */
static bool
scan(struct ctl *ctl, const struct ctl_options *options,
     const struct ctl_line *line, struct ctl_complaint *ret)
{
	struct getopt_tables tables;
	bool good = true;
	int value;

	tables_build(options, line->payload, &tables);
	opterr = 0;
	optind = 0;
	while ((value = getopt_long(line->argc, line->argv, tables.letters,
				    tables.longs, NULL)) != -1) {
		const struct ctl_option *option = option_find(options, value);
		const bool wrong = value == ':' || value == '?';

		if ((value == '?' && optopt == '?') ||
		    (!wrong && option && option->name &&
		     (strcmp(option->name, "help") == 0 ||
		      strcmp(option->name, "usage") == 0)))
			return good;
		if (wrong && good)
			describe(options, value == ':',
				 line->argv[optind > 1 ? optind - 1 : 1], ret);
		good = good && !wrong;
		if (!wrong && option)
			note_option(ctl, option, optarg);
	}
	return good;
}

/* A copy of the line is scanned: getopt moves operands to the end. */
static int
scan_line(struct ctl *ctl, const struct argp *argp, const struct ctl_line *line)
{
	const size_t size = (size_t)line->argc + 1;
	free_auto struct ctl_options *options = malloc(sizeof(*options));
	free_auto char **argv = calloc(size, sizeof(*argv));
	const struct ctl_line copy = { line->argc, argv, line->payload, 0 };
	struct ctl_complaint complaint;

	if (!options || !argv)
		return ctl_report_local(ctl, -ENOMEM, "read", "the options");
	memcpy(argv, line->argv, size * sizeof(*argv));
	ctl_options_read(argp, options);
	if (scan(ctl, options, &copy, &complaint))
		return 0;
	return ctl_usage_option(ctl, &complaint);
}

static int
output_from_environment(struct ctl *ctl)
{
	const char *output = getenv("NSEXEC_OUTPUT");

	if (ctl->output != CTL_OUTPUT_DEFAULT || !output || !*output ||
	    ctl_parse_output(output, &ctl->output) >= 0)
		return 0;
	return ctl_usage(ctl, "NSEXEC_OUTPUT=%s is not table, json or jsonl",
			 output);
}

void
ctl_parse(struct ctl *ctl, const struct argp *argp, struct ctl_line *line,
	  void *input)
{
	char *const first = line->argv[0];
	char name[64];
	int status;

	(void)snprintf(name, sizeof(name), "nsexecctl %s", ctl->command);
	if (strcmp(ctl->command, "nsexecctl") != 0)
		line->argv[0] = name;
	status = output_from_environment(ctl);
	if (!status)
		status = scan_line(ctl, argp, line);
	if (status)
		exit(status);
	/* An argp without ARGP_KEY_ARG leaves operands to us. */
	if (argp_parse(argp, line->argc, line->argv,
		       line->payload ? ARGP_IN_ORDER : 0, &line->index,
		       input) != 0)
		exit(argp_err_exit_status);
	line->argv[0] = first;
}

void
ctl_option_error(const struct argp_state *state, const char *fmt, ...)
{
	/* Every input begins with its struct ctl (ctl.h). */
	const struct ctl *ctl = *(struct ctl *const *)state->input;
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	exit(ctl_usage(ctl, "%s", text));
}
