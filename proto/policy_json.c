/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of policy files. See policy_json.h. Every key is one row of a
 * table with its function; what stands in the values is policy_json_values.c.
 * Before jansson sees the text its depth is bounded by a scan of its brackets.
 */
#include "proto/policy_json.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"
#include "proto/json_load.h"
#include "proto/nsplan.h"
#include "proto/policy_json_values.h"

#define COMMENT_MAX 512

struct key {
	const char *name;
	int (*read)(struct policy_reader *reader, json_t *value);
	uint32_t setting; /* POLICY_SET_*, or a POLICY_IF_* of a match */
};

static uint32_t
bit_of(int index)
{
	return index < 0 ? 0 : 1u << index;
}

static uint32_t
verb_bit(const char *word)
{
	return bit_of(policy_verb_find(word));
}

static uint32_t
confinement_bit(const char *word)
{
	return bit_of(policy_confinement_find(word));
}

static uint32_t
kind_bit(const char *word)
{
	int kind = ns_kind_by_name(word, strlen(word));

	return kind < 0 ? 0 : ns_kinds[kind].clone_flag;
}

static const struct policy_vocabulary verbs = {
	verb_bit,
	"one of: version create start run exec state list wait signal "
	"processes delete cancel explain events metrics join foreign_join "
	"foreign_container"
};
static const struct policy_vocabulary confinements = {
	confinement_bit,
	"one of: userns mntns pidns netns cgroup_root chroot seccomp "
	"no_new_privs label"
};
static const struct policy_vocabulary kinds = {
	kind_bit, "one of: user ipc uts net pid mnt cgroup time"
};

/* --- the keys of "match" -------------------------------------------------- */

static int
match_any(struct policy_reader *reader, json_t *value)
{
	if (!json_is_true(value))
		return policy_refuse(reader, "write true, or leave the key out",
				     "is not true");
	return 0;
}

static int
match_uid(struct policy_reader *reader, json_t *value)
{
	return policy_read_id_list(reader, value, reader->rule->uids,
				   POLICY_MAX_IDS, &reader->rule->n_uids);
}

static int
match_gid(struct policy_reader *reader, json_t *value)
{
	return policy_read_id_list(reader, value, reader->rule->gids,
				   POLICY_MAX_IDS, &reader->rule->n_gids);
}

static int
match_label(struct policy_reader *reader, json_t *value)
{
	reader->rule->n_labels = (uint32_t)json_array_size(value);
	return policy_read_patterns(reader, value, reader->rule->labels[0],
				    POLICY_LABEL_MAX);
}

static int
match_unit(struct policy_reader *reader, json_t *value)
{
	reader->rule->n_units = (uint32_t)json_array_size(value);
	return policy_read_patterns(reader, value, reader->rule->units[0],
				    POLICY_UNIT_MAX);
}

static const struct key match_keys[] = {
	{ "any", match_any, POLICY_IF_ANY },
	{ "uid", match_uid, POLICY_IF_UID },
	{ "gid", match_gid, POLICY_IF_GID },
	{ "label", match_label, POLICY_IF_LABEL },
	{ "unit", match_unit, POLICY_IF_UNIT },
};

/*
 * Every key of an object by its row. Adds the rows' bits to *mask. what: the
 * names, for the error about another one.
 */
struct keys {
	const struct key *rows;
	size_t n_rows;
	const char *names;
};

static int
read_object(struct policy_reader *reader, json_t *object,
	    const struct keys *keys, uint32_t *mask)
{
	char buf[POLICY_SHOWN_MAX];
	const char *name;
	json_t *value;
	size_t i, used;
	int r;

	if (!json_is_object(object))
		return policy_refuse(reader, "write an object: { ... }",
				     "is no object");
	json_object_foreach(object, name, value)
	{
		used = policy_path_add(reader, "%s%s",
				       reader->path[0] ? "." : "",
				       policy_shown(name, buf));
		for (i = 0; i < keys->n_rows; i++)
			if (strcmp(keys->rows[i].name, name) == 0)
				break;
		if (i == keys->n_rows)
			return policy_refuse(reader, keys->names,
					     "no such key");
		r = keys->rows[i].read(reader, value);
		if (r < 0)
			return r;
		*mask |= keys->rows[i].setting;
		policy_path_cut(reader, used);
	}
	return 0;
}

