/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate: init has done everything and waits to be let go.
 *
 *	channel  one byte 'G' on the init channel; end of file = the daemon
 *		 is gone and nobody will ever ask: end without exec
 *	named	 one byte 'G' on a connection to gates/ID, which a restarted
 *		 daemon can make again; connections without it are dropped
 *
 * No deadline: how long a created container waits is its owner's matter.
 */
#ifndef NSX_SPAWN_GATE_H
#define NSX_SPAWN_GATE_H

#include "lib/err.h"
#include "spawn/stagectx.h"

/* 0: go. -ECANCELED: end without exec and without a report. */
must_check int gate_wait(struct stage_context *context);

#define GATE_BYTE 'G'

#endif
