/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of proto/policy_json.h: a file is taken whole or told what is wrong.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <stdlib.h>

#include "lib/fd.h"
#include "proto/policy_json.h"

static struct policy_table *table;
static struct policy_error error;

static int
parse(const char *text)
{
	const char *why;
	int r;

	policy_table_init(table);
	r = policy_json_append(table, "policy.json", text, strlen(text),
			       &error);
	policy_table_seal(table);
	/* taken or not, the table is one that can be */
	assert_int_equal(policy_check(table, &why), 0);
	if (r < 0)
		assert_int_equal(table->n_rules, 0);
	return r;
}

/* A file with one rule: these keys beside name and match. */
static int
parse_keys(const char *match, const char *keys)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "{\"version\": 1,\n\"rules\": [\n{\"name\": \"a\", "
		 "\"match\": {%s}%s%s}]}",
		 match, keys[0] ? ", " : "", keys);
	return parse(text);
}

#define EVERYTHING \
	"{\"version\":1,\"comment\":\"c\",\"rules\":[{\"name\":\"all\"," \
	"\"comment\":\"c\",\"match\":{\"uid\":[5,\"7-9\"],\"gid\":[\"0\"]," \
	"\"label\":[\"x*\",\"y\"],\"unit\":[\"ci.service\"]},\"admin\":true," \
	"\"verbs\":[\"run\",\"foreign_join\"],\"create\":[\"user\",\"net\"]," \
	"\"join\":[],\"join_owners\":[\"self\",\"1-2\"],\"uid_ranges\":" \
	"[\"300000-365535\"],\"gid_ranges\":[1],\"no_new_privs\":false," \
	"\"allow_confined\":[\"seccomp\"],\"quotas\":{\"containers\":7," \
	"\"tasks\":0}}]}"

static void
every_key_lands_in_its_field(void **state)
{
	const struct policy_rule *rule = &table->rules[0];

	assert_int_equal(parse(EVERYTHING), 0);
	assert_int_equal(table->n_files, 1);
	assert_int_equal(table->n_rules, 1);
	assert_string_equal(rule->name, "all");
	assert_string_equal(rule->source, "policy.json:1");
	assert_int_equal(rule->conditions, POLICY_IF_UID | POLICY_IF_GID |
						   POLICY_IF_LABEL |
						   POLICY_IF_UNIT);
	assert_int_equal(rule->n_uids, 2);
	assert_int_equal(rule->uids[0].first, 5);
	assert_int_equal(rule->uids[0].size, 1);
	assert_int_equal(rule->uids[1].first, 7);
	assert_int_equal(rule->uids[1].size, 3);
	assert_int_equal(rule->gids[0].first, 0);
	assert_string_equal(rule->labels[1], "y");
	assert_string_equal(rule->units[0], "ci.service");
	assert_int_equal(rule->settings, POLICY_SET_ALL);
	assert_int_equal(rule->verbs,
			 POLICY_VERB_BIT(POLICY_VERB_RUN) |
				 POLICY_VERB_BIT(POLICY_VERB_FOREIGN_JOIN));
	assert_int_equal(rule->create_kinds, CLONE_NEWUSER | CLONE_NEWNET);
	assert_int_equal(rule->join_kinds, 0);
	assert_int_equal(rule->join_owners.self, 1);
	assert_int_equal(rule->join_owners.ranges[0].size, 2);
	assert_int_equal(rule->uid_ranges[0].size, 65536);
	assert_int_equal(rule->gid_ranges[0].first, 1);
	assert_int_equal(rule->no_new_privs, 0);
	assert_int_equal(rule->allow_confined,
			 POLICY_CONFINED_BIT(POLICY_CONFINED_SECCOMP));
	assert_int_equal(rule->quotas[POLICY_QUOTA_CONTAINERS], 7);
	assert_int_equal(rule->quotas_set, 1u << POLICY_QUOTA_CONTAINERS |
						   1u << POLICY_QUOTA_TASKS);
}

