/* SPDX-License-Identifier: Apache-2.0 */
/* What the server has of one owner, or of all, just now. */
#ifndef NSX_DAEMON_PEER_COUNTS_H
#define NSX_DAEMON_PEER_COUNTS_H

#include <stdint.h>

#include "daemon/viewer.h"

struct server;

struct server_counts {
	uint64_t connections;
	uint64_t held;	   /* of those: nobody knows yet whose they are */
	uint64_t requests; /* in flight; not those that wait */
	uint64_t waiting;
	uint64_t queued;	/* bytes that wait to be written */
	uint64_t queued_events; /* of those, of streams */
};
/* Of those that the viewer sees. */
void server_count(const struct server *server, struct viewer viewer,
		  struct server_counts *ret);

#endif
