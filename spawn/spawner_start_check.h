/* SPDX-License-Identifier: Apache-2.0 */
/* What the policy makes of a START or EXEC. */
#ifndef NSX_SPAWN_SPAWNER_START_CHECK_H
#define NSX_SPAWN_SPAWNER_START_CHECK_H

#include <stdbool.h>

#include "lib/err.h"
#include "proto/bootstrap.h"
#include "spawn/stage.h"

struct request;
struct spawner;

/* Verb and kinds of namespaces. 0, or -EPERM: refused and answered. */
must_check int start_check_policy(struct spawner *spawner,
				  const struct request *request,
				  const struct caller *caller,
				  const struct bootstrap *msg);

/*
 * Pure: make of the message what it means for this caller, before a stage reads
 * it. An admin by the policy whose uid is not 0 gets the stage of uid 0, which
 * is what being an admin means; but the payload runs under his own uid, gid and
 * groups where the request names none and makes or joins no user namespace.
 * no_new_privs that a rule forces upon an admin is asked for.
 *
 * *ret_changed: the request's bytes do not say so any more. -E2BIG: too many
 * groups.
 */
must_check int start_apply_policy(struct bootstrap *msg, struct caller *caller,
				  bool *ret_changed);

#endif
