/* SPDX-License-Identifier: Apache-2.0 */
/* Lease: hold one of one's own from this connection; see lease.h. */
#include "daemon/lease.h"
#include "daemon/methods.h"

METHOD(method_lease)
{
	const Nsexec__V1__LeaseRequest *request =
		(const Nsexec__V1__LeaseRequest *)message;
	Nsexec__V1__LeaseResponse response = NSEXEC__V1__LEASE_RESPONSE__INIT;

	if (!request->has_lease || request->lease.len != SPEC_LEASE_SIZE) {
		method_refuse(daemon, call_id,
			      &(struct refusal){ ERRCODE_INVALID_ARGUMENT,
						 "check-request", "lease",
						 "must be 16 bytes",
						 "give the lease of the "
						 "start" });
		return;
	}
	response.has_containers = true;
	response.containers =
		(uint32_t)lease_take(daemon, caller, request->lease.data);
	(void)rpc_reply(daemon->server, call_id, &response.base);
}
