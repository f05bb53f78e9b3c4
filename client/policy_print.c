/* SPDX-License-Identifier: Apache-2.0 */
/* The rights of a subject, for people and as JSON. See policy.h. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/policy.h"
#include "lib/util.h"
#include "proto/nsplan.h"

static json_t *
words_to_json(const char *const *words, size_t n, uint32_t mask)
{
	json_t *object = json_object();
	size_t i;

	for (i = 0; i < n; i++)
		json_object_set_new(object, words[i],
				    json_boolean(mask >> i & 1));
	return object;
}

static json_t *
kinds_to_json(uint32_t flags)
{
	json_t *object = json_object();
	size_t i;

	for (i = 0; i < N_NS_KINDS; i++)
		json_object_set_new(
			object, ns_kinds[i].name,
			json_boolean(flags & ns_kinds[i].clone_flag));
	return object;
}

static json_t *
ranges_to_json(const struct idmap_range *ranges, uint32_t n)
{
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(
			list, json_pack("{s:I, s:I}", "first",
					(json_int_t)ranges[i].first, "count",
					(json_int_t)ranges[i].size));
	return list;
}

static json_t *
owners_to_json(const struct policy_rights *rights)
{
	if (rights->any_join_owner)
		return json_null();
	return json_pack("{s:b, s:o}", "self", rights->join_owners.self,
			 "ranges",
			 ranges_to_json(rights->join_owners.ranges,
					rights->join_owners.n_ranges));
}

static json_t *
quotas_to_json(const struct policy_rights *rights)
{
	json_t *object = json_object();
	size_t i;

	for (i = 0; i < N_POLICY_QUOTAS; i++)
		json_object_set_new(object, policy_quota_rows[i].name,
				    rights->quotas[i] == POLICY_QUOTA_INHERIT
					    ? json_null()
					    : json_integer(rights->quotas[i]));
	return object;
}

static json_t *
refusal_to_json(const struct policy_refusal *refusal)
{
	if (!refusal)
		return json_null();
	return json_pack("{s:s, s:s, s:s, s:s}", "code",
			 errcode_row(refusal->code)->name, "object",
			 refusal->object, "rule", refusal->rule, "hint",
			 refusal->hint);
}

static json_t *
rights_to_json(const struct policy_subject *subject,
	       const struct policy_rights *rights,
	       const struct policy_refusal *refusal)
{
	json_t *root = json_pack(
		"{s:i, s:I, s:I, s:I, s:{s:s, s:s}, s:b, s:b}", "v", 1, "uid",
		(json_int_t)subject->uid, "owner", (json_int_t)subject->owner,
		"gid", (json_int_t)subject->gid, "rule", "name", rights->name,
		"source", rights->source, "admin", rights->admin,
		"no_new_privs", rights->no_new_privs);

	json_object_set_new(root, "allowed",
			    json_boolean(!refusal && !rights->confined));
	json_object_set_new(root, "refusal", refusal_to_json(refusal));
	json_object_set_new(root, "verbs",
			    words_to_json(policy_verb_names, N_POLICY_VERBS,
					  rights->verbs));
	json_object_set_new(root, "create",
			    kinds_to_json(rights->create_kinds));
	json_object_set_new(root, "join", kinds_to_json(rights->join_kinds));
	json_object_set_new(root, "join_owners", owners_to_json(rights));
	json_object_set_new(
		root, "uid_ranges",
		ranges_to_json(rights->uid_ranges, rights->n_uid_ranges));
	json_object_set_new(
		root, "gid_ranges",
		ranges_to_json(rights->gid_ranges, rights->n_gid_ranges));
	json_object_set_new(root, "allow_confined",
			    words_to_json(policy_confinement_names,
					  N_POLICY_CONFINEMENTS,
					  rights->allow_confined));
	json_object_set_new(root, "quotas", quotas_to_json(rights));
	return root;
}

static void
print_row(const char *kind, const char *word, bool is_allowed)
{
	printf("%-10s %-20s %s\n", kind, word, is_allowed ? "yes" : "no");
}

static void
print_ranges(const char *kind, const struct idmap_range *ranges, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		printf("%-10s %" PRIu32 "-%" PRIu32 "\n", kind, ranges[i].first,
		       ranges[i].first + (ranges[i].size - 1));
}

static void
print_quotas(const struct policy_rights *rights)
{
	size_t i;

	for (i = 0; i < N_POLICY_QUOTAS; i++)
		if (rights->quotas[i] == POLICY_QUOTA_INHERIT)
			printf("%-10s %-20s as the user's slice\n", "quota",
			       policy_quota_rows[i].name);
		else
			printf("%-10s %-20s %" PRIu32 "%s\n", "quota",
			       policy_quota_rows[i].name, rights->quotas[i],
			       rights->quotas_set >> i & 1 ? " (the rule)"
							   : "");
}

static void
print_table(const struct policy_subject *subject,
	    const struct policy_rights *rights)
{
	size_t i;

	printf("%-10s %s (%s)\n", "rule", rights->name, rights->source);
	printf("%-10s uid %" PRIu32 " owner %" PRIu32 " gid %" PRIu32 "\n",
	       "caller", subject->uid, subject->owner, subject->gid);
	print_row("admin", "", rights->admin);
	print_row("force", "no_new_privs", rights->no_new_privs);
	for (i = 0; i < N_POLICY_VERBS; i++)
		print_row("verb", policy_verb_names[i], rights->verbs >> i & 1);
	for (i = 0; i < N_NS_KINDS; i++)
		print_row("create", ns_kinds[i].name,
			  rights->create_kinds & ns_kinds[i].clone_flag);
	for (i = 0; i < N_NS_KINDS; i++)
		print_row("join", ns_kinds[i].name,
			  rights->join_kinds & ns_kinds[i].clone_flag);
	if (rights->any_join_owner)
		printf("%-10s %s\n", "join-owner", "any");
	else if (rights->join_owners.self)
		printf("%-10s %s\n", "join-owner", "self");
	print_ranges("join-owner", rights->join_owners.ranges,
		     rights->join_owners.n_ranges);
	print_ranges("uids", rights->uid_ranges, rights->n_uid_ranges);
	print_ranges("gids", rights->gid_ranges, rights->n_gid_ranges);
	for (i = 0; i < N_POLICY_CONFINEMENTS; i++)
		print_row("confined", policy_confinement_names[i],
			  rights->allow_confined >> i & 1);
	print_quotas(rights);
}

void
policy_print(const struct ctl *ctl, const struct policy_subject *subject,
	     const struct policy_rights *rights,
	     const struct policy_refusal *refusal)
{
	if (ctl_json(ctl)) {
		ctl_print_json(ctl, rights_to_json(subject, rights, refusal));
		return;
	}
	if (!ctl->no_headings)
		puts("WHAT       WHICH                MAY");
	print_table(subject, rights);
}
