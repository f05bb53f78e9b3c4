/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signal, Wait, Delete, Cancel. A call that needs the spawner's answer is kept
 * by its call id: gone means that the answer is dropped.
 */
#include <errno.h>
#include <string.h>

#include "daemon/container_table.h"
#include "daemon/methods.h"
#include "daemon/park.h"
#include "daemon/spawner_client.h"
#include "daemon/task.h"
#include "lib/fd.h"

static struct task *
find_exec(const struct container *container, const char *exec_id)
{
	for (struct task *task = container->execs; task; task = task->next) {
		if (strcmp(task->exec_id, exec_id) == 0)
			return task;
	}
	return NULL;
}

/* The task that id and exec_id name, or NULL and the call is failed. */
static struct task *
method_task(struct daemon *daemon, uint64_t call_id,
	    struct container *container, const char *exec_id)
{
	struct task *task;

	if (!exec_id)
		return &container->init;
	/* a name that a caller has lost never means init */
	if (!exec_id[0]) {
		method_refuse(
			daemon, call_id,
			&(struct refusal){
				ERRCODE_INVALID_ARGUMENT, "check-request",
				"exec_id", "must not be empty",
				"leave the field out or give it a value" });
		return NULL;
	}
	task = find_exec(container, exec_id);
	if (!task)
		method_refuse(
			daemon, call_id,
			&(struct refusal){
				ERRCODE_NOT_FOUND, "find-exec", exec_id,
				"this container has no such exec process",
				"the newest 256 that ended are remembered" });
	return task;
}

static void
signal_on_answer(struct daemon *daemon, uint64_t call_id,
		 const struct op_message *answer, int fd)
{
	Nsexec__V1__SignalResponse response = NSEXEC__V1__SIGNAL_RESPONSE__INIT;
	struct error error;

	fd_close(&fd);
	if (answer && answer->header.type == ANSWER_DONE) {
		(void)rpc_reply(daemon->server, call_id, &response.base);
		return;
	}
	if (answer)
		error_from_message(&error, answer);
	else
		error_from_spawner(&error, -ENOTCONN, "signal");
	(void)rpc_fail(daemon->server, call_id, &error);
}

static void
send_signal(struct daemon *daemon, uint64_t call_id,
	    const struct rpc_caller *caller, const struct task *task,
	    const Nsexec__V1__SignalRequest *request)
{
	bool all = request->has_all && request->all;
	struct spawner_small small = {
		.op = all ? OP_KILL_ALL : OP_SIGNAL,
		.container = task->container->id,
		.pid = all ? 0 : task->pid,
		.signal = request->signal,
		.has_uid = true,
		.uid = task->container->owner,
		.caller_fd = rpc_connection_fd(daemon->server, caller->peer_id),
		.fn = signal_on_answer,
		.id = call_id,
	};
	struct error error;
	int r;

	if (small.caller_fd < 0)
		return; /* nobody is there to be told */
	r = spawner_send_small(daemon->spawner, &small);
	if (r == 0)
		return;
	error_from_spawner(&error, r, "signal");
	(void)rpc_fail(daemon->server, call_id, &error);
}

METHOD(method_signal)
{
	const Nsexec__V1__SignalRequest *request =
		(const Nsexec__V1__SignalRequest *)message;
	struct container *container = method_container(daemon, call_id, caller,
						       request->id, "signal");
	struct task *task;

	if (!container)
		return;
	if (!request->has_signal || request->signal < 1 ||
	    request->signal > 64) {
		method_refuse(daemon, call_id,
			      &(struct refusal){ ERRCODE_INVALID_ARGUMENT,
						 "check-request", "signal",
						 "must be 1 to 64",
						 "see signal(7)" });
		return;
	}
	task = method_task(daemon, call_id, container, request->exec_id);
	if (!task)
		return;
	if (!task_is_live(task) || task->pid == 0) {
		method_refuse(
			daemon, call_id,
			&(struct refusal){ ERRCODE_FAILED_PRECONDITION,
					   "signal", container->id,
					   task->pid ? "it has ended"
						     : "it has no process yet",
					   "see State" });
		return;
	}
	send_signal(daemon, call_id, caller, task, request);
}

