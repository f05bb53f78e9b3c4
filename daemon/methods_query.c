/* SPDX-License-Identifier: Apache-2.0 */
/* Version, State, List, Processes, Explain, NextEvents, Events. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <config.h>

#include "daemon/container_table.h"
#include "daemon/events.h"
#include "daemon/explain.h"
#include "daemon/features.h"
#include "daemon/identity.h"
#include "daemon/methods.h"
#include "daemon/oci_state.h"
#include "daemon/pack.h"
#include "daemon/request.h"
#include "daemon/spawner_client.h"
#include "daemon/subscribe.h"
#include "daemon/task.h"
#include "lib/fd.h"
#include "lib/text.h"
#include "lib/util.h"

#define MAX_FEATURES 32

static void
no_memory(struct daemon *daemon, uint64_t call_id, const char *step)
{
	method_refuse(daemon, call_id,
		      &(struct refusal){ ERRCODE_OVERLOADED, step, "memory",
					 "the daemon has no memory left for it",
					 "try again later" });
}

METHOD(method_version)
{
	Nsexec__V1__VersionResponse response =
		NSEXEC__V1__VERSION_RESPONSE__INIT;
	struct feature features[MAX_FEATURES];
	Nsexec__V1__Feature rows[MAX_FEATURES], *pointers[MAX_FEATURES];
	struct utsname name = { 0 };

	(void)uname(&name);
	response.version = (char *)PACKAGE_VERSION;
	response.api = (char *)"nsexec.v1";
	response.has_epoch = true;
	response.epoch.data = daemon->epoch;
	response.epoch.len = sizeof(daemon->epoch);
	response.has_pid = true;
	response.pid = getpid();
	response.kernel = name.release;
	response.has_last_seq = true;
	response.last_seq =
		event_last(daemon->events, viewer_ring(rpc_viewer(caller)));
	response.n_features = features_probe(
		daemon->config,
		caller->identity ? caller->identity->who.bounds : 0, features,
		MAX_FEATURES);
	response.features = pointers;
	for (size_t i = 0; i < response.n_features; i++) {
		rows[i] = (Nsexec__V1__Feature)NSEXEC__V1__FEATURE__INIT;
		rows[i].name = (char *)features[i].name;
		rows[i].has_present = true;
		rows[i].present = features[i].present;
		rows[i].detail = features[i].detail;
		pointers[i] = &rows[i];
	}
	(void)rpc_reply(daemon->server, call_id, &response.base);
}

METHOD(method_state)
{
	const Nsexec__V1__StateRequest *request =
		(const Nsexec__V1__StateRequest *)message;
	struct container *container =
		method_container(daemon, call_id, caller, request->id, "state");
	Nsexec__V1__StateResponse response = NSEXEC__V1__STATE_RESPONSE__INIT;
	free_auto char *json = NULL;
	struct info_packed packed;

	if (!container)
		return;
	if (oci_state_format(container, &json) < 0) {
		no_memory(daemon, call_id, "state");
		return;
	}
	info_pack(container, &packed);
	response.info = &packed.info;
	response.has_oci_json = true;
	response.oci_json.data = (uint8_t *)json;
	response.oci_json.len = strlen(json);
	(void)rpc_reply(daemon->server, call_id, &response.base);
	info_packed_deinit(&packed);
}

/*
 * The states that are wanted, a bit for each: a list of a hundred thousand must
 * not be gone through once for each container. -EINVAL: one is none, and the
 * call is refused.
 */
static int
list_states(struct daemon *daemon, uint64_t call_id,
	    const Nsexec__V1__ListRequest *request)
{
	int wanted = 0;

	for (size_t i = 0; i < request->n_states; i++) {
		if (request->states[i] < 1 ||
		    request->states[i] >
			    NSEXEC__V1__CONTAINER_STATE__STATE_STOPPED) {
			method_refuse(
				daemon, call_id,
				&(struct refusal){ ERRCODE_INVALID_ARGUMENT,
						   "check-request", "states",
						   "must be states from 1 to 4",
						   "see ContainerState" });
			return -EINVAL;
		}
		wanted |= 1 << request->states[i];
	}
	return request->n_states ? wanted : INT_MAX;
}

static bool
list_wants(int states, const struct container *container, struct viewer viewer)
{
	return container_visible(container, viewer) &&
	       states & 1 << container_state(container);
}

