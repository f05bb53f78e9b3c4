/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of events, one per viewer; see events.h. An event is copied for each
 * viewer that sees it (its owner and the admin), since each copy has a number
 * of its own.
 */
#include "daemon/events.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/event_ring.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/record_event.h"
#include "daemon/record_store.h"
#include "daemon/subscribe.h"
#include "lib/clock.h"
#include "lib/table.h"
#include "lib/util.h"

#define OWED "an event"
#define RESERVE 4096u	/* numbers reserved at a time */
#define MAX_KEPT 16384u /* terminal events outside the ring, per viewer */

/* A viewer's events. kept is sorted by seq, all below the ring's first. */
struct ring {
	uid_t viewer;
	struct event **slots; /* seq -> slots[seq % size] */
	size_t size;
	uint64_t first, last; /* in the slots; empty: first = last + 1 */
	uint64_t limit;	      /* numbers up to it are reserved on record */
	bool resumed;	      /* last may never have been given */
	struct event **kept;
	size_t n_kept, kept_size;
};

struct event_log {
	struct daemon *daemon;
	size_t ring_size;
	uint64_t keep_ns;
	struct table rings;	    /* uid + 1 -> struct ring */
	struct event_ring *backing; /* NULL: none */
};

static struct event *
event_free(struct event *event)
{
	if (event)
		free(event->error);
	free(event);
	return NULL;
}

static void
ring_free(struct ring *ring)
{
	for (size_t i = 0; i < ring->size; i++)
		event_free(ring->slots[i]);
	for (size_t i = 0; i < ring->n_kept; i++)
		event_free(ring->kept[i]);
	free(ring->slots);
	free(ring->kept);
	free(ring);
}

int
event_log_new(struct daemon *daemon, size_t ring_size, uint64_t keep_ns,
	      struct event_log **ret)
{
	struct event_log *log = calloc(1, sizeof(*log));

	if (!log)
		return -ENOMEM;
	log->daemon = daemon;
	log->ring_size = ring_size ? ring_size : 1;
	log->keep_ns = keep_ns;
	*ret = log;
	return 0;
}

struct event_log *
event_log_free(struct event_log *log)
{
	struct ring *ring;
	uint64_t uid;

	if (!log)
		return NULL;
	while ((ring = table_any(&log->rings, &uid))) {
		table_remove(&log->rings, uid);
		ring_free(ring);
	}
	table_deinit(&log->rings);
	log->backing = event_ring_free(log->backing);
	free(log);
	return NULL;
}

static struct ring *
ring_find(const struct event_log *log, uid_t viewer)
{
	return table_find(&log->rings, (uint64_t)viewer + 1);
}

/* Made on first use. */
static struct ring *
ring_get(struct event_log *log, uid_t viewer)
{
	struct ring *ring = ring_find(log, viewer);

	if (ring)
		return ring;
	ring = owed_calloc(1, sizeof(*ring), OWED);
	ring->viewer = viewer;
	ring->first = 1;
	if (table_add(&log->rings, (uint64_t)viewer + 1, ring) < 0)
		memory_out(OWED);
	return ring;
}

bool
event_is_terminal(enum event_type type)
{
	return type == EVENT_EXITED || type == EVENT_EXEC_EXITED ||
	       type == EVENT_FAILED;
}

static struct event *
event_new(const struct event_draft *draft)
{
	const char *texts[3] = { draft->container ? draft->container : "",
				 draft->name ? draft->name : "",
				 draft->exec_id ? draft->exec_id : "" };
	size_t sizes[3], total = 0;
	struct event *event;
	char *at;

	for (size_t i = 0; i < 3; i++) {
		sizes[i] = strlen(texts[i]) + 1;
		total += sizes[i];
	}
	event = owed_calloc(1, sizeof(*event) + total, OWED);
	at = event->text;
	event->container = memcpy(at, texts[0], sizes[0]);
	event->name = memcpy(at + sizes[0], texts[1], sizes[1]);
	event->exec_id = memcpy(at + sizes[0] + sizes[1], texts[2], sizes[2]);
	event->type = draft->type;
	event->owner = draft->owner;
	event->pid = draft->pid;
	event->pid_inode = draft->pid_inode;
	if (draft->exit)
		event->exit = *draft->exit;
	if (draft->error) {
		event->error = owed_malloc(sizeof(*event->error), OWED);
		*event->error = *draft->error;
	}
	return event;
}

