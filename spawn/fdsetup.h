/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of the payload: received from the caller's fd channel by a stage
 * that is the caller already, put at 0, 1, 2 and the numbers asked for, and
 * nothing else left open at exec.
 */
#ifndef NSX_SPAWN_FDSETUP_H
#define NSX_SPAWN_FDSETUP_H

#include <stddef.h>

#include "lib/err.h"
#include "spawn/stagectx.h"

/* Close every descriptor but these (any order, -1 ignored, at most 16). */
void fdsetup_close_except(const int *keep, size_t n_keep);

/* Relay, as the caller: exactly n_channel_fds of one message. 2 s. */
must_check int fdsetup_receive(struct stage_context *context);

/* dup2(from, to) for a list, whatever the numbers are now. */
struct fd_place {
	int from;
	int to;
};
#define FD_PLACE_MAX (3 + BOOTSTRAP_MAX_CHANNEL_FDS)
/*
 * others: descriptors (lent, -1 ignored) that must survive: moved out of the
 * way, *others[i] updated. Sources keep open under numbers of their own
 * (CLOEXEC). 0 or -errno of fcntl(2) or dup2(2).
 */
must_check int fdsetup_place(struct fd_place *places, size_t n_places,
			     int *const *others, size_t n_others);

/* Init: CLOEXEC on all from 3 on, then 0, 1, 2 and the passed ones. */
must_check int fdsetup_finish(struct stage_context *context);

#endif
