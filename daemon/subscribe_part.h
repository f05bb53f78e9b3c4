/* SPDX-License-Identifier: Apache-2.0 */
/* Readers, as subscribe.c and subscribe_handover.c see them. */
#ifndef NSX_DAEMON_SUBSCRIBE_PART_H
#define NSX_DAEMON_SUBSCRIBE_PART_H

#include "daemon/spec.h"
#include "daemon/subscribe.h"
#include "lib/table.h"

struct reader {
	struct reader *prev, *next;
	struct daemon *daemon;
	uint64_t call_id;
	struct viewer viewer;
	uid_t ring;	 /* whose numbers are his */
	uint64_t cursor; /* next number it is owed */
	bool gap_due;	 /* from gap_from to cursor - 1 */
	uint64_t gap_from;
	bool behind;		 /* a snapshot is due once it has caught up */
	bool terse;		 /* until then only terminal events are told */
	bool snapshots;		 /* behind, and all of the past is told */
	uint64_t snapshot_after; /* serial of the last one told */
	uint32_t types;		 /* bit n = type n; 0: all */
	char (*containers)[SPEC_ID_MAX + 1];
	size_t n_containers;

	bool stream;
	/* of a long poll */
	struct watch *timer;
	int64_t end_ms; /* CLOCK_BOOTTIME */
	uint32_t max_events;
};

struct subscribers {
	struct reader *first;
	struct table by_call;
	bool waking; /* a wake is under way: readers end only afterwards */
};

/* Takes reader on success. */
must_check int reader_add(struct subscribers *subscribers,
			  struct reader *reader);
void reader_free(struct subscribers *subscribers, struct reader *reader);
/* The end of a long poll's time. -ENOMEM. */
must_check int reader_arm(struct reader *reader, int64_t end_ms);

#endif
