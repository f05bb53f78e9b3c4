/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nsexec says: to the parent's log pipe one JSON object a line, in the
 * exact shape that runc's log forwarder reads, or to stderr. A record is one
 * write of at most PIPE_BUF bytes, so that the stages' records never mix. A
 * full pipe that nobody reads loses the record rather than stop the stage.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"
#include "spawn/nsexec_program.h"

#define LOG_TEXT_MAX 1024
#define LOG_FULL_PIPE_TIMEOUT_MS 1000

static const char *const level_names[] = {
	[NSEXEC_LOG_PANIC] = "panic", [NSEXEC_LOG_FATAL] = "fatal",
	[NSEXEC_LOG_ERROR] = "error", [NSEXEC_LOG_WARNING] = "warning",
	[NSEXEC_LOG_INFO] = "info",   [NSEXEC_LOG_DEBUG] = "debug",
	[NSEXEC_LOG_TRACE] = "trace",
};
_Static_assert(ARRAY_SIZE(level_names) == N_NSEXEC_LOG_LEVELS,
	       "every level has its name");

/* One byte in runc's JSON escapes. Returns its length, at most 6. */
static size_t
json_escape(char out[8], unsigned char byte)
{
	static const char plain[] = "\"\\\b\n\r\t\f";
	static const char letters[] = "\"\\bnrtf";
	const char *found = byte ? strchr(plain, byte) : NULL;

	if (found) {
		out[0] = '\\';
		out[1] = letters[found - plain];
		return 2;
	}
	if (byte < 0x20 || byte == 0x7f) {
		snprintf(out, 8, "\\u%04x", byte);
		return 6;
	}
	out[0] = (char)byte;
	return 1;
}

static void
write_record(int fd, const char *data, size_t size)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	if (poll(&pfd, 1, LOG_FULL_PIPE_TIMEOUT_MS) == 1 &&
	    write(fd, data, size) < 0)
		return; /* the reader is gone: there is nobody to tell */
}

static void
write_json(const struct nsexec_log *log, enum nsexec_log_level level,
	   const char *text)
{
	char record[PIPE_BUF], escaped[8];
	size_t used, n;

	used = (size_t)snprintf(record, sizeof(record),
				"{\"level\":\"%s\", \"msg\": \"%s[%d]: ",
				level_names[level], log->stage, getpid());
	for (; *text; text++) {
		n = json_escape(escaped, (unsigned char)*text);
		if (used + n + 3 > sizeof(record))
			break;
		memcpy(record + used, escaped, n);
		used += n;
	}
	memcpy(record + used, "\"}\n", 3);
	write_record(log->fd, record, used + 3);
}

static void
write_text(const struct nsexec_log *log, enum nsexec_log_level level,
	   const char *text)
{
	if (level > NSEXEC_LOG_FATAL)
		return;
	dprintf(STDERR_FILENO, "%s: %s\n", log->json ? "FATAL" : "nsenter",
		text);
}

static void
log_text(const struct nsexec_log *log, enum nsexec_log_level level,
	 const char *text)
{
	if ((uint32_t)level > log->level)
		return;
	if (log->json && log->fd >= 0)
		write_json(log, level, text);
	else
		write_text(log, level, text);
}

void
nsexec_log_write(const struct nsexec_log *log, enum nsexec_log_level level,
		 const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_text(log, level, text);
}

/* Nobody else may know of them yet, so nobody else would end them. */
static void
kill_known(struct nsexec *self)
{
	siginfo_t info;

	for (size_t i = 0; i < ARRAY_SIZE(self->known); i++) {
		struct nsexec_known *known = &self->known[i];

		if (known->pidfd < 0)
			continue;
		if (sys_pidfd_send_signal(known->pidfd, SIGKILL) == 0 &&
		    known->own)
			(void)waitid(P_PIDFD, (id_t)known->pidfd, &info,
				     WEXITED | __WALL);
		fd_close(&known->pidfd);
	}
}

_Noreturn void
die_quietly(struct nsexec *self)
{
	int32_t packet[2] = { SYNC_ERR, 0 };

	/* A peer that cannot be told sees the end of file instead. */
	for (size_t i = 0; i < ARRAY_SIZE(self->peer_socks); i++)
		if (self->peer_socks[i] >= 0)
			(void)send(self->peer_socks[i], packet, sizeof(packet),
				   MSG_DONTWAIT | MSG_NOSIGNAL);
	kill_known(self);
	_exit(EXIT_FAILURE);
}

_Noreturn void
die(struct nsexec *self, int error, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	size_t used;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	used = strlen(text);
	if (error > 0)
		snprintf(text + used, sizeof(text) - used, ": %s",
			 error == ETIMEDOUT ? "timed out" : strerror(error));
	log_text(&self->log, NSEXEC_LOG_FATAL, text);
	die_quietly(self);
}

_Noreturn void
die_failure(struct nsexec *self, const struct failure *failure)
{
	die(self, failure->error, "failed to %s: %s%s%s", failure->step,
	    failure->syscall, *failure->syscall ? " " : "", failure->object);
}
