/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fd channel: a caller's second connection, on which its descriptors
 * travel. Here only a token of 16 bytes is read from it, without a control
 * buffer; the connection itself, with what is unread in it, goes on to the
 * spawner. The descriptors of a stranger are never opened in this process: a
 * close() of such a one can block for ever (an unprivileged FUSE file).
 */
#ifndef NSX_DAEMON_FDCHAN_H
#define NSX_DAEMON_FDCHAN_H

#include "daemon/server.h"
#include "proto/handover.pb-c.h"

struct fdchan;

#define FDCHAN_TOKEN_SIZE 16u
#define FDCHAN_WAITING_MAX 1024u
#define FDCHAN_PER_OWNER_MAX 32u
#define FDCHAN_STRANGERS_MAX 64u
#define FDCHAN_TOKEN_TIMEOUT_MS 2000
#define FDCHAN_CLAIM_TIMEOUT_MS 30000

/* listener is lent. -ENOMEM. */
must_check int fdchan_new(struct server *server, int listener,
			  struct fdchan **ret);
struct fdchan *fdchan_free(struct fdchan *fdchan);
/*
 * Over a reload: fn(userdata, fd, message) for each channel until it says
 * otherwise than 0; and the same one again (takes fd).
 */
must_check int fdchan_save(struct fdchan *fdchan,
			   int (*fn)(void *userdata, int fd,
				     const Nsexec__Handover__Channel *message),
			   void *userdata);
void fdchan_restore(struct fdchan *fdchan, int fd,
		    const Nsexec__Handover__Channel *saved);
/* Stop accepting. */
void fdchan_drain(struct fdchan *fdchan);

#endif
