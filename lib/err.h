/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error language of the whole project.
 *
 * 1. A function that can fail returns int: 0 or a negative errno value, and
 *    carries must_check. Positive returns exist only where a header names
 *    them. Results travel through pointers called ret_x or out.
 * 2. Callers write "r = f(); if (r < 0) return r;". Owners are cleanup locals
 *    (lib/fd.h, lib/util.h), so an early return releases everything; the last
 *    lines of a function disarm what succeeded. There is no goto.
 * 3. Context is added once, by the one who knows the noun, as a struct
 *    failure. It becomes a wire error in exactly one function of the daemon.
 * 4. A broken invariant is assert(), kept in release builds. Only functions
 *    named die*() exit.
 * 5. Between clone and exec nothing logs, allocates or touches the locale: a
 *    stage sends its struct failure and calls _exit().
 */
#ifndef NSX_LIB_ERR_H
#define NSX_LIB_ERR_H

#include <stdint.h>

#define must_check __attribute__((warn_unused_result))
#define printf_like(a, b) __attribute__((format(printf, a, b)))

/* Which process failed. The names are those of doc/ARCHITECTURE.md. */
enum stage {
	STAGE_NONE,
	STAGE_DAEMON,  /* nsexecd, before anything was forked */
	STAGE_SPAWNER, /* nsexec-spawner, before the fork */
	STAGE_RELAY,   /* joins, clones init, has the maps written */
	STAGE_MAPPER,  /* writes id maps for an ordinary caller */
	STAGE_INIT,    /* set-up inside the namespaces, gate, exec */
	N_STAGES,
};

/* The longest object text of a failure, NUL included. */
#define FAILURE_OBJECT_MAX 192
#define FAILURE_WORD_MAX 32

/*
 * Where something failed. Fixed size, no pointers: it is filled between clone
 * and exec, where nothing may allocate.
 *
 * step and syscall are words such as "join-net" and "setns"; object is the
 * path, number or name that the step worked on, cut to fit and not escaped;
 * error is a positive errno, or 0 where no system call failed.
 */
struct failure {
	enum stage stage;
	int error;
	char step[FAILURE_WORD_MAX];
	char syscall[FAILURE_WORD_MAX];
	char object[FAILURE_OBJECT_MAX];
};

/* "daemon", "spawner", "relay", ...; "none" for anything else. */
const char *stage_name(enum stage stage);

/*
 * Fill *failure and return -error, so that a step can end with
 * "return failure_set(...)". error is a positive errno (or 0, then -EINVAL is
 * returned). fmt formats the object; only %s %d %u %lu %x without flags are
 * promised to be async-signal-safe here because glibc's vsnprintf neither
 * allocates nor touches locks for them.
 */
int failure_set(struct failure *failure, enum stage stage, const char *step,
		const char *syscall, int error, const char *fmt, ...)
	printf_like(6, 7);

#endif
