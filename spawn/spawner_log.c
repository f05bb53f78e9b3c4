/* SPDX-License-Identifier: Apache-2.0 */
/* One line on standard error, or none if it would block. See spawner_log.h. */
#include "spawn/spawner_log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/text.h"

static void
log_write(int error, const char *fmt, va_list args)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	char raw[512], escaped[768], line[1024];
	int n;

	vsnprintf(raw, sizeof(raw), fmt, args);
	text_escape(escaped, sizeof(escaped), raw, strlen(raw));
	n = snprintf(line, sizeof(line), "spawner: %s%s%s\n", escaped,
		     error ? ": " : "", error ? strerror(error) : "");
	if (n <= 0)
		return;
	/* POLLOUT of a pipe promises room for PIPE_BUF, more than a line. */
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
		return;
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

void
log_error(int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_write(error, fmt, args);
	va_end(args);
}

void
log_note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_write(0, fmt, args);
	va_end(args);
}