static void
the_example_is_taken(void **state)
{
	free_auto char *text = malloc(POLICY_FILE_MAX);
	ssize_t n;

	assert_non_null(text);
	n = fd_read_file(AT_FDCWD,
			 TEST_DATA "/../../examples/policy/policy.json", text,
			 POLICY_FILE_MAX);
	assert_true(n > 0);
	assert_int_equal(parse(text), 0);
	assert_int_equal(table->n_rules, 5);
}

static void
wrong_values_are_refused_with_path_and_remedy(void **state)
{
	static const struct {
		const char *match, *keys, *path, *rule;
	} rows[] = {
		{ "\"any\": false", "", "rules[0].match.any", "is not true" },
		{ "\"any\": 1", "", "rules[0].match.any", "is not true" },
		{ "", "", "rules[0].match", "matches by nothing" },
		{ "\"any\": true, \"uid\": [1]", "", "rules[0].match",
		  "beside" },
		{ "\"uid\": 1", "", "rules[0].match.uid", "is no list" },
		{ "\"uid\": []", "", "rules[0].match.uid", "empty" },
		{ "\"uid\": [-1]", "", "rules[0].match.uid[0]", "is no id" },
		{ "\"uid\": [4294967295]", "", "rules[0].match.uid[0]",
		  "is no id" },
		{ "\"uid\": [1, \"4294967296\"]", "", "rules[0].match.uid[1]",
		  "is no range" },
		{ "\"uid\": [\"0-4294967295\"]", "", "rules[0].match.uid[0]",
		  "is no range" },
		{ "\"uid\": [\"2-1\"]", "", "rules[0].match.uid[0]",
		  "is no range" },
		{ "\"uid\": [\"1-\"]", "", "rules[0].match.uid[0]",
		  "is no range" },
		{ "\"uid\": [\"-1\"]", "", "rules[0].match.uid[0]",
		  "is no range" },
		{ "\"uid\": [\"1-2-3\"]", "", "rules[0].match.uid[0]",
		  "is no range" },
		{ "\"uid\": [\"\"]", "", "rules[0].match.uid[0]",
		  "is no range" },
		{ "\"uid\": [\" 1\"]", "", "rules[0].match.uid[0]",
		  "is no range" },
		{ "\"uid\": [\"alice\"]", "", "rules[0].match.uid[0]",
		  "is no range" },
		{ "\"uid\": [\"00000000000000000000000000001\"]", "",
		  "rules[0].match.uid[0]", "is no range" },
		{ "\"uid\": [1.0]", "", "rules[0].match.uid[0]",
		  "neither id nor range" },
		{ "\"uid\": [[1]]", "", "rules[0].match.uid[0]",
		  "neither id nor range" },
		{ "\"uid\": [1,2,3,4,5,6,7,8,9]", "", "rules[0].match.uid",
		  "8 are the most" },
		{ "\"label\": [\"a\",\"b\",\"c\"]", "", "rules[0].match.label",
		  "2 are the most" },
		{ "\"label\": [\"\"]", "", "rules[0].match.label[0]",
		  "0 bytes" },
		{ "\"label\": [\"*a\"]", "", "rules[0].match.label[0]",
		  "before other bytes" },
		{ "\"unit\": [\"a\\u00e9\"]", "", "rules[0].match.unit[0]",
		  "not printable" },
		{ "\"unit\": [7]", "", "rules[0].match.unit[0]",
		  "is no string" },
		{ "\"uid\": [1]", "\"admin\": 1", "rules[0].admin",
		  "is no boolean" },
		{ "\"uid\": [1]", "\"admin\": \"true\"", "rules[0].admin",
		  "is no boolean" },
		{ "\"uid\": [1]", "\"verbs\": \"run\"", "rules[0].verbs",
		  "is no list" },
		{ "\"uid\": [1]", "\"verbs\": [\"run\", \"rnu\"]",
		  "rules[0].verbs[1]", "no such word: \"rnu\"" },
		{ "\"uid\": [1]", "\"verbs\": [\"run\", \"run\"]",
		  "rules[0].verbs[1]", "twice" },
		{ "\"uid\": [1]", "\"verbs\": [null]", "rules[0].verbs[0]",
		  "is no string" },
		{ "\"uid\": [1]", "\"verbs\": [\"foreign_join\"]", "rules[0]",
		  "makes no admin" },
		{ "\"uid\": [1]", "\"create\": [\"network\"]",
		  "rules[0].create[0]", "no such word" },
		{ "\"uid\": [1]", "\"join\": {}", "rules[0].join",
		  "is no list" },
		{ "\"uid\": [1]", "\"join_owners\": [\"selv\"]",
		  "rules[0].join_owners[0]", "is no range" },
		{ "\"uid\": [1]", "\"join_owners\": [1,2,3,4,5]",
		  "rules[0].join_owners[4]", "4 ranges" },
		{ "\"uid\": [1]", "\"join_owners\": [\"self\",\"self\"]",
		  "rules[0].join_owners[1]", "is no range" },
		{ "\"uid\": [1]", "\"uid_ranges\": [\"0-5\"]",
		  "rules[0].uid_ranges[0]", "id 0 of the host" },
		{ "\"uid\": [1]", "\"gid_ranges\": [5, 0]",
		  "rules[0].gid_ranges[1]", "id 0 of the host" },
		{ "\"any\": true", "\"uid_ranges\": [5]", "rules[0]",
		  "neither uid nor gid" },
		{ "\"any\": true", "\"admin\": true", "rules[0]",
		  "neither uid nor gid" },
		{ "\"label\": [\"x\"], \"unit\": [\"y\"]",
		  "\"no_new_privs\": false", "rules[0]",
		  "neither uid nor gid" },
		{ "\"any\": true", "\"allow_confined\": [\"all\"]",
		  "rules[0].allow_confined[0]", "no such word" },
		{ "\"any\": true", "\"quotas\": []", "rules[0].quotas",
		  "is no object" },
		{ "\"any\": true", "\"quotas\": {\"container\": 1}",
		  "rules[0].quotas.container", "no such quota" },
		{ "\"any\": true", "\"quotas\": {\"containers\": -1}",
		  "rules[0].quotas.containers", "whole number" },
		{ "\"any\": true", "\"quotas\": {\"containers\": 1.5}",
		  "rules[0].quotas.containers", "whole number" },
		{ "\"any\": true", "\"quotas\": {\"fds_per_request\": 33}",
		  "rules[0].quotas.fds_per_request", "from 0 to 32" },
		{ "\"any\": true", "\"quotas\": {\"tasks\": 4294967295}",
		  "rules[0].quotas.tasks", "from 0 to 4194304" },
		{ "\"any\": true", "\"admin \": true", "rules[0].admin ",
		  "no such key" },
		{ "\"ANY\": true", "", "rules[0].match.ANY", "no such key" },
		{ "\"any\": true", "\"a\\n\\u001b[2J\": 1",
		  "rules[0].a\\x0a\\x1b[2J", "no such key" },
		{ "\"any\": true", "\"comment\": 1", "rules[0].comment",
		  "no text" },
	};
	char text[POLICY_ERROR_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (parse_keys(rows[i].match, rows[i].keys) == 0)
			fail_msg("row %zu (%s) was taken", i, rows[i].path);
		assert_string_equal(error.path, rows[i].path);
		if (!strstr(error.rule, rows[i].rule))
			fail_msg("row %zu: \"%s\" does not say \"%s\"", i,
				 error.rule, rows[i].rule);
		assert_string_equal(error.file, "policy.json");
		assert_int_equal(error.line, 3);
		assert_true(error.remedy[0]);
		policy_error_format(&error, text);
		assert_non_null(strstr(text, "policy.json:3: rules[0]"));
		assert_null(strchr(text, '\n'));
	}
}

