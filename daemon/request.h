/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a decoded request to a struct spec: the last place that sees protobuf
 * on the way in. Every refusal names the field as a caller writes it
 * ("spec.process.args[0]"), the rule and what to change. Pure: opens nothing,
 * asks nobody but the struct it is given.
 */
#ifndef NSX_DAEMON_REQUEST_H
#define NSX_DAEMON_REQUEST_H

#include "daemon/error.h"
#include "daemon/spec.h"
#include "proto/nsexec.pb-c.h"

/*
 * Each fills *spec (initialised by the caller, who also frees it) and returns
 * 0, or -EINVAL with *error, or -ENOMEM with *error = OVERLOADED.
 */
must_check int request_create(const Nsexec__V1__CreateRequest *request,
			      struct spec *spec, struct error *error);
must_check int request_run(const Nsexec__V1__RunRequest *request,
			   struct spec *spec, struct error *error);
must_check int request_exec(const Nsexec__V1__ExecRequest *request,
			    struct spec *spec, struct error *error);
must_check int request_explain(const Nsexec__V1__ExplainRequest *request,
			       struct spec *spec, struct error *error);

/* An id or name of a container in field "id": 0 or -EINVAL with *error. */
must_check int request_id(const char *id, struct error *error);

#endif
