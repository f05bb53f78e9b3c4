/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's error record; see error.h. What a failed step means to a caller
 * (code, rule, hint) is one table, searched from the top: the first row whose
 * step prefix, system call and errno fit is taken.
 */
#include "daemon/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"

struct failure_row {
	const char *step;    /* prefix; NULL = any */
	const char *syscall; /* prefix; NULL = any */
	int error;	     /* 0 = any */
	enum errcode code;
	const char *rule;
	const char *hint;
};

static const struct failure_row failure_rows[] = {
	{ "exec", NULL, ENOENT, ERRCODE_EXEC_FAILED,
	  "the program, its interpreter or its loader was not found in the "
	  "container's root",
	  "check args[0], PATH in env, and the root directory" },
	{ "exec", NULL, EACCES, ERRCODE_EXEC_FAILED,
	  "the program is not executable for this user",
	  "check its mode bits, each directory above it, and noexec mounts" },
	{ "exec", NULL, ENOEXEC, ERRCODE_EXEC_FAILED,
	  "the file is no program that this kernel can run",
	  "check its architecture, or its first line if it is a script" },
	{ "exec", NULL, E2BIG, ERRCODE_EXEC_FAILED,
	  "arguments and environment are more than the kernel takes",
	  "pass less, or raise the stack limit: a quarter of it, and 6 MiB, "
	  "128 KiB a string" },
	{ "exec", NULL, 0, ERRCODE_EXEC_FAILED,
	  "the kernel refused to run the program", "see errno" },
	{ "join", NULL, EPERM, ERRCODE_NS_DENIED,
	  "joining needs CAP_SYS_ADMIN in the namespace's owner",
	  "join the user namespace that owns it in the same request" },
	{ "join", NULL, EACCES, ERRCODE_NS_DENIED,
	  "the caller may not open this namespace",
	  "name a namespace of a process that the caller may trace" },
	{ "join", NULL, ENOENT, ERRCODE_NOT_FOUND,
	  "there is no such namespace or process",
	  "check the path or pid; the process may have ended" },
	{ "join", NULL, ESRCH, ERRCODE_NOT_FOUND, "the process has ended",
	  "name a process that lives" },
	{ "join", NULL, EINVAL, ERRCODE_NS_TYPE_MISMATCH,
	  "the kernel takes no namespace of another kind, nor the own user "
	  "namespace, here",
	  "compare the kind with what the path or process really is" },
	{ NULL, "clone", ENOSPC, ERRCODE_NS_LIMIT,
	  "a limit of namespaces is reached",
	  "see user.max_*_namespaces (sysctl) and the nesting limit of 32" },
	{ NULL, "unshare", ENOSPC, ERRCODE_NS_LIMIT,
	  "a limit of namespaces is reached",
	  "see user.max_*_namespaces (sysctl) and the nesting limit of 32" },
	{ NULL, "clone", EUSERS, ERRCODE_NS_LIMIT,
	  "user namespaces are nested too deep", "32 levels are the limit" },
	{ NULL, "clone", EPERM, ERRCODE_NS_DENIED,
	  "creating this namespace needs CAP_SYS_ADMIN, and a user namespace "
	  "a root directory that is no chroot(2)'s",
	  "create a user namespace as well; was the spawner started in a "
	  "chroot?" },
	{ NULL, "unshare", EPERM, ERRCODE_NS_DENIED,
	  "creating this namespace needs CAP_SYS_ADMIN",
	  "create a user namespace in the same request" },
	{ NULL, "clone", EAGAIN, ERRCODE_QUOTA,
	  "the user's limit of processes is reached",
	  "end processes or raise RLIMIT_NPROC or pids.max" },
	{ "map", NULL, EPERM, ERRCODE_MAP_DENIED,
	  "the ids are not delegated to the caller",
	  "map only the own id, or ranges of /etc/subuid and /etc/subgid" },
	{ "map", NULL, EINVAL, ERRCODE_MAP_INVALID,
	  "the kernel takes no such map",
	  "rows may not overlap and every host id must be mapped outside" },
	{ "caller-state", NULL, ESRCH, ERRCODE_CALLER_GONE,
	  "the caller's process has ended",
	  "let the process that connected live until its start is answered" },
	{ "rlimits", "setrlimit", EPERM, ERRCODE_PERMISSION_DENIED,
	  "a limit may not be raised above the caller's own hard limit",
	  "ask for less, or raise the caller's (getrlimit(2))" },
	{ "nice", "setpriority", EACCES, ERRCODE_PERMISSION_DENIED,
	  "a better nice value than the caller's needs RLIMIT_NICE",
	  "ask for one that is not lower than the caller's own" },
	{ "oom-score-adj", "write", EACCES, ERRCODE_PERMISSION_DENIED,
	  "the score may not be lower than the caller's",
	  "ask for one that is not lower than the caller's own" },
	{ "attest", NULL, 0, ERRCODE_CALLER_GONE,
	  "the caller's connection no longer proves who asks",
	  "connect again and repeat the request" },
	{ NULL, NULL, ETIMEDOUT, ERRCODE_DEADLINE,
	  "the step did not end in its time", "see the object it waited for" },
	{ NULL, NULL, ENOSYS, ERRCODE_UNSUPPORTED,
	  "this kernel lacks a system call that the step needs",
	  "run \"nsexecctl features\"" },
};

