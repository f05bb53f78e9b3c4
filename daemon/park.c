/* SPDX-License-Identifier: Apache-2.0 */
/* Parked calls; see park.h. Also the one place that writes their replies. */
#include "daemon/park.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/loop.h"
#include "daemon/pack.h"
#include "daemon/rpc.h"
#include "lib/clock.h"
#include "lib/table.h"

struct parked {
	struct parked *prev, *next; /* of the task's */
	struct task *task;
	uint64_t call_id;
	enum park_kind kind;
	struct watch *timer;
	int64_t end_ms; /* CLOCK_BOOTTIME; 0: none */
};

struct park {
	struct daemon *daemon;
	struct table by_call;
};

int
park_new(struct daemon *daemon, struct park **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	(*ret)->daemon = daemon;
	return 0;
}

static struct park *
park_of(const struct daemon *daemon)
{
	return daemon->core->park;
}

static void
parked_free(struct parked *parked)
{
	struct task *task = parked->task;

	table_remove(&park_of(task->daemon)->by_call, parked->call_id);
	if (parked->prev)
		parked->prev->next = parked->next;
	else
		task->parked = parked->next;
	if (parked->next)
		parked->next->prev = parked->prev;
	watch_free(parked->timer);
	free(parked);
}

struct park *
park_free(struct park *park)
{
	struct parked *parked;
	uint64_t call_id;

	if (!park)
		return NULL;
	while ((parked = table_any(&park->by_call, &call_id)))
		parked_free(parked);
	table_deinit(&park->by_call);
	free(park);
	return NULL;
}

static void
parked_on_timeout(void *userdata)
{
	struct parked *parked = userdata;
	struct daemon *daemon = parked->task->daemon;
	struct error error;

	(void)error_set(&error, ERRCODE_DEADLINE, "wait",
			parked->task->container->id,
			"it did not end within timeout_ms",
			"wait longer, or end it with Signal");
	(void)rpc_fail(daemon->server, parked->call_id, &error);
	parked_free(parked);
}

int
park_add(struct task *task, enum park_kind kind, uint64_t call_id,
	 uint32_t timeout_ms)
{
	struct park *park = park_of(task->daemon);
	struct parked *parked = calloc(1, sizeof(*parked));
	int r = 0;

	if (!parked)
		return -ENOMEM;
	parked->task = task;
	parked->call_id = call_id;
	parked->kind = kind;
	if (timeout_ms)
		r = watch_new_timer(task->daemon->loop, parked_on_timeout,
				    parked, &parked->timer);
	if (r == 0)
		r = table_add(&park->by_call, call_id, parked);
	if (r < 0) {
		watch_free(parked->timer);
		free(parked);
		return r;
	}
	if (timeout_ms) {
		parked->end_ms = clock_boottime_ms() + timeout_ms;
		watch_timer_set(parked->timer, timeout_ms);
	}
	parked->next = task->parked;
	if (parked->next)
		parked->next->prev = parked;
	task->parked = parked;
	return 0;
}

void
park_gone(struct daemon *daemon, uint64_t call_id)
{
	struct parked *parked = table_find(&park_of(daemon)->by_call, call_id);

	if (parked)
		parked_free(parked);
}

static void
reply_info(struct parked *parked)
{
	struct task *task = parked->task;
	struct server *server = task->daemon->server;
	Nsexec__V1__Trace trace;
	struct info_packed packed;

	info_pack(task->container, &packed);
	if (parked->kind == PARK_CREATE) {
		Nsexec__V1__CreateResponse response =
			NSEXEC__V1__CREATE_RESPONSE__INIT;
		response.info = &packed.info;
		response.trace = trace_pack(&task->trace, &trace);
		(void)rpc_reply(server, parked->call_id, &response.base);
	} else if (parked->kind == PARK_RUN) {
		Nsexec__V1__RunResponse response =
			NSEXEC__V1__RUN_RESPONSE__INIT;
		response.info = &packed.info;
		response.trace = trace_pack(&task->trace, &trace);
		(void)rpc_reply(server, parked->call_id, &response.base);
	} else {
		Nsexec__V1__StartResponse response =
			NSEXEC__V1__START_RESPONSE__INIT;
		response.info = &packed.info;
		response.trace = trace_pack(&task->trace, &trace);
		(void)rpc_reply(server, parked->call_id, &response.base);
	}
	info_packed_deinit(&packed);
}

static void
reply_exec(struct parked *parked)
{
	const struct task *task = parked->task;
	Nsexec__V1__ExecResponse response = NSEXEC__V1__EXEC_RESPONSE__INIT;
	Nsexec__V1__Trace trace;

	response.exec_id = (char *)task->exec_id;
	response.has_pid = true;
	response.pid = task->pid;
	response.has_pid_inode = task->pid_inode != 0;
	response.pid_inode = task->pid_inode;
	response.trace = trace_pack(&task->trace, &trace);
	(void)rpc_reply(task->daemon->server, parked->call_id, &response.base);
}

static void
reply_wait(struct parked *parked)
{
	const struct task *task = parked->task;
	Nsexec__V1__WaitResponse response = NSEXEC__V1__WAIT_RESPONSE__INIT;
	struct exit_packed packed;

	exit_pack(&task->exit, &packed);
	response.exit = &packed.status;
	(void)rpc_reply(task->daemon->server, parked->call_id, &response.base);
}

static void
reply_delete(struct parked *parked)
{
	Nsexec__V1__DeleteResponse response = NSEXEC__V1__DELETE_RESPONSE__INIT;

	(void)rpc_reply(parked->task->daemon->server, parked->call_id,
			&response.base);
}