METHOD(method_list)
{
	const Nsexec__V1__ListRequest *request =
		(const Nsexec__V1__ListRequest *)message;
	Nsexec__V1__ListResponse response = NSEXEC__V1__LIST_RESPONSE__INIT;
	free_auto struct info_packed *packed = NULL;
	free_auto Nsexec__V1__ContainerInfo **pointers = NULL;
	const struct viewer viewer = rpc_viewer(caller);
	struct container *container;
	int states = list_states(daemon, call_id, request);
	size_t max = 0, n = 0;

	if (states < 0)
		return;
	for (container = container_first(daemon->containers); container;
	     container = container_next(container))
		max += list_wants(states, container, viewer);
	packed = malloc((max + 1) * sizeof(*packed));
	pointers = malloc((max + 1) * sizeof(*pointers));
	if (!packed || !pointers) {
		no_memory(daemon, call_id, "list");
		return;
	}
	for (container = container_first(daemon->containers); container;
	     container = container_next(container)) {
		if (!list_wants(states, container, viewer))
			continue;
		info_pack(container, &packed[n]);
		pointers[n] = &packed[n].info;
		n++;
	}
	response.n_containers = n;
	response.containers = pointers;
	response.has_epoch = true;
	response.epoch.data = daemon->epoch;
	response.epoch.len = sizeof(daemon->epoch);
	response.has_as_of_seq = true;
	response.as_of_seq =
		event_last(daemon->events, viewer_ring(rpc_viewer(caller)));
	(void)rpc_reply(daemon->server, call_id, &response.base);
	for (size_t i = 0; i < n; i++)
		info_packed_deinit(&packed[i]);
}

/* comm of a process as text; "" if it has gone. */
static void
process_name(uint32_t pid, char *name, size_t size)
{
	char path[48], comm[64];
	ssize_t n;

	name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	n = fd_read_file(AT_FDCWD, path, comm, sizeof(comm));
	if (n <= 0)
		return;
	if (comm[n - 1] == '\n')
		n--;
	text_escape(name, size, comm, (size_t)n);
}

static void
processes_on_answer(struct daemon *daemon, uint64_t call_id,
		    const struct op_message *answer, int fd)
{
	Nsexec__V1__ProcessesResponse response =
		NSEXEC__V1__PROCESSES_RESPONSE__INIT;
	free_auto Nsexec__V1__ProcessInfo *infos = NULL;
	free_auto Nsexec__V1__ProcessInfo **pointers = NULL;
	free_auto char(*names)[272] = NULL;
	struct error error;

	fd_close(&fd);
	if (!answer || answer->header.type != ANSWER_DONE) {
		if (answer)
			error_from_message(&error, answer);
		else
			error_from_spawner(&error, -ENOTCONN, "processes");
		(void)rpc_fail(daemon->server, call_id, &error);
		return;
	}
	infos = malloc((answer->n_pids + 1) * sizeof(*infos));
	pointers = malloc((answer->n_pids + 1) * sizeof(*pointers));
	names = malloc((answer->n_pids + 1) * sizeof(*names));
	if (!infos || !pointers || !names) {
		no_memory(daemon, call_id, "processes");
		return;
	}
	for (size_t i = 0; i < answer->n_pids; i++) {
		uint32_t pid;

		memcpy(&pid, answer->pids + i * sizeof(pid), sizeof(pid));
		infos[i] =
			(Nsexec__V1__ProcessInfo)NSEXEC__V1__PROCESS_INFO__INIT;
		infos[i].has_pid = true;
		infos[i].pid = (int32_t)pid;
		process_name(pid, names[i], sizeof(names[i]));
		infos[i].name = names[i];
		pointers[i] = &infos[i];
	}
	response.n_processes = answer->n_pids;
	response.processes = pointers;
	(void)rpc_reply(daemon->server, call_id, &response.base);
}

