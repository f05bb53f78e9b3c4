/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launcher: "nsexecd --run-dir DIR" as a person runs it, as root. It makes
 * DIR, finds a living spawner there or starts one from a sealed memfd, gives it
 * its own program (a sealed memfd too) to run as the unprivileged nsexecd, and
 * stays as long as that person wants it. It parses nothing from callers.
 */
#ifndef NSX_DAEMON_LAUNCHER_H
#define NSX_DAEMON_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/err.h"

struct launcher_config {
	const char *run_dir;	 /* absolute or relative; made if missing */
	const char *cgroup_root; /* absolute v2 directory; NULL = default */
	const char *policy_dir;	 /* absolute; NULL = there is no policy */
	bool detach;		 /* return as soon as the instance is ready */
	/* Further options for the worker ("--log-level", "debug"): lent. */
	const char *const *worker_args;
	size_t n_worker_args;
};

/*
 * Ensures spawner and worker of the instance. With detach: returns 0 when it
 * is ready. Else: returns 0 after SIGINT or SIGTERM, once the worker has ended
 * cleanly, or when it ended cleanly by itself. Blocks both signals. What went
 * wrong is one line on standard error, and then a negative errno is returned.
 *
 * The worker is started as
 *	nsexecd --worker --run-dir DIR [worker_args ...]
 * with LISTEN_FDS=2, LISTEN_FDNAMES=rpc:fd and LISTEN_PID set. It opens
 * DIR/nsexecd.pid (which exists, owned by its uid), holds a write lock on it
 * by fcntl(F_SETLK), writes its pid, and truncates it at a clean end.
 */
must_check int launcher_run(const struct launcher_config *config);

/*
 * Only make or find the directory and a living spawner in it, without a
 * worker: for a process that got its listening sockets as root and becomes the
 * worker itself. *ret_uid and *ret_gid are what it has to become. gates/,
 * records/ and nsexecd.pid are there. The spawner waits 5 s for a connection.
 */
must_check int launcher_ensure_spawner(const struct launcher_config *config,
				       uid_t *ret_uid, gid_t *ret_gid);

#endif
