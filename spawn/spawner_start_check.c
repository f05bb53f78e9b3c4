/* SPDX-License-Identifier: Apache-2.0 */
/* See spawner_start_check.h. */
#include "spawn/spawner_start_check.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "proto/nsplan.h"
#include "proto/policy.h"
#include "spawn/spawner.h"

/* Kinds of "type:path,type:path". One without a known type counts as all. */
static uint32_t
kinds_of_texts(const char *texts)
{
	uint32_t kinds = 0, kind;
	size_t i, size, name;

	for (;; texts += size + 1) {
		size = strcspn(texts, ",");
		name = strcspn(texts, ":,");
		kind = 0;
		for (i = 0; i < N_NS_KINDS; i++)
			if (strlen(ns_kinds[i].name) == name &&
			    memcmp(ns_kinds[i].name, texts, name) == 0)
				kind = ns_kinds[i].clone_flag;
		if (size > 0)
			kinds |= kind ? kind : NSPLAN_ALL_FLAGS;
		if (texts[size] == '\0')
			return kinds;
	}
}

static uint32_t
kinds_joined(const struct bootstrap *msg)
{
	uint32_t kinds = 0;
	size_t i;

	for (i = 0; i < msg->n_joins; i++)
		kinds |= msg->joins[i].clone_flag;
	if (bootstrap_has(msg, BOOTSTRAP_NS_PATHS))
		kinds |= kinds_of_texts(msg->ns_paths);
	return kinds;
}

int
start_check_policy(struct spawner *spawner, const struct request *request,
		   const struct caller *caller, const struct bootstrap *msg)
{
	const struct policy_request wanted = {
		.create_kinds = msg->clone_flags & NSPLAN_ALL_FLAGS,
		.join_kinds = kinds_joined(msg),
	};
	struct policy_refusal refusal;

	/* EXEC joins what is the caller's already: no kinds of its own. */
	if (request->type == OP_EXEC)
		return who_check_verb(spawner, request, caller,
				      POLICY_VERB_BIT(POLICY_VERB_EXEC));
	if (policy_request_check(caller->rights, &wanted, &refusal) < 0)
		return who_refuse(spawner, request, &refusal);
	/* A gate by name is what Create asks for; Run may, in two steps. */
	return who_check_verb(
		spawner, request, caller,
		msg->gate == GATE_NAMED
			? POLICY_VERB_BIT(POLICY_VERB_CREATE)
			: POLICY_VERB_BIT(POLICY_VERB_RUN) |
				  POLICY_VERB_BIT(POLICY_VERB_CREATE));
}

/* The ids that the payload has unless the request names others. */
static int
keep_own_ids(struct bootstrap *msg, const struct caller *caller)
{
	if (!bootstrap_has(msg, BOOTSTRAP_GROUPS) && !msg->keep_groups) {
		if (caller->n_groups > BOOTSTRAP_MAX_GROUPS)
			return -E2BIG;
		if (caller->n_groups > 0)
			memcpy(msg->groups, caller->groups,
			       caller->n_groups * sizeof(msg->groups[0]));
		msg->n_groups = caller->n_groups;
		bootstrap_mark(msg, BOOTSTRAP_GROUPS);
	}
	if (!bootstrap_has(msg, BOOTSTRAP_GID)) {
		msg->gid = caller->gid;
		bootstrap_mark(msg, BOOTSTRAP_GID);
	}
	if (!bootstrap_has(msg, BOOTSTRAP_UID)) {
		msg->uid = caller->uid;
		bootstrap_mark(msg, BOOTSTRAP_UID);
	}
	return 0;
}

int
start_apply_policy(struct bootstrap *msg, struct caller *caller,
		   bool *ret_changed)
{
	const uint32_t kinds =
		(msg->clone_flags & NSPLAN_ALL_FLAGS) | kinds_joined(msg);
	int r = 0;

	*ret_changed = false;
	if (!caller->admin)
		return 0;
	if (caller->rights->no_new_privs && !msg->no_new_privs) {
		msg->no_new_privs = true;
		bootstrap_mark(msg, BOOTSTRAP_NO_NEW_PRIVS);
		*ret_changed = true;
	}
	if (caller->uid == 0)
		return 0;
	if (!(kinds & CLONE_NEWUSER))
		r = keep_own_ids(msg, caller);
	*ret_changed = true;
	caller->uid = 0;
	caller->gid = 0;
	free(caller->groups);
	caller->groups = NULL;
	caller->n_groups = 0;
	return r;
}
