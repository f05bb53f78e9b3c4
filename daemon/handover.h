/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A planned reload. nsexecd may execute nothing (confine_calls.c), so its
 * successor is started by whoever started it, and this process hands over what
 * is not on record: the connections with their half-read frames, calls that
 * wait, streams and unsent bytes.
 *
 *	HUP	one end of a socketpair into the store (store.h)
 *	kept	quiet: read from nobody, accept nobody
 *	calm	(what is in flight is answered, 5 s at most) the connections
 *		and then the state, a sealed memfd, into the other end
 *	exit	with HANDOVER_STATUS, and the successor is started at once
 *
 * Until the last of it is sent nothing is lost if it fails: this process goes
 * on. What the successor cannot read it leaves, as after a crash: connections
 * are closed, and the records have the rest.
 */
#ifndef NSX_DAEMON_HANDOVER_H
#define NSX_DAEMON_HANDOVER_H

#include "daemon/daemon.h"
#include "lib/err.h"

/* Nobody else ends with it; spawner_keeper.h and nsexecd.service know it. */
#define HANDOVER_STATUS 75

struct handover;

must_check int handover_new(struct daemon *daemon, struct handover **ret);
struct handover *handover_free(struct handover *handover);

/* HUP: begin. Ends the process if all goes well. */
void handover_begin(struct handover *handover);

/*
 * In the successor, after the records and the server and before the spawner is
 * there: take what the store has. The server stays quiet until
 * handover_settle(), once the spawner has said what lives.
 */
void handover_take(struct handover *handover);
void handover_settle(struct handover *handover);

#endif