/* --- the keys of a rule ----------------------------------------------------
 */

static int
rule_name(struct policy_reader *reader, json_t *value)
{
	const char *text;
	uint32_t i;
	int r = policy_read_string(reader, value, POLICY_NAME_MAX, &text);

	if (r < 0)
		return r;
	if (!text_is_id(text, strlen(text)))
		return policy_refuse(
			reader,
			"use letters, digits, _ . - and begin with a "
			"letter or digit",
			"is no name");
	for (i = 0; i < reader->table->n_rules; i++)
		if (strcmp(reader->table->rules[i].name, text) == 0)
			return policy_refuse(reader, "choose another name",
					     "rule %s is there already (%s)",
					     text,
					     reader->table->rules[i].source);
	memcpy(reader->rule->name, text, strlen(text) + 1);
	return 0;
}

static int
any_comment(struct policy_reader *reader, json_t *value)
{
	if (!json_is_string(value) || json_string_length(value) > COMMENT_MAX)
		return policy_refuse(
			reader, "shorten it, and write it in quotes",
			"is no text of at most %d bytes", COMMENT_MAX);
	return 0;
}

static int
rule_match(struct policy_reader *reader, json_t *value)
{
	static const struct keys keys = { match_keys, ARRAY_SIZE(match_keys),
					  "one of: any uid gid label unit" };
	uint32_t *conditions = &reader->rule->conditions;
	int r = read_object(reader, value, &keys, conditions);

	if (r < 0)
		return r;
	if (*conditions == 0)
		return policy_refuse(reader,
				     "write {\"any\": true} for everybody",
				     "matches by nothing");
	if ((*conditions & POLICY_IF_ANY) && *conditions != POLICY_IF_ANY)
		return policy_refuse(reader, "leave out any, or all the rest",
				     "any stands beside another condition");
	return 0;
}

static int
rule_admin(struct policy_reader *reader, json_t *value)
{
	return policy_read_flag(reader, value, &reader->rule->admin);
}

static int
rule_no_new_privs(struct policy_reader *reader, json_t *value)
{
	return policy_read_flag(reader, value, &reader->rule->no_new_privs);
}

static int
rule_verbs(struct policy_reader *reader, json_t *value)
{
	return policy_read_words(reader, value, &verbs, &reader->rule->verbs);
}

static int
rule_create(struct policy_reader *reader, json_t *value)
{
	return policy_read_words(reader, value, &kinds,
				 &reader->rule->create_kinds);
}

static int
rule_join(struct policy_reader *reader, json_t *value)
{
	return policy_read_words(reader, value, &kinds,
				 &reader->rule->join_kinds);
}

static int
rule_allow_confined(struct policy_reader *reader, json_t *value)
{
	return policy_read_words(reader, value, &confinements,
				 &reader->rule->allow_confined);
}

/* "self", ids and ranges. */
static int
rule_join_owners(struct policy_reader *reader, json_t *value)
{
	struct policy_owners *owners = &reader->rule->join_owners;
	size_t i, used;
	json_t *item;
	int r = policy_array_check(reader, value, 0, POLICY_MAX_RANGES + 1);

	if (r < 0)
		return r;
	json_array_foreach(value, i, item)
	{
		used = policy_path_add(reader, "[%zu]", i);
		if (json_is_string(item) && !owners->self &&
		    strcmp(json_string_value(item), "self") == 0) {
			owners->self = 1;
		} else if (owners->n_ranges == POLICY_MAX_RANGES) {
			return policy_refuse(reader, "merge ranges",
					     "%d ranges are the most",
					     POLICY_MAX_RANGES);
		} else {
			r = policy_read_ids(
				reader, item,
				&owners->ranges[owners->n_ranges++]);
			if (r < 0)
				return r;
		}
		policy_path_cut(reader, used);
	}
	return 0;
}