static void
wrong_files_are_refused(void **state)
{
	static const struct {
		const char *text, *rule;
	} rows[] = {
		{ "", "" },
		{ "{", "" },
		{ "[]", "is no object" },
		{ "{}", "no version" },
		{ "{\"version\": 1}", "no rules" },
		{ "{\"version\": 2, \"rules\": []}", "is not 1" },
		{ "{\"version\": true, \"rules\": []}", "is not 1" },
		{ "{\"version\": 1, \"rules\": {}}", "is no list" },
		{ "{\"version\": 1, \"rules\": [1]}", "is no object" },
		{ "{\"version\": 1, \"rules\": [{}]}", "without a name" },
		{ "{\"version\": 1, \"rules\": [{\"name\": \"a\"}]}",
		  "without match" },
		{ "{\"version\": 1, \"rules\": [{\"name\": \"../a\", "
		  "\"match\": {\"any\": true}}]}",
		  "is no name" },
		{ "{\"version\": 1, \"version\": 1, \"rules\": []}",
		  "duplicate" },
		{ "{\"version\": 1, \"rules\": []} {}", "end of file" },
		{ "{\"version\": 1, \"rule\": []}", "no such key" },
		{ "{\"version\": 1, \"rules\": [[[[[[[[]]]]]]]]}",
		  "nested deeper" },
		{ "{\"version\": 1, \"comment\": \"\\u0000\", \"rules\": []}",
		  "" },
		{ "{\"version\": 1, \"comment\": \"\xff\", \"rules\": []}",
		  "" },
		{ "{\"version\": 1, \"rules\": [{\"name\": \"a\", \"match\": "
		  "{\"any\": true}}, {\"name\": \"a\", \"match\": {\"any\": "
		  "true}}]}",
		  "is there already (policy.json:1)" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (parse(rows[i].text) != -EINVAL)
			fail_msg("row %zu was taken", i);
		if (!error.rule[0] || !strstr(error.rule, rows[i].rule))
			fail_msg("row %zu: %s", i, error.rule);
		assert_true(error.remedy[0]);
	}
}

static void
a_file_over_64_kib_is_refused(void **state)
{
	free_auto char *text = malloc(POLICY_FILE_MAX + 1);

	assert_non_null(text);
	memset(text, ' ', POLICY_FILE_MAX + 1);
	policy_table_init(table);
	assert_int_equal(policy_json_append(table, "f", text,
					    POLICY_FILE_MAX + 1, &error),
			 -EINVAL);
	assert_non_null(strstr(error.rule, "64 KiB"));
}

static void
more_rules_than_fit_are_refused_over_all_files(void **state)
{
	free_auto char *text = malloc(POLICY_FILE_MAX);
	size_t i, used;
	char file[16];
	int r = 0;

	assert_non_null(text);
	policy_table_init(table);
	for (i = 0; r == 0 && i < 3; i++) {
		size_t n;

		snprintf(file, sizeof(file), "%zu.json", i);
		used = (size_t)sprintf(text, "{\"version\":1,\"rules\":[");
		for (n = 0; n < 50; n++)
			used += (size_t)sprintf(
				text + used,
				"%s{\"name\":\"r%zu.%zu\",\"match\":{\"any\":"
				"true}}",
				n ? "," : "", i, n);
		used += (size_t)sprintf(text + used, "]}");
		r = policy_json_append(table, file, text, used, &error);
	}
	assert_int_equal(r, -EINVAL);
	assert_int_equal(i, 3);
	assert_non_null(strstr(error.rule, "128 rules"));
	assert_string_equal(error.path, "rules[28]");
	assert_int_equal(table->n_rules, 100);
}

/* Where a string of the text begins, from `from` on; NULL at the end. */
static char *
next_string(char *from)
{
	char *quote = strchr(from, '"');

	return quote ? quote + 1 : NULL;
}

/* Every key and every word, one letter changed. */
static void
no_misspelling_is_taken_for_something_else(void **state)
{
	free_auto char *text = strdup(EVERYTHING);
	char *string, *end;
	size_t n = 0;

	assert_non_null(text);
	for (string = next_string(text); string;
	     string = next_string(end + 1)) {
		char first = string[0];
		bool is_free; /* names, comments, labels and units are */

		end = strchr(string, '"');
		is_free = (end - string == 1 && *end == '"' && first == 'c') ||
			  strncmp(string, "all\"", 4) == 0 || first == 'x' ||
			  (first == 'y' && end - string == 1) ||
			  strncmp(string, "ci.", 3) == 0;
		if (is_free)
			continue;
		string[0] = first == 'Q' ? 'R' : 'Q';
		if (parse(text) == 0)
			fail_msg("taken: %.20s", string);
		string[0] = first;
		n++;
	}
	assert_int_equal(parse(text), 0);
	assert_true(n > 25);
}

/* Every value replaced by one of another type. */
static void
no_value_of_another_type_is_taken(void **state)
{
	static const char *const others[] = { "null",  "{}",   "[[]]", "1.5",
					      "\"Q\"", "true", "-1" };
	static const char *const values[] = {
		"[5,\"7-9\"]",
		"[\"0\"]",
		"[\"x*\",\"y\"]",
		"\"ci.service\"",
		"[\"run\"",
		"\"user\"",
		"[\"self\"",
		"[\"300000-365535\"]",
		"[1]",
		"[\"seccomp\"]",
		"7,",
	};
	size_t i, j, n = 0;
	char text[2048];

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		const char *at = strstr(EVERYTHING, values[i]);
		const char *tail;

		assert_non_null(at);
		tail = at + strlen(values[i]);
		for (j = 0; j < ARRAY_SIZE(others); j++) {
			bool is_unit = strstr(values[i], "ci.service") &&
				       others[j][0] == '"';
			/* keep the brackets and commas that were cut */
			bool opens =
				values[i][0] == '[' && !strchr(values[i], ']');

			snprintf(text, sizeof(text), "%.*s%s%s%s%s",
				 (int)(at - EVERYTHING), EVERYTHING,
				 opens ? "[" : "", others[j],
				 strcmp(values[i], "7,") == 0 ? "," : "", tail);
			if (!is_unit && parse(text) == 0)
				fail_msg("taken: %s for %s", others[j],
					 values[i]);
			n++;
		}
	}
	assert_true(n > 70);
}

