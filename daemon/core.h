/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core: containers, starts, events and records, everything between the
 * methods and the spawner. main.c makes it after the loop and before the
 * server, and unmakes it after the server.
 *
 *	loop_new -> core_new -> server_new -> core_start -> loop_run
 *	... server_free -> core_deinit -> loop_free
 */
#ifndef NSX_DAEMON_CORE_H
#define NSX_DAEMON_CORE_H

#include <stdbool.h>

#include "daemon/daemon.h"
#include "lib/err.h"

/*
 * Make daemon->spawner, containers, events, records and epoch from
 * daemon->config; loads the records. 0 or -errno; on error nothing is left.
 */
must_check int core_new(struct daemon *daemon);
/* Connect to the spawner (at once, then every 100 ms) and adopt what lives. */
void core_start(struct daemon *daemon);
/* No start in flight, no exit being recorded: it is safe to end the process. */
bool core_idle(const struct daemon *daemon);
/* Frees it all; records stay, containers go on. Safe twice. */
void core_deinit(struct daemon *daemon);
/*
 * Called once when the spawner first answered PING (readiness); NULL unsets.
 * Set it between core_new() and core_start().
 */
void core_on_ready(struct daemon *daemon, void (*fn)(struct daemon *daemon));

#endif
