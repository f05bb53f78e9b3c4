/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log. To the journal with structured fields when stderr is the
 * journal (JOURNAL_STREAM), else one plain line to stderr, priority first as
 * "<6>" only where systemd reads it. A message is one line, lower case:
 * "noun id: cannot verb object: reason"; bytes that are no text are escaped.
 * Logged once, where a thing is decided; never on the way. Nothing here waits:
 * what cannot be written at once is counted as lost.
 */
#ifndef NSX_DAEMON_LOG_H
#define NSX_DAEMON_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

/* The numbers are syslog's priorities. */
enum log_level {
	LOG_LEVEL_NONE = 0,
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* name: upper case with underscores, such as "NSEXECD_CONTAINER". */
struct log_field {
	const char *name;
	const char *value; /* text of any bytes; NULL: left out */
};

struct error;

/* Once, first thing in main; before it everything up to notice is written. */
void log_init(enum log_level level);
/* "error", "warning", "notice", "info", "debug". 0 or -EINVAL. */
must_check int log_level_parse(const char *text, enum log_level *ret);
const char *log_level_name(enum log_level level);

void log_write(enum log_level level, const struct log_field *fields,
	       size_t n_fields, const char *fmt, ...) printf_like(4, 5);

/*
 * A record of the audit log. To the journal whatever the level is; else, from
 * level info, as one line of the fields that are not empty, by their names in
 * lower case without NSEXECD_.
 */
void log_audit(const struct log_field *fields, size_t n_fields);

/* Records that the journal or stderr did not take, and that were not waited
 * for; told in the log once it takes something again. */
uint64_t log_lost(void);

#define log_error(...) log_write(LOG_LEVEL_ERROR, NULL, 0, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, NULL, 0, __VA_ARGS__)
#define log_notice(...) log_write(LOG_LEVEL_NOTICE, NULL, 0, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, NULL, 0, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, NULL, 0, __VA_ARGS__)

/*
 * An error record with all its fields; container may be NULL. The text is
 * error_message()'s.
 */
void log_error_record(enum log_level level, const char *container,
		      const struct error *error);

#endif
