/* SPDX-License-Identifier: Apache-2.0 */
/* The spawner's state into records. See spawner_carry.h. */
#include <string.h>

#include "spawn/spawner.h"
#include "spawn/spawner_carry.h"
#include "spawn/spawner_state.h"

static void
save_text(struct state_writer *writer, enum state_text_name name,
	  const char *text)
{
	const struct state_text fixed = { .name = name };

	if (text && text[0])
		state_put(writer, STATE_TEXT, &fixed, text, strlen(text) + 1);
}

static void
save_texts(const struct spawner *spawner, struct state_writer *writer)
{
	const struct spawner_options *options = &spawner->options;

	save_text(writer, STATE_TEXT_RUN_DIR, options->run_dir);
	if (place_is_cgroup(spawner))
		save_text(writer, STATE_TEXT_CGROUP_PATH,
			  spawner->cgroups.path);
	save_text(writer, STATE_TEXT_CGROUP_ROOT, options->cgroup_root);
	save_text(writer, STATE_TEXT_NOTIFY_SOCKET, options->notify_socket);
	save_text(writer, STATE_TEXT_RESOLVER, options->resolver);
	save_text(writer, STATE_TEXT_POLICY_DIR, options->policy_dir);
	save_text(writer, STATE_TEXT_NEWUIDMAP, options->newuidmap);
	save_text(writer, STATE_TEXT_NEWGIDMAP, options->newgidmap);
	save_text(writer, STATE_TEXT_PROGRAM, spawner->reexec.program);
}

static void
save_global(const struct spawner *spawner, struct state_writer *writer)
{
	const struct spawner_options *options = &spawner->options;
	const struct policy_state *policy = &spawner->policy;
	struct state_global fixed = {
		.limits = { spawner->core_limit.rlim_cur,
			    spawner->core_limit.rlim_max,
			    spawner->fd_limit.rlim_cur,
			    spawner->fd_limit.rlim_max },
		.last_conn_id = spawner->conns.last_id,
		.asker = { spawner->reexec.conn_id, spawner->reexec.seq, 0 },
		.fds = { [STATE_FD_PROC] = spawner->proc_fd,
			 [STATE_FD_RUNDIR] = spawner->rundir.fd,
			 [STATE_FD_GATES] = spawner->rundir.gates_fd,
			 [STATE_FD_PID] = spawner->rundir.pid_fd,
			 [STATE_FD_LISTEN] = spawner->conns.listen_fd,
			 [STATE_FD_CGROUP] = spawner->cgroups.fd,
			 [STATE_FD_CGROUP_PARENT] = spawner->cgroups.parent_fd,
			 [STATE_FD_CGROUP_HIERARCHY] =
				 spawner->cgroups.hierarchy_fd },
		.worker_uid = options->worker_uid,
		.worker_gid = options->worker_gid,
		.resolver_uid = options->resolver_uid,
		.resolver_gid = options->resolver_gid,
		.system = options->system,
		.has_resolver = spawner->resolver.program_fd >= 0,
		.policy_first = policy->first,
		.cgroup_made =
			spawner->cgroups.made && place_is_cgroup(spawner),
		.cgroup_memory = spawner->cgroups.memory,
		.cgroup_pids = spawner->cgroups.pids,
	};
	size_t i;

	memcpy(fixed.cgroup_name, spawner->cgroups.name,
	       sizeof(fixed.cgroup_name));
	for (i = 0; i < POLICY_WAITERS; i++)
		fixed.policy_waiters[i] =
			(struct state_waiter){ policy->waiters[i].conn_id,
					       policy->waiters[i].seq, 0 };
	state_put(writer, STATE_GLOBAL, &fixed, NULL, 0);
	save_texts(spawner, writer);
	if (policy->table)
		state_put(writer, STATE_POLICY, &(struct state_policy){ 0 },
			  policy->table, sizeof(*policy->table));
}

static void
save_keeper(const struct spawner *spawner, struct state_writer *writer)
{
	const struct keeper *keeper = &spawner->keeper;
	struct state_keeper fixed = {
		.started_ms = keeper->started_ms,
		.pause_ms = keeper->pause_ms,
		.timer_ms = spawner->loop.timers[TIMER_WORKER].deadline_ms,
		.fds = { [STATE_FD_WORKER] = keeper->pidfd,
			 [STATE_FD_WORKER_PROGRAM] = keeper->program_fd,
			 [STATE_FD_RPC] = keeper->rpc_fd,
			 [STATE_FD_CHANNEL] = keeper->channel_fd },
		.pid = keeper->pid,
		.state = keeper->state,
		.adopted = keeper->adopted,
		.was_ready = keeper->was_ready,
		.args_size = (uint32_t)keeper->args_size,
	};
	size_t i;

	memcpy(fixed.args, keeper->args, keeper->args_size);
	for (i = 0; i < KEEPER_STORE_MAX; i++) {
		fixed.fds[STATE_FD_STORED + i] = keeper->stored[i].fd;
		memcpy(fixed.stored[i], keeper->stored[i].name,
		       strlen(keeper->stored[i].name));
	}
	for (i = 0; i < KEEPER_WAITERS; i++)
		fixed.waiters[i] =
			(struct state_waiter){ keeper->waiters[i].conn_id,
					       keeper->waiters[i].seq,
					       keeper->waiters[i].stop };
	state_put(writer, STATE_KEEPER, &fixed, NULL, 0);
}

