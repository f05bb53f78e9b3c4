/* SPDX-License-Identifier: Apache-2.0 */
/* See lease.h. */
#include "daemon/lease.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/container.h"
#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/record_store.h"
#include "daemon/spawner_client.h"
#include "daemon/task.h"
#include "lib/fd.h"
#include "lib/table.h"

/* No connection has this number: holds what a restart has found. */
#define NOBODY UINT64_MAX
/* Kills in one turn of the loop: each is a record and a datagram. */
#define KILLS_A_TURN 64u
#define KILL_AGAIN_MS 1000

LIST_HEAD(lease_list, lease);

/* A connection that holds leases. */
struct holder {
	uint64_t peer_id;
	struct lease_list leases;
};

/* One that has containers. */
struct lease {
	struct leases *leases;
	uint64_t slot; /* in by_token */
	uid_t owner;
	uint8_t token[SPEC_LEASE_SIZE];
	struct holder *holder;
	LIST_ENTRY(lease) link; /* of the holder's */
	struct container_queue containers;
};

struct leases {
	struct daemon *daemon;
	uint64_t seed;
	struct table by_token; /* hash of owner and token -> struct lease */
	struct table holders;  /* peer id -> struct holder */
	struct container_queue lost;  /* to be killed */
	struct container_queue again; /* once more: nobody said it is done */
	struct watch *kill_timer, *again_timer, *grace_timer;
	bool grace_begun;
};

static struct leases *
leases_of(const struct daemon *daemon)
{
	return daemon->core->leases;
}

/* Leases and their holders */

static struct lease *
lease_find(const struct leases *leases, uid_t owner, const uint8_t *token)
{
	struct lease *lease =
		table_find(&leases->by_token, table_hash(token, SPEC_LEASE_SIZE,
							 leases->seed + owner));

	if (lease && (lease->owner != owner ||
		      memcmp(lease->token, token, SPEC_LEASE_SIZE) != 0))
		return NULL;
	return lease;
}

static void
lease_unhold(struct lease *lease)
{
	struct holder *holder = lease->holder;

	if (!holder)
		return;
	LIST_REMOVE(lease, link);
	lease->holder = NULL;
	if (!LIST_EMPTY(&holder->leases))
		return;
	table_remove(&lease->leases->holders, holder->peer_id);
	free(holder);
}

static int
holder_get(struct leases *leases, uint64_t peer_id, struct holder **ret)
{
	struct holder *holder = table_find(&leases->holders, peer_id);
	int r;

	if (!holder) {
		holder = calloc(1, sizeof(*holder));
		if (!holder)
			return -ENOMEM;
		holder->peer_id = peer_id;
		LIST_INIT(&holder->leases);
		r = table_add(&leases->holders, peer_id, holder);
		if (r < 0) {
			free(holder);
			return r;
		}
	}
	*ret = holder;
	return 0;
}

static int
lease_hold(struct lease *lease, uint64_t peer_id)
{
	struct holder *holder;
	int r;

	r = holder_get(lease->leases, peer_id, &holder);
	if (r < 0 || holder == lease->holder)
		return r;
	lease_unhold(lease);
	lease->holder = holder;
	LIST_INSERT_HEAD(&holder->leases, lease, link);
	return 0;
}

static void
lease_free(struct lease *lease)
{
	assert(TAILQ_EMPTY(&lease->containers));
	lease_unhold(lease);
	table_remove(&lease->leases->by_token, lease->slot);
	free(lease);
}

static int
lease_new(struct leases *leases, uid_t owner, const uint8_t *token,
	  struct lease **ret)
{
	struct lease *lease = calloc(1, sizeof(*lease));
	int r;

	if (!lease)
		return -ENOMEM;
	lease->leases = leases;
	lease->owner = owner;
	memcpy(lease->token, token, SPEC_LEASE_SIZE);
	TAILQ_INIT(&lease->containers);
	lease->slot = table_hash(token, SPEC_LEASE_SIZE, leases->seed + owner);
	r = table_add(&leases->by_token, lease->slot, lease);
	if (r < 0) {
		free(lease);
		return r;
	}
	*ret = lease;
	return 0;
}

size_t
lease_held(const struct daemon *daemon, uint64_t peer_id,
	   ProtobufCBinaryData *ret)
{
	struct holder *holder =
		table_find(&leases_of(daemon)->holders, peer_id);
	struct lease *lease = holder ? LIST_FIRST(&holder->leases) : NULL;
	size_t n = 0;

	for (; lease; lease = LIST_NEXT(lease, link), n++)
		if (ret)
			ret[n] = (ProtobufCBinaryData){ SPEC_LEASE_SIZE,
							lease->token };
	return n;
}