METHOD(method_processes)
{
	const Nsexec__V1__ProcessesRequest *request =
		(const Nsexec__V1__ProcessesRequest *)message;
	struct container *container = method_container(
		daemon, call_id, caller, request->id, "processes");
	Nsexec__V1__ProcessesResponse none =
		NSEXEC__V1__PROCESSES_RESPONSE__INIT;
	struct spawner_small small = {
		.op = OP_PROCESSES,
		.has_uid = true,
		.caller_fd = -1,
		.fn = processes_on_answer,
		.id = call_id,
	};
	struct error error;
	int r;

	if (!container)
		return;
	if (container->cgroup_gone) {
		(void)rpc_reply(daemon->server, call_id, &none.base);
		return;
	}
	small.container = container->id;
	small.uid = container->owner;
	r = spawner_send_small(daemon->spawner, &small);
	if (r == 0)
		return;
	error_from_spawner(&error, r, "processes");
	(void)rpc_fail(daemon->server, call_id, &error);
}

static void
explain_reply(struct daemon *daemon, uint64_t call_id,
	      const struct explanation *explanation,
	      const ProtobufCBinaryData *bootstrap)
{
	Nsexec__V1__ExplainResponse response =
		NSEXEC__V1__EXPLAIN_RESPONSE__INIT;
	Nsexec__V1__ExplainStep steps[EXPLAIN_MAX_STEPS];
	Nsexec__V1__ExplainStep *pointers[EXPLAIN_MAX_STEPS];

	for (size_t i = 0; i < explanation->n_steps; i++) {
		steps[i] =
			(Nsexec__V1__ExplainStep)NSEXEC__V1__EXPLAIN_STEP__INIT;
		steps[i].stage = (char *)explanation->steps[i].stage;
		steps[i].step = (char *)explanation->steps[i].step;
		steps[i].detail = (char *)explanation->steps[i].detail;
		steps[i].decides = (char *)explanation->steps[i].decides;
		steps[i].has_refused = explanation->steps[i].refused;
		steps[i].refused = explanation->steps[i].refused;
		pointers[i] = &steps[i];
	}
	response.n_steps = explanation->n_steps;
	response.steps = pointers;
	response.has_bootstrap = true;
	response.bootstrap = *bootstrap;
	(void)rpc_reply(daemon->server, call_id, &response.base);
}

/* Everything of a start but the sending. */
static int
explain(struct daemon *daemon, uint64_t call_id,
	const struct rpc_caller *caller, struct spec *spec, struct error *error)
{
	struct plan_input input = {
		.uid = caller->uid,
		.gid = caller->gid,
		.admin = caller->admin,
		.no_new_privs = identity_rights(caller)->no_new_privs,
		.identity = caller->identity,
		.container = spec->id[0] ? spec->id : "explained",
		.gate = GATE_NAMED,
		.leased = spec->has_lease,
	};
	struct explanation explanation = { .n_steps = 0 };
	ProtobufCBinaryData bootstrap = { 0, NULL };
	free_auto struct plan_message *encoded = malloc(sizeof(*encoded));
	free_auto struct plan *plan = malloc(sizeof(*plan));
	int r;

	if (!encoded || !plan)
		return error_set(error, ERRCODE_OVERLOADED, "explain", "memory",
				 "the daemon has no memory left",
				 "try again later");
	bootstrap.data = encoded->data;
	r = id_block_choose(daemon, caller, spec, &input.block, error);
	if (r == 0)
		r = plan_build(spec, &input, plan, error);
	if (r == 0)
		r = plan_encode(plan, 0, encoded, error);
	if (r == 0)
		r = explain_build(plan, &input, &explanation, error);
	bootstrap.len = encoded->size;
	if (r == 0)
		explain_reply(daemon, call_id, &explanation, &bootstrap);
	explain_deinit(&explanation);
	plan_deinit(plan);
	return r;
}

METHOD(method_explain)
{
	struct spec *spec;
	struct error error;

	if (spec_new(&spec) < 0) {
		no_memory(daemon, call_id, "explain");
		return;
	}
	if (request_explain((const Nsexec__V1__ExplainRequest *)message, spec,
			    &error) < 0 ||
	    identity_check_spec(caller, spec, &error) < 0 ||
	    explain(daemon, call_id, caller, spec, &error) < 0)
		(void)rpc_fail(daemon->server, call_id, &error);
	spec_free(spec);
}

METHOD(method_next_events)
{
	subscribe_next(daemon, call_id, caller,
		       (const Nsexec__V1__NextEventsRequest *)message);
}

METHOD(method_events)
{
	subscribe_stream(daemon, call_id, caller,
			 (const Nsexec__V1__EventsRequest *)message);
}
