/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process in a container that runs: joins every namespace of its init. It
 * has an id of its own in the container, and is remembered for Wait after its
 * end as long as there is room.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/container_table.h"
#include "daemon/identity.h"
#include "daemon/park.h"
#include "daemon/quota.h"
#include "daemon/record_store.h"
#include "daemon/start_part.h"

#define MAX_EXECS_KEPT 256u

/* Exec tasks that ended are remembered for Wait, the newest of them. */
static void
trim_execs(struct daemon *daemon, struct container *container)
{
	struct task *next;

	for (struct task *task = container->execs;
	     task && container->n_execs_kept >= MAX_EXECS_KEPT; task = next) {
		next = task->next;
		if (task->state != TASK_ENDED || !task->reaped)
			continue;
		record_store_remove(daemon, task);
		park_clear(task);
		task_remove_exec(daemon->containers, task);
	}
}

static int
exec_target(struct daemon *daemon, const struct launch *launch,
	    struct container **ret, struct error *error)
{
	struct container *container =
		container_find(daemon->containers, rpc_viewer(&launch->caller),
			       launch->target);
	const struct owner_limits *limits =
		owner_limits(daemon, &launch->caller);

	if (!container)
		return error_set(
			error, ERRCODE_NOT_FOUND, "exec", launch->target,
			"there is no such container of yours", "see List");
	if (container->init.state != TASK_RUNNING) {
		(void)error_set(error, ERRCODE_FAILED_PRECONDITION, "exec",
				container->id, "",
				"Exec needs a running container");
		error_rule(error, "it is %s",
			   container_state_name(container_state(container)));
		return -EINVAL;
	}
	*ret = container;
	if (!limits)
		return 0;
	return quota_check(&(struct quota_use){ QUOTA_EXECS,
						limits->execs_per_container,
						container->n_execs, 1 },
			   error);
}

static int
plan_for_exec(const struct launch *launch, struct container *container,
	      struct parcel *parcel, struct error *error)
{
	struct plan_input input = {
		.uid = launch->caller.uid,
		.gid = launch->caller.gid,
		.admin = launch->caller.admin,
		.no_new_privs = identity_rights(&launch->caller)->no_new_privs,
		.identity = launch->caller.identity,
		.container = container->id,
		.gate = GATE_CHANNEL,
		.target_pid = container->init.pid,
		.target_has_userns = container->has_userns,
	};
	struct bootstrap *boot = &launch->spec->boot;

	/* like init, where the request says nothing */
	if (container->has_ids && !bootstrap_has(boot, BOOTSTRAP_UID)) {
		boot->uid = container->uid;
		bootstrap_mark(boot, BOOTSTRAP_UID);
	}
	if (container->has_ids && !bootstrap_has(boot, BOOTSTRAP_GID)) {
		boot->gid = container->gid;
		bootstrap_mark(boot, BOOTSTRAP_GID);
	}
	return plan_build(launch->spec, &input, &parcel->plan, error);
}

int
start_exec(struct daemon *daemon, const struct launch *launch,
	   struct parcel *parcel, struct error *error)
{
	struct container *container = NULL;
	struct task *task;
	int r;

	r = exec_target(daemon, launch, &container, error);
	if (r == 0)
		r = plan_for_exec(launch, container, parcel, error);
	if (r < 0)
		return r;
	trim_execs(daemon, container);
	task = malloc(sizeof(*task));
	if (!task)
		return start_out_of_memory(error);
	task_init(task, daemon, container,
		  container_table_task_id(daemon->containers));
	snprintf(task->exec_id, sizeof(task->exec_id), "%llu",
		 (unsigned long long)++container->last_exec);
	if (task_add_exec(daemon->containers, task) < 0) {
		free(task);
		return start_out_of_memory(error);
	}
	r = start_parked(task, parcel, launch, error);
	if (r < 0) {
		task_remove_exec(daemon->containers, task);
		return r;
	}
	container->n_execs++;
	return 0;
}
