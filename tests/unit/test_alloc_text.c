/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bootstrap messages, their text and JSON, policy files and the spawner's state
 * when there is no memory.
 */
#include "tests/unit/bootstrap_everything.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/table.h"
#include "proto/bootstrap_text.h"
#include "proto/policy_json.h"
#include "spawn/spawner_state.h"
#include "tests/unit/alloc_fail.h"
#include "tests/unit/state_fixture.h"

/* The message itself */

static int
encode_and_decode(void *data)
{
	(void)encode_size();
	return 0;
}

static void
root_side_codec_allocates_nothing(void **state)
{
	fill_everything();
	assert_int_equal(alloc_fail_each(encode_and_decode, NULL), 0);
}

/* Text and JSON */

struct form {
	int (*print)(const struct bootstrap *, const char *const *, size_t,
		     FILE *);
	int (*parse)(const char *, size_t, struct bootstrap_document *,
		     struct bootstrap_text_error *);
	char *text;
	size_t size;
};

static int
print(void *data)
{
	static const char *const notes[] = { "a note" };
	static char text[65536], buffer[BUFSIZ];
	const struct form *form = data;
	FILE *out;
	int r;

	alloc_fail_pause();
	out = fmemopen(text, sizeof(text), "w");
	assert_non_null(out);
	assert_int_equal(setvbuf(out, buffer, _IOFBF, sizeof(buffer)), 0);
	alloc_fail_go_on();
	r = form->print(&back, notes, 1, out);
	alloc_fail_pause();
	assert_int_equal(fclose(out), 0);
	alloc_fail_go_on();
	if (r == 0)
		assert_string_equal(text, form->text);
	return r;
}

static int
parse(void *data)
{
	const struct form *form = data;
	struct bootstrap_text_error text_error;
	struct bootstrap_document document;
	int r = form->parse(form->text, form->size, &document, &text_error);

	if (r == 0)
		assert_int_equal(document.msg.n_mounts, msg.n_mounts);
	bootstrap_document_deinit(&document);
	return r;
}

static int
diff(void *data)
{
	FILE *out = data;
	int r = bootstrap_diff(&msg, &back, out);

	return r > 0 ? 0 : r;
}

static void
goes_through(struct form *form, unsigned int at_least)
{
	static const char *const notes[] = { "a note" };
	FILE *out = open_memstream(&form->text, &form->size);

	assert_non_null(out);
	assert_int_equal(form->print(&back, notes, 1, out), 0);
	assert_int_equal(fclose(out), 0);
	assert_true(alloc_fail_each(print, form) >= at_least);
	assert_true(alloc_fail_each(parse, form) >= 1);
	free(form->text);
}

static void
message_is_printed_and_read_whole_or_not(void **state)
{
	struct form text = { bootstrap_text_print, bootstrap_text_parse, 0, 0 };
	struct form json = { bootstrap_json_print, bootstrap_json_parse, 0, 0 };
	static char env[20000];
	FILE *null = fopen("/dev/null", "we");

	assert_non_null(null);
	fill_everything();
	/* more than a stream has room for when it is opened */
	memset(env, 'x', sizeof(env) - 1);
	memcpy(env, "A=", 2);
	SET(ENV, env, ((struct bootstrap_bytes){ env, sizeof(env) }));
	(void)encode_size();
	goes_through(&text, 50);
	goes_through(&json, 100);
	msg.seq++;
	fputc('\n', null); /* its buffer */
	assert_true(alloc_fail_each(diff, null) > 50);
	fclose(null);
}

/* Policy */

static struct policy_table *table, *before;

static const char policy[] =
	"{\"version\":1,\"comment\":\"c\",\"rules\":[{\"name\":\"all\","
	"\"match\":{\"uid\":[5,\"7-9\"],\"label\":"
	"[\"a-label-that-is-longer-than-sixteen-bytes*\"]},\"admin\":true,"
	"\"verbs\":[\"run\",\"foreign_join\"],\"uid_ranges\":"
	"[\"300000-365535\"],\"quotas\":{\"containers\":1000000}}]}";

