/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon says to systemd and takes from it. notify.c is the only file
 * that includes libsystemd. Without systemd all of it does nothing.
 */
#ifndef NSX_DAEMON_NOTIFY_H
#define NSX_DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/err.h"

/* From the store: under names that begin with "pidfd.", not checked. */
#define NOTIFY_NAME_MAX 64
struct notify_pidfd {
	int fd;
	char name[NOTIFY_NAME_MAX];
};
struct notify_pidfds {
	struct notify_pidfd *pidfds;
	size_t n;
};
/* Close and free what is left in it. */
void notify_pidfds_deinit(struct notify_pidfds *pidfds);

/* -1: not passed. */
struct notify_fds {
	int rpc, fd;	    /* listeners */
	int ring, handover; /* from the store: anything, not checked */
	struct notify_pidfds pidfds;
};
/*
 * The descriptors that were passed (LISTEN_FDS): sockets by the names "rpc" (a
 * listening unix stream socket) and "fd" (a listening unix seqpacket socket),
 * non-blocking, and what was kept in the store (store.h); all given and
 * CLOEXEC. Clears the LISTEN_* variables. On
 * an error all are closed and error_text says which: -EINVAL for a socket of
 * another name, kind or number; -errno.
 */
#define NOTIFY_ERROR_MAX 256
must_check int notify_listeners(struct notify_fds *ret,
				char error_text[NOTIFY_ERROR_MAX]);
/* Were sockets passed to this very process? */
bool notify_has_listeners(void);

void notify_ready(void);
void notify_stopping(void);
/*
 * Have systemd keep fd (lent) under this name for the next start, instead of
 * what it had under it; -1: nothing. 0 once it has read that (it does not say
 * whether it could), -ENOTSUP: no systemd, -errno.
 */
must_check int notify_store(const char *name, int fd);
/* Without waiting: keep fd (lent) under a name that it does not have yet, and
 * keep nothing under it. */
void notify_store_add(const char *name, int fd);
void notify_store_drop(const char *name);
/* STATUS=, one line for "systemctl status". */
void notify_status(const char *text);
/* Microseconds within which WATCHDOG=1 must be sent; 0: no watchdog. */
uint64_t notify_watchdog_usec(void);
void notify_watchdog(void);

#define NOTIFY_FIELDS_MAX 32
/* Is standard error the journal (JOURNAL_STREAM)? */
bool notify_stderr_is_journal(void);
/*
 * One structured entry of "NAME=value" fields without newlines. Never waits:
 * -EAGAIN the journal's queue is full (journald is slow or stopped), -errno of
 * sendmsg(2) otherwise (it is not there).
 */
must_check int notify_journal(const struct iovec *fields, int n_fields);

#endif
