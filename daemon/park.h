/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that wait for a task: for its start, its exit or its removal. A parked
 * call is found by its call id (the caller may go) and by its task (something
 * happened). Each is answered at most once and then forgotten.
 */
#ifndef NSX_DAEMON_PARK_H
#define NSX_DAEMON_PARK_H

#include "daemon/container.h"
#include "proto/handover.pb-c.h"

enum park_kind {
	PARK_CREATE, /* answered when created */
	PARK_RUN,    /* when started */
	PARK_START,
	PARK_EXEC,
	PARK_WAIT,   /* when ended */
	PARK_DELETE, /* when ended and cleaned up */
	N_PARK_KINDS,
};

struct park;

must_check int park_new(struct daemon *daemon, struct park **ret);
struct park *park_free(struct park *park);

/* timeout_ms 0: none; when it is over the call fails with DEADLINE. */
must_check int park_add(struct task *task, enum park_kind kind,
			uint64_t call_id, uint32_t timeout_ms);
/*
 * For a repeated key: park, or answer at once if what it waits for has come.
 * The task has no failure. Always true.
 */
bool park_late(struct task *task, enum park_kind kind, uint64_t call_id);
/* The caller no longer waits. */
void park_gone(struct daemon *daemon, uint64_t call_id);

/* What happened to the task: answers those that waited for it. */
void park_created(struct task *task);
void park_started(struct task *task);
/* PARK_START only: the gate did not open. */
void park_not_opened(struct task *task, const struct error *error);
/* Failed before it ran: starts fail with this, waits get what exit says. */
void park_failed(struct task *task, const struct error *error);
void park_exited(struct task *task);
void park_removed(struct task *task);
/*
 * A parked call as it is handed over; texts are borrowed. false: this call is
 * not parked.
 */
bool park_save(const struct daemon *daemon, uint64_t call_id,
	       Nsexec__Handover__Parked *ret);
/* Does it wait for a task that is no start in flight? */
bool park_is_calm(const struct daemon *daemon, uint64_t call_id);
/* -ENOENT: what it waits for is gone. -ENOMEM. */
must_check int park_restore(struct daemon *daemon, uint64_t call_id,
			    const Nsexec__Handover__Parked *saved);

/* The task is going away: whoever still waits is told GONE. */
void park_clear(struct task *task);

#endif