static int
append_policy(void *data)
{
	struct policy_error policy_error;
	int r;

	policy_table_init(table);
	memcpy(before, table, sizeof(*table));
	r = policy_json_append(table, "policy.json", policy, sizeof(policy) - 1,
			       &policy_error);
	if (r < 0) {
		assert_memory_equal(table, before, sizeof(*table));
		assert_true(policy_error.rule[0]);
		return r;
	}
	assert_int_equal(table->n_rules, 1);
	assert_string_equal(table->rules[0].labels[0],
			    "a-label-that-is-longer-than-sixteen-bytes*");
	assert_int_equal(table->rules[0].quotas[POLICY_QUOTA_CONTAINERS],
			 1000000);
	return 0;
}

static int
read_policy(void *data)
{
	struct policy_error policy_error;
	int r = policy_files_read(data, table, &policy_error);

	if (r < 0)
		assert_true(policy_error.rule[0]);
	else
		assert_int_equal(table->n_files, 2);
	return r;
}

static void
write_policy(const char *dir, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_true(dprintf(fd, "{\"version\":1,\"rules\":[]}") > 0);
	close(fd);
}

static void
policy_is_taken_as_written_or_not(void **state)
{
	char dir[] = "/tmp/nsx-alloc-XXXXXX", path[64];

	assert_true(alloc_fail_each(append_policy, NULL) > 30);
	if (geteuid() != 0)
		return; /* files that are not root's are none */
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/policy.d", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	write_policy(dir, "policy.json");
	write_policy(dir, "policy.d/a.json");
	assert_true(alloc_fail_each(read_policy, dir) > 10);
	snprintf(path, sizeof(path), "%s/policy.d/a.json", dir);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/policy.d", dir);
	assert_int_equal(rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/policy.json", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* The spawner's state */

static int
write_state(void *data)
{
	struct state_writer writer = { 0 };
	int r;

	state_fixture_write(data, &writer);
	r = state_writer_end(&writer);
	state_writer_deinit(&writer);
	return r;
}

static int
check_state(void *data)
{
	const struct state_writer *writer = data;
	char why[STATE_WHY_SIZE] = "";

	return state_check(writer->data, writer->size, why);
}

static void
state_is_not_bad_for_want_of_memory(void **state)
{
	struct state_fixture *fixture = malloc(sizeof(*fixture));
	struct state_writer writer = { 0 };

	assert_non_null(fixture);
	state_fixture_init(fixture);
	assert_true(alloc_fail_each(write_state, fixture) >= 1);
	state_fixture_write(fixture, &writer);
	assert_int_equal(state_writer_end(&writer), 0);
	assert_true(alloc_fail_each(check_state, &writer) >= 4);
	state_writer_deinit(&writer);
	free(fixture);
}

static int
fill_table(void *data)
{
	struct table numbers = { 0 };
	int r = 0;

	for (uint64_t i = 1; r == 0 && i <= 100; i++) {
		size_t used = numbers.used;

		r = table_add(&numbers, i, data);
		assert_int_equal(numbers.used, used + (r == 0));
		assert_true((table_find(&numbers, i) != NULL) == (r == 0));
	}
	table_deinit(&numbers);
	return r;
}

static void
table_that_cannot_grow_is_as_it_was(void **state)
{
	int value;

	assert_int_equal(alloc_fail_each(fill_table, &value), 5);
}

static int
set_up(void **state)
{
	table = malloc(sizeof(*table));
	before = malloc(sizeof(*before));
	return table && before ? 0 : -1;
}

static int
tear_down(void **state)
{
	free(table);
	free(before);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_side_codec_allocates_nothing),
		cmocka_unit_test(message_is_printed_and_read_whole_or_not),
		cmocka_unit_test(policy_is_taken_as_written_or_not),
		cmocka_unit_test(state_is_not_bad_for_want_of_memory),
		cmocka_unit_test(table_that_cannot_grow_is_as_it_was),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