/* Every byte of the file in turn, changed or lost: what is still taken gives a
 * uid that it does not name no extra. */
static void
no_changed_byte_widens_anothers_rights(void **state)
{
	static const char bytes[] = "\"{}[],:0a-*\\ \n";
	struct policy_subject subject = { .uid = 54321,
					  .owner = 54321,
					  .gid = 54321 };
	struct policy_rights rights;
	size_t size = strlen(EVERYTHING), i, j;
	char text[sizeof(EVERYTHING)];

	for (i = 0; i < size; i++) {
		for (j = 0; j < sizeof(bytes); j++) {
			memcpy(text, EVERYTHING, sizeof(text));
			if (bytes[j])
				text[i] = bytes[j];
			else
				memmove(text + i, text + i + 1, size - i);
			if (parse(text) < 0)
				continue;
			policy_match(table, &subject, &rights);
			assert_false(rights.admin);
			assert_true(rights.no_new_privs);
			assert_int_equal(rights.n_uid_ranges, 0);
			assert_int_equal(rights.verbs & POLICY_VERBS_ADMIN, 0);
			assert_int_equal(rights.allow_confined, 0);
		}
	}
}

static void
an_error_tells_the_line_of_the_rule(void **state)
{
	assert_int_equal(
		parse("{ \"comment\": \"{[\\\"{\", \"version\": 1,\n"
		      "\"rules\": [\n{\"name\": \"a\", \"match\": {\"any\": "
		      "true}},\n\n{\"name\": \"b\", \"match\": {\"uid\": "
		      "[1]},\n\"verbs\": [\"x\"]}]}"),
		-EINVAL);
	assert_int_equal(error.line, 5);
	assert_string_equal(error.path, "rules[1].verbs[0]");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_lands_in_its_field),
		cmocka_unit_test(the_example_is_taken),
		cmocka_unit_test(wrong_values_are_refused_with_path_and_remedy),
		cmocka_unit_test(wrong_files_are_refused),
		cmocka_unit_test(a_file_over_64_kib_is_refused),
		cmocka_unit_test(
			more_rules_than_fit_are_refused_over_all_files),
		cmocka_unit_test(no_misspelling_is_taken_for_something_else),
		cmocka_unit_test(no_value_of_another_type_is_taken),
		cmocka_unit_test(no_changed_byte_widens_anothers_rights),
		cmocka_unit_test(an_error_tells_the_line_of_the_rule),
	};
	int r;

	table = malloc(sizeof(*table));
	if (!table)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	free(table);
	return r;
}
