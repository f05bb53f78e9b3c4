/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning of a container: its id and name, its place in the table, its
 * plan; and the opening of its gate. See start.h.
 */
#include "daemon/start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/container_table.h"
#include "daemon/identity.h"
#include "daemon/lease.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/quota.h"
#include "daemon/record_store.h"
#include "daemon/spawner_client.h"
#include "daemon/start_part.h"
#include "daemon/task.h"
#include "lib/sys.h"

/* An id of 32 random hexadecimal digits. */
static void
random_id(char id[SPEC_ID_MAX + 1])
{
	uint8_t bytes[16];

	/* 16 bytes never come short once the pool is ready (getrandom(2)) */
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort();
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

/* An id or name that only a start that failed still holds is free again. */
static int
make_way(struct daemon *daemon, uid_t owner, const char *name,
	 const char *field, struct error *error)
{
	const struct viewer own = { .owner = owner };
	struct container *old =
		container_find_id(daemon->containers, owner, name);

	if (!old)
		old = container_find(daemon->containers, own, name);
	if (!old)
		return 0;
	if (old->init.failure && container_is_clean(old)) {
		container_delete(daemon, old);
		return 0;
	}
	(void)error_set(error, ERRCODE_CONFLICT, "start", name, "",
			"choose another, or delete that container first");
	error_rule(error, "%s is taken by a container that is %s", field,
		   container_state_name(container_state(old)));
	return -EINVAL;
}

static int
copy_words(const struct spec *spec, struct container *container)
{
	container->command = strdup(spec->exec_data);
	container->labels = calloc(spec->n_labels + 1, sizeof(char *));
	if (!container->command || !container->labels)
		return -ENOMEM;
	for (size_t i = 0; i < spec->n_labels; i++) {
		container->labels[i] = strdup(spec->labels[i]);
		if (!container->labels[i])
			return -ENOMEM;
		container->n_labels++;
	}
	return 0;
}

static void
container_fill(struct daemon *daemon, const struct rpc_caller *caller,
	       const struct spec *spec, struct container *container)
{
	task_init(&container->init, daemon, container,
		  container_table_task_id(daemon->containers));
	container->owner = caller->owner;
	container->owner_gid = caller->gid;
	memcpy(container->name, spec->name, sizeof(container->name));
	memcpy(container->id, spec->id, sizeof(container->id));
	if (!container->id[0])
		random_id(container->id);
	container->has_key = spec->has_key;
	memcpy(container->key, spec->key, SPEC_KEY_SIZE);
	container->hash = spec->hash;
	container->has_lease = spec->has_lease;
	memcpy(container->lease_token, spec->lease, SPEC_LEASE_SIZE);
	container->has_userns =
		(spec->boot.clone_flags | spec->join_flags) & CLONE_NEWUSER;
}

static int
plan_for_start(const struct launch *launch, struct container *container,
	       struct parcel *parcel, struct error *error)
{
	struct plan_input input = {
		.uid = launch->caller.uid,
		.gid = launch->caller.gid,
		.admin = launch->caller.admin,
		.no_new_privs = identity_rights(&launch->caller)->no_new_privs,
		.identity = launch->caller.identity,
		.container = container->id,
		.gate = launch->kind == PARK_RUN ? GATE_CHANNEL : GATE_NAMED,
	};
	const struct bootstrap *boot = &parcel->plan.boot;
	int r = id_block_choose(container->init.daemon, &launch->caller,
				launch->spec, &input.block, error);

	container->block = input.block;
	if (r == 0)
		r = plan_build(launch->spec, &input, &parcel->plan, error);
	if (r < 0)
		return r;
	container->has_ids = bootstrap_has(boot, BOOTSTRAP_UID) &&
			     bootstrap_has(boot, BOOTSTRAP_GID);
	container->uid = boot->uid;
	container->gid = boot->gid;
	return 0;
}

static int
container_insert(struct daemon *daemon, struct container *container,
		 struct error *error)
{
	struct owner *owner =
		owner_counts(daemon->containers, container->owner);
	int r = owner ? container_add(daemon->containers, container) : -ENOMEM;

	if (r < 0) {
		if (r == -EEXIST)
			(void)error_set(
				error, ERRCODE_CONFLICT, "start", container->id,
				"the id or name is taken", "choose another");
		else
			(void)start_out_of_memory(error);
		container_free(container);
		return -EINVAL;
	}
	owner->live++;
	return 0;
}

/* A new container from the spec; the call is parked on it on success. */
int
start_container(struct daemon *daemon, const struct launch *launch,
		struct parcel *parcel, struct error *error)
{
	struct container *container;
	const struct spec *spec = launch->spec;
	int r = 0;

	if (spec->id[0])
		r = make_way(daemon, launch->caller.owner, spec->id, "the id",
			     error);
	if (r == 0 && spec->name[0])
		r = make_way(daemon, launch->caller.owner, spec->name,
			     "the name", error);
	if (r < 0)
		return r;
	if (container_new(&container) < 0)
		return start_out_of_memory(error);
	container_fill(daemon, &launch->caller, spec, container);
	r = copy_words(spec, container);
	if (r < 0)
		r = start_out_of_memory(error);
	else
		r = plan_for_start(launch, container, parcel, error);
	if (r < 0) {
		container_free(container);
		return r;
	}
	r = container_insert(daemon, container, error);
	if (r < 0)
		return r;
	if (container->has_lease &&
	    lease_join(container, launch->caller.peer_id) < 0)
		r = start_out_of_memory(error);
	else
		r = start_parked(&container->init, parcel, launch, error);
	if (r < 0) {
		owner_counts(daemon->containers, container->owner)->live--;
		container_remove(daemon->containers, container);
		return r;
	}
	/* it is on record: without it here a repetition would start another */
	if (container->has_key &&
	    key_add(daemon->containers, container,
		    key_limit(daemon, &launch->caller)) < 0)
		memory_out("a key");
	return 0;
}

void
start_open(struct daemon *daemon, uint64_t call_id,
	   const struct rpc_caller *caller, struct container *container)
{
	struct task *task = &container->init;
	struct spawner_small small = {
		.op = OP_OPEN,
		.container = container->id,
		.has_uid = true,
		.uid = container->owner,
		.caller_fd = rpc_connection_fd(daemon->server, caller->peer_id),
		.fn = task_on_open_answer,
		.id = task->id,
	};
	struct error error;
	int r;

	if (small.caller_fd < 0)
		return; /* gone: nobody to answer */
	if (quota_check_open(daemon, caller, &error) < 0) {
		(void)rpc_fail(daemon->server, call_id, &error);
		return;
	}
	if (park_add(task, PARK_START, call_id, 0) < 0) {
		(void)start_out_of_memory(&error);
		(void)rpc_fail(daemon->server, call_id, &error);
		return;
	}
	/* on record before the byte: a restart asks the kernel what came */
	r = record_store_write(daemon, task, NSEXEC__RECORD__STAGE__COMMIT);
	if (r < 0) {
		park_gone(daemon, call_id);
		(void)start_fail_setup(&error, "write-record", "rename", r);
		(void)rpc_fail(daemon->server, call_id, &error);
		return;
	}
	r = spawner_send_small(daemon->spawner, &small);
	if (r < 0) {
		park_gone(daemon, call_id);
		error_from_spawner(&error, r, "open-gate");
		(void)rpc_fail(daemon->server, call_id, &error);
		if (record_store_write(daemon, task,
				       NSEXEC__RECORD__STAGE__CREATED) < 0)
			log_error("container %s: cannot record", container->id);
		return;
	}
	trace_mark(&task->trace, TRACE_SENT);
	task->opening = true;
	task->state = TASK_COMMITTED;
	task_count(task, true);
	if (task_set_deadline(task, SPEC_TIMEOUT_MS) < 0)
		memory_out("a deadline");
}
