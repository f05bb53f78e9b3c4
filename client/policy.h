/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of "nsexecctl policy" share. */
#ifndef NSX_CLIENT_POLICY_H
#define NSX_CLIENT_POLICY_H

#include "client/ctl.h"
#include "proto/policy.h"

#define SUBJECT_MAX_GROUPS 256

/* Who a policy is asked about; what subject points to is in it. */
struct policy_asker {
	struct policy_subject subject;
	uint32_t groups[SUBJECT_MAX_GROUPS];
	char label[POLICY_LABEL_MAX];
	char unit[POLICY_UNIT_MAX];
};

/* Print what a subject may, as a table or JSON. refusal: of the request that
 * was asked about; NULL: allowed, or none was. */
void policy_print(const struct ctl *ctl, const struct policy_subject *subject,
		  const struct policy_rights *rights,
		  const struct policy_refusal *refusal);

/* Ourselves: ids, groups, system unit, label as this process has them. */
void policy_asker_self(struct policy_asker *asker);
/* A name or number: its passwd entry and groups; a number may have none. 0 or
 * -ENOENT. */
must_check int policy_asker_user(struct policy_asker *asker, const char *user);

#endif
