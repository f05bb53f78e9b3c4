/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning of a task; see start.h. In order: quota, the descriptors'
 * connection (awaited at most 2 s), the plan, the container in the table, the
 * intent on record, the message. Until the record is written nothing of the
 * start exists; from then on it ends in exactly one terminal event.
 */
#include "daemon/start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "daemon/config.h"
#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/log.h"
#include "daemon/plan.h"
#include "daemon/quota.h"
#include "daemon/record_store.h"
#include "daemon/spawner_client.h"
#include "daemon/task.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"

#define FD_WAIT_MS 2000
#define MAX_EXECS_KEPT 256u

/* A call whose descriptors have not arrived. */
struct launch {
	uint64_t call_id;
	struct rpc_caller caller;
	enum park_kind kind;
	struct spec *spec; /* owned */
	char target[SPEC_ID_MAX + 1];
};

static void
launch_free(struct launch *launch)
{
	spec_free(launch->spec);
	free(launch);
}

static int
out_of_memory(struct error *error)
{
	return error_set(error, ERRCODE_OVERLOADED, "start", "memory",
			 "the daemon has no memory left for it",
			 "try again later");
}

static void
fail_call(struct daemon *daemon, uint64_t call_id, const struct error *error)
{
	(void)rpc_fail(daemon->server, call_id, error);
}

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
make_way(struct daemon *daemon, uid_t uid, const char *name, const char *field,
	 struct error *error)
{
	struct container *old = container_find_id(daemon->containers, name);

	if (!old)
		old = container_find(daemon->containers, uid, name);
	if (!old || (strcmp(old->id, name) != 0 && old->owner != uid))
		return 0;
	if (old->owner == uid && old->init.failure && container_is_clean(old)) {
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
	container->owner = caller->uid;
	container->owner_gid = caller->gid;
	memcpy(container->name, spec->name, sizeof(container->name));
	memcpy(container->id, spec->id, sizeof(container->id));
	if (!container->id[0])
		random_id(container->id);
	container->has_key = spec->has_key;
	memcpy(container->key, spec->key, SPEC_KEY_SIZE);
	container->hash = spec->hash;
	container->has_userns =
		(spec->boot.clone_flags | spec->join_flags) & CLONE_NEWUSER;
}

/* Both ends of the init channel: nsexecd's and the stages'. */
static int
channel_new(int *ret_ours, int *ret_theirs)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       0, fds) < 0)
		return -errno;
	*ret_ours = fds[0];
	*ret_theirs = fds[1];
	return 0;
}

static int
fail_setup(struct error *error, const char *step, const char *syscall, int r)
{
	struct failure failure;

	failure_set(&failure, STAGE_DAEMON, step, syscall, -r, "%s", "");
	error_from_failure(error, &failure);
	if (error->code == ERRCODE_STAGE_FAILED)
		error->code = ERRCODE_OVERLOADED;
	error->retryable = true;
	return -EINVAL;
}

/* What goes to the spawner beside the message. */
struct parcel {
	struct plan plan;
	int caller_fd;	/* lent by the server */
	int channel_fd; /* the caller's fd connection; owned */
};

static int
send_plan(struct task *task, struct parcel *parcel, struct error *error)
{
	struct spawner_client *spawner = task->daemon->spawner;
	unsigned char data[NLMSG_MAX];
	struct spawner_request request = { .data = data,
					   .fn = task_on_start_answer,
					   .id = task->id };
	fd_auto int ours = -1, theirs = -1;
	int fds[4];
	int r;

	r = plan_encode(&parcel->plan, spawner_next_seq(spawner), data,
			sizeof(data), &request.size, error);
	if (r < 0)
		return r;
	r = channel_new(&ours, &theirs);
	if (r < 0)
		return fail_setup(error, "make-init-channel", "socketpair", r);
	r = task_watch_channel(task, ours);
	if (r < 0)
		return out_of_memory(error);
	ours = -1;
	fds[request.n_fds++] = theirs;
	fds[request.n_fds++] = parcel->caller_fd;
	if (parcel->channel_fd >= 0)
		fds[request.n_fds++] = parcel->channel_fd;
	if (parcel->plan.exec_block >= 0)
		fds[request.n_fds++] = parcel->plan.exec_block;
	request.fds = fds;
	r = spawner_send(spawner, &request);
	if (r < 0) {
		error_from_spawner(error, r, "start");
		return -EINVAL;
	}
	return 0;
}

