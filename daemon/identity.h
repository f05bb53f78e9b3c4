/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a caller is, as nsexecd keeps it with a connection: the spawner's record,
 * and the bounds that follow from it. Every early decision about rights is made
 * here, with the texts of proto/policy.h; the spawner decides again, and the
 * kernel last.
 */
#ifndef NSX_DAEMON_IDENTITY_H
#define NSX_DAEMON_IDENTITY_H

#include <stdbool.h>

#include "daemon/config.h"
#include "daemon/error.h"
#include "daemon/rpc.h"
#include "proto/who.h"

struct spec;

struct identity {
	struct who who;
	struct owner_limits limits; /* of who.resolved.owner */
};

/*
 * initial: what a caller has for whom the policy says nothing. Where a rule
 * sets a quota it is that, whatever the configuration says.
 */
void identity_fill(struct identity *identity, const struct who *who,
		   const struct owner_limits *initial);
/* uid, gid, owner, admin of *caller from the record, and the record itself. */
void identity_attach(const struct identity *identity,
		     struct rpc_caller *caller);

/*
 * May this caller use this verb, and ask for what is in this spec? 0, or
 * -EINVAL with *error: CONFINED, PERMISSION_DENIED or NEED_USERNS with the
 * rule's name and place. Without an identity (a test's caller) all is allowed
 * that holds without a policy.
 */
must_check int identity_check_verb(const struct rpc_caller *caller,
				   enum policy_verb verb, const char *step,
				   struct error *error);
must_check int identity_check_spec(const struct rpc_caller *caller,
				   const struct spec *spec,
				   struct error *error);

/* The rights of a caller; never NULL. */
const struct policy_rights *identity_rights(const struct rpc_caller *caller);

#endif