static void
kept_drop_first(struct ring *ring, size_t n)
{
	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		event_free(ring->kept[i]);
	ring->n_kept -= n;
	memmove(ring->kept, ring->kept + n, ring->n_kept * sizeof(*ring->kept));
}

/* Takes event. */
static void
kept_insert(struct event_log *log, struct ring *ring, struct event *event)
{
	uint64_t now = clock_ns(CLOCK_BOOTTIME);
	size_t old = 0, at;

	while (old < ring->n_kept &&
	       (ring->kept[old]->boottime_ns + log->keep_ns < now ||
		ring->n_kept - old >= MAX_KEPT))
		old++;
	/* moving them is worth it only now and then */
	if (old > 64 || old == ring->n_kept || ring->n_kept >= MAX_KEPT)
		kept_drop_first(ring, old);
	if (ring->n_kept == ring->kept_size) {
		size_t size = ring->kept_size ? ring->kept_size * 2 : 64;

		ring->kept = owed_realloc(ring->kept,
					  size * sizeof(*ring->kept), OWED);
		ring->kept_size = size;
	}
	for (at = ring->n_kept; at && ring->kept[at - 1]->seq > event->seq;
	     at--)
		ring->kept[at] = ring->kept[at - 1];
	ring->kept[at] = event;
	ring->n_kept++;
}

/* Double the slots, up to the ring's size. */
static void
ring_grow(struct event_log *log, struct ring *ring)
{
	size_t size = ring->size ? ring->size * 2 : 64;
	struct event **slots;

	if (size > log->ring_size)
		size = log->ring_size;
	if (size <= ring->size)
		return;
	slots = owed_calloc(size, sizeof(*slots), OWED);
	for (uint64_t seq = ring->first; seq <= ring->last; seq++)
		slots[seq % size] = ring->slots[seq % ring->size];
	free(ring->slots);
	ring->slots = slots;
	ring->size = size;
}

static void
ring_evict(struct event_log *log, struct ring *ring)
{
	struct event **slot = &ring->slots[ring->first % ring->size];
	struct event *event = *slot;

	*slot = NULL;
	ring->first++;
	if (event && event_is_terminal(event->type))
		kept_insert(log, ring, event);
	else
		event_free(event);
}

/* Takes event. */
static void
ring_append(struct event_log *log, struct ring *ring, struct event *event)
{
	uint64_t seq = ring->last + 1;

	if (seq - ring->first >= ring->size)
		ring_grow(log, ring);
	if (seq - ring->first >= ring->size)
		ring_evict(log, ring);
	ring->last = seq;
	event->seq = seq;
	ring->slots[seq % ring->size] = event;
}

/* Have the next number on record as one that may have been given. */
static void
ring_reserve(struct event_log *log, struct ring *ring)
{
	if (ring->last < ring->limit)
		return;
	ring->limit = ring->last + RESERVE;
	(void)record_store_numbering(log->daemon);
}

/* An event of this record that no ring has yet. */
static struct event *
event_of_record(const struct event_record *record)
{
	struct event *event = event_new(&record->draft);

	event->realtime_ns = record->realtime_ns;
	event->boottime_ns = record->boottime_ns;
	return event;
}

