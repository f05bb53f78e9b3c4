/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of methods: the page to read for what a caller can ask. Each may be
 * called by any uid; what is not the caller's own is NOT_FOUND (container_find
 * decides), and what a container may do is decided by the kernel, as the
 * caller.
 */
#include "daemon/methods.h"

#include "daemon/container_table.h"
#include "daemon/request.h"
#include "daemon/start.h"
#include "daemon/subscribe.h"

#define BIG_FRAME (4u * 1024u * 1024u)
#define SMALL_FRAME (256u * 1024u)

static void
parked_gone(struct daemon *daemon, uint64_t call_id)
{
	park_gone(daemon, call_id);
}

#define TYPES(lower) \
	.request = &nsexec__v1__##lower##_request__descriptor, \
	.response = &nsexec__v1__##lower##_response__descriptor

const struct rpc_method rpc_methods[] = {
	{ .name = "Version",
	  .verb = POLICY_VERB_VERSION,
	  .confined_too = true,
	  TYPES(version),
	  .frame_max = SMALL_FRAME,
	  .fn = method_version },
	{ .name = "Create",
	  .verb = POLICY_VERB_CREATE,
	  TYPES(create),
	  .acts = true,
	  .frame_max = BIG_FRAME,
	  .fn = method_create,
	  .gone = start_gone },
	{ .name = "Start",
	  .verb = POLICY_VERB_START,
	  TYPES(start),
	  .acts = true,
	  .frame_max = SMALL_FRAME,
	  .fn = method_start,
	  .gone = parked_gone },
	{ .name = "Run",
	  .verb = POLICY_VERB_RUN,
	  TYPES(run),
	  .acts = true,
	  .frame_max = BIG_FRAME,
	  .fn = method_run,
	  .gone = start_gone },
	{ .name = "Exec",
	  .verb = POLICY_VERB_EXEC,
	  TYPES(exec),
	  .acts = true,
	  .frame_max = BIG_FRAME,
	  .fn = method_exec,
	  .gone = start_gone },
	{ .name = "State",
	  .verb = POLICY_VERB_STATE,
	  TYPES(state),
	  .frame_max = SMALL_FRAME,
	  .fn = method_state },
	{ .name = "List",
	  .verb = POLICY_VERB_LIST,
	  TYPES(list),
	  .frame_max = SMALL_FRAME,
	  .fn = method_list },
	{ .name = "Wait",
	  .verb = POLICY_VERB_WAIT,
	  TYPES(wait),
	  .parked = true,
	  .frame_max = SMALL_FRAME,
	  .fn = method_wait,
	  .gone = parked_gone },
	{ .name = "Signal",
	  .verb = POLICY_VERB_SIGNAL,
	  TYPES(signal),
	  .acts = true,
	  .frame_max = SMALL_FRAME,
	  .fn = method_signal },
	{ .name = "Processes",
	  .verb = POLICY_VERB_PROCESSES,
	  TYPES(processes),
	  .frame_max = SMALL_FRAME,
	  .fn = method_processes },
	{ .name = "Delete",
	  .verb = POLICY_VERB_DELETE,
	  TYPES(delete),
	  .acts = true,
	  .frame_max = SMALL_FRAME,
	  .fn = method_delete,
	  .gone = parked_gone },
	{ .name = "Cancel",
	  .verb = POLICY_VERB_CANCEL,
	  TYPES(cancel),
	  .acts = true,
	  .frame_max = SMALL_FRAME,
	  .fn = method_cancel },
	/*
	 * Of one's own leases alone, and nothing that the connection which
	 * named one at the start did not have: no right of its own.
	 */
	{ .name = "Lease",
	  .verb = POLICY_VERB_VERSION,
	  TYPES(lease),
	  .acts = true,
	  .frame_max = SMALL_FRAME,
	  .fn = method_lease },
	{ .name = "Explain",
	  .verb = POLICY_VERB_EXPLAIN,
	  TYPES(explain),
	  .frame_max = SMALL_FRAME,
	  .fn = method_explain },
	{ .name = "Metrics",
	  .verb = POLICY_VERB_METRICS,
	  TYPES(metrics),
	  .frame_max = SMALL_FRAME,
	  .fn = method_metrics },
	{ .name = "NextEvents",
	  .verb = POLICY_VERB_EVENTS,
	  TYPES(next_events),
	  .parked = true,
	  .frame_max = SMALL_FRAME,
	  .fn = method_next_events,
	  .gone = subscribe_gone },
	{ .name = "Events",
	  .verb = POLICY_VERB_EVENTS,
	  .request = &nsexec__v1__events_request__descriptor,
	  .response = &nsexec__v1__event__descriptor,
	  .streaming = true,
	  .parked = true,
	  .frame_max = SMALL_FRAME,
	  .fn = method_events,
	  .gone = subscribe_gone },
	{ .name = NULL },
};

void
method_refuse(struct daemon *daemon, uint64_t call_id,
	      const struct refusal *refusal)
{
	struct error error;

	(void)error_set(&error, refusal->code, refusal->step, refusal->object,
			refusal->rule, refusal->hint);
	(void)rpc_fail(daemon->server, call_id, &error);
}

struct container *
method_container(struct daemon *daemon, uint64_t call_id,
		 const struct rpc_caller *caller, const char *id,
		 const char *step)
{
	struct container *container;
	struct error error;

	if (request_id(id, &error) < 0) {
		(void)rpc_fail(daemon->server, call_id, &error);
		return NULL;
	}
	container = container_find(daemon->containers, rpc_viewer(caller), id);
	if (!container)
		method_refuse(
			daemon, call_id,
			&(struct refusal){
				ERRCODE_NOT_FOUND, step, id,
				"there is no such container of yours",
				rpc_viewer(caller).admin
					? "see List; where several owners have "
					  "this id, name it UID/ID"
					: "see List; ended ones are kept for "
					  "an hour" });
	return container;
}
