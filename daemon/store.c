/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping descriptors for the next nsexecd; see store.h. */
#include "daemon/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/event_ring.h"
#include "daemon/events.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/spawner_client.h"
#include "lib/fd.h"

/* A private instance's spawner answers in this order (one connection). */
#define WAITING_MAX 8

struct waiting {
	uint64_t id; /* 0: free */
	void (*done)(struct daemon *daemon, int r);
};

struct store {
	struct daemon *daemon;
	struct store_fds fds;
	uint64_t last_id;
	struct waiting waiting[WAITING_MAX];
	bool ring_is_kept; /* by systemd, which lives longer than we */
};

int
store_new(struct daemon *daemon, const struct store_fds *fds,
	  struct store **ret)
{
	struct store *store = calloc(1, sizeof(*store));
	struct store_fds owned = *fds;

	if (!store) {
		fd_close(&owned.ring);
		fd_close(&owned.handover);
		return -ENOMEM;
	}
	store->daemon = daemon;
	store->fds = owned;
	*ret = store;
	return 0;
}

struct store *
store_free(struct store *store)
{
	if (!store)
		return NULL;
	fd_close(&store->fds.ring);
	fd_close(&store->fds.handover);
	free(store);
	return NULL;
}

int
store_take(struct store *store, const char *name)
{
	if (!store)
		return -1;
	return strcmp(name, STORE_RING) == 0 ? fd_steal(&store->fds.ring)
					     : fd_steal(&store->fds.handover);
}

static void
put_on_answer(struct daemon *daemon, uint64_t id,
	      const struct op_message *answer, int fd)
{
	struct store *store = daemon->store;
	bool kept = answer && answer->header.type == ANSWER_DONE;

	fd_close(&fd);
	if (!store)
		return;
	if (answer && !kept)
		log_info("the spawner keeps nothing for a successor: %s",
			 op_has(answer, OP_ATTR_RULE) ? answer->rule : "");
	for (size_t i = 0; i < WAITING_MAX; i++) {
		struct waiting *waiting = &store->waiting[i];

		if (waiting->id != id)
			continue;
		waiting->id = 0;
		waiting->done(daemon, kept ? 0 : -ENOTSUP);
		return;
	}
}

static int
put_by_spawner(struct store *store, const char *name, int fd,
	       void (*done)(struct daemon *daemon, int r))
{
	struct spawner_small small = {
		.op = OP_STORE,
		.container = name,
		.caller_fd = fd,
		.fn = put_on_answer,
		.id = ++store->last_id,
	};
	struct waiting *waiting = NULL;
	int r;

	for (size_t i = 0; done && !waiting && i < WAITING_MAX; i++)
		if (store->waiting[i].id == 0)
			waiting = &store->waiting[i];
	if (done && !waiting)
		return -EBUSY;
	r = spawner_send_small(store->daemon->spawner, &small);
	if (r == 0 && done)
		*waiting = (struct waiting){ small.id, done };
	return r;
}

void
store_put(struct daemon *daemon, const char *name, int fd,
	  void (*done)(struct daemon *daemon, int r))
{
	int r;

	if (!daemon->store) {
		r = -ENOTSUP;
	} else if (daemon->config->private_instance) {
		r = put_by_spawner(daemon->store, name, fd, done);
		if (r == 0)
			return;
	} else {
		r = notify_store(name, fd);
	}
	if (done)
		done(daemon, r);
}

void
store_on_spawner(struct daemon *daemon)
{
	struct store *store = daemon->store;
	const struct event_ring *ring = event_log_ring(daemon->events);

	if (!store || !ring || store->ring_is_kept)
		return;
	store_put(daemon, STORE_RING, event_ring_fd(ring), NULL);
	store->ring_is_kept = !daemon->config->private_instance;
}
