/* SPDX-License-Identifier: Apache-2.0 */
/* What the spawner refused, or why it was not asked, as an error of ours. */
#include <errno.h>

#include "daemon/quota.h"
#include "daemon/task.h"
#include "proto/ops.h"
#include "proto/policy.h"

/* A bound of cgroups, which the spawner holds callers to. */
static void
error_from_quota(struct error *error, const struct op_quota *quota)
{
	const struct quota_use use = {
		.quota = quota->quota == POLICY_QUOTA_MEMORY_MIB ? QUOTA_MEMORY
								 : QUOTA_TASKS,
		.limit = quota->limit,
		.used = quota->used,
	};

	(void)quota_refuse(&use, error);
	error->failure.stage = STAGE_SPAWNER;
}

void
error_from_message(struct error *error, const struct op_message *msg)
{
	struct failure refusal;

	if (op_has(msg, OP_ATTR_QUOTA)) {
		error_from_quota(error, &msg->quota);
		return;
	}

	/* A refusal by rule comes without a failed step. */
	(void)failure_set(&refusal, STAGE_SPAWNER,
			  msg->code == ERRCODE_CALLER_GONE ? "attest" : "check",
			  "", 0, "%s", "");
	error_from_failure(error, op_has(msg, OP_ATTR_FAILURE) ? &msg->failure
							       : &refusal);
	if (op_has(msg, OP_ATTR_CODE) && msg->code > ERRCODE_NONE &&
	    msg->code < N_ERRCODES) {
		error->code = (enum errcode)msg->code;
		error->retryable |= errcode_row(msg->code)->retryable;
	}
	if (op_has(msg, OP_ATTR_RULE))
		error_rule(error, "%s", msg->rule);
	if (error->code == ERRCODE_CONFINED)
		error_hint(error, "ask from outside of the container");
}

void
error_from_spawner(struct error *error, int r, const char *step)
{
	if (r == -ENOTCONN)
		(void)error_set(error, ERRCODE_OVERLOADED, step,
				"nsexec-spawner",
				"the spawner cannot be reached just now",
				"try again in a second");
	else
		(void)error_set(error, ERRCODE_OVERLOADED, step,
				"nsexec-spawner",
				"too much is waiting for the spawner",
				"try again later");
	error->failure.error = r == -ENOTCONN ? 0 : -r;
}
