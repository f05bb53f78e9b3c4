/* SPDX-License-Identifier: Apache-2.0 */
/* Records into a spawner that has just begun. See spawner_carry.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys.h"
#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_carry.h"
#include "spawn/spawner_flight.h"
#include "spawn/spawner_state.h"

/* A record is taken: 0 or -errno. */
typedef int (*resume_fn)(struct spawner *spawner,
			 const struct state_item *item);

static struct container_name
resume_name(uint32_t owner, const char id[STATE_ID_SIZE])
{
	struct container_name name = { .owner = owner };

	memcpy(name.id, id, sizeof(name.id));
	return name;
}

static int
resume_global(struct spawner *spawner, const struct state_item *item)
{
	const struct state_global *global = &item->fixed.global;
	struct policy_state *policy = &spawner->policy;
	size_t i;

	spawner->core_limit =
		(struct rlimit){ global->limits[0], global->limits[1] };
	spawner->fd_limit =
		(struct rlimit){ global->limits[2], global->limits[3] };
	spawner->conns.last_id = global->last_conn_id;
	spawner->reexec.conn_id = global->asker.conn_id;
	spawner->reexec.seq = global->asker.seq;
	spawner->proc_fd = global->fds[STATE_FD_PROC];
	spawner->rundir.fd = global->fds[STATE_FD_RUNDIR];
	spawner->rundir.gates_fd = global->fds[STATE_FD_GATES];
	spawner->rundir.pid_fd = global->fds[STATE_FD_PID];
	spawner->cgroups.fd = global->fds[STATE_FD_CGROUP];
	spawner->cgroups.parent_fd = global->fds[STATE_FD_CGROUP_PARENT];
	spawner->cgroups.hierarchy_fd = global->fds[STATE_FD_CGROUP_HIERARCHY];
	spawner->cgroups.pids = global->cgroup_pids;
	spawner->cgroups.made = global->cgroup_made;
	spawner->cgroups.memory = global->cgroup_memory;
	memcpy(spawner->cgroups.name, global->cgroup_name,
	       sizeof(spawner->cgroups.name));
	spawner->options.worker_uid = global->worker_uid;
	spawner->options.worker_gid = global->worker_gid;
	spawner->options.resolver_uid = global->resolver_uid;
	spawner->options.resolver_gid = global->resolver_gid;
	spawner->options.system = global->system;
	policy->first = global->policy_first;
	for (i = 0; i < POLICY_WAITERS; i++) {
		policy->waiters[i].conn_id = global->policy_waiters[i].conn_id;
		policy->waiters[i].seq = global->policy_waiters[i].seq;
	}
	if (fstat(spawner->rundir.fd, &spawner->rundir.stat) < 0)
		return -errno;
	return conn_listen(spawner, global->fds[STATE_FD_LISTEN]);
}

static int
resume_text(struct spawner *spawner, const struct state_item *item)
{
	struct spawner_options *options = &spawner->options;
	const char **const places[N_STATE_TEXTS] = {
		[STATE_TEXT_RUN_DIR] = &options->run_dir,
		[STATE_TEXT_CGROUP_ROOT] = &options->cgroup_root,
		[STATE_TEXT_NOTIFY_SOCKET] = &options->notify_socket,
		[STATE_TEXT_RESOLVER] = &options->resolver,
		[STATE_TEXT_POLICY_DIR] = &options->policy_dir,
		[STATE_TEXT_NEWUIDMAP] = &options->newuidmap,
		[STATE_TEXT_NEWGIDMAP] = &options->newgidmap,
	};
	const uint32_t name = item->fixed.text.name;
	char *copy;

	if (name == STATE_TEXT_CGROUP_PATH) {
		memcpy(spawner->cgroups.path, item->tail, item->n_tail);
		return 0;
	}
	if (name == STATE_TEXT_PROGRAM) {
		memcpy(spawner->reexec.program, item->tail, item->n_tail);
		return 0;
	}
	copy = malloc(item->n_tail);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, item->tail, item->n_tail);
	spawner->reexec.texts[name] = copy;
	*places[name] = copy;
	return 0;
}

