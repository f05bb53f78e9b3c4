/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pidfds of containers' processes in systemd's fd store. The spawner is the
 * parent of all of them and has their exits; these are for the one moment in
 * which it and nsexecd are killed together: from Linux 6.15 on a pidfd that
 * somebody held says how its process ended. Only of what has lived for some
 * seconds, and of so many at most: systemd compares each descriptor with all it
 * has.
 */
#ifndef NSX_DAEMON_STORE_PIDFDS_H
#define NSX_DAEMON_STORE_PIDFDS_H

#include "daemon/daemon.h"
#include "daemon/notify.h"
#include "lib/err.h"

#define STORE_PIDFDS_MAX 1024u

struct store_pidfds;

/*
 * After the records: each of these (taken) goes to the task whose process it
 * is, by its inode in pidfs; others are closed and forgotten. From then on what
 * lives long is kept. Only for an instance that systemd started. -ENOMEM.
 */
must_check int store_pidfds_new(struct daemon *daemon,
				struct notify_pidfds *handed,
				struct store_pidfds **ret);
struct store_pidfds *store_pidfds_free(struct store_pidfds *pidfds);

#endif
