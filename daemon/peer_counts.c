/* SPDX-License-Identifier: Apache-2.0 */
/* Adds up what the connections have; see peer_counts.h. */
#include "daemon/peer_counts.h"

#include <event2/buffer.h>

#include "daemon/peer.h"

/* The streams' queues, and that of one of them which is being written. */
static uint64_t
queued_events(const struct peer *peer)
{
	const struct call *call;
	uint64_t n = 0;

	TAILQ_FOREACH(call, &peer->pending, pending_link)
	n += evbuffer_get_length(call->queue);
	if (peer->out_call_id)
		n += evbuffer_get_length(peer->out);
	return n;
}

void
server_count(const struct server *server, struct viewer viewer,
	     struct server_counts *ret)
{
	const struct peer *peer;

	*ret = (struct server_counts){ 0 };
	LIST_FOREACH(peer, &server->all, all_link)
	{
		uint64_t events;

		if (peer->fd < 0 || !viewer_sees(viewer, peer->caller.owner))
			continue;
		events = queued_events(peer);
		ret->connections++;
		ret->held += peer->held;
		ret->requests += peer->n_active;
		ret->waiting += peer->n_parked;
		ret->queued += peer->queued;
		/* an answer may wait in the same buffer behind a stream */
		ret->queued_events +=
			events < peer->queued ? events : peer->queued;
	}
}