METHOD(method_wait)
{
	const Nsexec__V1__WaitRequest *request =
		(const Nsexec__V1__WaitRequest *)message;
	struct container *container =
		method_container(daemon, call_id, caller, request->id, "wait");
	struct task *task;

	if (!container)
		return;
	task = method_task(daemon, call_id, container, request->exec_id);
	if (!task)
		return;
	if (task->failure) {
		(void)rpc_fail(daemon->server, call_id, task->failure);
		return;
	}
	if (park_add(task, PARK_WAIT, call_id,
		     request->has_timeout_ms
			     ? (request->timeout_ms ? request->timeout_ms : 1)
			     : 0) < 0) {
		method_refuse(daemon, call_id,
			      &(struct refusal){
				      ERRCODE_OVERLOADED, "wait", "memory",
				      "the daemon has no memory left for it",
				      "try again later" });
		return;
	}
	if (task->state == TASK_ENDED)
		park_exited(task);
}

/* End it, in whatever state it is; its removal follows from its end. */
static void
delete_live(struct container *container)
{
	struct task *task = &container->init;
	struct error error;
	struct task_input input = { .fd = -1, .error = &error };

	(void)error_set(&error, ERRCODE_CANCELLED, "delete", container->id,
			"it was deleted before it ran", "");
	if (task->state == TASK_STARTING || task->state == TASK_CREATED)
		task_dispatch(task, TASK_ON_CANCEL, &input);
	else
		task_kill(task);
}

METHOD(method_delete)
{
	const Nsexec__V1__DeleteRequest *request =
		(const Nsexec__V1__DeleteRequest *)message;
	struct container *container = method_container(daemon, call_id, caller,
						       request->id, "delete");
	bool force = request->has_force && request->force;
	struct error error;

	if (!container)
		return;
	if (task_is_live(&container->init) && !force) {
		(void)error_set(&error, ERRCODE_FAILED_PRECONDITION, "delete",
				container->id, "",
				"end it first, or delete it with force");
		error_rule(&error, "it is %s",
			   container_state_name(container_state(container)));
		(void)rpc_fail(daemon->server, call_id, &error);
		return;
	}
	if (park_add(&container->init, PARK_DELETE, call_id, 0) < 0) {
		method_refuse(daemon, call_id,
			      &(struct refusal){
				      ERRCODE_OVERLOADED, "delete", "memory",
				      "the daemon has no memory left for it",
				      "try again later" });
		return;
	}
	container->deleting = true;
	if (task_is_live(&container->init))
		delete_live(container);
	else
		container_check_deleted(container);
}

static void
cancel_reply(struct daemon *daemon, uint64_t call_id, bool cancelled)
{
	Nsexec__V1__CancelResponse response = NSEXEC__V1__CANCEL_RESPONSE__INIT;

	response.has_cancelled = true;
	response.cancelled = cancelled;
	(void)rpc_reply(daemon->server, call_id, &response.base);
}

METHOD(method_cancel)
{
	const Nsexec__V1__CancelRequest *request =
		(const Nsexec__V1__CancelRequest *)message;
	const char *id = request->id;
	struct container *container;
	struct error error;
	struct task_input input = { .fd = -1, .error = &error };
	uint64_t ignored;

	if (request->has_key && request->key.len != SPEC_KEY_SIZE) {
		method_refuse(daemon, call_id,
			      &(struct refusal){ ERRCODE_INVALID_ARGUMENT,
						 "check-request", "key",
						 "must be 16 bytes",
						 "give the key of the start" });
		return;
	}
	if (!id && request->has_key)
		id = key_find(daemon->containers, caller->owner,
			      request->key.data, &ignored);
	if (!id && request->has_key) {
		method_refuse(
			daemon, call_id,
			&(struct refusal){ ERRCODE_NOT_FOUND, "cancel", "key",
					   "no start of yours has this key",
					   "keys are kept while the container "
					   "is" });
		return;
	}
	container = method_container(daemon, call_id, caller, id, "cancel");
	if (!container)
		return;
	/* The gate is open: whether it comes to run or not, it is ended. */
	if (container->init.state == TASK_COMMITTED) {
		container->cancelled = true;
		task_kill(&container->init);
		cancel_reply(daemon, call_id, true);
		return;
	}
	if (container->init.state != TASK_STARTING &&
	    container->init.state != TASK_CREATED) {
		cancel_reply(daemon, call_id, false);
		return;
	}
	(void)error_set(&error, ERRCODE_CANCELLED, "start", container->id,
			"it was cancelled before it ran", "");
	task_dispatch(&container->init, TASK_ON_CANCEL, &input);
	cancel_reply(daemon, call_id, true);
}
