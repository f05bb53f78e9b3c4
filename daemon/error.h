/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's error record: what a caller is told. One function turns it into
 * nsexec.v1.ErrorDetail and the ttrpc status (error_pack()).
 */
#ifndef NSX_DAEMON_ERROR_H
#define NSX_DAEMON_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/trace.h"
#include "lib/err.h"
#include "proto/errcode.h"

/* The bound that was reached; kind NULL: the error is of another sort. */
struct error_quota {
	const char *kind; /* static */
	uint64_t limit, used;
	bool has_used;	   /* not where it would tell of other owners */
	uint32_t retry_ms; /* 0: unknown */
};

struct error {
	enum errcode code;
	struct failure failure; /* stage, step, syscall, errno, object */
	char rule[192];		/* the rule that was broken */
	char hint[256];		/* what to change */
	bool retryable;
	struct error_quota quota;
	struct trace trace; /* told with it if it is wanted */
};

/*
 * Fill *error with stage "daemon" and return -EINVAL (a refusal in the daemon
 * is no errno of a system call), so that a check ends in "return
 * error_set(...)". object names the field, rule and hint are whole phrases.
 */
int error_set(struct error *error, enum errcode code, const char *step,
	      const char *object, const char *rule, const char *hint);
/* The same, and then printf-style text into rule or hint. */
void error_rule(struct error *error, const char *fmt, ...) printf_like(2, 3);
void error_hint(struct error *error, const char *fmt, ...) printf_like(2, 3);

/*
 * From a stage's or the spawner's failure: chooses the code by step and errno
 * (exec -> EXEC_FAILED, join EPERM/EACCES -> NS_DENIED, ENOSPC of unshare or
 * clone -> NS_LIMIT, ...), the rule and the hint from one table.
 */
void error_from_failure(struct error *error, const struct failure *failure);

/* One line: "container web1: cannot join-net: setns /proc/7/ns/net: ..." */
const char *error_message(const struct error *error, char *buf, size_t size);

#endif
