/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failures as a person and as a program read them: one line on stderr with
 * what failed, the rule and the hint; with --json the typed record. The exit
 * status comes from the table in proto/errcode.c.
 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/ctl.h"
#include "lib/util.h"
#include "proto/errcode.h"

#define DOCTOR_HINT "is nsexecd running? see nsexecctl doctor"

static int
status_from_error(const struct ctl *ctl, const struct nsexec_error *error)
{
	const struct errcode_row *row = errcode_row((unsigned int)error->code);

	if (!ctl->runs)
		return row->verb_exit;
	if (error->code == NSEXEC_EXEC_FAILED)
		return error->errno_value == ENOENT ? CTL_NO_COMMAND
						    : CTL_NO_EXEC;
	return ctl->compat_runc ? 255 : row->run_exit;
}

/* Append "SEPARATOR TEXT" unless message says it already. */
static void
put_part(const char *message, const char *label, const char *text)
{
	if (*text && !strstr(message, text))
		fprintf(stderr, "; %s: %s", label, text);
}

static void
print_error(const struct ctl *ctl, const struct nsexec_error *error)
{
	if (ctl_json(ctl)) {
		json_t *root = ctl_json_error(error);

		(void)json_dumpf(root, stderr, JSON_COMPACT);
		fputc('\n', stderr);
		json_decref(root);
		return;
	}
	fputs("nsexecctl: ", stderr);
	if (strcmp(ctl->command, "nsexecctl") != 0)
		fprintf(stderr, "%s: ", ctl->command);
	if (error->message[0])
		fputs(error->message, stderr);
	else
		fprintf(stderr, "%s: cannot %s%s%s",
			error->object[0] ? error->object : error->stage,
			error->step, error->errno_value ? ": " : "",
			error->errno_value ? strerror(error->errno_value) : "");
	put_part(error->message, "rule", error->rule);
	put_part(error->message, "hint", error->hint);
	if (strcmp(error->stage, "client") != 0)
		fprintf(stderr, " [%s]", nsexec_code_name(error->code));
	fputc('\n', stderr);
}

int
ctl_report(const struct ctl *ctl, const struct nsexec_error *error)
{
	print_error(ctl, error);
	return status_from_error(ctl, error);
}

/* A record for what happened on this side. */
static struct nsexec_error
local_error(int r, const char *verb, const char *object)
{
	struct nsexec_error error = { .code = NSEXEC_INTERNAL,
				      .errno_value = -r,
				      .stage = "client" };

	(void)snprintf(error.step, sizeof(error.step), "%s", verb);
	(void)snprintf(error.object, sizeof(error.object), "%s", object);
	(void)snprintf(error.message, sizeof(error.message), "cannot %s %s: %s",
		       verb, object, strerror(-r));
	return error;
}

int
ctl_report_local(const struct ctl *ctl, int r, const char *verb,
		 const char *object)
{
	const struct nsexec_error error = local_error(r, verb, object);

	return ctl_report(ctl, &error);
}

static int
report_unreachable(const struct ctl *ctl, struct nsexec_error *error)
{
	error->retryable = true;
	(void)snprintf(error->hint, sizeof(error->hint), "%s", DOCTOR_HINT);
	print_error(ctl, error);
	if (ctl->compat_runc)
		return 255;
	return ctl->runs ? CTL_NOT_RUN : CTL_UNREACHABLE;
}

/* Did the connection, rather than the request, fail? */
static bool
is_connection_error(int r)
{
	return r == -ECONNRESET || r == -EPIPE || r == -ENOTCONN ||
	       r == -ECONNREFUSED || r == -EPROTO;
}

int
ctl_report_call(const struct ctl *ctl, int r, const struct nsexec_call *call)
{
	struct nsexec_error error;

	if (call && nsexec_call_error(call)->code != NSEXEC_OK)
		error = *nsexec_call_error(call);
	else
		error = local_error(r, "ask", "nsexecd");
	if (is_connection_error(r))
		return report_unreachable(ctl, &error);
	if (r == -EINVAL && error.code == NSEXEC_INTERNAL)
		error.code = NSEXEC_INVALID_ARGUMENT;
	return ctl_report(ctl, &error);
}

int
ctl_report_last(const struct ctl *ctl)
{
	struct nsexec_error error = *nsexec_last_error(ctl->nsexec);

	if (strcmp(error.stage, "client") == 0 &&
	    is_connection_error(-error.errno_value))
		return report_unreachable(ctl, &error);
	return ctl_report(ctl, &error);
}

int
ctl_connect(struct ctl *ctl)
{
	struct nsexec_error error;
	char object[200];
	const char *host = ctl->host;
	int r;

	if (ctl->nsexec)
		return 0;
	r = nsexec_connect(host, &ctl->nsexec);
	if (r >= 0) {
		nsexec_trace(ctl->nsexec, ctl->trace);
		return 0;
	}
	if (!host)
		host = getenv("NSEXEC_SOCKET");
	if (!host || !*host)
		host = NSEXEC_DEFAULT_ADDRESS;
	if (r == -EINVAL)
		return ctl_usage(ctl, "\"%s\" is no address: write unix:PATH",
				 host);
	(void)snprintf(object, sizeof(object), "to %.150s", host);
	error = local_error(r, "connect", object);
	return report_unreachable(ctl, &error);
}

int
ctl_usage(const struct ctl *ctl, const char *fmt, ...)
{
	struct nsexec_error error = { .code = NSEXEC_INVALID_ARGUMENT,
				      .stage = "client",
				      .step = "parse-arguments" };
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(error.message, sizeof(error.message), fmt, args);
	va_end(args);
	return ctl_report(ctl, &error);
}

int
ctl_usage_option(const struct ctl *ctl, const struct ctl_complaint *complaint)
{
	struct nsexec_error error = { .code = NSEXEC_INVALID_ARGUMENT,
				      .stage = "client",
				      .step = "parse-arguments" };
	const bool top = strcmp(ctl->command, "nsexecctl") == 0;

	(void)snprintf(error.object, sizeof(error.object), "%s",
		       complaint->object);
	(void)snprintf(error.rule, sizeof(error.rule), "%s", complaint->rule);
	(void)snprintf(error.message, sizeof(error.message), "%s %s",
		       complaint->object, complaint->rule);
	(void)snprintf(error.hint, sizeof(error.hint),
		       "nsexecctl %s%s--help lists the options",
		       top ? "" : ctl->command, top ? "" : " ");
	return ctl_report(ctl, &error);
}

void
ctl_warn(const struct ctl *ctl, const char *fmt, ...)
{
	va_list args;

	if (ctl->quiet)
		return;
	fprintf(stderr, "nsexecctl: %s: ", ctl->command);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

int
ctl_exit_status(const struct nsexec_exit *exit)
{
	if (exit->unknown)
		return CTL_NOT_RUN;
	return exit->signal ? 128 + exit->signal : exit->code;
}