/*
 * The task is in its table and the plan is made: intent, message, deadline.
 * On error nothing of it was sent.
 */
static int
begin(struct task *task, struct parcel *parcel, const struct spec *spec,
      struct error *error)
{
	int r;

	task->gate = (enum bootstrap_gate)parcel->plan.boot.gate;
	task->state = TASK_STARTING;
	/* a LIST under way was sent before it and cannot know of it */
	task->seen = task->daemon->core->adopt_round;
	r = record_store_write(task->daemon, task,
			       NSEXEC__RECORD__STAGE__INTENT);
	if (r < 0)
		return fail_setup(error, "write-record", "rename", r);
	r = task_set_deadline(task, spec->timeout_ms);
	if (r < 0)
		r = out_of_memory(error);
	if (r == 0)
		r = send_plan(task, parcel, error);
	if (r < 0) {
		record_store_remove(task->daemon, task);
		return r;
	}
	task_count(task, true);
	return 0;
}

static int
parcel_open(struct daemon *daemon, const struct launch *launch,
	    struct parcel *parcel, struct error *error)
{
	parcel->caller_fd =
		rpc_connection_fd(daemon->server, launch->caller.peer_id);
	if (parcel->caller_fd < 0)
		return error_set(error, ERRCODE_CALLER_GONE, "start",
				 "connection", "the caller is gone",
				 "connect again");
	return 0;
}

static int
plan_for_start(const struct launch *launch, struct container *container,
	       struct parcel *parcel, struct error *error)
{
	struct plan_input input = {
		.uid = launch->caller.uid,
		.gid = launch->caller.gid,
		.container = container->id,
		.gate = launch->kind == PARK_RUN ? GATE_CHANNEL : GATE_NAMED,
	};
	const struct bootstrap *boot = &parcel->plan.boot;
	int r = plan_build(launch->spec, &input, &parcel->plan, error);

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
			(void)out_of_memory(error);
		container_free(container);
		return -EINVAL;
	}
	owner->live++;
	return 0;
}

static void
park_start(struct task *task, const struct launch *launch)
{
	if (park_add(task, launch->kind, launch->call_id, 0) < 0)
		log_warning("container %s: its start cannot be answered",
			    task->container->id);
}

/* A new container from the spec; the call is parked on it on success. */
static int
start_container(struct daemon *daemon, const struct launch *launch,
		struct parcel *parcel, struct error *error)
{
	struct container *container;
	const struct spec *spec = launch->spec;
	int r = 0;

	if (spec->id[0])
		r = make_way(daemon, launch->caller.uid, spec->id, "the id",
			     error);
	if (r == 0 && spec->name[0])
		r = make_way(daemon, launch->caller.uid, spec->name, "the name",
			     error);
	if (r < 0)
		return r;
	if (container_new(&container) < 0)
		return out_of_memory(error);
	container_fill(daemon, &launch->caller, spec, container);
	r = copy_words(spec, container);
	if (r < 0)
		r = out_of_memory(error);
	else
		r = plan_for_start(launch, container, parcel, error);
	if (r < 0) {
		container_free(container);
		return r;
	}
	r = container_insert(daemon, container, error);
	if (r < 0)
		return r;
	r = begin(&container->init, parcel, spec, error);
	if (r < 0) {
		owner_counts(daemon->containers, container->owner)->live--;
		container_remove(daemon->containers, container);
		return r;
	}
	/* without its key a repetition starts another: better than none */
	if (container->has_key && key_add(daemon->containers, container) < 0)
		container->has_key = false;
	/* the start goes on even if its caller cannot be told */
	park_start(&container->init, launch);
	return 0;
}

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
	struct container *container = container_find(
		daemon->containers, launch->caller.uid, launch->target);
	uint32_t max = daemon->config->limits.execs_per_container;

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
	if (launch->caller.uid != 0 && container->n_execs >= max)
		return error_set(error, ERRCODE_QUOTA, "exec", container->id,
				 "too many exec processes in this container",
				 "wait for one to end");
	*ret = container;
	return 0;
}

