/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A planned task on its way: the intent on record, the init channel, the
 * message to the spawner. Until the record is written nothing of the start
 * exists; from then on it ends in exactly one terminal event.
 */
#include <errno.h>
#include <sys/socket.h>

#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/metrics.h"
#include "daemon/record_store.h"
#include "daemon/spawner_client.h"
#include "daemon/start_part.h"
#include "daemon/task.h"
#include "lib/fd.h"

int
start_out_of_memory(struct error *error)
{
	return error_set(error, ERRCODE_OVERLOADED, "start", "memory",
			 "the daemon has no memory left for it",
			 "try again later");
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

int
start_fail_setup(struct error *error, const char *step, const char *syscall,
		 int r)
{
	struct failure failure;

	failure_set(&failure, STAGE_DAEMON, step, syscall, -r, "%s", "");
	error_from_failure(error, &failure);
	if (error->code == ERRCODE_STAGE_FAILED)
		error->code = ERRCODE_OVERLOADED;
	error->retryable = true;
	return -EINVAL;
}

static int
send_plan(struct task *task, struct parcel *parcel, struct error *error)
{
	struct spawner_client *spawner = task->daemon->spawner;
	struct plan_message message;
	struct spawner_request request = { .data = message.data,
					   .fn = task_on_start_answer,
					   .id = task->id };
	fd_auto int ours = -1, theirs = -1;
	int fds[4];
	int r;

	r = plan_encode(&parcel->plan, spawner_next_seq(spawner), &message,
			error);
	if (r < 0)
		return r;
	request.size = message.size;
	r = channel_new(&ours, &theirs);
	if (r < 0)
		return start_fail_setup(error, "make-init-channel",
					"socketpair", r);
	r = task_watch_channel(task, ours);
	if (r < 0)
		return start_out_of_memory(error);
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
start_begin(struct task *task, struct parcel *parcel, const struct spec *spec,
	    struct error *error)
{
	int r;

	task->gate = (enum bootstrap_gate)parcel->plan.boot.gate;
	task->state = TASK_STARTING;
	task->n_fds = spec->boot.n_channel_fds;
	task->trace.wanted = spec->trace;
	task->trace.ns[TRACE_RECEIVED] = spec->received_ns;
	/* a LIST under way was sent before it and cannot know of it */
	task->seen = task->daemon->core->adopt_round;
	r = record_store_write(task->daemon, task,
			       NSEXEC__RECORD__STAGE__INTENT);
	if (r < 0)
		return start_fail_setup(error, "write-record", "rename", r);
	r = task_set_deadline(task, spec->timeout_ms);
	if (r < 0)
		r = start_out_of_memory(error);
	if (r == 0)
		r = send_plan(task, parcel, error);
	if (r < 0) {
		record_store_remove(task->daemon, task);
		return r;
	}
	trace_mark(&task->trace, TRACE_SENT);
	metrics_on_sent(task);
	task_count(task, true);
	return 0;
}

int
start_parked(struct task *task, struct parcel *parcel,
	     const struct launch *launch, struct error *error)
{
	int r;

	if (park_add(task, launch->kind, launch->call_id, 0) < 0)
		return start_out_of_memory(error);
	r = start_begin(task, parcel, launch->spec, error);
	if (r < 0)
		park_gone(task->daemon, launch->call_id);
	return r;
}
