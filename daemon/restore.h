/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a restart of nsexecd, or of the connection to the spawner: what the
 * records say and what the spawner has are brought together.
 */
#ifndef NSX_DAEMON_RESTORE_H
#define NSX_DAEMON_RESTORE_H

#include "daemon/daemon.h"
#include "daemon/record.h"

/* A record found at start; makes the container or exec task of it. */
void restore_record(struct daemon *daemon, const Nsexec__Record__Task *record);
/*
 * After the records: whose start was told already, by the ring that the dead
 * nsexecd left.
 */
void restore_told(struct daemon *daemon);
/* The spawner is connected: ask for its children and compare. */
void restore_adopt(struct daemon *daemon);
/*
 * It is lost: what had ended and was not told yet is asked of the kernel
 * meanwhile. Every request under way is answered NULL; restore_adopt() tells
 * the rest.
 */
void restore_on_lost(struct daemon *daemon);
/* What the spawner still has of containers that are over is followed to its
 * end; nothing else changes. */
void restore_find_leftovers(struct daemon *daemon);

#endif
