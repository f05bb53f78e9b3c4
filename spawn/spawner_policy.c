/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, replacing, telling. See spawner_policy.h. */
#include "spawn/spawner_policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_defer.h"
#include "spawn/spawner_log.h"
#include "spawn/spawner_ops.h"

bool
policy_is_due(const struct spawner *spawner)
{
	return spawner->policy.first;
}

/* Answer those who waited for the reading that has just ended. */
static void
policy_answer(struct spawner *spawner, const char *why)
{
	struct policy_state *policy = &spawner->policy;
	const struct answer_error error = { .code = ERRCODE_FAILED_PRECONDITION,
					    .rule = why };
	uint64_t conn_id;
	size_t i;

	for (i = 0; i < POLICY_WAITERS; i++) {
		conn_id = policy->waiters[i].conn_id;
		if (conn_id == 0 || policy->waiters[i].later)
			continue;
		policy->waiters[i].conn_id = 0;
		if (why)
			answer_error(spawner, conn_id, policy->waiters[i].seq,
				     &error);
		else
			answer_done(spawner, conn_id, policy->waiters[i].seq);
	}
}

static void
policy_end(struct spawner *spawner, const char *why)
{
	struct policy_state *policy = &spawner->policy;
	size_t i;

	if (why)
		log_error(0, "cannot take the policy in %s: %s (%s)",
			  spawner->options.policy_dir, why,
			  policy->table ? "the old rules stay"
					: "there are no rules until it is "
					  "mended");
	policy->reading = false;
	policy->first = false;
	policy_answer(spawner, why);
	for (i = 0; i < POLICY_WAITERS; i++)
		policy->waiters[i].later = false;
	if (policy->again)
		policy_reload(spawner);
	defer_wake_policy(spawner);
	defer_wake_next(spawner);
	defer_set_timer(spawner);
}

static void
policy_on_result(struct spawner *spawner, uint32_t key,
		 const struct resolver_result *result)
{
	struct policy_state *policy = &spawner->policy;
	free_auto struct policy_table *table = NULL;
	const char *why = result->why;

	if (result->data) {
		table = malloc(sizeof(*table));
		why = table ? NULL : "no memory";
	}
	if (table) {
		memcpy(table, result->data, sizeof(*table));
		if (policy_check(table, &why) == 0) {
			free(policy->table);
			policy->table = table;
			table = NULL;
			policy->generation++;
			why = NULL;
			log_note("policy in %s: %u rules of %u files are in "
				 "force",
				 spawner->options.policy_dir,
				 policy->table->n_rules,
				 policy->table->n_files);
			conn_tell_policy(spawner);
		}
	}
	policy_end(spawner, why);
}

void
policy_reload(struct spawner *spawner)
{
	struct policy_state *policy = &spawner->policy;
	char *argv[] = { "nsexec-resolver", "policy", "--policy-dir",
			 (char *)spawner->options.policy_dir, NULL };
	const struct resolver_order order = { .argv = argv,
					      .size = sizeof(
						      struct policy_table),
					      .fn = policy_on_result };
	int r;

	if (!spawner->options.policy_dir)
		return;
	/* The one that is under way may have read the file before that. */
	policy->again = policy->reading;
	if (policy->reading)
		return;
	policy->reading = true;
	r = resolver_start(spawner, &order);
	if (r < 0)
		policy_end(spawner, r == -ENOENT ? "there is no resolver"
				    : r == -EAGAIN
					    ? "the resolver is busy"
					    : "the resolver cannot be started");
}

void
policy_open(struct spawner *spawner)
{
	spawner->policy.first = spawner->options.policy_dir;
	policy_reload(spawner);
}

void
policy_deinit(struct spawner *spawner)
{
	free(spawner->policy.table);
	spawner->policy.table = NULL;
}

void
op_reload(struct spawner *spawner, const struct request *request,
	  const struct op_message *msg)
{
	struct policy_state *policy = &spawner->policy;
	size_t i;

	if (!spawner->options.policy_dir) {
		ops_refuse(spawner, request, ERRCODE_FAILED_PRECONDITION,
			   "this instance has no policy directory");
		return;
	}
	for (i = 0; i < POLICY_WAITERS; i++)
		if (policy->waiters[i].conn_id == 0)
			break;
	if (i == POLICY_WAITERS) {
		ops_refuse(spawner, request, ERRCODE_OVERLOADED,
			   "too many wait for the policy");
		return;
	}
	policy->waiters[i].conn_id = request->conn_id;
	policy->waiters[i].seq = request->seq;
	policy->waiters[i].later = policy->reading;
	policy_reload(spawner);
}
