/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process inherits and nobody asked for: keyring, session, priority,
 * limits, mask, timer slack, death signal (security.md rows 25, 34 to 36).
 */
#ifndef NSX_SPAWN_HYGIENE_H
#define NSX_SPAWN_HYGIENE_H

#include "lib/err.h"
#include "spawn/stagectx.h"

/* Relay while still root: open what only root can open of itself. */
must_check int hygiene_open(struct stage_context *context);
/* Relay, as the caller: a session keyring of its own. */
must_check int hygiene_keyring(struct stage_context *context);
/* Relay, as the caller: oom_score_adj, nice, and limits that grow. */
must_check int hygiene_priority(struct stage_context *context);
/* Init: session, umask, timer slack. */
must_check int hygiene_session(struct stage_context *context);
/* Init, right before exec: limits as asked. */
must_check int hygiene_rlimits(struct stage_context *context);
/* Init, after the last change of credentials, which would clear it. */
must_check int hygiene_death_signal(struct stage_context *context);

#endif
