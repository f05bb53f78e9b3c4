/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operation WHO: what nsexecd may know of a caller, read by the spawner
 * from that caller's connection. See proto/who.h.
 */
#include "spawn/spawner_ops.h"

#include <string.h>

#include "proto/who.h"
#include "spawn/spawner.h"
#include "spawn/spawner_attest.h"

static void
who_fill(const struct caller *caller, struct who *ret)
{
	struct policy_subject subject = { .uid = caller->uid,
					  .owner = caller->uid,
					  .gid = caller->gid,
					  .groups = caller->groups,
					  .n_groups = caller->n_groups };

	memset(ret, 0, sizeof(*ret));
	ret->magic = WHO_MAGIC;
	ret->version = WHO_VERSION;
	ret->size = sizeof(*ret);
	ret->uid = caller->uid;
	ret->gid = caller->gid;
	ret->pid = (uint32_t)caller->pid;
	ret->loginuid = WHO_NO_LOGINUID;
	ret->resolved.magic = RESOLVE_MAGIC;
	ret->resolved.version = RESOLVE_VERSION;
	ret->resolved.uid = caller->uid;
	ret->resolved.owner = caller->uid;
	policy_match(NULL, &subject, &ret->rights);
}

void
op_who(struct spawner *spawner, const struct request *request,
       const struct op_message *msg)
{
	struct attest_refusal refusal = { 0 };
	struct caller caller = { .pidfd = -1 };
	uint8_t buf[sizeof(struct who) + 64];
	struct nlmsg_builder builder;
	struct who who;
	int r;

	r = attest_caller(request->fds[0], spawner->proc_fd, &caller, &refusal);
	if (r < 0) {
		ops_refuse_caller(spawner, request, &refusal);
	} else {
		who_fill(&caller, &who);
		nlmsg_builder_init(&builder, buf, sizeof(buf), ANSWER_WHO,
				   request->seq);
		nlmsg_put(&builder, OP_ATTR_WHO, &who, sizeof(who));
		conn_send(spawner, request->conn_id, &builder, -1);
	}
	caller_deinit(&caller);
}
