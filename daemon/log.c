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

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/notify.h"
#include "lib/text.h"
#include "lib/util.h"

#define TEXT_MAX 1024
#define FIELDS_MAX 32

static struct {
	enum log_level level;
	bool journal;
	bool may_block; /* stderr is a pipe, socket or terminal */
	uint64_t lost, lost_told;
} state = { .level = LOG_LEVEL_NOTICE, .may_block = true };

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
	struct stat st;

	state.level = level;
	state.journal = notify_stderr_is_journal();
	state.may_block = fstat(STDERR_FILENO, &st) < 0 || !S_ISREG(st.st_mode);
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

uint64_t
log_lost(void)
{
	return state.lost;
}

/* False: the journal did not take it. */
static bool
send_journal(enum log_level level, const struct log_field *fields,
	     size_t n_fields, const char *text)
{
	char lines[FIELDS_MAX + 3][TEXT_MAX + 64];
	struct iovec iov[FIELDS_MAX + 3];
	char value[TEXT_MAX];
	size_t i, n = 0;

	snprintf(lines[n++], sizeof(lines[0]), "MESSAGE=%s", text);
	snprintf(lines[n++], sizeof(lines[0]), "PRIORITY=%d", (int)level);
	snprintf(lines[n++], sizeof(lines[0]), "SYSLOG_IDENTIFIER=nsexecd");
	for (i = 0; i < n_fields && n < ARRAY_SIZE(lines); i++) {
		if (!fields[i].value || !fields[i].value[0])
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

/*
 * One write() a line, so that lines of several processes do not mix. A pipe or
 * terminal that nobody reads must not stop the daemon.
 */
static bool
send_stderr(const char *text)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	char line[TEXT_MAX + 16];
	int n = snprintf(line, sizeof(line), "nsexecd: %s\n", text);

	if (n < 0 || (state.may_block && poll(&p, 1, 0) <= 0))
		return false;
	return write(STDERR_FILENO, line, (size_t)n) == n;
}

static void
tell_lost(void)
{
	char text[96], count[24];
	const struct log_field field = { "NSEXECD_LOST", count };
	bool told;

	snprintf(count, sizeof(count), "%llu",
		 (unsigned long long)(state.lost - state.lost_told));
	snprintf(text, sizeof(text), "log: %s messages were lost: it took none",
		 count);
	told = state.journal ? send_journal(LOG_LEVEL_WARNING, &field, 1, text)
			     : send_stderr(text);
	if (told)
		state.lost_told = state.lost;
}

static void
send_line(enum log_level level, const struct log_field *fields, size_t n_fields,
	  const char *text)
{
	bool sent = state.journal ? send_journal(level, fields, n_fields, text)
				  : send_stderr(text);

	if (!sent)
		state.lost++;
	else if (state.lost != state.lost_told)
		tell_lost();
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
	send_line(level, fields, n_fields, text);
}

/* " op=Run decision=allow ..."; what does not fit is left out. */
static void
format_fields(const struct log_field *fields, size_t n_fields, char *text)
{
	static const char prefix[] = "NSEXECD_";
	size_t used = strlen(text);
	char value[256];

	for (size_t i = 0; i < n_fields; i++) {
		const char *name = fields[i].name;
		int n;

		if (!fields[i].value || !fields[i].value[0] ||
		    strncmp(name, prefix, strlen(prefix)) != 0)
			continue;
		text_escape(value, sizeof(value), fields[i].value,
			    strlen(fields[i].value));
		n = snprintf(text + used, TEXT_MAX - used,
			     strchr(value, ' ') ? " %s=\"%s\"" : " %s=%s",
			     name + strlen(prefix), value);
		if (n < 0 || (size_t)n >= TEXT_MAX - used)
			break;
		for (; text[used] && text[used] != '='; used++)
			text[used] = (char)tolower((unsigned char)text[used]);
		used += strlen(text + used);
	}
	text[used] = '\0';
}

void
log_audit(const struct log_field *fields, size_t n_fields)
{
	char text[TEXT_MAX] = "audit:";

	if (!state.journal && state.level < LOG_LEVEL_INFO)
		return;
	format_fields(fields, n_fields, text);
	make_one_line(text);
	send_line(LOG_LEVEL_INFO, fields, n_fields, text);
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