/* Containers */

static void
container_unlink(struct container *container)
{
	if (!container->lease_queue)
		return;
	TAILQ_REMOVE(container->lease_queue, container, lease_link);
	container->lease_queue = NULL;
}

static void
container_put(struct container *container, struct container_queue *queue)
{
	container_unlink(container);
	TAILQ_INSERT_TAIL(queue, container, lease_link);
	container->lease_queue = queue;
}

void
lease_leave(struct container *container)
{
	struct lease *lease = container->lease;

	container_unlink(container);
	container->lease = NULL;
	if (lease && TAILQ_EMPTY(&lease->containers))
		lease_free(lease);
}

int
lease_join(struct container *container, uint64_t peer_id)
{
	struct leases *leases = leases_of(container->init.daemon);
	struct lease *lease =
		lease_find(leases, container->owner, container->lease_token);
	int r = 0;

	if (!lease)
		r = lease_new(leases, container->owner, container->lease_token,
			      &lease);
	if (r < 0)
		return r;
	r = lease_hold(lease, peer_id ? peer_id : NOBODY);
	if (r < 0) {
		if (TAILQ_EMPTY(&lease->containers))
			lease_free(lease);
		return r;
	}
	if (container->lease != lease) {
		lease_leave(container);
		container->lease = lease;
	}
	container_put(container, &lease->containers);
	return 0;
}

/* What its record vouches for does not change. */
static int
record_again(struct container *container)
{
	static const Nsexec__Record__Stage stages[N_TASK_STATES] = {
		[TASK_STARTING] = NSEXEC__RECORD__STAGE__INTENT,
		[TASK_CREATED] = NSEXEC__RECORD__STAGE__CREATED,
		[TASK_COMMITTED] = NSEXEC__RECORD__STAGE__COMMIT,
		[TASK_RUNNING] = NSEXEC__RECORD__STAGE__COMMIT,
	};
	struct task *task = &container->init;
	int r = record_store_write(task->daemon, task, stages[task->state]);

	if (r < 0)
		log_error("container %s: cannot record its lease: %s",
			  container->id, strerror(-r));
	return r;
}

int
lease_change(struct container *container, const uint8_t token[SPEC_LEASE_SIZE],
	     uint64_t peer_id)
{
	uint8_t old[SPEC_LEASE_SIZE];
	int r;

	if (!container->lease)
		return 0; /* over, or lost: nothing brings it back */
	memcpy(old, container->lease_token, sizeof(old));
	memcpy(container->lease_token, token, SPEC_LEASE_SIZE);
	r = lease_join(container, peer_id);
	if (r < 0)
		memcpy(container->lease_token, old, sizeof(old));
	/* If it cannot be recorded, a restart ends it after the grace. */
	else if (memcmp(old, token, sizeof(old)) != 0)
		(void)!record_again(container);
	return r;
}

/* Loss */

void
lease_error(struct error *error, const struct container *container)
{
	(void)error_set(error, ERRCODE_CANCELLED, "lease", container->id,
			"the connection that held its lease closed before it "
			"ran",
			"keep the connection open");
}

static void
container_lose(struct leases *leases, struct container *container)
{
	container->lease = NULL;
	container->lease_lost = true;
	container_put(container, &leases->lost);
	watch_timer_set(leases->kill_timer, 0);
}

static void
lease_lose(struct lease *lease)
{
	struct container *container;

	while ((container = TAILQ_FIRST(&lease->containers)))
		container_lose(lease->leases, container);
	lease_free(lease);
}

void
lease_on_closed(struct daemon *daemon, uint64_t peer_id)
{
	struct holder *holder =
		table_find(&leases_of(daemon)->holders, peer_id);
	struct lease *lease = holder ? LIST_FIRST(&holder->leases) : NULL;

	/* The last one takes the holder with it. */
	while (lease) {
		struct lease *next = LIST_NEXT(lease, link);

		lease_lose(lease);
		lease = next;
	}
}

static void
kill_again(struct container *container)
{
	struct leases *leases = leases_of(container->init.daemon);

	if (TAILQ_EMPTY(&leases->again))
		watch_timer_set(leases->again_timer, KILL_AGAIN_MS);
	container_put(container, &leases->again);
}

