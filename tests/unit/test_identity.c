/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of daemon/identity.h: what a caller's record means in nsexecd. */
#include "tests/unit/unit.h"

#include <sched.h>

#include "daemon/identity.h"
#include "daemon/spec.h"

static const struct owner_limits initial = { .containers = 128,
					     .request_fds = 32,
					     .keys = 1024 };

static struct who
who_of(uint32_t uid, uint32_t owner)
{
	struct policy_subject subject = { .uid = uid, .owner = owner };
	struct who who = { .uid = uid, .gid = uid };

	who.resolved.uid = uid;
	who.resolved.owner = owner;
	policy_match(NULL, &subject, &who.rights);
	return who;
}

static void
a_rules_quota_goes_before_the_configuration(void **state)
{
	struct who who = who_of(1000, 1000);
	struct identity identity;

	who.rights.quotas_set = 1u << POLICY_QUOTA_CONTAINERS |
				1u << POLICY_QUOTA_FDS_PER_REQUEST;
	who.rights.quotas[POLICY_QUOTA_CONTAINERS] = 3;
	who.rights.quotas[POLICY_QUOTA_FDS_PER_REQUEST] = 0;
	identity_fill(&identity, &who, &initial);
	assert_int_equal(identity.limits.containers, 3);
	assert_int_equal(identity.limits.request_fds, 0);
	assert_int_equal(identity.limits.keys, 1024);
}

static void
a_sub_ids_caller_is_his_owner_and_uid_0_alone_is_no_admin(void **state)
{
	struct who who = who_of(100005, 1000);
	struct rpc_caller caller = { .uid = 100005 };
	struct identity identity;

	identity_fill(&identity, &who, &initial);
	identity_attach(&identity, &caller);
	assert_int_equal(caller.owner, 1000);
	assert_false(caller.admin);

	who = who_of(0, 0);
	who.rights.admin = false;
	identity_fill(&identity, &who, &initial);
	caller.uid = 0;
	identity_attach(&identity, &caller);
	assert_false(caller.admin);
	assert_false(rpc_viewer(&caller).admin);
}

static void
an_admin_without_foreign_container_sees_his_own_alone(void **state)
{
	struct who who = who_of(0, 0);
	struct rpc_caller caller = { .uid = 0 };
	struct identity identity;

	identity_fill(&identity, &who, &initial);
	identity_attach(&identity, &caller);
	assert_true(rpc_viewer(&caller).admin);
	identity.who.rights.verbs &=
		~POLICY_VERB_BIT(POLICY_VERB_FOREIGN_CONTAINER);
	assert_false(rpc_viewer(&caller).admin);
}

static void
refusals_name_the_rule_and_where_it_stands(void **state)
{
	struct who who = who_of(1000, 1000);
	struct rpc_caller caller = { .uid = 1000 };
	struct identity identity;
	struct error error;
	struct spec *spec;

	assert_int_equal(spec_new(&spec), 0);
	identity_fill(&identity, &who, &initial);
	identity_attach(&identity, &caller);
	spec->boot.clone_flags = CLONE_NEWNET;
	assert_int_equal(identity_check_spec(&caller, spec, &error), -EINVAL);
	assert_int_equal(error.code, ERRCODE_NEED_USERNS);
	spec->boot.clone_flags |= CLONE_NEWUSER;
	assert_int_equal(identity_check_spec(&caller, spec, &error), 0);

	identity.who.rights.create_kinds &= ~(uint32_t)CLONE_NEWNET;
	identity.who.rights.verbs &= ~POLICY_VERB_BIT(POLICY_VERB_EXEC);
	strcpy(identity.who.rights.name, "ci");
	strcpy(identity.who.rights.source, "policy.json:3");
	assert_int_equal(identity_check_spec(&caller, spec, &error), -EINVAL);
	assert_int_equal(error.code, ERRCODE_PERMISSION_DENIED);
	assert_non_null(strstr(error.rule, "ci (policy.json:3)"));
	assert_int_equal(
		identity_check_verb(&caller, POLICY_VERB_EXEC, "x", &error),
		-EINVAL);
	assert_int_equal(error.code, ERRCODE_PERMISSION_DENIED);
	assert_int_equal(
		identity_check_verb(&caller, POLICY_VERB_RUN, "x", &error), 0);

	identity.who.rights.confined =
		POLICY_CONFINED_BIT(POLICY_CONFINED_SECCOMP);
	assert_int_equal(
		identity_check_verb(&caller, POLICY_VERB_RUN, "x", &error),
		-EINVAL);
	assert_int_equal(error.code, ERRCODE_CONFINED);
	assert_string_equal(error.failure.object, "seccomp");
	spec_free(spec);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rules_quota_goes_before_the_configuration),
		cmocka_unit_test(
			a_sub_ids_caller_is_his_owner_and_uid_0_alone_is_no_admin),
		cmocka_unit_test(
			an_admin_without_foreign_container_sees_his_own_alone),
		cmocka_unit_test(refusals_name_the_rule_and_where_it_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