static int
plan_for_exec(const struct launch *launch, struct container *container,
	      struct parcel *parcel, struct error *error)
{
	struct plan_input input = {
		.uid = launch->caller.uid,
		.gid = launch->caller.gid,
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

static int
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
		return out_of_memory(error);
	task_init(task, daemon, container,
		  container_table_task_id(daemon->containers));
	snprintf(task->exec_id, sizeof(task->exec_id), "%llu",
		 (unsigned long long)++container->last_exec);
	if (task_add_exec(daemon->containers, task) < 0) {
		free(task);
		return out_of_memory(error);
	}
	r = begin(task, parcel, launch->spec, error);
	if (r < 0) {
		task_remove_exec(daemon->containers, task);
		return r;
	}
	container->n_execs++;
	park_start(task, launch);
	return 0;
}

static void launch_on_fds(struct daemon *daemon, uint64_t call_id);

/* The fd connection, if one is due. -EAGAIN: called again when it is there. */
static int
take_channel(struct daemon *daemon, const struct launch *launch, bool again,
	     struct parcel *parcel, struct error *error)
{
	int fd;

	parcel->channel_fd = -1;
	if (!launch->spec->has_fd_token)
		return 0;
	fd = fdchan_take(daemon->server, &launch->caller,
			 launch->spec->fd_token);
	if (fd >= 0) {
		parcel->channel_fd = fd;
		return 0;
	}
	if (fd == -EAGAIN && again &&
	    fdchan_wait(daemon->server, launch->spec->fd_token, launch->call_id,
			FD_WAIT_MS, launch_on_fds) == 0)
		return -EAGAIN;
	if (fd == -EACCES)
		return error_set(error, ERRCODE_PERMISSION_DENIED,
				 "take-descriptors", "fd_token",
				 "this token was sent by another user",
				 "make a random token for each request");
	return error_set(error, ERRCODE_DEADLINE, "take-descriptors",
			 "fd_token",
			 "no connection on the fd socket sent this token "
			 "within 2 s",
			 "send the token and the descriptors first");
}

/* Takes launch unless it has to wait (-EAGAIN). */
static int
launch_go(struct daemon *daemon, struct launch *launch, bool again)
{
	struct parcel *parcel = malloc(sizeof(*parcel));
	struct error error;
	int r;

	if (!parcel) {
		(void)out_of_memory(&error);
		fail_call(daemon, launch->call_id, &error);
		launch_free(launch);
		return 0;
	}
	parcel->plan.exec_block = -1;
	r = take_channel(daemon, launch, again, parcel, &error);
	if (r == -EAGAIN) {
		free(parcel);
		return r;
	}
	if (r == 0)
		r = parcel_open(daemon, launch, parcel, &error);
	if (r == 0)
		r = quota_check(daemon, &launch->caller,
				launch->kind != PARK_EXEC, &error);
	if (r == 0)
		r = launch->kind == PARK_EXEC
			    ? start_exec(daemon, launch, parcel, &error)
			    : start_container(daemon, launch, parcel, &error);
	if (r < 0)
		fail_call(daemon, launch->call_id, &error);
	plan_deinit(&parcel->plan);
	fd_close(&parcel->channel_fd);
	free(parcel);
	launch_free(launch);
	return 0;
}

static void
launch_on_fds(struct daemon *daemon, uint64_t call_id)
{
	struct launch *launch = table_remove(&daemon->core->launches, call_id);

	if (launch)
		(void)launch_go(daemon, launch, false);
}

void
start_gone(struct daemon *daemon, uint64_t call_id)
{
	struct launch *launch = table_remove(&daemon->core->launches, call_id);

	if (launch)
		launch_free(launch);
	else
		park_gone(daemon, call_id);
}

void
start_deinit(struct daemon *daemon)
{
	struct launch *launch;
	uint64_t call_id;

	while ((launch = table_any(&daemon->core->launches, &call_id))) {
		table_remove(&daemon->core->launches, call_id);
		launch_free(launch);
	}
	table_deinit(&daemon->core->launches);
}

/* true: the key is known and the call is answered or parked. */
static bool
repeated(struct daemon *daemon, const struct launch *launch)
{
	uint64_t hash = 0;
	const char *id;
	struct container *container;
	struct error error;

	if (!launch->spec->has_key)
		return false;
	id = key_find(daemon->containers, launch->caller.uid, launch->spec->key,
		      &hash);
	if (!id)
		return false;
	container = container_find_id(daemon->containers, id);
	if (hash != launch->spec->hash)
		(void)error_set(&error, ERRCODE_CONFLICT, "start", "key",
				"this key was used with another request",
				"make a new key for a new request");
	else if (!container)
		(void)error_set(&error, ERRCODE_GONE, "start", "key",
				"the container of this key was deleted",
				"make a new key to start it again");
	else if (container->init.failure)
		error = *container->init.failure;
	else
		return park_late(&container->init, launch->kind,
				 launch->call_id);
	fail_call(daemon, launch->call_id, &error);
	return true;
}

void
start_take(struct daemon *daemon, uint64_t call_id,
	   const struct rpc_caller *caller, enum park_kind kind,
	   struct spec *spec, const char *target)
{
	struct launch *launch = calloc(1, sizeof(*launch));
	struct error error;

