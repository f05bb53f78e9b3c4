/* SPDX-License-Identifier: Apache-2.0 */
/* An event as bytes, for the ring of events; see event_ring.h. */
#ifndef NSX_DAEMON_RECORD_EVENT_H
#define NSX_DAEMON_RECORD_EVENT_H

#include "daemon/events.h"
#include "proto/record.pb-c.h"

/* An event with its numbers and times. */
struct event_record {
	struct event_draft draft;
	struct event_seqs seqs; /* 0: not told to that one */
	uint64_t realtime_ns, boottime_ns;
};

/* A new buffer (given). -ENOMEM, -EMSGSIZE. */
must_check int record_event_encode(const struct event_record *record,
				   uint8_t **ret, size_t *ret_size);

/* What a decoded record borrows from. */
struct event_record_parts {
	Nsexec__Record__Event *message;
	struct task_exit exit;
	struct error *error;
};
/* Checked: type, ids. Free the parts also on error. -EBADMSG, -ENOMEM. */
must_check int record_event_decode(const void *data, size_t size,
				   struct event_record *ret,
				   struct event_record_parts *parts);
void event_record_parts_deinit(struct event_record_parts *parts);

#endif