static int
read_further_ids(struct policy_reader *reader, json_t *value,
		 struct idmap_range *ranges, uint32_t *ret_n)
{
	int r = policy_read_id_list(reader, value, ranges, POLICY_MAX_RANGES,
				    ret_n);
	uint32_t i;

	for (i = 0; r == 0 && i < *ret_n; i++) {
		if (ranges[i].first != 0)
			continue;
		policy_path_add(reader, "[%u]", i);
		return policy_refuse(
			reader, "begin at 1, or make the caller an admin",
			"id 0 of the host is given to nobody else");
	}
	return r;
}

static int
rule_uid_ranges(struct policy_reader *reader, json_t *value)
{
	return read_further_ids(reader, value, reader->rule->uid_ranges,
				&reader->rule->n_uid_ranges);
}

static int
rule_gid_ranges(struct policy_reader *reader, json_t *value)
{
	return read_further_ids(reader, value, reader->rule->gid_ranges,
				&reader->rule->n_gid_ranges);
}

static int
rule_quotas(struct policy_reader *reader, json_t *object)
{
	char buf[POLICY_SHOWN_MAX];
	const char *name;
	json_t *value;
	size_t used;
	int quota;

	if (!json_is_object(object))
		return policy_refuse(reader, "write an object: { ... }",
				     "is no object");
	json_object_foreach(object, name, value)
	{
		used = policy_path_add(reader, ".%s", policy_shown(name, buf));
		quota = policy_quota_find(name);
		if (quota < 0)
			return policy_refuse(
				reader, "see nsexecd-policy(5) for the names",
				"no such quota");
		if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		    json_integer_value(value) > policy_quota_rows[quota].max)
			return policy_refuse(reader, "0 means none at all",
					     "is no whole number from 0 to %u",
					     policy_quota_rows[quota].max);
		reader->rule->quotas_set |= 1u << quota;
		reader->rule->quotas[quota] =
			(uint32_t)json_integer_value(value);
		policy_path_cut(reader, used);
	}
	return 0;
}

static const struct key rule_keys[] = {
	{ "name", rule_name, 0 },
	{ "comment", any_comment, 0 },
	{ "match", rule_match, 0 },
	{ "admin", rule_admin, POLICY_SET_ADMIN },
	{ "verbs", rule_verbs, POLICY_SET_VERBS },
	{ "create", rule_create, POLICY_SET_CREATE },
	{ "join", rule_join, POLICY_SET_JOIN },
	{ "join_owners", rule_join_owners, POLICY_SET_JOIN_OWNERS },
	{ "uid_ranges", rule_uid_ranges, POLICY_SET_UID_RANGES },
	{ "gid_ranges", rule_gid_ranges, POLICY_SET_GID_RANGES },
	{ "no_new_privs", rule_no_new_privs, POLICY_SET_NO_NEW_PRIVS },
	{ "allow_confined", rule_allow_confined, POLICY_SET_ALLOW_CONFINED },
	{ "quotas", rule_quotas, 0 },
};

/* What no single key can tell. */
static int
rule_finish(struct policy_reader *reader)
{
	struct policy_rule *rule = reader->rule;
	const char *why;
	size_t used = strlen(reader->file);

	if (!rule->name[0])
		return policy_refuse(reader,
				     "\"name\" is what audit and errors show",
				     "a rule without a name");
	if (rule->conditions == 0)
		return policy_refuse(reader, "add \"match\": {\"any\": true}",
				     "a rule without match");
	/* file:line, the file's beginning lost if need be */
	policy_scan(reader->text, reader->size, reader->index,
		    &reader->error->line);
	if (used > POLICY_SOURCE_MAX - 12)
		used = POLICY_SOURCE_MAX - 12;
	snprintf(rule->source, sizeof(rule->source), "%s:%u",
		 reader->file + strlen(reader->file) - used,
		 reader->error->line);
	if (policy_rule_check(rule, &why) < 0)
		return policy_refuse(
			reader,
			"admin, no_new_privs false and further ids need "
			"uid or gid in match; foreign_* need admin true",
			"%s", why);
	return 0;
}