static int
resume_keeper(struct spawner *spawner, const struct state_item *item)
{
	const struct state_keeper *fixed = &item->fixed.keeper;
	struct keeper *keeper = &spawner->keeper;
	size_t i;

	keeper->state = (enum keeper_state)fixed->state;
	keeper->pid = fixed->pid;
	keeper->pidfd = fixed->fds[STATE_FD_WORKER];
	keeper->program_fd = fixed->fds[STATE_FD_WORKER_PROGRAM];
	keeper->rpc_fd = fixed->fds[STATE_FD_RPC];
	keeper->channel_fd = fixed->fds[STATE_FD_CHANNEL];
	keeper->adopted = fixed->adopted;
	keeper->was_ready = fixed->was_ready;
	keeper->pause_ms = fixed->pause_ms;
	keeper->args_size = fixed->args_size;
	memcpy(keeper->args, fixed->args, sizeof(keeper->args));
	for (i = 0; i < KEEPER_STORE_MAX; i++) {
		keeper->stored[i].fd = fixed->fds[STATE_FD_STORED + i];
		memcpy(keeper->stored[i].name, fixed->stored[i],
		       sizeof(keeper->stored[i].name));
	}
	for (i = 0; i < KEEPER_WAITERS; i++)
		keeper->waiters[i] =
			(struct keeper_waiter){ fixed->waiters[i].conn_id,
						fixed->waiters[i].seq,
						fixed->waiters[i].stop };
	spawner->loop.timers[TIMER_WORKER].deadline_ms = fixed->timer_ms;
	return keeper_resume(spawner, fixed->started_ms);
}

static int
resume_conn(struct spawner *spawner, const struct state_item *item)
{
	const struct state_conn *fixed = &item->fixed.conn;

	conn_resume(spawner, &(struct conn){ .id = fixed->id,
					     .fd = fixed->fds[0],
					     .uid = fixed->uid,
					     .pid = fixed->pid,
					     .is_worker = fixed->is_worker,
					     .is_keeper = fixed->is_keeper,
					     .was_kept = fixed->was_kept,
					     .keep_seq = fixed->keep_seq,
					     .closing = fixed->closing });
	return 0;
}

static int
resume_packet(struct spawner *spawner, const struct state_item *item)
{
	const struct state_packet *fixed = &item->fixed.packet;

	return conn_resume_packet(conn_find(spawner, fixed->conn_id),
				  item->tail, item->n_tail, fixed->fds[0]);
}

static int
resume_listed(struct spawner *spawner, const struct state_item *item)
{
	const struct state_listed *fixed = &item->fixed.listed;
	struct conn *conn = conn_find(spawner, fixed->conn_id);

	conn->listed = malloc(item->n_tail + sizeof(*conn->listed));
	if (!conn->listed)
		return -ENOMEM;
	memcpy(conn->listed, item->tail, item->n_tail);
	conn->n_listed = item->n_tail / sizeof(*conn->listed);
	conn->list_next = 0;
	conn->list_seq = fixed->seq;
	return 0;
}

static int
resume_child(struct spawner *spawner, const struct state_item *item)
{
	const struct state_child *fixed = &item->fixed.child;
	const struct container_name name = resume_name(fixed->owner, fixed->id);
	int r;

	r = child_add(&spawner->children, fixed->pid, &name, fixed->start_time,
		      fixed->gated);
	if (r == 0)
		child_find(&spawner->children, fixed->pid)->execed =
			fixed->execed;
	return r;
}

static int
resume_start(struct spawner *spawner, const struct state_item *item)
{
	const struct state_start *fixed = &item->fixed.start;

	flight_resume(
		spawner,
		&(struct start){ .name = resume_name(fixed->owner, fixed->id),
				 .conn_id = fixed->conn_id,
				 .seq = fixed->seq,
				 .is_exec = fixed->is_exec,
				 .gated = fixed->gated,
				 .ungated = fixed->ungated,
				 .answered = fixed->answered,
				 .has_child = fixed->has_child,
				 .relay = fixed->pid,
				 .relay_fd = fixed->fds[0],
				 .report_fd = fixed->fds[1],
				 .deadline_ms = fixed->deadline_ms });
	return 0;
}

static int
resume_removal(struct spawner *spawner, const struct state_item *item)
{
	const struct state_removal *fixed = &item->fixed.removal;

	removal_resume(
		spawner,
		&(struct removal){ .name = resume_name(fixed->owner, fixed->id),
				   .conn_id = fixed->conn_id,
				   .seq = fixed->seq,
				   .next_ms = fixed->next_ms,
				   .end_ms = fixed->end_ms,
				   .pause_ms = fixed->pause_ms });
	return 0;
}