static void
kill_on_answer(struct daemon *daemon, uint64_t id,
	       const struct op_message *answer, int fd)
{
	struct task *task = task_find(daemon->containers, id);

	fd_close(&fd);
	if (task && task_is_live(task) &&
	    (!answer || answer->header.type != ANSWER_DONE))
		kill_again(task->container);
}

static void
container_kill(struct container *container)
{
	struct task *task = &container->init;
	struct spawner_small small = {
		.op = OP_KILL_ALL,
		.container = container->id,
		.signal = 9,
		.has_uid = true,
		.uid = container->owner,
		.caller_fd = -1,
		.fn = kill_on_answer,
		.id = task->id,
	};
	struct error error;
	struct task_input input = { .fd = -1, .error = &error };

	container_unlink(container);
	if (!task_is_live(task))
		return;
	if (!spawner_is_connected(task->daemon->spawner)) {
		kill_again(container);
		return;
	}
	if (task->state == TASK_STARTING || task->state == TASK_CREATED) {
		lease_error(&error, container);
		task_dispatch(task, TASK_ON_CANCEL, &input);
		return;
	}
	log_info("container %s: its lease is lost, killing it", container->id);
	/* Killed even if the reason for it cannot be kept. */
	(void)!record_again(container);
	if (spawner_send_owed(task->daemon->spawner, &small) < 0)
		kill_again(container);
}

static void
leases_on_kill(void *userdata)
{
	struct leases *leases = userdata;
	struct container *container;

	for (unsigned int n = 0; n < KILLS_A_TURN; n++) {
		container = TAILQ_FIRST(&leases->lost);
		if (!container)
			return;
		container_kill(container);
	}
	watch_timer_set(leases->kill_timer, 0);
}

static void
leases_on_again(void *userdata)
{
	struct leases *leases = userdata;
	struct container *container;

	while ((container = TAILQ_FIRST(&leases->again)))
		container_put(container, &leases->lost);
	watch_timer_set(leases->kill_timer, 0);
}

/* Whoever held them has had time to come again. */
static void
leases_on_grace(void *userdata)
{
	struct leases *leases = userdata;

	lease_on_closed(leases->daemon, NOBODY);
}

size_t
lease_take(struct daemon *daemon, const struct rpc_caller *caller,
	   const uint8_t token[SPEC_LEASE_SIZE])
{
	struct lease *lease =
		lease_find(leases_of(daemon), caller->owner, token);
	const struct container *container;
	size_t n = 0;

	if (!lease || lease_hold(lease, caller->peer_id) < 0)
		return 0;
	TAILQ_FOREACH(container, &lease->containers, lease_link)
	n++;
	return n;
}

/* Restart */

void
lease_restore(struct container *container)
{
	struct leases *leases = leases_of(container->init.daemon);

	if (!container->has_lease || !task_is_live(&container->init))
		return;
	/* Where it cannot be kept it cannot be told when it ends. */
	if (container->lease_lost || lease_join(container, 0) < 0)
		container_lose(leases, container);
}

void
lease_on_spawner(struct daemon *daemon)
{
	struct leases *leases = leases_of(daemon);

	if (!leases->grace_begun)
		watch_timer_set(leases->grace_timer, LEASE_GRACE_MS);
	leases->grace_begun = true;
	leases_on_again(leases);
}

int
leases_new(struct daemon *daemon, struct leases **ret)
{
	struct leases *leases = calloc(1, sizeof(*leases));
	int r;

	if (!leases)
		return -ENOMEM;
	leases->daemon = daemon;
	TAILQ_INIT(&leases->lost);
	TAILQ_INIT(&leases->again);
	r = getrandom(&leases->seed, sizeof(leases->seed), 0) < 0 ? -errno : 0;
	if (r == 0)
		r = watch_new_timer(daemon->loop, leases_on_kill, leases,
				    &leases->kill_timer);
	if (r == 0)
		r = watch_new_timer(daemon->loop, leases_on_again, leases,
				    &leases->again_timer);
	if (r == 0)
		r = watch_new_timer(daemon->loop, leases_on_grace, leases,
				    &leases->grace_timer);
	if (r < 0)
		leases = leases_free(leases);
	*ret = leases;
	return r;
}

struct leases *
leases_free(struct leases *leases)
{
	if (!leases)
		return NULL;
	assert(leases->by_token.used == 0);
	watch_free(leases->kill_timer);
	watch_free(leases->again_timer);
	watch_free(leases->grace_timer);
	table_deinit(&leases->by_token);
	table_deinit(&leases->holders);
	free(leases);
	return NULL;
}
