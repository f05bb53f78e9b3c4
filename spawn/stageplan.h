/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before the first namespace: what a start has to make, who helps from outside,
 * and which processes it needs. Used by the relay, and by init where there is
 * no relay.
 */
#ifndef NSX_SPAWN_STAGEPLAN_H
#define NSX_SPAWN_STAGEPLAN_H

#include <stdbool.h>

#include "lib/err.h"
#include "spawn/stagectx.h"

/* Steps: what is to be created, the offsets' file, checks of the request. */
must_check int stageplan_make(struct stage_context *context);

/* Of what is neither made nor joined the spawner has told the inode. */
void stageplan_know_own(struct stage_context *context, uint32_t changed);

#endif
