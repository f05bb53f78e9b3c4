/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy table: its words, and the check of every field. See policy.h.
 * What matches whom, and what a request may, is policy_match.c.
 */
#include "proto/policy.h"

#include <errno.h>
#include <string.h>

#include "lib/crc32c.h"
#include "lib/text.h"
#include "lib/util.h"
#include "proto/nsplan.h"

const char *const policy_verb_names[N_POLICY_VERBS] = {
	[POLICY_VERB_VERSION] = "version",
	[POLICY_VERB_CREATE] = "create",
	[POLICY_VERB_START] = "start",
	[POLICY_VERB_RUN] = "run",
	[POLICY_VERB_EXEC] = "exec",
	[POLICY_VERB_STATE] = "state",
	[POLICY_VERB_LIST] = "list",
	[POLICY_VERB_WAIT] = "wait",
	[POLICY_VERB_SIGNAL] = "signal",
	[POLICY_VERB_PROCESSES] = "processes",
	[POLICY_VERB_DELETE] = "delete",
	[POLICY_VERB_CANCEL] = "cancel",
	[POLICY_VERB_EXPLAIN] = "explain",
	[POLICY_VERB_EVENTS] = "events",
	[POLICY_VERB_JOIN] = "join",
	[POLICY_VERB_FOREIGN_JOIN] = "foreign_join",
	[POLICY_VERB_FOREIGN_CONTAINER] = "foreign_container",
	[POLICY_VERB_METRICS] = "metrics",
};

const char *const policy_confinement_names[N_POLICY_CONFINEMENTS] = {
	[POLICY_CONFINED_USERNS] = "userns",
	[POLICY_CONFINED_MNTNS] = "mntns",
	[POLICY_CONFINED_PIDNS] = "pidns",
	[POLICY_CONFINED_NETNS] = "netns",
	[POLICY_CONFINED_CGROUP_ROOT] = "cgroup_root",
	[POLICY_CONFINED_CHROOT] = "chroot",
	[POLICY_CONFINED_SECCOMP] = "seccomp",
	[POLICY_CONFINED_NO_NEW_PRIVS] = "no_new_privs",
	[POLICY_CONFINED_LABEL] = "label",
};

const struct policy_quota_row policy_quota_rows[N_POLICY_QUOTAS] = {
	[POLICY_QUOTA_CONTAINERS] = { "containers", 128, 1000000 },
	[POLICY_QUOTA_STARTS_IN_FLIGHT] = { "starts_in_flight", 16, 100000 },
	[POLICY_QUOTA_STARTS_PER_SECOND] = { "starts_per_second", 20, 1000000 },
	[POLICY_QUOTA_STARTS_BURST] = { "starts_burst", 50, 1000000 },
	[POLICY_QUOTA_CONNECTIONS] = { "connections", 32, 4096 },
	[POLICY_QUOTA_REQUESTS_IN_FLIGHT] = { "requests_in_flight", 64,
					      100000 },
	[POLICY_QUOTA_QUEUED_BYTES] = { "queued_bytes", 4u << 20, 1u << 30 },
	[POLICY_QUOTA_SUBSCRIBERS] = { "subscribers", 8, 4096 },
	[POLICY_QUOTA_FDS_PER_REQUEST] = { "fds_per_request", 32, 32 },
	[POLICY_QUOTA_FDS_HELD] = { "fds_held", 256, 100000 },
	[POLICY_QUOTA_EXECS_PER_CONTAINER] = { "execs_per_container", 16,
					       100000 },
	[POLICY_QUOTA_STUCK_WORKERS] = { "stuck_workers", 8, 1000 },
	[POLICY_QUOTA_TASKS] = { "tasks", POLICY_QUOTA_INHERIT, 4194304 },
	[POLICY_QUOTA_MEMORY_MIB] = { "memory_mib", POLICY_QUOTA_INHERIT,
				      1u << 30 },
	[POLICY_QUOTA_REMEMBERED_KEYS] = { "remembered_keys", 1024, 1000000 },
};

static int
word_find(const char *const *words, size_t n, const char *word)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return (int)i;
	return -1;
}

int
policy_verb_find(const char *name)
{
	return word_find(policy_verb_names, N_POLICY_VERBS, name);
}

int
policy_confinement_find(const char *name)
{
	return word_find(policy_confinement_names, N_POLICY_CONFINEMENTS, name);
}

int
policy_quota_find(const char *name)
{
	size_t i;

	for (i = 0; i < N_POLICY_QUOTAS; i++)
		if (strcmp(policy_quota_rows[i].name, name) == 0)
			return (int)i;
	return -1;
}

void
policy_table_init(struct policy_table *table)
{
	memset(table, 0, sizeof(*table));
	table->magic = POLICY_MAGIC;
	table->version = POLICY_VERSION;
	policy_table_seal(table);
}

