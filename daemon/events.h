/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened, numbered without holes for each viewer. A viewer is an owner
 * (sees his own containers) or the admin, uid 0 (sees all). Each has a ring of
 * the newest events; terminal events (exited, exec-exited, failed) that leave
 * the ring are kept for an hour more.
 *
 * Numbers survive a restart: they are reserved in blocks in a small record
 * before they are given, and a terminal event's number stands in its task's
 * record. Where the ring of the dead nsexecd was handed back (event_ring.h),
 * its events and their numbers go on in it; else what was reserved and may have
 * been given shows as a gap. There is no hole for want of memory: memory.h.
 */
#ifndef NSX_DAEMON_EVENTS_H
#define NSX_DAEMON_EVENTS_H

#include "daemon/container.h"
#include "daemon/daemon.h"

/* Numbers of nsexec.v1.EventType. */
enum event_type {
	EVENT_NONE,
	EVENT_CREATED,
	EVENT_STARTED,
	EVENT_EXEC_STARTED,
	EVENT_EXEC_EXITED,
	EVENT_EXITED,
	EVENT_DELETED,
	EVENT_FAILED,
	EVENT_GAP,
	EVENT_SNAPSHOT,
	N_EVENT_TYPES,
};

/* What to publish; everything is borrowed. */
struct event_draft {
	enum event_type type;
	uid_t owner;
	const char *container;
	const char *name;
	const char *exec_id;
	pid_t pid;
	uint64_t pid_inode;
	const struct task_exit *exit; /* NULL: none */
	const struct error *error;    /* NULL: none */
};

/* One in a ring. The texts and the error belong to it. */
struct event {
	uint64_t seq;
	uint64_t realtime_ns;
	uint64_t boottime_ns;
	enum event_type type;
	uid_t owner;
	pid_t pid;
	uint64_t pid_inode;
	struct task_exit exit;
	struct error *error;
	const char *container, *name, *exec_id; /* "" = none */
	char text[];
};

struct event_log;

must_check int event_log_new(struct daemon *daemon, size_t ring_size,
			     uint64_t keep_ns, struct event_log **ret);
struct event_log *event_log_free(struct event_log *log);

/* The numbers that the next event of this owner will get. */
struct event_seqs event_next(struct event_log *log, uid_t owner);
/* Number it, keep it, show it to the subscribers. */
void event_publish(struct event_log *log, const struct event_draft *draft);
/* Put back a terminal event from a record, in any order. */
void event_restore(struct event_log *log, const struct event_draft *draft,
		   const struct event_seqs *seqs, uint64_t realtime_ns,
		   uint64_t boottime_ns);

/* Numbering after a restart: the newest number that may have been given. */
void event_log_resume(struct event_log *log, uid_t viewer, uint64_t last);
/*
 * Keep what is published in this ring as well, and take what is in it; after
 * the numbering, before the records. Takes ring on success. -EBADMSG: what is
 * in it does not go with the numbering; nothing was taken. -ENOMEM: some was,
 * and this log can number nothing.
 */
struct event_ring;
must_check int event_log_attach(struct event_log *log, struct event_ring *ring);
/* What the ring of the dead nsexecd held, the oldest first. */
struct event_record;
must_check int event_log_walk(const struct event_log *log,
			      void (*fn)(void *userdata,
					 const struct event_record *record),
			      void *userdata);
/* NULL: none. */
const struct event_ring *event_log_ring(const struct event_log *log);
/* Called with each viewer's reserved limit, to write them down. */
void event_log_limits(const struct event_log *log,
		      void (*fn)(void *userdata, uid_t viewer, uint64_t limit),
		      void *userdata);

uint64_t event_last(const struct event_log *log, uid_t viewer);
/* The oldest event still there with a number of at least seq; NULL: none. */
const struct event *event_from(const struct event_log *log, uid_t viewer,
			       uint64_t seq);
bool event_is_terminal(enum event_type type);

#endif
