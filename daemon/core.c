/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes and unmakes the parts of the core, and what happens on the spawner's
 * coming and going; see core.h.
 */
#include "daemon/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "daemon/boot.h"
#include "daemon/config.h"
#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/event_ring.h"
#include "daemon/events.h"
#include "daemon/lease.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/park.h"
#include "daemon/record_store.h"
#include "daemon/restore.h"
#include "daemon/rpc.h"
#include "daemon/spawner_client.h"
#include "daemon/start.h"
#include "daemon/store.h"
#include "daemon/subscribe.h"
#include "daemon/task.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/sys.h"

#define PIDFS_MAGIC 0x50494446 /* linux/magic.h of Linux 6.9 */
#define TRIM_MS 60000

/* Has every process's pidfd an inode of its own? */
static bool
has_pidfs(void)
{
	fd_auto int fd = sys_pidfd_open(getpid());
	struct statfs st;

	return fd >= 0 && fstatfs(fd, &st) == 0 && st.f_type == PIDFS_MAGIC;
}

static void
ping_on_answer(struct daemon *daemon, uint64_t id,
	       const struct op_message *answer, int fd)
{
	void (*fn)(struct daemon *) = daemon->core->on_ready;

	fd_close(&fd);
	if (!answer || answer->header.type != ANSWER_DONE || !fn)
		return;
	daemon->core->on_ready = NULL;
	fn(daemon);
}

static void
spawner_on_connected(struct daemon *daemon)
{
	struct spawner_small ping = {
		.op = OP_PING,
		.caller_fd = -1,
		.fn = ping_on_answer,
	};

	daemon->core->n_connects++;
	restore_adopt(daemon);
	store_on_spawner(daemon);
	lease_on_spawner(daemon);
	if (daemon->server)
		server_ask_again(daemon->server);
	if (spawner_send_owed(daemon->spawner, &ping) < 0)
		log_error("spawner: cannot ping it");
}

/* Quotas and the verbs that only look are decided by what WHO says. */
static void
spawner_on_policy(struct daemon *daemon)
{
	if (daemon->server)
		server_ask_again(daemon->server);
}

static int
core_new_epoch(struct daemon *daemon)
{
	if (getrandom(daemon->epoch, sizeof(daemon->epoch), 0) !=
	    sizeof(daemon->epoch))
		return -EIO;
	return 0;
}

/* The dead nsexecd's, if it was handed back and is what the records name. */
static int
core_take_ring(struct daemon *daemon)
{
	fd_auto int fd = store_take(daemon->store, STORE_RING);
	struct event_ring *ring;
	int r;

	if (fd < 0)
		return -ENOENT;
	r = event_ring_open(fd, daemon->epoch, daemon->ring_id, &ring);
	if (r == 0) {
		fd_steal(&fd);
		r = event_log_attach(daemon->events, ring);
		if (r < 0)
			event_ring_free(ring);
	}
	if (r == -EBADMSG)
		log_warning("events: the ring that was kept is not used: it "
			    "is not ours, or not whole");
	return r;
}

/* Without one nothing is lost but numbers, which then show as a gap. */
static int
core_open_ring(struct daemon *daemon)
{
	struct event_ring *ring = NULL;
	int r;

	r = core_take_ring(daemon);
	if (r == 0 || r == -ENOMEM)
		return r;
	memset(daemon->ring_id, 0, sizeof(daemon->ring_id));
	r = event_ring_new(daemon->epoch, &ring);
	if (r == 0) {
		memcpy(daemon->ring_id, event_ring_id(ring),
		       sizeof(daemon->ring_id));
		/* on record before the first number is given in it */
		r = record_store_numbering(daemon);
	}
	if (r == 0)
		r = event_log_attach(daemon->events, ring);
	if (r < 0) {
		log_warning("events: no ring to keep them over a restart: %s",
			    strerror(-r));
		memset(daemon->ring_id, 0, sizeof(daemon->ring_id));
		event_ring_free(ring);
	}
	return 0;
}

