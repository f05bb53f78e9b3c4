/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much an owner may have in flight and alive, and how fast he may start.
 * Admins are bound by the global limits only, and keep a twentieth of those to
 * themselves.
 */
#ifndef NSX_DAEMON_QUOTA_H
#define NSX_DAEMON_QUOTA_H

#include <stdbool.h>

#include "daemon/daemon.h"
#include "daemon/error.h"
#include "daemon/rpc.h"

/*
 * May this caller start one more now? Takes a token of the rate if so. 0, or
 * -EINVAL with *error QUOTA, RATE or OVERLOADED. container: not an exec.
 */
must_check int quota_check(struct daemon *daemon,
			   const struct rpc_caller *caller, bool container,
			   struct error *error);

#endif
