/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping, waking, giving up. See spawner_defer.h. */
#include "spawn/spawner_defer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "spawn/spawner.h"
#include "spawn/spawner_ops.h"

static void
deferred_free(struct deferred *row)
{
	size_t i;

	for (i = 0; i < row->n_fds; i++)
		fd_close(&row->fds[i]);
	free(row->data);
	*row = (struct deferred){ 0 };
}

static int
deferred_fill(struct deferred *row, const struct request *request)
{
	int fd;

	row->data = malloc(request->size);
	if (!row->data)
		return -ENOMEM;
	memcpy(row->data, request->data, request->size);
	row->size = request->size;
	while (row->n_fds < request->n_fds) {
		fd = fcntl(request->fds[row->n_fds], F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return -errno;
		row->fds[row->n_fds++] = fd;
	}
	return 0;
}

static struct deferred *
deferred_free_row(struct defer_table *table, uint32_t uid)
{
	struct deferred *found = NULL;
	size_t i, of_uid = 0;

	for (i = 0; i < DEFER_MAX; i++)
		if (table->rows[i].conn_id == 0)
			found = &table->rows[i];
		else if (table->rows[i].uid == uid)
			of_uid++;
	return of_uid < DEFER_OF_UID || uid == 0 ? found : NULL;
}

static void
defer_add(struct spawner *spawner, const struct request *request, uint32_t uid,
	  bool for_policy)
{
	struct defer_table *table = &spawner->deferred;
	struct deferred *row = deferred_free_row(table, uid);

	if (!row || deferred_fill(row, request) < 0) {
		if (row)
			deferred_free(row);
		ops_refuse(spawner, request, ERRCODE_OVERLOADED,
			   "too many requests wait for their caller's account");
		return;
	}
	row->conn_id = request->conn_id;
	row->seq = request->seq;
	row->uid = uid;
	row->for_policy = for_policy;
	row->order = ++table->last_order;
	/* One that waits again does not wait for longer. */
	row->deadline_ms = request->deadline_ms
				   ? request->deadline_ms
				   : clock_boottime_ms() + DEFER_TIMEOUT_MS;
	defer_set_timer(spawner);
}

void
defer_request(struct spawner *spawner, const struct request *request,
	      uint32_t uid)
{
	defer_add(spawner, request, uid, false);
}

void
defer_for_policy(struct spawner *spawner, const struct request *request)
{
	defer_add(spawner, request, 0, true);
}

static void
deferred_request(struct spawner *spawner, const struct deferred *row,
		 struct request *ret)
{
	*ret = (struct request){ .conn = conn_find(spawner, row->conn_id),
				 .conn_id = row->conn_id,
				 .seq = row->seq,
				 .data = row->data,
				 .size = row->size,
				 .n_fds = row->n_fds,
				 .deadline_ms = row->deadline_ms };
	memcpy(ret->fds, row->fds, sizeof(ret->fds));
}

/* Takes the row out first: the request may have to wait anew. */
static void
deferred_dispatch(struct spawner *spawner, struct deferred *row, bool resolved)
{
	struct deferred taken = *row;
	struct request request;

	*row = (struct deferred){ 0 };
	deferred_request(spawner, &taken, &request);
	request.resolved = resolved;
	if (request.conn)
		ops_dispatch(spawner, &request);
	deferred_free(&taken);
}

/* The oldest that matches and was there before the wake began. */
static struct deferred *
deferred_find(struct spawner *spawner, const uint32_t *uid, bool for_policy,
	      uint64_t last_order)
{
	struct deferred *row, *found = NULL;
	size_t i;

	for (i = 0; i < DEFER_MAX; i++) {
		row = &spawner->deferred.rows[i];
		if (row->conn_id == 0 || row->for_policy != for_policy ||
		    (uid && row->uid != *uid) || row->order > last_order)
			continue;
		if (!found || row->order < found->order)
			found = row;
	}
	return found;
}

/* Of those that are there now: who has to wait again is not asked again. */
static void
defer_wake_all(struct spawner *spawner, const uint32_t *uid, bool for_policy,
	       bool resolved)
{
	uint64_t last = spawner->deferred.last_order;
	struct deferred *row;

	while ((row = deferred_find(spawner, uid, for_policy, last)))
		deferred_dispatch(spawner, row, resolved);
}

void
defer_wake(struct spawner *spawner, uint32_t uid, bool resolved)
{
	defer_wake_all(spawner, &uid, false, resolved);
}

void
defer_wake_policy(struct spawner *spawner)
{
	defer_wake_all(spawner, NULL, true, false);
}

void
defer_wake_next(struct spawner *spawner)
{
	uint64_t last = spawner->deferred.last_order;
	struct deferred *row = deferred_find(spawner, NULL, false, last);

	if (row)
		deferred_dispatch(spawner, row, false);
}

const struct deferred *
defer_next(const struct defer_table *table, uint64_t order)
{
	const struct deferred *row, *found = NULL;
	size_t i;

	for (i = 0; i < DEFER_MAX; i++) {
		row = &table->rows[i];
		if (row->conn_id && row->order > order &&
		    (!found || row->order < found->order))
			found = row;
	}
	return found;
}

void
defer_resume(struct spawner *spawner, const struct deferred *take_row)
{
	struct defer_table *table = &spawner->deferred;
	size_t i;

	for (i = 0; table->rows[i].conn_id; i++)
		;
	table->rows[i] = *take_row;
	table->rows[i].for_policy = true;
	table->rows[i].order = ++table->last_order;
}

void
defer_set_timer(struct spawner *spawner)
{
	int64_t now = clock_boottime_ms(), next = 0;
	struct deferred *row;
	size_t i;

	resolver_check_deadlines(spawner, now, &next);
	look_check_deadlines(spawner, now, &next);
	for (i = 0; i < DEFER_MAX; i++) {
		row = &spawner->deferred.rows[i];
		if (row->conn_id && (next == 0 || row->deadline_ms < next))
			next = row->deadline_ms;
	}
	if (next == 0)
		timer_clear(&spawner->loop, TIMER_RESOLVER);
	else
		timer_set(&spawner->loop, TIMER_RESOLVER,
			  next > now ? next - now : 0);
}

void
defer_on_timer(struct spawner *spawner)
{
	int64_t now = clock_boottime_ms();
	struct request request;
	struct deferred *row;
	size_t i;

	for (i = 0; i < DEFER_MAX; i++) {
		row = &spawner->deferred.rows[i];
		if (row->conn_id == 0 || row->deadline_ms > now)
			continue;
		deferred_request(spawner, row, &request);
		if (request.conn)
			ops_refuse(
				spawner, &request, ERRCODE_DEADLINE,
				"the caller's account was not known in time");
		deferred_free(row);
	}
	defer_set_timer(spawner);
}

void
defer_deinit(struct spawner *spawner)
{
	size_t i;

	for (i = 0; i < DEFER_MAX; i++)
		deferred_free(&spawner->deferred.rows[i]);
}