static int
read_rule(struct policy_reader *reader, json_t *value)
{
	static const struct keys keys = {
		rule_keys, ARRAY_SIZE(rule_keys),
		"one of: name comment match admin verbs create join "
		"join_owners "
		"uid_ranges gid_ranges no_new_privs allow_confined quotas"
	};
	int r;

	if (reader->table->n_rules == POLICY_MAX_RULES)
		return policy_refuse(
			reader, "merge rules",
			"%d rules are the most of all files together",
			POLICY_MAX_RULES);
	reader->rule = &reader->table->rules[reader->table->n_rules];
	r = read_object(reader, value, &keys, &reader->rule->settings);
	if (r == 0)
		r = rule_finish(reader);
	if (r == 0)
		reader->table->n_rules++;
	return r;
}

/* --- the file --------------------------------------------------------------
 */

static int
file_version(struct policy_reader *reader, json_t *value)
{
	if (!json_is_integer(value) || json_integer_value(value) != 1)
		return policy_refuse(reader, "write 1", "is not 1");
	return 0;
}

static int
file_rules(struct policy_reader *reader, json_t *value)
{
	size_t used;
	json_t *item;
	int r = policy_array_check(reader, value, 0, POLICY_MAX_RULES);

	if (r < 0)
		return r;
	json_array_foreach(value, reader->index, item)
	{
		used = policy_path_add(reader, "[%zu]", reader->index);
		r = read_rule(reader, item);
		if (r < 0)
			return r;
		policy_path_cut(reader, used);
	}
	reader->rule = NULL;
	return 0;
}

static const struct key file_keys[] = {
	{ "version", file_version, 1 },
	{ "comment", any_comment, 0 },
	{ "rules", file_rules, 2 },
};

static int
read_file(struct policy_reader *reader, json_t *root)
{
	static const struct keys keys = { file_keys, ARRAY_SIZE(file_keys),
					  "one of: version comment rules" };
	uint32_t seen = 0;
	int r = read_object(reader, root, &keys, &seen);

	if (r < 0)
		return r;
	if (!(seen & 1))
		return policy_refuse(reader, "add \"version\": 1",
				     "no version");
	if (!(seen & 2))
		return policy_refuse(reader, "add \"rules\": [ ... ]",
				     "no rules");
	return 0;
}

int
policy_json_append(struct policy_table *table, const char *file,
		   const char *text, size_t size,
		   struct policy_error *ret_error)
{
	struct policy_reader reader = { .file = file,
					.text = text,
					.size = size,
					.table = table,
					.error = ret_error };
	uint32_t before = table->n_rules;
	json_error_t error;
	char escaped[192];
	unsigned int line;
	json_t *root;
	int r;

	memset(ret_error, 0, sizeof(*ret_error));
	if (size > POLICY_FILE_MAX)
		return policy_refuse(&reader, "spread it over policy.d",
				     "more than 64 KiB");
	if (policy_scan(text, size, 0, &line) > POLICY_DEPTH_MAX)
		return policy_refuse(&reader, "a policy needs no more than 5",
				     "nested deeper than %d", POLICY_DEPTH_MAX);
	r = json_load(text, size, &root, &error);
	if (r == -ENOMEM) {
		policy_refuse(&reader, "try again", "no memory to read it");
		return r;
	}
	if (r < 0) {
		text_escape(escaped, sizeof(escaped), error.text,
			    strlen(error.text));
		policy_refuse(&reader, "correct the JSON", "%s", escaped);
		ret_error->line = error.line > 0 ? (unsigned int)error.line : 0;
		return r;
	}
	r = read_file(&reader, root);
	json_decref(root);
	if (r < 0) {
		/* unused rules are zero bytes */
		memset(table->rules + before, 0,
		       (POLICY_MAX_RULES - before) * sizeof(table->rules[0]));
		table->n_rules = before;
		return r;
	}
	memset(ret_error, 0, sizeof(*ret_error));
	table->n_files++;
	return 0;
}
