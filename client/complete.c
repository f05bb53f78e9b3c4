/* SPDX-License-Identifier: Apache-2.0 */
/* See complete.h. */
#include "config.h"

#include "client/complete.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

#define DAEMON_TIMEOUT_MS 1000

/* A reading of the words before the last one. */
struct reading {
	struct ctl *ctl;
	struct ctl_options options; /* what holds now */
	const struct ctl_command *command;
	const struct ctl_word *word;
	const struct ctl_option *pending; /* its argument comes next */
	size_t n_operands;
	bool only_operands; /* after "--" */
	bool payload;	    /* the rest is a program's */
};

static void
put(const char *prefix, const char *word, const char *text)
{
	printf("%s%s", prefix, word);
	if (text)
		printf("\t%.*s", (int)strcspn(text, "\n"), text);
	putchar('\n');
}

static void
put_if(const char *begun, const char *word, const char *text)
{
	if (strncmp(word, begun, strlen(begun)) == 0)
		put("", word, text);
}

/* --- reading ------------------------------------------------------------- */

static const struct ctl_option *
find_long(const struct reading *reading, const char *name, size_t size)
{
	for (size_t i = 0; i < reading->options.n; i++) {
		const struct ctl_option *option = &reading->options.items[i];

		if (option->name && strlen(option->name) == size &&
		    memcmp(option->name, name, size) == 0)
			return option;
	}
	return NULL;
}

static const struct ctl_option *
find_letter(const struct reading *reading, char letter)
{
	for (size_t i = 0; i < reading->options.n; i++) {
		if (reading->options.items[i].letter == letter)
			return &reading->options.items[i];
	}
	return NULL;
}

static void
read_option(struct reading *reading, const char *word)
{
	const struct ctl_option *option;
	const size_t size = strcspn(word, "=");

	if (word[1] == '-') {
		option = find_long(reading, word + 2, size - 2);
		if (option && option->arg && !option->arg_optional &&
		    !word[size])
			reading->pending = option;
		return;
	}
	for (const char *p = word + 1; *p; p++) {
		option = find_letter(reading, *p);
		if (!option || !option->arg)
			continue;
		if (!p[1] && !option->arg_optional)
			reading->pending = option;
		return;
	}
}

static enum ctl_operand
operand_kind(const struct reading *reading)
{
	if (!reading->command)
		return CTL_OPERAND_NONE;
	if (reading->word)
		return reading->word->operand;
	return reading->n_operands == 0 ? reading->command->operand
					: reading->command->further;
}

static void
read_command(struct reading *reading, const char *name)
{
	for (const struct ctl_command *row = ctl_commands; row->name; row++) {
		if (strcmp(row->name, name) != 0 &&
		    (!row->alias || strcmp(row->alias, name) != 0))
			continue;
		reading->command = row;
		if (row->argp)
			ctl_options_read(row->argp, &reading->options);
		return;
	}
	reading->payload = true; /* no such command: nothing is known */
}

static void
read_operand(struct reading *reading, const char *text)
{
	const struct ctl_word *word;

	if (!reading->command) {
		read_command(reading, text);
		reading->only_operands = false;
		return;
	}
	for (word = reading->command->words;
	     word && word->name && !reading->word && !reading->n_operands;
	     word++) {
		if (strcmp(word->name, text) != 0)
			continue;
		reading->word = word;
		if (word->argp)
			ctl_options_read(word->argp, &reading->options);
		return;
	}
	if (operand_kind(reading) == CTL_OPERAND_COMMAND)
		reading->payload = true;
	reading->n_operands++;
}

static void
read_word(struct reading *reading, const char *word)
{
	if (reading->payload)
		return;
	if (reading->pending)
		reading->pending = NULL;
	else if (strcmp(word, "--") == 0)
		reading->only_operands = true;
	else if (word[0] == '-' && word[1] && !reading->only_operands)
		read_option(reading, word);
	else
		read_operand(reading, word);
}

/* --- what may come ------------------------------------------------------- */

static void
put_containers(const struct reading *reading, const char *begun)
{
	struct nsexec_call *call = NULL;
	struct nsexec_list *list = NULL;
	struct nsexec *nsexec;

	if (nsexec_connect(reading->ctl->host, &nsexec) < 0)
		return;
	if (nsexec_call_list(nsexec, &call) >= 0 &&
	    nsexec_call_await(call, DAEMON_TIMEOUT_MS) >= 0 &&
	    nsexec_call_get_list(call, &list) >= 0) {
		for (size_t i = 0; i < list->n_items; i++) {
			const struct nsexec_info *item = list->items[i];

			put_if(begun, item->id, nsexec_state_name(item->state));
			if (item->name)
				put_if(begun, item->name,
				       nsexec_state_name(item->state));
		}
	}
	nsexec_list_free(list);
	nsexec_call_free(call);
	nsexec_close(nsexec);
}

static const char *
kind_name(unsigned int number)
{
	return nsexec_ns_name((enum nsexec_ns)(number + 1));
}