/* Before anybody is shown it. */
static void
log_back(struct event_log *log, const struct event_record *record)
{
	free_auto uint8_t *data = NULL;
	size_t size;
	int r;

	if (!log->backing)
		return;
	r = record_event_encode(record, &data, &size);
	if (r == 0) {
		event_ring_append(log->backing, data, size);
		return;
	}
	if (r == -ENOMEM)
		memory_out(OWED);
	/* One number is missing in it: the next start is without it. */
	log_error("events: one is too large for the ring, a restart shows a "
		  "gap");
	log->backing = event_ring_free(log->backing);
}

static void
publish_to(struct event_log *log, uid_t viewer,
	   const struct event_record *record)
{
	ring_append(log, ring_get(log, viewer), event_of_record(record));
	subscribers_wake(log->daemon, viewer);
}

void
event_publish(struct event_log *log, const struct event_draft *draft)
{
	const struct event_record record = {
		.draft = *draft,
		.seqs = event_next(log, draft->owner),
		.realtime_ns = clock_ns(CLOCK_REALTIME),
		.boottime_ns = clock_ns(CLOCK_BOOTTIME),
	};

	log_back(log, &record);
	publish_to(log, draft->owner, &record);
	if (draft->owner != 0)
		publish_to(log, 0, &record);
}

struct event_seqs
event_next(struct event_log *log, uid_t owner)
{
	struct ring *own = ring_get(log, owner);
	struct ring *admin = ring_get(log, 0);

	/* reserved before it is written into a record */
	ring_reserve(log, own);
	ring_reserve(log, admin);
	return (struct event_seqs){ .owner = own->last + 1,
				    .admin = admin->last + 1 };
}

/* A number was given to nobody, or not known here: the next is seq. */
static void
ring_skip_to(struct event_log *log, struct ring *ring, uint64_t seq)
{
	while (ring->first <= ring->last)
		ring_evict(log, ring);
	ring->first = seq;
	ring->last = seq - 1;
}

/* Is this number's event here? */
static bool
ring_has(const struct ring *ring, uint64_t seq)
{
	if (seq >= ring->first && seq <= ring->last)
		return ring->slots[seq % ring->size] != NULL;
	for (size_t i = 0; i < ring->n_kept; i++)
		if (ring->kept[i]->seq == seq)
			return true;
	return false;
}

/*
 * The event of a record under its number; true: it was behind all others. A
 * number beyond the reserved ones was never shown. Takes event.
 */
static bool
ring_restore(struct event_log *log, struct ring *ring, uint64_t seq,
	     struct event *event)
{
	if (seq == 0 || seq > ring->limit || ring_has(ring, seq)) {
		event_free(event);
		return false;
	}
	event->seq = seq;
	if (seq > ring->last) {
		if (seq != ring->last + 1)
			ring_skip_to(log, ring, seq);
		ring_append(log, ring, event);
		return true;
	}
	if (seq >= ring->first)
		ring->slots[seq % ring->size] = event;
	else
		kept_insert(log, ring, event);
	return false;
}

void
event_restore(struct event_log *log, const struct event_draft *draft,
	      const struct event_seqs *seqs, uint64_t realtime_ns,
	      uint64_t boottime_ns)
{
	struct event_record record = { .draft = *draft,
				       .realtime_ns = realtime_ns,
				       .boottime_ns = boottime_ns };
	struct ring *own = ring_get(log, draft->owner);
	struct ring *admin = ring_get(log, 0);

	if (ring_restore(log, own, seqs->owner, event_of_record(&record)))
		record.seqs.owner = seqs->owner;
	if (draft->owner != 0 &&
	    ring_restore(log, admin, seqs->admin, event_of_record(&record)))
		record.seqs.admin = seqs->admin;
	/* on record and not told: it died in between */
	if (record.seqs.owner || record.seqs.admin)
		log_back(log, &record);
}

/* The ring of events */

