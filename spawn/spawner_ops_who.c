/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operation WHO: what nsexecd may know of a caller, read by the spawner
 * from that caller's connection. See proto/who.h.
 */
#include "spawn/spawner_ops.h"

#include "spawn/spawner.h"
#include "spawn/spawner_attest.h"

void
op_who(struct spawner *spawner, const struct request *request,
       const struct op_message *msg)
{
	struct caller caller = { .pidfd = -1 };
	uint8_t buf[sizeof(struct who) + 64];
	struct nlmsg_builder builder;
	const struct who *who;

	/* Confined or not: what that means nsexecd says by the record. */
	if (who_get(spawner, request, request->fds[0], &caller, &who) == 0) {
		nlmsg_builder_init(&builder, buf, sizeof(buf), ANSWER_WHO,
				   request->seq);
		nlmsg_put(&builder, OP_ATTR_WHO, who, sizeof(*who));
		conn_send(spawner, request->conn_id, &builder, -1);
	}
	caller_deinit(&caller);
}