static void
save_conn(const struct conn *conn, struct state_writer *writer)
{
	const struct state_conn fixed = { .id = conn->id,
					  .fds = { conn->fd },
					  .pid = conn->pid,
					  .uid = conn->uid,
					  .keep_seq = conn->keep_seq,
					  .is_worker = conn->is_worker,
					  .is_keeper = conn->is_keeper,
					  .was_kept = conn->was_kept,
					  .closing = conn->closing };
	const struct state_listed listed = { .conn_id = conn->id,
					     .seq = conn->list_seq };
	struct state_packet packet = { .conn_id = conn->id };
	const struct conn_packet *p;

	state_put(writer, STATE_CONN, &fixed, NULL, 0);
	for (p = conn->queue; p; p = p->next) {
		packet.fds[0] = p->fd;
		state_put(writer, STATE_PACKET, &packet, p->data, p->size);
	}
	if (conn->listed)
		state_put(writer, STATE_LISTED, &listed,
			  conn->listed + conn->list_next,
			  (conn->n_listed - conn->list_next) *
				  sizeof(*conn->listed));
}

static void
save_children(const struct spawner *spawner, struct state_writer *writer)
{
	const struct child *child;
	size_t i;

	for (i = 0; i < CHILD_BUCKETS; i++)
		for (child = spawner->children.by_pid[i]; child;
		     child = child->next_pid) {
			struct state_child fixed = { .start_time =
							     child->start_time,
						     .pid = child->pid,
						     .owner = child->name.owner,
						     .gated = child->gated,
						     .execed = child->execed };

			memcpy(fixed.id, child->name.id, CONTAINER_ID_SIZE);
			state_put(writer, STATE_CHILD, &fixed, NULL, 0);
		}
}

/* Those of zygotes have ended before, or are not worth a trial. */
static void
save_start(const struct start *start, struct state_writer *writer)
{
	struct state_start fixed = { .conn_id = start->conn_id,
				     .deadline_ms = start->deadline_ms,
				     .fds = { start->relay_fd,
					      start->report_fd },
				     .pid = start->relay,
				     .seq = start->seq,
				     .owner = start->name.owner,
				     .is_exec = start->is_exec,
				     .gated = start->gated,
				     .ungated = start->ungated,
				     .answered = start->answered,
				     .has_child = start->has_child };

	if (!start->name.id[0] || start->by_zygote)
		return;
	memcpy(fixed.id, start->name.id, CONTAINER_ID_SIZE);
	state_put(writer, STATE_START, &fixed, NULL, 0);
}

static void
save_removal(const struct removal *row, struct state_writer *writer)
{
	struct state_removal fixed = { .conn_id = row->conn_id,
				       .next_ms = row->next_ms,
				       .end_ms = row->end_ms,
				       .pause_ms = row->pause_ms,
				       .seq = row->seq,
				       .owner = row->name.owner };

	if (!row->name.id[0])
		return;
	memcpy(fixed.id, row->name.id, CONTAINER_ID_SIZE);
	state_put(writer, STATE_REMOVAL, &fixed, NULL, 0);
}

/* The first come is the first written. */
static void
save_deferred(const struct spawner *spawner, struct state_writer *writer)
{
	const struct defer_table *table = &spawner->deferred;
	const struct deferred *row;
	uint64_t after = 0;
	size_t i;

	while ((row = defer_next(table, after))) {
		struct state_deferred fixed = { .conn_id = row->conn_id,
						.deadline_ms = row->deadline_ms,
						.seq = row->seq,
						.n_fds = (uint32_t)row->n_fds };

		for (i = 0; i < FD_MSG_MAX; i++)
			fixed.fds[i] = i < row->n_fds ? row->fds[i] : -1;
		state_put(writer, STATE_DEFERRED, &fixed, row->data, row->size);
		after = row->order;
	}
}

/* Zygotes and errands; and what an earlier re-exec left and did not end. */
static void
save_leftover(struct state_writer *writer, pid_t pid)
{
	const struct state_leftover fixed = { .pid = pid };

	if (pid > 0)
		state_put(writer, STATE_LEFTOVER, &fixed, NULL, 0);
}

static void
save_leftovers(const struct spawner *spawner, struct state_writer *writer)
{
	const struct leftovers *leftovers = &spawner->reexec.leftovers;
	size_t i;

	for (i = 0; i < leftovers->n; i++)
		save_leftover(writer, leftovers->pids[i]);
	for (i = 0; i < ZYGOTES_MAX; i++)
		save_leftover(writer, spawner->zygotes.slots[i].pid);
	for (i = 0; i < RESOLVER_RUNS; i++)
		save_leftover(writer, spawner->resolver.runs[i].errand.pid);
	for (i = 0; i < LOOKS_MAX; i++)
		save_leftover(writer, spawner->looks.runs[i].errand.pid);
}

static void
save_orphans(const struct spawner *spawner, struct state_writer *writer)
{
	const struct orphan *row = spawner->orphans.rows;
	size_t i;

	for (i = 0; i < spawner->orphans.n; i++, row++) {
		struct state_orphan fixed = { .fds = { row->fd },
					      .number = row->pid,
					      .owner = row->name.owner };

		memcpy(fixed.id, row->name.id, CONTAINER_ID_SIZE);
		state_put(writer, STATE_ORPHAN, &fixed, NULL, 0);
	}
}

int
carry_save(const struct spawner *spawner, bool for_trial,
	   struct state_writer *writer)
{
	size_t i;

	save_global(spawner, writer);
	save_keeper(spawner, writer);
	for (i = 0; i < CONN_MAX; i++)
		if (spawner->conns.conns[i].id)
			save_conn(&spawner->conns.conns[i], writer);
	save_children(spawner, writer);
	for (i = 0; i < START_MAX; i++)
		save_start(&spawner->starts.rows[i], writer);
	for (i = 0; i < REMOVAL_MAX; i++)
		save_removal(&spawner->removals.rows[i], writer);
	if (!for_trial)
		save_deferred(spawner, writer);
	save_leftovers(spawner, writer);
	save_orphans(spawner, writer);
	return state_writer_end(writer);
}
