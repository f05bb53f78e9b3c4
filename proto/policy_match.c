/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rule is a subject's, what rights that makes, and what a request may
 * with them. Pure. See policy.h.
 */
#include <errno.h>
#include <linux/sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"
#include "proto/nsplan.h"
#include "proto/policy.h"

static bool
ranges_have(const struct idmap_range *ranges, uint32_t n, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (id >= ranges[i].first &&
		    id - ranges[i].first < ranges[i].size)
			return true;
	return false;
}

static bool
pattern_matches(const char *pattern, const char *text)
{
	size_t length = strlen(pattern);

	if (!text)
		return false;
	if (length > 0 && pattern[length - 1] == '*')
		return strncmp(pattern, text, length - 1) == 0;
	return strcmp(pattern, text) == 0;
}

static bool
gids_match(const struct policy_rule *rule, const struct policy_subject *subject)
{
	size_t i;

	if (ranges_have(rule->gids, rule->n_gids, subject->gid))
		return true;
	for (i = 0; i < subject->n_groups; i++)
		if (ranges_have(rule->gids, rule->n_gids, subject->groups[i]))
			return true;
	return false;
}

static bool
label_matches(const struct policy_rule *rule, const char *label)
{
	uint32_t i;

	for (i = 0; i < rule->n_labels; i++)
		if (pattern_matches(rule->labels[i], label))
			return true;
	return false;
}

static bool
unit_matches(const struct policy_rule *rule, const char *unit)
{
	uint32_t i;

	for (i = 0; i < rule->n_units; i++)
		if (pattern_matches(rule->units[i], unit))
			return true;
	return false;
}

static bool
rule_matches(const struct policy_rule *rule,
	     const struct policy_subject *subject)
{
	if (rule->conditions & POLICY_IF_ANY)
		return true;
	if ((rule->conditions & POLICY_IF_UID) &&
	    !ranges_have(rule->uids, rule->n_uids, subject->uid) &&
	    !ranges_have(rule->uids, rule->n_uids, subject->owner))
		return false;
	if ((rule->conditions & POLICY_IF_GID) && !gids_match(rule, subject))
		return false;
	if ((rule->conditions & POLICY_IF_LABEL) &&
	    !label_matches(rule, subject->label))
		return false;
	if ((rule->conditions & POLICY_IF_UNIT) &&
	    !unit_matches(rule, subject->unit))
		return false;
	return rule->conditions != 0;
}

static void
rights_init(struct policy_rights *rights, bool admin)
{
	size_t i;

	memset(rights, 0, sizeof(*rights));
	rights->admin = admin;
	rights->no_new_privs = !admin;
	rights->verbs = admin ? POLICY_VERBS_ALL : POLICY_VERBS_ORDINARY;
	rights->create_kinds = NSPLAN_ALL_FLAGS;
	rights->join_kinds = NSPLAN_ALL_FLAGS;
	rights->any_join_owner = true;
	for (i = 0; i < N_POLICY_QUOTAS; i++)
		rights->quotas[i] = policy_quota_rows[i].initial;
	rights->rule = -1;
	snprintf(rights->name, sizeof(rights->name), "default");
	snprintf(rights->source, sizeof(rights->source), "built-in");
}

/* What only whoever is named himself is given. */
static void
apply_extras(struct policy_rights *rights, const struct policy_rule *rule)
{
	if (rule->settings & POLICY_SET_UID_RANGES) {
		rights->n_uid_ranges = rule->n_uid_ranges;
		memcpy(rights->uid_ranges, rule->uid_ranges,
		       sizeof(rights->uid_ranges));
	}
	if (rule->settings & POLICY_SET_GID_RANGES) {
		rights->n_gid_ranges = rule->n_gid_ranges;
		memcpy(rights->gid_ranges, rule->gid_ranges,
		       sizeof(rights->gid_ranges));
	}
	if (rule->settings & POLICY_SET_NO_NEW_PRIVS)
		rights->no_new_privs = rule->no_new_privs;
}

