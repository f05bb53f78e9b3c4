/* SPDX-License-Identifier: Apache-2.0 */
/* Create, Run, Exec, Start. */
#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/methods.h"
#include "daemon/request.h"
#include "daemon/start.h"
#include "lib/clock.h"
#include "lib/fd.h"

/* A new spec, or NULL and the call is failed. */
static struct spec *
spec_for(struct daemon *daemon, uint64_t call_id)
{
	struct spec *spec;

	if (daemon->draining) {
		method_refuse(daemon, call_id,
			      &(struct refusal){ ERRCODE_OVERLOADED, "drain",
						 "nsexecd",
						 "it is shutting down",
						 "try again in a moment" });
		return NULL;
	}
	if (spec_take(&daemon->core->specs, &spec) == 0) {
		spec->received_ns = clock_ns(CLOCK_MONOTONIC);
		return spec;
	}
	method_refuse(daemon, call_id,
		      &(struct refusal){ ERRCODE_OVERLOADED, "start", "memory",
					 "the daemon has no memory left for it",
					 "try again later" });
	return NULL;
}

/* The descriptors sent for it are given up at once: their caller may wait. */
static void
refused(struct daemon *daemon, uint64_t call_id,
	const struct rpc_caller *caller, struct spec *spec,
	const struct error *error)
{
	if (spec->has_fd_token) {
		fd_auto int fd =
			fdchan_take(daemon->server, caller, spec->fd_token);

		(void)fd;
	}
	spec_give(&daemon->core->specs, spec);
	(void)rpc_fail(daemon->server, call_id, error);
}

METHOD(method_create)
{
	struct spec *spec = spec_for(daemon, call_id);
	struct error error;

	if (!spec)
		return;
	if (request_create((const Nsexec__V1__CreateRequest *)message, spec,
			   &error) < 0)
		refused(daemon, call_id, caller, spec, &error);
	else
		start_take(daemon,
			   &(struct start_call){ call_id, caller, PARK_CREATE,
						 NULL },
			   spec);
}

METHOD(method_run)
{
	struct spec *spec = spec_for(daemon, call_id);
	struct error error;

	if (!spec)
		return;
	if (request_run((const Nsexec__V1__RunRequest *)message, spec, &error) <
	    0)
		refused(daemon, call_id, caller, spec, &error);
	else
		start_take(
			daemon,
			&(struct start_call){ call_id, caller, PARK_RUN, NULL },
			spec);
}

METHOD(method_exec)
{
	const Nsexec__V1__ExecRequest *request =
		(const Nsexec__V1__ExecRequest *)message;
	struct spec *spec = spec_for(daemon, call_id);
	struct error error;

	if (!spec)
		return;
	if (request_exec(request, spec, &error) < 0)
		refused(daemon, call_id, caller, spec, &error);
	else
		start_take(daemon,
			   &(struct start_call){ call_id, caller, PARK_EXEC,
						 request->id },
			   spec);
}

METHOD(method_start)
{
	const Nsexec__V1__StartRequest *request =
		(const Nsexec__V1__StartRequest *)message;
	struct container *container =
		method_container(daemon, call_id, caller, request->id, "start");
	struct error error;

	if (!container)
		return;
	if (container->init.state == TASK_CREATED) {
		container->init.trace =
			(struct trace){ .wanted = request->has_trace &&
						  request->trace };
		trace_mark(&container->init.trace, TRACE_RECEIVED);
		start_open(daemon, call_id, caller, container);
		return;
	}
	(void)error_set(&error, ERRCODE_FAILED_PRECONDITION, "start",
			container->id, "",
			"Start needs a container that is created");
	error_rule(&error, "it is %s",
		   container->init.state == TASK_COMMITTED
			   ? "being started"
			   : container_state_name(container_state(container)));
	(void)rpc_fail(daemon->server, call_id, &error);
}