static const struct {
	void (*reply)(struct parked *parked);
	bool on_created, on_started, on_ended, on_removed;
} park_kinds[] = {
	[PARK_CREATE] = { reply_info, .on_created = true },
	[PARK_RUN] = { reply_info, .on_started = true },
	[PARK_START] = { reply_info, .on_started = true },
	[PARK_EXEC] = { reply_exec, .on_started = true },
	[PARK_WAIT] = { reply_wait, .on_ended = true },
	[PARK_DELETE] = { reply_delete, .on_removed = true },
};
_Static_assert(sizeof(park_kinds) / sizeof(park_kinds[0]) == N_PARK_KINDS,
	       "every kind is answered");

/* Answer and forget all of the task's calls that fit. */
#define PARK_ANSWER(task, condition) \
	do { \
		struct parked *next_; \
		for (struct parked *parked = (task)->parked; parked; \
		     parked = next_) { \
			next_ = parked->next; \
			if (!park_kinds[parked->kind].condition) \
				continue; \
			park_kinds[parked->kind].reply(parked); \
			parked_free(parked); \
		} \
	} while (0)

void
park_created(struct task *task)
{
	PARK_ANSWER(task, on_created);
}

void
park_started(struct task *task)
{
	PARK_ANSWER(task, on_started);
}

void
park_exited(struct task *task)
{
	/* created or started, and already over: a start is answered first */
	PARK_ANSWER(task, on_created);
	PARK_ANSWER(task, on_started);
	PARK_ANSWER(task, on_ended);
}

void
park_removed(struct task *task)
{
	PARK_ANSWER(task, on_removed);
}

#define KINDS_OF_STARTS \
	(1u << PARK_CREATE | 1u << PARK_RUN | 1u << PARK_START | \
	 1u << PARK_EXEC)

static void
park_fail_kinds(struct task *task, const struct error *error,
		unsigned int kinds)
{
	struct error traced = *error;
	struct parked *next;

	traced.trace = task->trace;

	for (struct parked *parked = task->parked; parked; parked = next) {
		next = parked->next;
		if (!(kinds & (1u << parked->kind)))
			continue;
		(void)rpc_fail(task->daemon->server, parked->call_id,
			       KINDS_OF_STARTS & (1u << parked->kind) ? &traced
								      : error);
		parked_free(parked);
	}
}

void
park_not_opened(struct task *task, const struct error *error)
{
	park_fail_kinds(task, error, 1u << PARK_START);
}

void
park_failed(struct task *task, const struct error *error)
{
	park_fail_kinds(task, error, ~(1u << PARK_DELETE));
}

void
park_clear(struct task *task)
{
	struct error error;

	(void)error_set(&error, ERRCODE_GONE, "wait", task->container->id,
			"the container was deleted", "");
	park_fail_kinds(task, &error, ~0u);
}

bool
park_late(struct task *task, enum park_kind kind, uint64_t call_id)
{
	if (park_add(task, kind, call_id, 0) < 0) {
		struct error error;

		(void)error_set(&error, ERRCODE_OVERLOADED, "start", "memory",
				"the daemon has no memory left for it",
				"try again later");
		(void)rpc_fail(task->daemon->server, call_id, &error);
		return true;
	}
	if (task->state == TASK_ENDED)
		park_exited(task);
	else if (task->state == TASK_RUNNING)
		park_started(task);
	if (task->state >= TASK_CREATED)
		park_created(task);
	return true;
}

/* Over a reload */

bool
park_save(const struct daemon *daemon, uint64_t call_id,
	  Nsexec__Handover__Parked *ret)
{
	const struct parked *parked =
		table_find(&park_of(daemon)->by_call, call_id);

	if (!parked)
		return false;
	*ret = (Nsexec__Handover__Parked)NSEXEC__HANDOVER__PARKED__INIT;
	ret->has_kind = ret->has_owner_uid = ret->has_end_ms = true;
	ret->kind = parked->kind;
	ret->owner_uid = parked->task->container->owner;
	ret->id = parked->task->container->id;
	if (!task_is_init(parked->task))
		ret->exec_id = parked->task->exec_id;
	ret->end_ms = parked->end_ms;
	return true;
}

bool
park_is_calm(const struct daemon *daemon, uint64_t call_id)
{
	const struct parked *parked =
		table_find(&park_of(daemon)->by_call, call_id);

	return parked && !parked->task->counted && !parked->task->opening;
}

static struct task *
restore_find(struct daemon *daemon, const Nsexec__Handover__Parked *saved)
{
	struct container *container = container_find_id(
		daemon->containers, saved->owner_uid, saved->id);
	struct task *task = container ? container->execs : NULL;

	if (!container || !saved->exec_id)
		return container ? &container->init : NULL;
	while (task && strcmp(task->exec_id, saved->exec_id) != 0)
		task = task->next;
	return task;
}

/* What came while nobody served is answered from what is on record. */
static void
restore_catch_up(struct task *task)
{
	if (task->state == TASK_ENDED && task->failure)
		park_failed(task, task->failure);
	else if (task->state == TASK_ENDED)
		park_exited(task);
}

int
park_restore(struct daemon *daemon, uint64_t call_id,
	     const Nsexec__Handover__Parked *saved)
{
	struct task *task = restore_find(daemon, saved);
	int64_t left_ms = saved->end_ms - clock_boottime_ms();
	int r;

	if (!task)
		return -ENOENT;
	if (saved->kind == PARK_DELETE)
		task->container->deleting = true;
	if (saved->end_ms == 0)
		left_ms = 0;
	else if (left_ms <= 0)
		left_ms = 1;
	r = park_add(task, (enum park_kind)saved->kind, call_id,
		     (uint32_t)left_ms);
	if (r == 0)
		restore_catch_up(task);
	return r;
}