static const char *
type_name(unsigned int number)
{
	return nsexec_event_type_name((enum nsexec_event_type)(number + 1));
}

/* What an argument's name in a table stands for. */
static const struct {
	const char *label;
	const char *(*name)(unsigned int number); /* NULL: the shell knows */
	const char *directive;
} labels[] = {
	{ "KIND", kind_name, NULL },	      { "TYPE", type_name, NULL },
	{ "CAP", ctl_capability_name, NULL }, { "FILE", NULL, ":files" },
	{ "PATH", NULL, ":files" },	      { "DIR", NULL, ":dirs" },
};

/* One alternative of a label: "all", "KIND,...", "DIR". */
static void
put_alternative(const struct reading *reading, const char *label, size_t size,
		const char *prefix, const char *begun)
{
	const size_t comma = strcspn(begun, ",") < strlen(begun)
				     ? (size_t)(strrchr(begun, ',') - begun) + 1
				     : 0;
	char word[64];

	if (size == 0 || size >= sizeof(word))
		return;
	memcpy(word, label, size);
	word[size] = '\0';
	if (islower(word[0])) {
		if (!strpbrk(word, ":=.[") &&
		    strncmp(word, begun, strlen(begun)) == 0)
			put(prefix, word, NULL);
		return;
	}
	word[strcspn(word, ",")] = '\0';
	if (strcmp(word, "ID") == 0)
		put_containers(reading, begun);
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		const char *name;

		if (strcmp(labels[i].label, word) != 0)
			continue;
		if (labels[i].directive)
			puts(labels[i].directive);
		for (unsigned int n = 0;
		     labels[i].name && (name = labels[i].name(n)); n++) {
			if (strncmp(name, begun + comma,
				    strlen(begun + comma)) == 0)
				printf("%s%.*s%s\n", prefix, (int)comma, begun,
				       name);
		}
	}
}

/* The argument of an option. prefix: "--name=" if it stands in the word. */
static void
put_argument(const struct reading *reading, const struct ctl_option *option,
	     const char *prefix, const char *begun)
{
	const char *label = option->arg;

	while (label && *label) {
		const size_t size = strcspn(label, "|");

		put_alternative(reading, label, size, prefix, begun);
		label += size + (label[size] != '\0');
	}
}

static void
put_options(const struct reading *reading, const char *begun)
{
	const size_t size = strcspn(begun, "=");
	const struct ctl_option *option;
	char word[80];

	if (begun[0] == '-' && begun[1] == '-' && begun[size]) {
		option = find_long(reading, begun + 2, size - 2);
		(void)snprintf(word, sizeof(word), "%.*s=", (int)size, begun);
		if (option && size + 2 < sizeof(word))
			put_argument(reading, option, word, begun + size + 1);
		return;
	}
	for (size_t i = 0; i < reading->options.n; i++) {
		option = &reading->options.items[i];
		if (option->hidden)
			continue;
		if (option->letter && begun[1] != '-') {
			(void)snprintf(word, sizeof(word), "-%c",
				       option->letter);
			put_if(begun, word, option->doc);
		}
		if (option->name) {
			(void)snprintf(word, sizeof(word), "--%s",
				       option->name);
			put_if(begun, word, option->doc);
		}
	}
}

static void
put_operands(const struct reading *reading, const char *begun)
{
	if (!reading->command) {
		for (const struct ctl_command *row = ctl_commands; row->name;
		     row++) {
			if (row->summary)
				put_if(begun, row->name, row->summary);
		}
		return;
	}
	if (!reading->word && !reading->n_operands) {
		for (const struct ctl_word *word = reading->command->words;
		     word && word->name; word++)
			put_if(begun, word->name, word->summary);
	}
	switch (operand_kind(reading)) {
	case CTL_OPERAND_NONE:
		break;
	case CTL_OPERAND_ID:
		put_containers(reading, begun);
		break;
	case CTL_OPERAND_FILE:
		puts(":files");
		break;
	case CTL_OPERAND_COMMAND:
		puts(":commands");
		break;
	}
}

int
complete(struct ctl *ctl, char **words, size_t n_words)
{
	free_auto struct reading *reading = calloc(1, sizeof(*reading));
	const char *last = n_words ? words[n_words - 1] : "";
	size_t n_before = n_words ? n_words - 1 : 0;

	if (!reading)
		return -ENOMEM;
	reading->ctl = ctl;
	ctl_options_read(&main_argp, &reading->options);
	/* bash: "--new" "=" "", or "--new" "=" with nothing after it. */
	if (strcmp(last, "=") == 0)
		last = "";
	for (size_t i = 0; i < n_before; i++) {
		if (strcmp(words[i], "=") != 0)
			read_word(reading, words[i]);
	}
	if (reading->payload)
		puts(":files");
	else if (reading->pending)
		put_argument(reading, reading->pending, "", last);
	else if (*last == '-' && !reading->only_operands)
		put_options(reading, last);
	else
		put_operands(reading, last);
	return 0;
}
