/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases: containers that live no longer than a connection. A lease is 16
 * bytes of an owner's own making; the connection that named it last holds it,
 * and all containers of it are killed when that connection closes.
 *
 *	start with a lease ----> held by the connection
 *	Lease, repeated key ---> held by that connection instead
 *	connection closes -----> lost: on record, then killed; for good
 *	nsexecd starts again --> held by nobody, LEASE_GRACE_MS, then lost
 *
 * What is lost before the gate was told to open is cancelled, it never runs;
 * what is lost later is killed as a whole, processes of Exec too. The record
 * comes before the kill, so that its end has its reason whoever of us dies in
 * between. A kill that the spawner did not confirm is sent again.
 *
 * A connection here is its number (rpc_caller.peer_id). Whoever carries
 * connections over to another process carries what each holds, and says
 * lease_take() there.
 */
#ifndef NSX_DAEMON_LEASE_H
#define NSX_DAEMON_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/daemon.h"
#include "daemon/rpc.h"
#include "daemon/spec.h"
#include "lib/err.h"

/* After a restart of nsexecd, for whoever held it to come again. */
#define LEASE_GRACE_MS 10000

struct container;
struct lease;
struct leases; /* all of them; core owns it */

must_check int leases_new(struct daemon *daemon, struct leases **ret);
/* After the containers. */
struct leases *leases_free(struct leases *leases);

/*
 * Put the container under its lease_token, which this connection holds from
 * now on; peer_id 0: nobody does. It leaves the one it was under. -ENOMEM.
 */
must_check int lease_join(struct container *container, uint64_t peer_id);
/* It has ended, or is freed. Safe twice. */
void lease_leave(struct container *container);
/*
 * It has this lease from now on, if it may live at all (a repeated key).
 * -ENOMEM, and nothing is changed.
 */
must_check int lease_change(struct container *container,
			    const uint8_t token[SPEC_LEASE_SIZE],
			    uint64_t peer_id);
/* It is read from its record: nobody holds it, or it is to be killed. */
void lease_restore(struct container *container);
/* The spawner is there: the grace begins, kills are sent (again). */
void lease_on_spawner(struct daemon *daemon);

/*
 * Those that a connection holds, for its hand-over: their number, and with ret
 * the tokens themselves, lent.
 */
size_t lease_held(const struct daemon *daemon, uint64_t peer_id,
		  ProtobufCBinaryData *ret);
/* Hold an owner's lease. The number of its containers. */
size_t lease_take(struct daemon *daemon, const struct rpc_caller *caller,
		  const uint8_t token[SPEC_LEASE_SIZE]);
/* The connection closed by itself, not because nsexecd ends. */
void lease_on_closed(struct daemon *daemon, uint64_t peer_id);
/* Why it did not come to run. */
struct error;
void lease_error(struct error *error, const struct container *container);

#endif
