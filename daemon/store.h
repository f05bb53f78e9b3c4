/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of descriptors of whoever starts nsexecd: systemd's
 * (FileDescriptorStoreMax=), or the spawner's of a private instance (STORE,
 * proto/ops.h). What is in it is handed to the next nsexecd under its name. A
 * help only: nothing is lost if it is empty.
 */
#ifndef NSX_DAEMON_STORE_H
#define NSX_DAEMON_STORE_H

#include "daemon/daemon.h"
#include "lib/err.h"

/* Names are ids (text_is_id()). */
#define STORE_RING "ring"
#define STORE_HANDOVER "handover"

/* What was handed back; -1: nothing. */
struct store_fds {
	int ring, handover;
};

/* Takes the descriptors, also on error. -ENOMEM. */
must_check int store_new(struct daemon *daemon, const struct store_fds *fds,
			 struct store **ret);
struct store *store_free(struct store *store);

/* What was handed back under this name: given, or -1. store may be NULL. */
int store_take(struct store *store, const char *name);

/*
 * Keep fd (lent) under this name instead of the one before; -1: keep none.
 * done(daemon, r) says whether it is kept, now or later; may be NULL.
 */
void store_put(struct daemon *daemon, const char *name, int fd,
	       void (*done)(struct daemon *daemon, int r));

/* The spawner is there (again): it may be a new one, whose store is empty. */
void store_on_spawner(struct daemon *daemon);

#endif
