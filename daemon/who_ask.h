/* SPDX-License-Identifier: Apache-2.0 */
/* The question to the spawner: who is this connection? See peer_who.c. */
#ifndef NSX_DAEMON_WHO_ASK_H
#define NSX_DAEMON_WHO_ASK_H

#include <stdint.h>

#include "lib/err.h"

struct daemon;

/* fd: lent. The answer goes to server_identify(). As spawner_send(). */
must_check int who_ask(struct daemon *daemon, uint64_t peer_id, int fd);

#endif
