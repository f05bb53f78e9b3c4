/* SPDX-License-Identifier: Apache-2.0 */
/* Counting; see metrics.h. */
#include "daemon/metrics.h"

#include <sys/wait.h>

#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "lib/util.h"

#define US 1000u
#define MS 1000000u
#define S 1000000000u

const struct om_bounds metrics_start_bounds = { 18,
						{ { 50 * US, "5e-05" },
						  { 100 * US, "0.0001" },
						  { 250 * US, "0.00025" },
						  { 500 * US, "0.0005" },
						  { 1 * MS, "0.001" },
						  { 2500 * US, "0.0025" },
						  { 5 * MS, "0.005" },
						  { 10 * MS, "0.01" },
						  { 25 * MS, "0.025" },
						  { 50 * MS, "0.05" },
						  { 100 * MS, "0.1" },
						  { 250 * MS, "0.25" },
						  { 500 * MS, "0.5" },
						  { 1ull * S, "1.0" },
						  { 2500ull * MS, "2.5" },
						  { 5ull * S, "5.0" },
						  { 10ull * S, "10.0" },
						  { 30ull * S, "30.0" } } };

const struct om_bounds metrics_life_bounds = { 11,
					       { { 10 * MS, "0.01" },
						 { 100 * MS, "0.1" },
						 { 1ull * S, "1.0" },
						 { 10ull * S, "10.0" },
						 { 60ull * S, "60.0" },
						 { 600ull * S, "600.0" },
						 { 3600ull * S, "3600.0" },
						 { 21600ull * S, "21600.0" },
						 { 86400ull * S, "86400.0" },
						 { 604800ull * S, "604800.0" },
						 { 2592000ull * S,
						   "2592000.0" } } };

/* Where something of this owner is counted; the second may be NULL. */
struct targets {
	struct metrics *of[2];
};

static struct targets
targets_of(struct daemon *daemon, uid_t uid)
{
	struct owner *owner = owner_counts(daemon->containers, uid);

	return (struct targets){ { &daemon->core->metrics,
				   owner ? &owner->metrics : NULL } };
}

static struct targets
targets_of_task(const struct task *task)
{
	return targets_of(task->daemon, task->container->owner);
}

#define FOR_TARGETS(metrics, targets) \
	for (size_t i_ = 0; i_ < ARRAY_SIZE((targets).of); i_++) \
		for (struct metrics *metrics = (targets).of[i_]; metrics; \
		     metrics = NULL)

static enum metrics_method
method_of(const struct task *task)
{
	if (!task_is_init(task))
		return METRICS_EXEC;
	return task->gate == GATE_CHANNEL ? METRICS_RUN : METRICS_CREATE;
}

void
metrics_on_sent(struct task *task)
{
	struct targets targets = targets_of_task(task);

	FOR_TARGETS(metrics, targets)
	metrics->starts[method_of(task)]++;
}

/* From the later of two points; not of a start of which one was not seen. */
static void
observe(struct om_histogram *histogram, const struct trace *trace,
	enum trace_point from, enum trace_point to)
{
	uint64_t begin = trace->ns[from], end = trace->ns[to];

	if (begin && end)
		om_observe(histogram, &metrics_start_bounds,
			   end > begin ? end - begin : 0);
}

static void
observe_set_up(struct metrics *metrics, const struct trace *trace)
{
	observe(&metrics->phases[METRICS_ADMIT], trace, TRACE_RECEIVED,
		TRACE_SENT);
	observe(&metrics->phases[METRICS_SPAWN], trace, TRACE_SENT,
		TRACE_CHILD);
	observe(&metrics->phases[METRICS_SETUP], trace, TRACE_CHILD,
		TRACE_READY);
}

void
metrics_on_created(struct task *task)
{
	const struct trace *trace = &task->trace;
	struct targets targets = targets_of_task(task);
	/* it said so before the spawner could */
	enum trace_point last = trace->ns[TRACE_CHILD] > trace->ns[TRACE_READY]
					? TRACE_CHILD
					: TRACE_READY;

	FOR_TARGETS(metrics, targets)
	{
		observe_set_up(metrics, trace);
		observe(&metrics->methods[METRICS_CREATE], trace,
			TRACE_RECEIVED, last);
	}
}

/* Not by the nsexecd before this one: then exec is proven a second time. */
static bool
was_started_here(const struct task *task)
{
	return task->trace.ns[TRACE_RECEIVED] != 0;
}

void
metrics_on_started(struct task *task)
{
	const struct trace *trace = &task->trace;
	struct targets targets = targets_of_task(task);
	enum metrics_method method = method_of(task);
	enum trace_point from = trace->ns[TRACE_OPENED] > trace->ns[TRACE_READY]
					? TRACE_OPENED
					: TRACE_READY;

	if (method == METRICS_CREATE) {
		method = METRICS_START;
		/* exec may be proven before the spawner's answer is read */
		from = trace->ns[TRACE_OPENED] ? TRACE_OPENED : TRACE_SENT;
	}
	if (!was_started_here(task))
		return;
	FOR_TARGETS(metrics, targets)
	{
		metrics->started[!task_is_init(task)]++;
		if (method != METRICS_START)
			observe_set_up(metrics, trace);
		observe(&metrics->phases[METRICS_EXECVE], trace, from,
			TRACE_STARTED);
		observe(&metrics->methods[method], trace, TRACE_RECEIVED,
			TRACE_STARTED);
	}
}

/* Numbers from a record or the spawner may be of another version. */
static size_t
within(unsigned int number, size_t n)
{
	return number < n ? number : 0;
}

void
metrics_on_failed(struct task *task, const struct error *error)
{
	struct targets targets = targets_of_task(task);

	FOR_TARGETS(metrics, targets)
	metrics->failures[within(error->failure.stage, N_STAGES)]
			 [within(error->code, N_ERRCODES)]++;
}

static enum metrics_exit
exit_kind(const struct task_exit *exit)
{
	if (exit->unknown)
		return METRICS_EXIT_UNKNOWN;
	if (WIFSIGNALED(exit->wait_status))
		return METRICS_EXIT_SIGNAL;
	return WEXITSTATUS(exit->wait_status) ? METRICS_EXIT_CODE
					      : METRICS_EXIT_ZERO;
}

void
metrics_on_exited(struct task *task)
{
	const struct task_exit *exit = &task->exit;
	struct targets targets = targets_of_task(task);
	uint64_t began =
		was_started_here(task) ? task->trace.ns[TRACE_STARTED] : 0;
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	FOR_TARGETS(metrics, targets)
	{
		metrics->exits[!task_is_init(task)][exit_kind(exit)]++;
		metrics->oom_kills += exit->oom_kills;
		if (began)
			om_observe(&metrics->lives, &metrics_life_bounds,
				   now - began);
	}
}

void
metrics_on_error(struct daemon *daemon, const struct rpc_caller *caller,
		 const struct error *error)
{
	struct targets targets = { { &daemon->core->metrics } };
	int quota = quota_by_kind(error->quota.kind);

	/* Whose it is is known once the spawner has said so. */
	if (caller->identity)
		targets = targets_of(daemon, caller->owner);
	FOR_TARGETS(metrics, targets)
	{
		metrics->errors[within(error->code, N_ERRCODES)]++;
		if (quota >= 0)
			metrics->quotas[quota]++;
	}
}
