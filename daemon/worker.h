/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unprivileged nsexecd, from its first step to its last: take the sockets,
 * give up what is left of privilege, serve, drain, end.
 */
#ifndef NSX_DAEMON_WORKER_H
#define NSX_DAEMON_WORKER_H

#include "daemon/config.h"
#include "daemon/notify.h"
#include "lib/err.h"

/*
 * Serves on these (taken) until TERM or INT, then drains; HUP: hands all over
 * to its successor and ends the process. 0 or -errno; logs what was wrong.
 */
must_check int worker_run(const struct config *config,
			  const struct notify_fds *fds);

#endif
