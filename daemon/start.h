/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a task comes to be: from a checked request to the message on its way to
 * the spawner. Create, Run and Exec begin here; Start opens the gate.
 */
#ifndef NSX_DAEMON_START_H
#define NSX_DAEMON_START_H

#include "daemon/container.h"
#include "daemon/park.h"
#include "daemon/rpc.h"

/* kind: PARK_CREATE, PARK_RUN, or PARK_EXEC into target (id or name). */
struct start_call {
	uint64_t call_id;
	const struct rpc_caller *caller;
	enum park_kind kind;
	const char *target;
};
/* Takes spec. The call is answered, now or later. */
void start_take(struct daemon *daemon, const struct start_call *call,
		struct spec *spec);
/* The caller left while its descriptors were awaited. */
void start_gone(struct daemon *daemon, uint64_t call_id);
/* Forget all that wait for descriptors. */
void start_deinit(struct daemon *daemon);

/* Open the gate of a created container; the call is parked or failed. */
void start_open(struct daemon *daemon, uint64_t call_id,
		const struct rpc_caller *caller, struct container *container);

#endif