static int
core_load(struct daemon *daemon)
{
	int r;

	r = boot_id_init();
	if (r < 0) {
		log_error("boot id: cannot read: %s", strerror(-r));
		return r;
	}
	r = record_store_load_numbering(daemon);
	if (r == -ENOENT)
		r = core_new_epoch(daemon);
	if (r == 0)
		r = core_open_ring(daemon);
	if (r == 0)
		r = record_store_load(daemon, restore_record);
	if (r < 0)
		return r;
	restore_told(daemon);
	daemon->n_begun++;
	record_store_numbering(daemon);
	return 0;
}

/* Ended containers that grew too old, now and then. */
static void
core_on_trim(void *userdata)
{
	struct daemon *daemon = userdata;

	containers_trim(daemon);
	watch_timer_set(daemon->core->trim_timer, TRIM_MS);
}

static void
core_on_doomed(void *userdata)
{
	containers_free_doomed(userdata);
}

static int
core_new_parts(struct daemon *daemon)
{
	static const struct spawner_callbacks callbacks = {
		.on_connected = spawner_on_connected,
		.on_lost = restore_on_lost,
		.on_policy = spawner_on_policy,
	};
	const struct config_limits *limits = &daemon->config->limits;
	uint64_t keep_ns = (uint64_t)limits->ended_seconds * 1000000000u;
	int r;

	r = park_new(daemon, &daemon->core->park);
	if (r == 0)
		r = leases_new(daemon, &daemon->core->leases);
	if (r == 0)
		r = container_table_new(&daemon->containers);
	if (r == 0)
		r = subscribers_new(&daemon->subscribers);
	if (r == 0)
		r = event_log_new(daemon, limits->events_per_owner, keep_ns,
				  &daemon->events);
	if (r == 0)
		r = record_store_new(daemon->config->records_dir,
				     &daemon->records);
	if (r == 0)
		r = spawner_client_new(daemon, daemon->config->spawner_socket,
				       &callbacks, &daemon->spawner);
	if (r == 0)
		r = watch_new_timer(daemon->loop, core_on_trim, daemon,
				    &daemon->core->trim_timer);
	if (r == 0)
		r = watch_new_timer(daemon->loop, core_on_doomed, daemon,
				    &daemon->core->doomed_timer);
	return r;
}

int
core_new(struct daemon *daemon)
{
	int r;

	daemon->core = calloc(1, sizeof(*daemon->core));
	if (!daemon->core)
		return -ENOMEM;
	daemon->core->pidfs = has_pidfs();
	daemon->core->began_ns = clock_ns(CLOCK_REALTIME);
	r = core_new_parts(daemon);
	if (r == 0)
		r = core_load(daemon);
	if (r < 0)
		core_deinit(daemon);
	return r;
}

void
core_on_ready(struct daemon *daemon, void (*fn)(struct daemon *daemon))
{
	daemon->core->on_ready = fn;
}

void
core_start(struct daemon *daemon)
{
	watch_timer_set(daemon->core->trim_timer, TRIM_MS);
	spawner_connect(daemon->spawner);
}

bool
core_idle(const struct daemon *daemon)
{
	return container_table_in_flight(daemon->containers) == 0 &&
	       daemon->core->asking == 0;
}

void
core_deinit(struct daemon *daemon)
{
	if (!daemon->core)
		return;
	daemon->spawner = spawner_client_free(daemon->spawner);
	start_deinit(daemon);
	spec_pool_deinit(&daemon->core->specs);
	/* parked calls die with the server; only their memory is left */
	daemon->core->park = park_free(daemon->core->park);
	daemon->containers = container_table_free(daemon->containers);
	daemon->core->leases = leases_free(daemon->core->leases);
	daemon->subscribers = subscribers_free(daemon->subscribers);
	daemon->events = event_log_free(daemon->events);
	daemon->records = record_store_free(daemon->records);
	watch_free(daemon->core->trim_timer);
	watch_free(daemon->core->doomed_timer);
	free(daemon->core);
	daemon->core = NULL;
}
