/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who reads events: streams, and calls that wait for the next ones. A reader
 * is a cursor into its viewer's numbering, nothing is queued for it here. One
 * that cannot take more (its connection's queue is full) falls behind alone
 * and goes on from its cursor when there is room: what the ring lost meanwhile
 * is told as a gap (terminal events are kept longer and told), then the rest,
 * then a snapshot of every live container.
 */
#ifndef NSX_DAEMON_SUBSCRIBE_H
#define NSX_DAEMON_SUBSCRIBE_H

#include "daemon/rpc.h"
#include "proto/handover.pb-c.h"
#include "proto/nsexec.pb-c.h"

struct subscribers;

must_check int subscribers_new(struct subscribers **ret);
struct subscribers *subscribers_free(struct subscribers *subscribers);

/* Methods Events and NextEvents and their ends. */
void subscribe_stream(struct daemon *daemon, uint64_t call_id,
		      const struct rpc_caller *caller,
		      const Nsexec__V1__EventsRequest *request);
void subscribe_next(struct daemon *daemon, uint64_t call_id,
		    const struct rpc_caller *caller,
		    const Nsexec__V1__NextEventsRequest *request);
void subscribe_gone(struct daemon *daemon, uint64_t call_id);

/* Of those whom the viewer sees: streams, or calls that wait. */
size_t subscribers_count(const struct daemon *daemon, struct viewer viewer,
			 bool streams);
/* Of one request. */
#define SUBSCRIBE_CONTAINERS_MAX 64
#define SUBSCRIBE_EVENTS_MAX 1024u

/*
 * A reader as it is handed over; the message's texts are borrowed, free it with
 * subscribe_saved_free(). NULL: this call is none, or no memory.
 */
Nsexec__Handover__Reader *subscribe_save(const struct daemon *daemon,
					 uint64_t call_id);
void subscribe_saved_free(Nsexec__Handover__Reader *saved);
/* The reader of a call that is there again. -ENOMEM. */
must_check int subscribe_restore(struct daemon *daemon, uint64_t call_id,
				 const Nsexec__Handover__Reader *saved);
/* All readers look what there is. */
void subscribers_wake_all(struct daemon *daemon);

/* This viewer has a new event. */
void subscribers_wake(struct daemon *daemon, uid_t viewer);

#endif
