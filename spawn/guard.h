/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deadline of a stage: whatever it waits for, a FIFO's other end, a file
 * system served by a program that never answers, the other stages, it reports
 * the step it was in and ends when the time is over. One timer and one signal
 * handler instead of a timeout at every call; SIGALRM interrupts them all.
 */
#ifndef NSX_SPAWN_GUARD_H
#define NSX_SPAWN_GUARD_H

#include <stdint.h>

#include "lib/err.h"
#include "spawn/stagectx.h"

/* Timers do not cross fork: every stage arms its own. 0 or -errno, failure. */
must_check int guard_arm(struct stage_context *context);
/* Interrupt blocking calls (EINTR) every slice_ms too; 0 = only at the end. */
void guard_slice(uint32_t slice_ms);
/* Before the gate and exec: timers survive exec, handlers do not. */
void guard_disarm(void);

#define GUARD_TIMEOUT_DEFAULT_MS 10000u

#endif
