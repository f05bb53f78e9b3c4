/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every row of tests/data/hostile_bootstrap.txt is refused with exactly the
 * errno and the text that stand there.
 */
#include "tests/unit/unit.h"

#include "proto/bootstrap.h"
#include "proto/ops.h"

#define MIN_ROWS 80

struct row {
	const char *name, *dialect, *code, *text;
};

static uint8_t data[NLMSG_MAX + 64];

/* "dead 00*12 -": returns the number of bytes. */
static size_t
parse_bytes(char *tokens)
{
	size_t used = 0, i;
	char *token, *save;

	for (token = strtok_r(tokens, " ", &save); token;
	     token = strtok_r(NULL, " ", &save)) {
		char *star = strchr(token, '*');
		unsigned int byte;

		if (strcmp(token, "-") == 0)
			continue;
		for (i = 0; token[i] && token + i != star; i += 2) {
			assert_true(used < sizeof(data));
			assert_int_equal(sscanf(token + i, "%2x", &byte), 1);
			data[used++] = (uint8_t)byte;
		}
		for (i = 1; star && i < strtoul(star + 1, NULL, 10); i++) {
			assert_true(used < sizeof(data));
			data[used] = data[used - 1];
			used++;
		}
	}
	return used;
}

static int
check_row(const struct row *row, size_t size)
{
	bool exec = strcmp(row->dialect, "NX:EXEC") == 0;
	enum dialect dialect = exec ? DIALECT_NX : dialect_parse(row->dialect);
	struct bootstrap_error error = { 0 };
	static struct bootstrap msg;
	uint8_t *exact;
	int r;

	assert_int_not_equal(dialect, DIALECT_NONE);
	assert_string_equal(row->code, "EBADMSG");
	/* exactly as large, so that a sanitizer sees one byte beyond */
	exact = malloc(size ? size : 1);
	assert_non_null(exact);
	memcpy(exact, data, size);
	r = bootstrap_decode(dialect, exec ? OP_EXEC : BOOTSTRAP_TYPE, exact,
			     size, &msg, &error);
	free(exact);
	if (r == -EBADMSG && strcmp(error.text, row->text) == 0)
		return 0;
	print_error("%s: %d\n  want %s\n  got  %s\n", row->name, r, row->text,
		    error.text);
	return 1;
}

static void
every_hostile_message_is_refused_with_its_text(void **state)
{
	int n = 0, wrong = 0;
	char *line = NULL;
	size_t capacity = 0;
	FILE *file;

	file = fopen(TEST_DATA "/hostile_bootstrap.txt", "re");
	assert_non_null(file);
	while (getline(&line, &capacity, file) > 0) {
		struct row row;
		char *at = line;
		char *bytes;

		if (line[0] == '#')
			continue;
		row.name = strsep(&at, "\t");
		row.dialect = strsep(&at, "\t");
		row.code = strsep(&at, "\t");
		row.text = strsep(&at, "\t");
		bytes = strsep(&at, "\n");
		assert_non_null(bytes);
		wrong += check_row(&row, parse_bytes(bytes));
		n++;
	}
	free(line);
	fclose(file);
	assert_int_equal(wrong, 0);
	assert_true(n >= MIN_ROWS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			every_hostile_message_is_refused_with_its_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