static void
apply_rule(struct policy_rights *rights, const struct policy_rule *rule)
{
	size_t i;

	/* never more than what rights_init() gave */
	if (rule->settings & POLICY_SET_VERBS)
		rights->verbs &= rule->verbs;
	if (rule->settings & POLICY_SET_CREATE)
		rights->create_kinds &= rule->create_kinds;
	if (rule->settings & POLICY_SET_JOIN)
		rights->join_kinds &= rule->join_kinds;
	if (rule->settings & POLICY_SET_JOIN_OWNERS) {
		rights->any_join_owner = false;
		rights->join_owners = rule->join_owners;
	}
	if ((rule->settings & POLICY_SET_NO_NEW_PRIVS) && rule->no_new_privs)
		rights->no_new_privs = true;
	rights->quotas_set = rule->quotas_set;
	for (i = 0; i < N_POLICY_QUOTAS; i++)
		if (rule->quotas_set >> i & 1)
			rights->quotas[i] = rule->quotas[i];
	memcpy(rights->name, rule->name, sizeof(rights->name));
	memcpy(rights->source, rule->source, sizeof(rights->source));
}

static const struct policy_rule *
find_rule(const struct policy_table *table,
	  const struct policy_subject *subject)
{
	uint32_t i;

	for (i = 0; table && i < table->n_rules; i++)
		if (rule_matches(&table->rules[i], subject))
			return &table->rules[i];
	return NULL;
}

void
policy_match(const struct policy_table *table,
	     const struct policy_subject *subject, struct policy_rights *ret)
{
	const struct policy_rule *rule = find_rule(table, subject);
	bool own = subject->uid == subject->owner, named, trusted, admin;

	named = rule && ranges_have(rule->uids, rule->n_uids, subject->uid);
	trusted = own || named;
	admin = subject->uid == 0 && own && subject->confined == 0;
	if (rule && (rule->settings & POLICY_SET_ADMIN))
		admin = rule->admin && trusted;
	rights_init(ret, admin);
	if (rule) {
		apply_rule(ret, rule);
		if (trusted)
			apply_extras(ret, rule);
		if (rule->settings & POLICY_SET_ALLOW_CONFINED &&
		    (subject->uid != 0 || named))
			ret->allow_confined = rule->allow_confined;
		ret->rule = (int)(rule - table->rules);
	}
	ret->confined = subject->confined & ~ret->allow_confined;
}

static int printf_like(4, 5)
	refuse(struct policy_refusal *ret, enum errcode code,
	       const char *object, const char *fmt, ...)
{
	va_list ap;

	ret->code = code;
	snprintf(ret->object, sizeof(ret->object), "%s", object);
	va_start(ap, fmt);
	vsnprintf(ret->rule, sizeof(ret->rule), fmt, ap);
	va_end(ap);
	return -EPERM;
}

static int
refuse_confined(const struct policy_rights *rights, struct policy_refusal *ret)
{
	const char *name =
		policy_confinement_names[__builtin_ctz(rights->confined)];

	snprintf(ret->hint, sizeof(ret->hint),
		 "call from outside, or name %s in allow_confined of a rule "
		 "for this caller",
		 name);
	return refuse(ret, ERRCODE_CONFINED, name,
		      "a caller confined by %s may ask for nothing (rule %s, "
		      "%s)",
		      name, rights->name, rights->source);
}

/* of: the bits not allowed, at least one. */
static int
refuse_word(const struct policy_rights *rights, const char *key,
	    const char *word, struct policy_refusal *ret)
{
	snprintf(ret->hint, sizeof(ret->hint),
		 rights->rule < 0
			 ? "it is for admins: a rule of %s has to say so"
			 : "add it to \"%s\" of the rule, or ask for less",
		 rights->rule < 0 ? "/etc/nsexecd/policy.json" : key);
	return refuse(ret, ERRCODE_PERMISSION_DENIED, word,
		      "%s is not in \"%s\" of rule %s (%s)", word, key,
		      rights->name, rights->source);
}

static const char *
first_kind(uint32_t flags)
{
	size_t i;

	for (i = 0; i < N_NS_KINDS; i++)
		if (flags & ns_kinds[i].clone_flag)
			return ns_kinds[i].name;
	return "unknown";
}