/* Of the head and the rules; what lies beyond is zero bytes. */
static uint32_t
table_checksum(const struct policy_table *table)
{
	static const uint32_t none;
	size_t at = offsetof(struct policy_table, checksum);
	size_t end = offsetof(struct policy_table, rules);
	uint32_t n = table->n_rules, crc = crc32c(0, table, at);

	crc = crc32c(crc, &none, sizeof(none));
	at += sizeof(none);
	crc = crc32c(crc, (const char *)table + at, end - at);
	return crc32c(crc, table->rules,
		      (n < POLICY_MAX_RULES ? n : POLICY_MAX_RULES) *
			      sizeof(table->rules[0]));
}

void
policy_table_seal(struct policy_table *table)
{
	table->size = sizeof(*table);
	table->checksum = table_checksum(table);
}

static bool
is_zero(const void *data, size_t size)
{
	const char *bytes = data;

	return size == 0 ||
	       (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Printable ASCII, NUL-ended, nothing after the NUL. */
static bool
is_text(const char *buf, size_t size)
{
	size_t i, length = strnlen(buf, size);

	if (length == 0 || length == size)
		return false;
	for (i = 0; i < length; i++)
		if (buf[i] < ' ' || buf[i] > '~')
			return false;
	return is_zero(buf + length, size - length);
}

static bool
is_pattern(const char *buf, size_t size)
{
	const char *star;

	if (!is_text(buf, size))
		return false;
	star = strchr(buf, '*');
	return !star || star[1] == '\0';
}

/* min is the lowest id that may be in it; 2^32 - 1 is no id. */
static bool
ranges_can_be(const struct idmap_range *ranges, uint32_t n, uint32_t max,
	      uint32_t min)
{
	uint32_t i;

	if (n > max)
		return false;
	for (i = 0; i < n; i++)
		if (ranges[i].first < min || ranges[i].size == 0 ||
		    (uint64_t)ranges[i].first + ranges[i].size > UINT32_MAX)
			return false;
	return is_zero(ranges + n, (max - n) * sizeof(*ranges));
}

static const char *
conditions_why(const struct policy_rule *rule)
{
	const struct {
		uint32_t condition, n, max;
	} lists[] = {
		{ POLICY_IF_UID, rule->n_uids, POLICY_MAX_IDS },
		{ POLICY_IF_GID, rule->n_gids, POLICY_MAX_IDS },
		{ POLICY_IF_LABEL, rule->n_labels, POLICY_MAX_PATTERNS },
		{ POLICY_IF_UNIT, rule->n_units, POLICY_MAX_PATTERNS },
	};
	uint32_t i, known = POLICY_IF_ANY;

	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		bool is_set = rule->conditions & lists[i].condition;

		known |= lists[i].condition;
		if (lists[i].n > lists[i].max || is_set != (lists[i].n > 0))
			return "a condition and its list disagree";
	}
	if (rule->conditions & ~known)
		return "an unknown condition";
	if (rule->conditions == 0)
		return "a rule without a condition";
	if ((rule->conditions & POLICY_IF_ANY) &&
	    rule->conditions != POLICY_IF_ANY)
		return "any beside another condition";
	return NULL;
}

static const char *
lists_why(const struct policy_rule *rule)
{
	uint32_t i;

	if (!ranges_can_be(rule->uids, rule->n_uids, POLICY_MAX_IDS, 0) ||
	    !ranges_can_be(rule->gids, rule->n_gids, POLICY_MAX_IDS, 0))
		return "ids of a condition that cannot be";
	for (i = 0; i < POLICY_MAX_PATTERNS; i++) {
		if (i < rule->n_labels
			    ? !is_pattern(rule->labels[i], POLICY_LABEL_MAX)
			    : !is_zero(rule->labels[i], POLICY_LABEL_MAX))
			return "a label that cannot be";
		if (i < rule->n_units
			    ? !is_pattern(rule->units[i], POLICY_UNIT_MAX)
			    : !is_zero(rule->units[i], POLICY_UNIT_MAX))
			return "a unit that cannot be";
	}
	return NULL;
}

/* What is not set must be 0, so that nothing can be meant by it. */
static const char *
masks_why(const struct policy_rule *rule)
{
	const struct {
		uint32_t setting, value, all;
	} masks[] = {
		{ POLICY_SET_ADMIN, rule->admin, 1 },
		{ POLICY_SET_NO_NEW_PRIVS, rule->no_new_privs, 1 },
		{ POLICY_SET_VERBS, rule->verbs, POLICY_VERBS_ALL },
		{ POLICY_SET_CREATE, rule->create_kinds, NSPLAN_ALL_FLAGS },
		{ POLICY_SET_JOIN, rule->join_kinds, NSPLAN_ALL_FLAGS },
		{ POLICY_SET_ALLOW_CONFINED, rule->allow_confined,
		  POLICY_CONFINED_ALL },
		{ POLICY_SET_JOIN_OWNERS, rule->join_owners.self, 1 },
		{ POLICY_SET_JOIN_OWNERS, rule->join_owners.n_ranges,
		  UINT32_MAX },
		{ POLICY_SET_UID_RANGES, rule->n_uid_ranges, UINT32_MAX },
		{ POLICY_SET_GID_RANGES, rule->n_gid_ranges, UINT32_MAX },
	};
	size_t i;

	if (rule->settings & ~(uint32_t)POLICY_SET_ALL)
		return "an unknown setting";
	for (i = 0; i < ARRAY_SIZE(masks); i++) {
		bool is_set = rule->settings & masks[i].setting;

		if (masks[i].value & ~(is_set ? masks[i].all : 0))
			return "a setting that cannot be";
	}
	if ((rule->settings & POLICY_SET_VERBS) &&
	    (rule->verbs & POLICY_VERBS_ADMIN) && !rule->admin)
		return "verbs of admins in a rule that makes no admin";
	return NULL;
}

static const char *
values_why(const struct policy_rule *rule)
{
	uint32_t i;

	if (!ranges_can_be(rule->join_owners.ranges, rule->join_owners.n_ranges,
			   POLICY_MAX_RANGES, 0))
		return "owners of joins that cannot be";
	/* Host uid and gid 0 are no ids that anybody else is given. */
	if (!ranges_can_be(rule->uid_ranges, rule->n_uid_ranges,
			   POLICY_MAX_RANGES, 1) ||
	    !ranges_can_be(rule->gid_ranges, rule->n_gid_ranges,
			   POLICY_MAX_RANGES, 1))
		return "further ids that cannot be";
	if (rule->quotas_set >> N_POLICY_QUOTAS)
		return "an unknown quota";
	for (i = 0; i < N_POLICY_QUOTAS; i++)
		if (rule->quotas[i] > ((rule->quotas_set >> i & 1)
					       ? policy_quota_rows[i].max
					       : 0))
			return "a quota that cannot be";
	return NULL;
}

static bool
gives_extras(const struct policy_rule *rule)
{
	return rule->admin || rule->n_uid_ranges || rule->n_gid_ranges ||
	       ((rule->settings & POLICY_SET_NO_NEW_PRIVS) &&
		!rule->no_new_privs);
}

int
policy_rule_check(const struct policy_rule *rule, const char **ret_why)
{
	*ret_why = conditions_why(rule);
	if (!*ret_why)
		*ret_why = lists_why(rule);
	if (!*ret_why)
		*ret_why = masks_why(rule);
	if (!*ret_why)
		*ret_why = values_why(rule);
	if (!*ret_why && gives_extras(rule) &&
	    !(rule->conditions & (POLICY_IF_UID | POLICY_IF_GID)))
		*ret_why = "extras for callers named by neither uid nor gid";
	if (!*ret_why && (!is_text(rule->name, sizeof(rule->name)) ||
			  !text_is_id(rule->name, strlen(rule->name))))
		*ret_why = "a name that is none";
	if (!*ret_why && !is_text(rule->source, sizeof(rule->source)))
		*ret_why = "a source that is none";
	return *ret_why ? -EBADMSG : 0;
}

static bool
names_differ(const struct policy_table *table)
{
	uint32_t i, j;

	for (i = 0; i < table->n_rules; i++)
		for (j = 0; j < i; j++)
			if (strcmp(table->rules[i].name,
				   table->rules[j].name) == 0)
				return false;
	return true;
}

int
policy_check(const struct policy_table *table, const char **ret_why)
{
	uint32_t i, n = table->n_rules;
	int r;

	*ret_why = NULL;
	if (table->magic != POLICY_MAGIC || table->version != POLICY_VERSION ||
	    table->size != sizeof(*table))
		*ret_why = "not a policy table of this version";
	else if (table->checksum != table_checksum(table))
		*ret_why = "a wrong checksum";
	else if (n > POLICY_MAX_RULES || table->n_files > POLICY_MAX_FILES ||
		 (n > 0 && table->n_files == 0))
		*ret_why = "more rules or files than can be";
	else if (!is_zero(table->rules + n,
			  (POLICY_MAX_RULES - n) * sizeof(table->rules[0])))
		*ret_why = "bytes beyond the rules";
	if (*ret_why)
		return -EBADMSG;
	for (i = 0; i < n; i++) {
		r = policy_rule_check(&table->rules[i], ret_why);
		if (r < 0)
			return r;
	}
	if (!names_differ(table)) {
		*ret_why = "two rules of one name";
		return -EBADMSG;
	}
	return 0;
}