	if (!launch) {
		spec_free(spec);
		(void)out_of_memory(&error);
		fail_call(daemon, call_id, &error);
		return;
	}
	launch->call_id = call_id;
	launch->caller = *caller;
	launch->kind = kind;
	launch->spec = spec;
	snprintf(launch->target, sizeof(launch->target), "%s",
		 target ? target : "");
	if (repeated(daemon, launch)) {
		launch_free(launch);
		return;
	}
	if (launch_go(daemon, launch, true) != -EAGAIN)
		return;
	if (table_add(&daemon->core->launches, call_id, launch) < 0) {
		launch_free(launch);
		(void)out_of_memory(&error);
		fail_call(daemon, call_id, &error);
	}
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
	/* on record before the byte: a restart asks the kernel what came */
	r = record_store_write(daemon, task, NSEXEC__RECORD__STAGE__COMMIT);
	if (r < 0) {
		(void)fail_setup(&error, "write-record", "rename", r);
		fail_call(daemon, call_id, &error);
		return;
	}
	r = spawner_send_small(daemon->spawner, &small);
	if (r < 0) {
		error_from_spawner(&error, r, "open-gate");
		fail_call(daemon, call_id, &error);
		if (record_store_write(daemon, task,
				       NSEXEC__RECORD__STAGE__CREATED) < 0)
			log_error("container %s: cannot record", container->id);
		return;
	}
	task->opening = true;
	task->state = TASK_COMMITTED;
	task_count(task, true);
	if (park_add(task, PARK_START, call_id, 0) < 0)
		log_warning("container %s: its start cannot be answered",
			    container->id);
	if (task_set_deadline(task, SPEC_TIMEOUT_MS) < 0)
		log_error("container %s: no deadline: no memory",
			  container->id);
}
