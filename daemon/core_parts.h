/* SPDX-License-Identifier: Apache-2.0 */
/* What core.c makes and only the core's own files see. */
#ifndef NSX_DAEMON_CORE_PARTS_H
#define NSX_DAEMON_CORE_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/daemon.h"
#include "daemon/metrics.h"
#include "daemon/spec.h"
#include "lib/table.h"

struct container;
struct leases;
struct park;
struct watch;

struct core {
	struct park *park;
	struct leases *leases;
	struct table
		launches; /* call id -> start.c's calls awaiting their fds */
	struct spec_pool specs;
	void (*on_ready)(struct daemon *daemon);
	uint64_t adopt_round; /* of LIST after a reconnect, restore.c */
	struct watch *trim_timer;
	/* containers that are over, freed when no callback is on the stack */
	struct container *doomed;
	struct watch *doomed_timer;
	size_t asking;		/* STATUS requests under way */
	struct metrics metrics; /* of all owners */
	uint64_t began_ns;	/* realtime, of this nsexecd */
	uint64_t n_adopted;	/* tasks on record that lived on */
	uint64_t n_connects;	/* to the spawner */
	bool pidfs; /* pidfds have inodes of their own (Linux 6.9) */
};

#endif
