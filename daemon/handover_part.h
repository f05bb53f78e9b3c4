/* SPDX-License-Identifier: Apache-2.0 */
/* The two ends of a hand-over: handover_give.c, handover_take.c. */
#ifndef NSX_DAEMON_HANDOVER_PART_H
#define NSX_DAEMON_HANDOVER_PART_H

#include <stdint.h>

#include "daemon/daemon.h"
#include "lib/err.h"
#include "lib/fd.h"

/*
 * On the way: seqpackets of this and, after HANDOVER_FDS, as many numbers of
 * connections as descriptors. HANDOVER_STATE is the last, with the memfd.
 */
struct handover_packet {
	uint32_t magic;
	uint32_t what;
	uint64_t ids[FD_MSG_MAX];
};
#define HANDOVER_PACKET_MAGIC 0x5058534eu /* "NSXP" */
#define HANDOVER_FDS 1u
#define HANDOVER_STATE 2u
#define HANDOVER_PACKET_SIZE(n_ids) \
	(offsetof(struct handover_packet, ids) + (n_ids) * sizeof(uint64_t))
#define HANDOVER_FDS_MAX 8192u

/* Send all there is; after a 0 this process may do nothing more. -errno. */
must_check int handover_give(struct daemon *daemon, int fd);
/* Take all that was sent: how many connections, or -errno. */
must_check int handover_receive(struct daemon *daemon, int fd);

#endif
