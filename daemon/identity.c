/* SPDX-License-Identifier: Apache-2.0 */
/* Who a caller is and what he may ask for; see identity.h. */
#include "daemon/identity.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "daemon/spec.h"
#include "lib/util.h"

/* Which bound of an owner a quota of the policy is. */
static const struct {
	enum policy_quota quota;
	size_t offset;
} limit_rows[] = {
#define ROW(name, field) \
	{ \
		POLICY_QUOTA_##name, offsetof(struct owner_limits, field) \
	}
	ROW(CONTAINERS, containers),
	ROW(STARTS_IN_FLIGHT, starts),
	ROW(STARTS_PER_SECOND, starts_per_second),
	ROW(STARTS_BURST, starts_burst),
	ROW(CONNECTIONS, connections),
	ROW(REQUESTS_IN_FLIGHT, requests),
	ROW(QUEUED_BYTES, queued_bytes),
	ROW(SUBSCRIBERS, subscribers),
	ROW(FDS_PER_REQUEST, request_fds),
	ROW(FDS_HELD, held_fds),
	ROW(EXECS_PER_CONTAINER, execs_per_container),
	ROW(STUCK_WORKERS, stuck),
	ROW(REMEMBERED_KEYS, keys),
#undef ROW
};
/* Tasks and memory are bounds of cgroups: the spawner's. */
_Static_assert(ARRAY_SIZE(limit_rows) == N_POLICY_QUOTAS - 2,
	       "every quota of nsexecd has a row");

void
identity_fill(struct identity *identity, const struct who *who,
	      const struct owner_limits *initial)
{
	char *limits = (char *)&identity->limits;

	identity->who = *who;
	identity->limits = *initial;
	for (size_t i = 0; i < ARRAY_SIZE(limit_rows); i++) {
		enum policy_quota quota = limit_rows[i].quota;

		if (who->rights.quotas_set >> quota & 1)
			memcpy(limits + limit_rows[i].offset,
			       &who->rights.quotas[quota], sizeof(uint32_t));
	}
}

void
identity_attach(const struct identity *identity, struct rpc_caller *caller)
{
	caller->identity = identity;
	caller->owner = identity->who.resolved.owner;
	caller->admin = identity->who.rights.admin;
}

const struct policy_rights *
identity_rights(const struct rpc_caller *caller)
{
	/* Of whom nothing is known nothing is allowed. */
	static const struct policy_rights none = { .no_new_privs = true,
						   .rule = -1,
						   .name = "unknown",
						   .source = "built-in" };

	if (caller->identity)
		return &caller->identity->who.rights;
	return &none;
}

struct viewer
rpc_viewer(const struct rpc_caller *caller)
{
	const uint32_t foreign = POLICY_VERB_BIT(POLICY_VERB_FOREIGN_CONTAINER);

	return (struct viewer){ .owner = caller->owner,
				.admin = caller->admin &&
					 (identity_rights(caller)->verbs &
					  foreign) };
}

static int
check(const struct rpc_caller *caller, const struct policy_request *request,
      const char *step, struct error *error)
{
	struct policy_refusal refusal;

	if (policy_request_check(identity_rights(caller), request, &refusal) ==
	    0)
		return 0;
	return error_set(error, refusal.code, step, refusal.object,
			 refusal.rule, refusal.hint);
}

int
identity_check_verb(const struct rpc_caller *caller, enum policy_verb verb,
		    const char *step, struct error *error)
{
	const struct policy_request request = { .verbs =
							POLICY_VERB_BIT(verb) };

	return check(caller, &request, step, error);
}

int
identity_check_spec(const struct rpc_caller *caller, const struct spec *spec,
		    struct error *error)
{
	const struct policy_request request = {
		.create_kinds = spec->boot.clone_flags,
		.join_kinds = spec->join_flags,
		/* new_privs: never asked for, no_new_privs is forced where
		 * the rights say so (nsexec.proto) */
	};

	return check(caller, &request, "check-policy", error);
}