static int
kinds_check(const struct policy_rights *rights,
	    const struct policy_request *request, struct policy_refusal *ret)
{
	uint32_t missing = request->create_kinds & ~rights->create_kinds;

	if (missing)
		return refuse_word(rights, "create", first_kind(missing), ret);
	missing = request->join_kinds & ~rights->join_kinds;
	if (missing)
		return refuse_word(rights, "join", first_kind(missing), ret);
	if (rights->admin || !request->create_kinds ||
	    ((request->create_kinds | request->join_kinds) & CLONE_NEWUSER))
		return 0;
	snprintf(ret->hint, sizeof(ret->hint),
		 "ask for a new user namespace as well");
	return refuse(ret, ERRCODE_NEED_USERNS,
		      first_kind(request->create_kinds),
		      "a %s namespace without a user namespace is for admins "
		      "(rule %s, %s)",
		      first_kind(request->create_kinds), rights->name,
		      rights->source);
}

int
policy_request_check(const struct policy_rights *rights,
		     const struct policy_request *request,
		     struct policy_refusal *ret)
{
	uint32_t missing = request->verbs;

	memset(ret, 0, sizeof(*ret));
	if (rights->confined)
		return refuse_confined(rights, ret);
	if (request->join_kinds)
		missing |= POLICY_VERB_BIT(POLICY_VERB_JOIN);
	missing &= ~rights->verbs;
	if (missing & POLICY_VERBS_ALL)
		return refuse_word(rights, "verbs",
				   policy_verb_names[__builtin_ctz(missing)],
				   ret);
	if (missing)
		return refuse_word(rights, "verbs", "unknown", ret);
	if (request->new_privs && rights->no_new_privs) {
		snprintf(ret->hint, sizeof(ret->hint),
			 "set \"no_new_privs\": false in a rule for this "
			 "caller");
		return refuse(ret, ERRCODE_PERMISSION_DENIED, "no_new_privs",
			      "programs of this caller gain no privileges by "
			      "exec (rule %s, %s)",
			      rights->name, rights->source);
	}
	return kinds_check(rights, request, ret);
}

int
policy_join_owner_check(const struct policy_rights *rights,
			const struct policy_subject *subject, uint32_t ns_owner,
			struct policy_refusal *ret)
{
	const struct policy_owners *owners = &rights->join_owners;
	bool self = ns_owner == subject->uid || ns_owner == subject->owner;
	char word[16];

	memset(ret, 0, sizeof(*ret));
	snprintf(word, sizeof(word), "%u", ns_owner);
	if (rights->admin && ns_owner != 0 && !self &&
	    !(rights->verbs & POLICY_VERB_BIT(POLICY_VERB_FOREIGN_JOIN)))
		return refuse_word(rights, "verbs",
				   policy_verb_names[POLICY_VERB_FOREIGN_JOIN],
				   ret);
	if (rights->any_join_owner || (owners->self && self) ||
	    ranges_have(owners->ranges, owners->n_ranges, ns_owner))
		return 0;
	return refuse_word(rights, "join_owners", word, ret);
}

static bool
is_unit(const char *name, size_t size)
{
	static const char *const suffixes[] = { ".service", ".scope", ".socket",
						".mount", ".swap" };
	size_t i, length;

	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		length = strlen(suffixes[i]);
		if (size > length &&
		    memcmp(name + size - length, suffixes[i], length) == 0)
			return true;
	}
	return false;
}

int
policy_unit_of_cgroup(const char *path, char *buf, size_t size)
{
	static const char slice[] = ".slice";
	size_t length;

	while (*path == '/')
		path++;
	for (; *path; path += length, path += *path == '/') {
		length = strcspn(path, "/");
		if (is_unit(path, length)) {
			if (length >= size)
				return -ENOENT;
			memcpy(buf, path, length);
			buf[length] = '\0';
			return 0;
		}
		/* below anything else names are whoever's who made it */
		if (length <= sizeof(slice) - 1 ||
		    memcmp(path + length - (sizeof(slice) - 1), slice,
			   sizeof(slice) - 1) != 0)
			return -ENOENT;
	}
	return -ENOENT;
}