int
error_set(struct error *error, enum errcode code, const char *step,
	  const char *object, const char *rule, const char *hint)
{
	memset(error, 0, sizeof(*error));
	error->code = code;
	error->retryable = errcode_row(code)->retryable;
	error->failure.stage = STAGE_DAEMON;
	snprintf(error->failure.step, sizeof(error->failure.step), "%s",
		 step ? step : "");
	snprintf(error->failure.object, sizeof(error->failure.object), "%s",
		 object ? object : "");
	snprintf(error->rule, sizeof(error->rule), "%s", rule ? rule : "");
	snprintf(error->hint, sizeof(error->hint), "%s", hint ? hint : "");
	return -EINVAL;
}

void
error_rule(struct error *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error->rule, sizeof(error->rule), fmt, ap);
	va_end(ap);
}

void
error_hint(struct error *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error->hint, sizeof(error->hint), fmt, ap);
	va_end(ap);
}

static bool
has_prefix(const char *text, const char *prefix)
{
	return !prefix || strncmp(text, prefix, strlen(prefix)) == 0;
}

void
error_from_failure(struct error *error, const struct failure *failure)
{
	memset(error, 0, sizeof(*error));
	error->failure = *failure;
	error->code = ERRCODE_STAGE_FAILED;
	for (size_t i = 0; i < ARRAY_SIZE(failure_rows); i++) {
		const struct failure_row *row = &failure_rows[i];

		if (!has_prefix(failure->step, row->step) ||
		    !has_prefix(failure->syscall, row->syscall) ||
		    (row->error && row->error != failure->error))
			continue;
		error->code = row->code;
		error_rule(error, "%s", row->rule);
		error_hint(error, "%s", row->hint);
		break;
	}
	error->retryable = errcode_row(error->code)->retryable ||
			   failure->error == EAGAIN ||
			   failure->error == ENOMEM ||
			   failure->error == EMFILE || failure->error == ENFILE;
}

/* printf at *used, which never passes size - 1. */
static void printf_like(4, 5)
	append(char *buf, size_t size, size_t *used, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf + *used, size - *used, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	*used += (size_t)n;
	if (*used >= size)
		*used = size - 1;
}

/* "; limit 16, 16 used, try again in 40 ms" */
static void
append_quota(char *buf, size_t size, size_t *used,
	     const struct error_quota *quota)
{
	if (!quota->kind)
		return;
	append(buf, size, used, "; limit %llu",
	       (unsigned long long)quota->limit);
	if (quota->has_used)
		append(buf, size, used, ", %llu used",
		       (unsigned long long)quota->used);
	if (quota->retry_ms)
		append(buf, size, used, ", try again in %u ms",
		       quota->retry_ms);
}

const char *
error_message(const struct error *error, char *buf, size_t size)
{
	const struct failure *failure = &error->failure;
	char object[2 * FAILURE_OBJECT_MAX];
	size_t used = 0;

	if (size == 0)
		return buf;
	buf[0] = '\0';
	text_escape(object, sizeof(object), failure->object,
		    strnlen(failure->object, sizeof(failure->object)));
	append(buf, size, &used, "%s: cannot %s", stage_name(failure->stage),
	       failure->step[0] ? failure->step : "go on");
	if (failure->syscall[0])
		append(buf, size, &used, ": %s", failure->syscall);
	if (object[0])
		append(buf, size, &used, "%s%s",
		       failure->syscall[0] ? " " : ": ", object);
	if (failure->error)
		append(buf, size, &used, ": %s", strerror(failure->error));
	if (error->rule[0])
		append(buf, size, &used, ": %s", error->rule);
	if (error->hint[0])
		append(buf, size, &used, " (%s)", error->hint);
	append_quota(buf, size, &used, &error->quota);
	return buf;
}