static int
resume_deferred(struct spawner *spawner, const struct state_item *item)
{
	const struct state_deferred *fixed = &item->fixed.deferred;
	struct deferred row = { .conn_id = fixed->conn_id,
				.seq = fixed->seq,
				.deadline_ms = fixed->deadline_ms,
				.size = item->n_tail,
				.n_fds = fixed->n_fds };

	memcpy(row.fds, fixed->fds, sizeof(row.fds));
	row.data = malloc(item->n_tail);
	if (!row.data)
		return -ENOMEM;
	memcpy(row.data, item->tail, item->n_tail);
	defer_resume(spawner, &row);
	return 0;
}

static int
resume_policy(struct spawner *spawner, const struct state_item *item)
{
	spawner->policy.table = malloc(item->n_tail);
	if (!spawner->policy.table)
		return -ENOMEM;
	memcpy(spawner->policy.table, item->tail, item->n_tail);
	spawner->policy.generation = 1;
	return 0;
}

static int
resume_leftover(struct spawner *spawner, const struct state_item *item)
{
	struct leftovers *leftovers = &spawner->reexec.leftovers;

	leftovers->pids[leftovers->n++] = item->fixed.leftover.pid;
	return 0;
}

static int
resume_orphan(struct spawner *spawner, const struct state_item *item)
{
	const struct state_orphan *fixed = &item->fixed.orphan;

	return orphan_resume(
		&spawner->orphans,
		&(struct orphan){ .name = resume_name(fixed->owner, fixed->id),
				  .pid = fixed->number,
				  .fd = fixed->fds[0] });
}

static const resume_fn resumes[] = {
	[STATE_GLOBAL] = resume_global,	  [STATE_TEXT] = resume_text,
	[STATE_KEEPER] = resume_keeper,	  [STATE_CONN] = resume_conn,
	[STATE_PACKET] = resume_packet,	  [STATE_LISTED] = resume_listed,
	[STATE_CHILD] = resume_child,	  [STATE_START] = resume_start,
	[STATE_REMOVAL] = resume_removal, [STATE_DEFERRED] = resume_deferred,
	[STATE_POLICY] = resume_policy,	  [STATE_LEFTOVER] = resume_leftover,
	[STATE_ORPHAN] = resume_orphan,
};
_Static_assert(ARRAY_SIZE(resumes) == N_STATE_KINDS, "each kind is taken");

static int
compare_fds(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* All that the records name is open; close-on-exec from now on. */
static int
fds_take(const uint8_t *data, size_t size, int **ret_fds, size_t *ret_n)
{
	struct state_iter iter;
	struct state_item item;
	const int32_t *fds;
	size_t i, n;
	int *grown;

	state_iter_init(&iter, data, size);
	while (state_iter_next(&iter, &item)) {
		n = state_item_fds(&item, &fds);
		if (n == 0)
			continue;
		grown = realloc(*ret_fds, (*ret_n + n + 1) * sizeof(int));
		if (!grown)
			return -ENOMEM;
		*ret_fds = grown;
		for (i = 0; i < n; i++) {
			if (fds[i] < 0)
				continue;
			if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0)
				return -errno;
			grown[(*ret_n)++] = fds[i];
		}
	}
	return 0;
}

/* Nothing is open above 2 but these. */
static int
fds_close_others(int *fds, size_t n)
{
	unsigned int next = STDERR_FILENO + 1;
	size_t i;
	int r = 0;

	qsort(fds, n, sizeof(*fds), compare_fds);
	for (i = 0; i < n && r == 0; i++) {
		if ((unsigned int)fds[i] > next)
			r = sys_close_range(next, (unsigned int)fds[i] - 1, 0);
		next = (unsigned int)fds[i] + 1;
	}
	return r < 0 ? r : sys_close_range(next, ~0u, 0);
}

int
carry_take_fds(const uint8_t *data, size_t size)
{
	free_auto int *fds = NULL;
	size_t n = 0;
	int r;

	r = fds_take(data, size, &fds, &n);
	return r < 0 ? r : fds_close_others(fds, n);
}

int
carry_resume(struct spawner *spawner, const uint8_t *data, size_t size)
{
	struct state_iter iter;
	struct state_item item;
	int r;

	r = loop_init(&spawner->loop);
	state_iter_init(&iter, data, size);
	while (r == 0 && state_iter_next(&iter, &item))
		r = resumes[item.kind](spawner, &item);
	if (r == 0)
		r = conn_resume_end(spawner);
	return r;
}
