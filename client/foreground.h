/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A start that nsexecctl stays with: signals are passed on, a deadline kills,
 * a daemon that restarts is found again. Everything waits in one poll(2).
 */
#ifndef NSX_CLIENT_FOREGROUND_H
#define NSX_CLIENT_FOREGROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "client/ctl.h"
#include "client/nsexec.h"

#define FOREGROUND_SIGNALS 8

struct foreground {
	struct ctl *ctl;
	struct nsexec_spec *spec;
	const char *exec_container; /* Exec into this one; NULL: Run */
	bool want_pidfd;
	bool forward;	     /* pass signals on */
	uint64_t timeout_ms; /* 0: none; from foreground_init() on */
	uint8_t key[16];
	bool own_key;	  /* made for this start: another would do */
	const char *name; /* of the container; NULL: the key is its id */

	/* owned; filled in by foreground_start() */
	char *id, *exec_id;
	pid_t pid;
	bool failed_late;	  /* refused after a record was made */
	struct nsexec_info *info; /* Run only */
	int pidfd;		  /* -1 unless wanted */

	/* private */
	int signal_fd;
	int64_t deadline_ms;
	int64_t last_interrupt_ms;
	int pending_signal;
	/* Signals under way, the newest; they may wait for nsexecd. */
	struct nsexec_call *signals[FOREGROUND_SIGNALS];
	unsigned int next_signal;
	bool timed_out;
};

/*
 * Before anything is sent: block the signals to be passed on, start the clock.
 * The fields above "owned" are set already. 0 or -errno.
 */
must_check int foreground_init(struct foreground *foreground);
void foreground_deinit(struct foreground *foreground);

/* The key as 32 hexadecimal digits: the id of a container that has no other. */
#define FOREGROUND_ID_MAX 33
const char *foreground_key_text(const struct foreground *foreground,
				char buf[FOREGROUND_ID_MAX]);

/* Start and await the answer. 0, or the exit status after a report. */
must_check int foreground_start(struct foreground *foreground);
/* Wait for the end. 0 with *ret, or the exit status after a report (124 for
 * the deadline, by which time the process is dead). */
must_check int foreground_wait(struct foreground *foreground,
			       struct nsexec_exit *ret);

#endif
