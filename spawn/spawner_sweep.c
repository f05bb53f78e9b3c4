/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children that nobody asked for. A payload that is no pid-namespace init can
 * clone(CLONE_PARENT) a child into us, and a failed relay may leave an init
 * that it never reported. As zombies of a container's cgroup they are reaped
 * here; alive they run on like any process of that container.
 */
#include "spawn/spawner_start.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_log.h"

/* SIGCHLD comes as often as a payload likes: look this often at most. */
#define SWEEP_PAUSE_MS 200

struct sweep {
	pid_t *pids;
	size_t n, size;
};

static void
sweep_collect(void *userdata, pid_t pid)
{
	struct sweep *sweep = userdata;

	if (sweep->n < sweep->size)
		sweep->pids[sweep->n++] = pid;
}

static void
sweep_one(struct spawner *spawner, pid_t pid)
{
	struct container_name name = { .id = "" };
	struct child_exit end;
	int r;

	if (child_find(&spawner->children, pid) ||
	    start_is_relay(&spawner->starts, pid) ||
	    keeper_is_worker(&spawner->keeper, pid) ||
	    zygotes_has(&spawner->zygotes, pid) ||
	    resolver_has(&spawner->resolver, pid) ||
	    look_has(&spawner->looks, pid) || reexec_has(&spawner->reexec, pid))
		return;
	if (child_peek(pid, &end) < 0 || !end.exited)
		return;
	r = place_of(spawner, pid, &name);
	if (r < 0 && r != -ENODATA)
		return;
	/* It may be the init that a report in flight is about. */
	if (r == 0 ? start_is_in(&spawner->starts, &name)
		   : spawner->starts.count > 0)
		return;
	if (child_reap(pid, &end) == 0)
		log_note("container %s: reaped stray child %d", name.id, pid);
}

void
sweep_soon(struct spawner *spawner)
{
	if (!timer_is_set(&spawner->loop, TIMER_SWEEP))
		timer_set(&spawner->loop, TIMER_SWEEP, SWEEP_PAUSE_MS);
}

void
sweep_on_timer(struct spawner *spawner)
{
	struct sweep sweep = { 0 };
	size_t i;

	/* Known children, relays, and room for as many strays again. */
	sweep.size = 2 * (spawner->children.count + START_MAX) + 1024;
	sweep.pids = calloc(sweep.size, sizeof(*sweep.pids));
	if (!sweep.pids)
		return;
	if (proc_children(spawner->proc_fd, sweep_collect, &sweep) == 0)
		for (i = 0; i < sweep.n; i++)
			sweep_one(spawner, sweep.pids[i]);
	free(sweep.pids);
}