static int
import_check(void *userdata, const uint8_t *data, size_t size)
{
	const struct event_log *log = userdata;
	struct event_record_parts parts;
	struct event_record record;
	const struct ring *own, *admin;
	int r;

	r = record_event_decode(data, size, &record, &parts);
	if (r == 0) {
		own = ring_find(log, record.draft.owner);
		admin = ring_find(log, 0);
		if (record.seqs.owner > (own ? own->limit : 0) ||
		    record.seqs.admin > (admin ? admin->limit : 0))
			r = -EBADMSG;
	}
	event_record_parts_deinit(&parts);
	return r;
}

static void
import_to(struct event_log *log, uid_t viewer, uint64_t seq,
	  const struct event_record *record)
{
	struct ring *ring = ring_find(log, viewer);

	if (!ring || seq == 0)
		return;
	if (ring->resumed) {
		ring->resumed = false;
		ring->first = seq;
		ring->last = seq - 1;
	}
	if (seq <= ring->last)
		return;
	if (seq != ring->last + 1)
		ring_skip_to(log, ring, seq);
	ring_append(log, ring, event_of_record(record));
}

static int
import_entry(void *userdata, const uint8_t *data, size_t size)
{
	struct event_log *log = userdata;
	struct event_record_parts parts;
	struct event_record record;
	int r;

	r = record_event_decode(data, size, &record, &parts);
	if (r == 0) {
		import_to(log, record.draft.owner, record.seqs.owner, &record);
		if (record.draft.owner != 0)
			import_to(log, 0, record.seqs.admin, &record);
	}
	event_record_parts_deinit(&parts);
	return r;
}

int
event_log_attach(struct event_log *log, struct event_ring *ring)
{
	int r;

	r = event_ring_walk(ring, import_check, log);
	if (r == 0)
		r = event_ring_walk(ring, import_entry, log);
	if (r == 0)
		log->backing = ring;
	return r;
}

struct walk {
	void (*fn)(void *userdata, const struct event_record *record);
	void *userdata;
};

static int
walk_entry(void *userdata, const uint8_t *data, size_t size)
{
	const struct walk *walk = userdata;
	struct event_record_parts parts;
	struct event_record record;
	int r;

	r = record_event_decode(data, size, &record, &parts);
	if (r == 0)
		walk->fn(walk->userdata, &record);
	event_record_parts_deinit(&parts);
	return r;
}

int
event_log_walk(const struct event_log *log,
	       void (*fn)(void *userdata, const struct event_record *record),
	       void *userdata)
{
	struct walk walk = { fn, userdata };

	return log->backing ? event_ring_walk(log->backing, walk_entry, &walk)
			    : 0;
}

const struct event_ring *
event_log_ring(const struct event_log *log)
{
	return log->backing;
}

void
event_log_resume(struct event_log *log, uid_t viewer, uint64_t last)
{
	struct ring *ring = ring_get(log, viewer);

	assert(ring->last == 0);
	ring->last = last;
	ring->first = last + 1;
	ring->limit = last;
	ring->resumed = true;
}

void
event_log_limits(const struct event_log *log,
		 void (*fn)(void *userdata, uid_t viewer, uint64_t limit),
		 void *userdata)
{
	for (size_t i = 0; i < log->rings.size; i++) {
		const struct ring *ring = log->rings.slots[i].value;

		if (log->rings.slots[i].key)
			fn(userdata, ring->viewer, ring->limit);
	}
}

uint64_t
event_last(const struct event_log *log, uid_t viewer)
{
	const struct ring *ring = ring_find(log, viewer);

	return ring ? ring->last : 0;
}

const struct event *
event_from(const struct event_log *log, uid_t viewer, uint64_t seq)
{
	const struct ring *ring = ring_find(log, viewer);
	size_t low = 0, high;

	if (!ring)
		return NULL;
	high = ring->n_kept;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ring->kept[middle]->seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < ring->n_kept)
		return ring->kept[low];
	if (seq < ring->first)
		seq = ring->first;
	for (; seq <= ring->last; seq++) {
		if (ring->slots[seq % ring->size])
			return ring->slots[seq % ring->size];
	}
	return NULL;
}
