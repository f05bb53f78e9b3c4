/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions behind the table rpc_methods (methods.c), by what they do:
 * methods_start.c starts, methods_control.c acts on containers, methods_query.c
 * only tells.
 */
#ifndef NSX_DAEMON_METHODS_H
#define NSX_DAEMON_METHODS_H

#include "daemon/container.h"
#include "daemon/rpc.h"
#include "proto/nsexec.pb-c.h"

#define METHOD(name) \
	void name(struct daemon *daemon, uint64_t call_id, \
		  const struct rpc_caller *caller, \
		  const ProtobufCMessage *message)

METHOD(method_version);
METHOD(method_create);
METHOD(method_start);
METHOD(method_run);
METHOD(method_exec);
METHOD(method_state);
METHOD(method_list);
METHOD(method_wait);
METHOD(method_signal);
METHOD(method_processes);
METHOD(method_delete);
METHOD(method_cancel);
METHOD(method_lease);
METHOD(method_explain);
METHOD(method_metrics);
METHOD(method_next_events);
METHOD(method_events);

/*
 * The container that a request names, or NULL and the call is failed with
 * INVALID_ARGUMENT or NOT_FOUND.
 */
struct container *method_container(struct daemon *daemon, uint64_t call_id,
				   const struct rpc_caller *caller,
				   const char *id, const char *step);
/* A refusal that is all there is to say. */
struct refusal {
	enum errcode code;
	const char *step, *object, *rule, *hint;
};
void method_refuse(struct daemon *daemon, uint64_t call_id,
		   const struct refusal *refusal);

#endif
