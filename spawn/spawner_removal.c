/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups to be removed, tried again for a while. See spawner_removal.h. */
#include "spawn/spawner_removal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/clock.h"
#include "spawn/spawner.h"
#include "spawn/spawner_gate.h"
#include "spawn/spawner_log.h"

/* How long an answer may be put off; and a clean-up nobody waits for. */
#define REMOVAL_ANSWER_MS 250
#define REMOVAL_CLEANUP_MS 10000
#define REMOVAL_PAUSE_MAX_MS 64
#define REMOVAL_PRUNE_MS 2000

static void
removal_answer(struct spawner *spawner, const struct removal *row, int r)
{
	struct failure failure = { 0 };
	const struct answer_error error = {
		.code = r == -ENOENT ? ERRCODE_NOT_FOUND
				     : ERRCODE_FAILED_PRECONDITION,
		.failure = &failure
	};

	if (row->conn_id == 0) {
		if (r < 0 && r != -ENOENT)
			log_error(-r, "cannot remove cgroup u%u/%s",
				  row->name.owner, row->name.id);
	} else if (r == 0) {
		answer_done(spawner, row->conn_id, row->seq);
	} else {
		r = failure_set(&failure, STAGE_SPAWNER, "container", "rmdir",
				-r, "%s", row->name.id);
		(void)r;
		answer_error(spawner, row->conn_id, row->seq, &error);
	}
}

/* 0 = answered, -EBUSY = try again. */
static int
removal_try(struct spawner *spawner, struct removal *row, int64_t now)
{
	int r = place_remove(spawner, &row->name);

	if (r == -EBUSY && now < row->end_ms) {
		row->pause_ms = row->pause_ms ? row->pause_ms * 2 : 1;
		if (row->pause_ms > REMOVAL_PAUSE_MAX_MS)
			row->pause_ms = REMOVAL_PAUSE_MAX_MS;
		row->next_ms = now + row->pause_ms;
		return -EBUSY;
	}
	if (r == 0 || r == -ENOENT) {
		gate_remove(spawner->rundir.gates_fd, &row->name);
		orphans_forget(&spawner->orphans, &row->name);
	}
	if (r == 0 && !timer_is_set(&spawner->loop, TIMER_PRUNE))
		timer_set(&spawner->loop, TIMER_PRUNE, REMOVAL_PRUNE_MS);
	removal_answer(spawner, row, r);
	return 0;
}

static void
removal_arm(struct spawner *spawner, int64_t now)
{
	struct removal_table *table = &spawner->removals;
	int64_t next = INT64_MAX;
	size_t i;

	for (i = 0; i < REMOVAL_MAX; i++)
		if (table->rows[i].name.id[0] && table->rows[i].next_ms < next)
			next = table->rows[i].next_ms;
	if (table->count > 0)
		timer_set(&spawner->loop, TIMER_REMOVALS,
			  next > now ? next - now : 1);
}

void
removal_resume(struct spawner *spawner, const struct removal *row)
{
	struct removal_table *table = &spawner->removals;
	size_t i;

	for (i = 0; table->rows[i].name.id[0]; i++)
		;
	table->rows[i] = *row;
	table->count++;
	removal_arm(spawner, clock_boottime_ms());
}

void
removal_add(struct spawner *spawner, const struct container_name *name,
	    uint64_t conn_id, uint32_t seq)
{
	struct removal_table *table = &spawner->removals;
	int64_t now = clock_boottime_ms();
	struct removal row = { .name = *name, .conn_id = conn_id, .seq = seq };

	/* Whatever died with it, and had no signal for its parent. */
	sweep_soon(spawner);
	/* No room to try again: this once, then. */
	row.end_ms = table->count == REMOVAL_MAX ? 0
		     : conn_id			 ? now + REMOVAL_ANSWER_MS
						 : now + REMOVAL_CLEANUP_MS;
	if (removal_try(spawner, &row, now) == 0)
		return;
	removal_resume(spawner, &row);
}

void
removal_on_timer(struct spawner *spawner)
{
	struct removal_table *table = &spawner->removals;
	int64_t now = clock_boottime_ms();
	size_t i;

	for (i = 0; i < REMOVAL_MAX && table->count > 0; i++) {
		if (!table->rows[i].name.id[0] || table->rows[i].next_ms > now)
			continue;
		if (removal_try(spawner, &table->rows[i], now) == 0) {
			memset(&table->rows[i], 0, sizeof(table->rows[i]));
			table->count--;
		}
	}
	removal_arm(spawner, now);
}

void
removal_on_prune(struct spawner *spawner)
{
	if (place_is_cgroup(spawner))
		cgroup_prune(&spawner->cgroups);
}
