/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log; see log.h. Its level and its way out are the one thing here that is
 * known to the whole process and set once, before there is any other.
 *
 * Every message is one line and every field one value: names from outside come
 * escaped by their modules, and a control character that still comes through
 * is made harmless here, so that no caller can forge a line or a field.
 */
#include "daemon/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/notify.h"
#include "lib/text.h"
#include "lib/util.h"

#define TEXT_MAX 1024
#define FIELDS_MAX 16

static struct {
	enum log_level level;
	bool journal;
} state = { .level = LOG_LEVEL_NOTICE };

static const struct {
	const char *name;
	enum log_level level;
} levels[] = {
	{ "error", LOG_LEVEL_ERROR },	{ "warning", LOG_LEVEL_WARNING },
	{ "notice", LOG_LEVEL_NOTICE }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
};

void
log_init(enum log_level level)
{
	state.level = level;
	state.journal = notify_stderr_is_journal();
}

int
log_level_parse(const char *text, enum log_level *ret)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(levels[i].name, text) == 0) {
			*ret = levels[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

const char *
log_level_name(enum log_level level)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(levels); i++)
		if (levels[i].level == level)
			return levels[i].name;
	return "notice";
}

/* False: the journal did not take it. */
static bool
write_journal(enum log_level level, const struct log_field *fields,
	      size_t n_fields, const char *text)
{
	char lines[FIELDS_MAX + 2][TEXT_MAX + 64];
	struct iovec iov[FIELDS_MAX + 2];
	char value[TEXT_MAX];
	size_t i, n = 0;

	snprintf(lines[n++], sizeof(lines[0]), "MESSAGE=%s", text);
	snprintf(lines[n++], sizeof(lines[0]), "PRIORITY=%d", (int)level);
	for (i = 0; i < n_fields && n < ARRAY_SIZE(lines); i++) {
		if (!fields[i].value)
			continue;
		text_escape(value, sizeof(value), fields[i].value,
			    strlen(fields[i].value));
		snprintf(lines[n++], sizeof(lines[0]), "%.40s=%s",
			 fields[i].name, value);
	}
	for (i = 0; i < n; i++)
		iov[i] = (struct iovec){ lines[i], strlen(lines[i]) };
	return notify_journal(iov, (int)n) == 0;
}

/* One write() a line, so that lines of several processes do not mix. */
static void
write_stderr(const char *text)
{
	char line[TEXT_MAX + 16];
	int n = snprintf(line, sizeof(line), "nsexecd: %s\n", text);

	if (n > 0)
		(void)!write(STDERR_FILENO, line, (size_t)n);
}

/* Cut a text to lines of one: what is no printable text becomes '?'. */
static void
make_one_line(char *text)
{
	size_t size = strlen(text);
	unsigned char *p;

	for (p = (unsigned char *)text; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
	if (text_is_utf8(text, size))
		return;
	for (p = (unsigned char *)text; *p; p++)
		if (*p >= 0x80)
			*p = '?';
}

void
log_write(enum log_level level, const struct log_field *fields, size_t n_fields,
	  const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;
	int n;

	if (level > state.level)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	make_one_line(text);
	if (!state.journal || !write_journal(level, fields, n_fields, text))
		write_stderr(text);
}

void
log_error_record(enum log_level level, const char *container,
		 const struct error *error)
{
	const struct failure *failure = &error->failure;
	char text[TEXT_MAX], number[16];
	const struct log_field fields[] = {
		{ "NSEXECD_CONTAINER", container },
		{ "NSEXECD_CODE", errcode_row(error->code)->name },
		{ "NSEXECD_STAGE", stage_name(failure->stage) },
		{ "NSEXECD_STEP", failure->step },
		{ "NSEXECD_SYSCALL", failure->syscall },
		{ "ERRNO", failure->error ? number : NULL },
		{ "NSEXECD_OBJECT", failure->object },
		{ "NSEXECD_RULE", error->rule },
		{ "NSEXECD_HINT", error->hint },
	};

	snprintf(number, sizeof(number), "%d", failure->error);
	error_message(error, text, sizeof(text));
	if (container)
		log_write(level, fields, ARRAY_SIZE(fields), "container %s: %s",
			  container, text);
	else
		log_write(level, fields, ARRAY_SIZE(fields), "%s", text);
}
