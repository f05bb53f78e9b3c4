/* SPDX-License-Identifier: Apache-2.0 */
/* The figures as OpenMetrics text; doc/METRICS.md lists the families. */
#ifndef NSX_DAEMON_METRICS_TEXT_H
#define NSX_DAEMON_METRICS_TEXT_H

#include "daemon/container.h"
#include "daemon/metrics.h"
#include "daemon/peer_counts.h"

/* More than all families with all their labels take. */
#define METRICS_TEXT_MAX (64u * 1024u)

/* As it is now: of one owner, or of all. */
struct metrics_now {
	uint64_t containers[CONTAINER_STOPPED + 1]; /* by container_state() */
	uint64_t execs;				    /* live ones */
	uint64_t awaiting_fds;
	size_t in_flight, stuck;
	size_t streams, polls; /* readers of events */
	struct server_counts server;
};

/* Of the instance; only an admin is told. */
struct metrics_instance {
	bool spawner_connected;
	uint64_t spawner_pending, spawner_connects;
	uint64_t restarts, adopted;
	uint64_t began_ns, cpu_ns; /* of this process */
	uint64_t resident_bytes, virtual_bytes;
	uint64_t open_fds; /* 0: this kernel does not say (before 6.2) */
	uint64_t max_fds;
};

/* instance NULL: an ordinary caller's. -ENOBUFS: it does not fit. */
must_check int metrics_text(struct om_writer *writer,
			    const struct metrics *metrics,
			    const struct metrics_now *now,
			    const struct metrics_instance *instance);

#endif
