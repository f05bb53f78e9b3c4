/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unprivileged nsexecd, from its first step to its last: take the sockets,
 * give up what is left of privilege, serve, drain, end.
 */
#ifndef NSX_DAEMON_WORKER_H
#define NSX_DAEMON_WORKER_H

#include "daemon/config.h"
#include "lib/err.h"

/* Sockets that were opened before; -1: none. Taken. */
struct worker_sockets {
	int rpc;
	int fd;
};

/* Serves until TERM or INT, then drains. 0 or -errno; logs what was wrong. */
must_check int worker_run(const struct config *config,
			  const struct worker_sockets *sockets);

#endif
