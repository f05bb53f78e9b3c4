/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises of proto/bootstrap_text.h: what is printed reads back to the same
 * bytes, wrong text is refused with its line, each known trap is found.
 */
#include "tests/unit/bootstrap_everything.h"

#include "proto/bootstrap_text.h"

static struct bootstrap_text_error text_error;
static struct bootstrap_finding findings[BOOTSTRAP_MAX_FINDINGS];

typedef int print_fn(const struct bootstrap *, const char *const *, size_t,
		     FILE *);
typedef int parse_fn(const char *, size_t, struct bootstrap_document *,
		     struct bootstrap_text_error *);

/* Print back (the message of size bytes in buf), read, encode, compare. */
static void
goes_round(size_t size, print_fn *print, parse_fn *parse)
{
	static const char *const notes[] = { "a note" };
	static uint8_t again[NLMSG_MAX];
	struct bootstrap_document document;
	char *text = NULL;
	size_t text_size, again_size;
	FILE *out;

	out = open_memstream(&text, &text_size);
	assert_non_null(out);
	assert_int_equal(print(&back, notes, 1, out), 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(parse(text, text_size, &document, &text_error), 0);
	assert_int_equal(bootstrap_encode(&document.msg, again, sizeof(again),
					  &again_size, &error),
			 0);
	assert_int_equal(again_size, size);
	assert_memory_equal(again, buf, size);
	bootstrap_document_deinit(&document);
	bootstrap_document_deinit(&document);
	free(text);
}

static void
goes_round_both_ways(void)
{
	size_t size = encode_size();

	goes_round(size, bootstrap_text_print, bootstrap_text_parse);
	goes_round(size, bootstrap_json_print, bootstrap_json_parse);
}

static void
every_attribute_goes_round(void **state)
{
	fill_everything();
	goes_round_both_ways();

	set_up_message(DIALECT_NX);
	msg.type = OP_EXEC;
	SET(CONTAINER, container, "c");
	SET(NS_PATHS, ns_paths, "net:/proc/1/ns/net");
	msg.fd_roles[0] = FD_ROLE_EXEC_BLOCK;
	SET(FD_ROLES, n_fd_roles, 1);
	SET(EXEC_BLOCK, exec_block,
	    ((struct bootstrap_exec_block){ 1, 3, 4096 }));
	msg.joins[0] = (struct bootstrap_join){
		.how = JOIN_PID,
		.clone_flag = CLONE_NEWUTS,
		.number = 7,
		.start_time = UINT64_MAX,
		.inode = 9,
	};
	SET(JOINS, n_joins, 1);
	SET(PID, pid, 12345);
	goes_round_both_ways();
}

static void
empty_lists_go_round(void **state)
{
	set_up_message(DIALECT_NX);
	SET(CONTAINER, container, "c");
	SET(ARGV, argv, ((struct bootstrap_bytes){ "\0", 1 }));
	SET(ENV, env, ((struct bootstrap_bytes){ "", 0 }));
	SET(GROUPS, n_groups, 0);
	SET(FD_ROLES, n_fd_roles, 0);
	SET(JOINS, n_joins, 0);
	SET(MOUNTS, n_mounts, 0);
	SET(RLIMITS, n_rlimits, 0);
	SET(PASSED_FDS, n_passed_fds, 0);
	goes_round_both_ways();
}

static void
every_dialect_goes_round(void **state)
{
	set_up_message(DIALECT_D1);
	SET(CLONE_FLAGS, clone_flags, 0);
	SET(NS_PATHS, ns_paths, "/a,/b c");
	SET(SETGROUP, setgroup, true);
	goes_round_both_ways();
	set_up_message(DIALECT_D2);
	SET(CONSOLE, console, "/dev/\x01\xff\\ \n/3");
	goes_round_both_ways();
	set_up_message(DIALECT_M0);
	SET(ROOTLESS, rootless, false);
	goes_round_both_ways();
	set_up_message(DIALECT_M2);
	msg.mount_sources = (struct bootstrap_bytes){ "\0/a\0", 4 };
	bootstrap_mark(&msg, BOOTSTRAP_MOUNT_SOURCES);
	goes_round_both_ways();
	set_up_message(DIALECT_M3);
	msg.seq = UINT32_MAX;
	SET(TIME_OFFSETS, time_offsets, "monotonic -1 0\n");
	SET_MAP(UID_MAP, uid_map, "0 1000 1\n1 5 1\n");
	goes_round_both_ways();
}

static void
spaces_in_records_go_round(void **state)
{
	set_up_message(DIALECT_NX);
	SET(CONTAINER, container, "c");
	SET(ARGV, argv, ((struct bootstrap_bytes){ "a b\0c=d\0", 8 }));
	msg.mounts[0] =
		(struct bootstrap_mount){ BOOTSTRAP_MOUNT_KIND_BIND, 0,
					  "/a b=c", "/x\\ \xff", "d=e,f g" };
	SET(MOUNTS, n_mounts, 1);
	goes_round_both_ways();
}

static void
wrong_text_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text;
		size_t line;
		const char *want;
	} rows[] = {
		{ "", 0, "there is no header line" },
		{ "# only\n\n", 0, "there is no header line" },
		{ "bootstrap M3\n", 1,
		  "the first line must be: bootstrap DIALECT seq NUMBER "
		  "[exec]" },
		{ "bootstrap M9 seq 1\n", 1, "unknown dialect" },
		{ "bootstrap M3 seq x\n", 1, "seq is no number of 32 bits" },
		{ "bootstrap M3 seq 1 exec\n", 1, "only NX has exec messages" },
		{ "bootstrap M3 seq 1\nnonsense\n", 2,
		  "is no \"name: value\"" },
		{ "bootstrap M3 seq 1\n#\nfoo: 1\n", 3,
		  "foo: no attribute has this name" },
		{ "bootstrap M3 seq 1\nrootless: maybe\n", 2,
		  "rootless: neither true nor false" },
		{ "bootstrap M3 seq 1\nrootless: true\nrootless: true\n", 3,
		  "rootless: is there twice" },
		{ "bootstrap M3 seq 1\nclone-flags: net,foo\n", 2,
		  "clone-flags: \"foo\" is no namespace" },
		{ "bootstrap M3 seq 1\nuid-map: a\\q\n", 2,
		  "uid-map: has a wrong escape (\\n \\0 \\\\ \\xNN)" },
		{ "bootstrap M3 seq 1\nuid-map: \\x4", 2,
		  "uid-map: has a wrong escape (\\n \\0 \\\\ \\xNN)" },
		{ "bootstrap M3 seq 1\nnamespace-paths: net:/a\\0b\n", 2,
		  "namespace-paths: has a NUL inside" },
		{ "bootstrap NX seq 1\nuid: 4294967296\n", 2,
		  "uid: \"4294967296\" is no number up to 4294967295" },
		{ "bootstrap NX seq 1\numask: 8\n", 2,
		  "umask: is no octal number" },
		{ "bootstrap NX seq 1\ngate: open\n", 2,
		  "gate: unknown word \"open\"" },
		{ "bootstrap NX seq 1\nmount: nfs destination=/a\n", 2,
		  "mount: unknown word \"nfs\"" },
		{ "bootstrap NX seq 1\ncapabilities: present=1\n", 2,
		  "capabilities: a word is missing" },
		{ "bootstrap NX seq 1\ncapabilities: present=0x\n", 2,
		  "capabilities: \"0x\" is no number" },
		{ "bootstrap NX seq 1\nstdio: null\nstdio: null\nstdio: null\n"
		  "stdio: null\n",
		  5, "stdio: more than 3" },
	};
	struct bootstrap_document document;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(bootstrap_text_parse(rows[i].text,
						      strlen(rows[i].text),
						      &document, &text_error),
				 -EINVAL);
		assert_string_equal(text_error.text, rows[i].want);
		assert_int_equal(text_error.line, rows[i].line);
		bootstrap_document_deinit(&document);
	}
	assert_int_equal(
		bootstrap_text_parse("a\0b", 3, &document, &text_error),
		-EINVAL);
	bootstrap_document_deinit(&document);
}

static void
wrong_json_is_refused(void **state)
{
	static const struct {
		const char *text;
		const char *want;
	} rows[] = {
		{ "[]", "dialect: missing or unknown" },
		{ "{}", "dialect: missing or unknown" },
		{ "{\"dialect\":\"m3\"}", "dialect: missing or unknown" },
		{ "{\"dialect\":\"M3\"}", "attributes: missing or no object" },
		{ "{\"dialect\":\"M3\",\"seq\":-1}",
		  "seq: no number of 32 bits" },
		{ "{\"dialect\":\"M3\",\"type\":\"exec\"}",
		  "type: only NX has exec messages" },
		{ "{\"dialect\":\"M3\",\"attributes\":{\"rootless\":null}}",
		  "rootless: neither text, number nor truth" },
		{ "{\"dialect\":\"M3\",\"attributes\":{\"rootless\":1}}",
		  "rootless: neither true nor false" },
		{ "{\"dialect\":\"M3\",\"dialect\":\"M3\"}",
		  "JSON: duplicate object key near '\"dialect\"'" },
	};
	struct bootstrap_document document;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(bootstrap_json_parse(rows[i].text,
						      strlen(rows[i].text),
						      &document, &text_error),
				 -EINVAL);
		assert_string_equal(text_error.text, rows[i].want);
		bootstrap_document_deinit(&document);
	}
}

/* Is this rule among the findings, with this severity? */
static bool
finds(const char *rule, enum bootstrap_severity severity)
{
	size_t i, n = bootstrap_lint(&back, buf, encode_size(), findings);

	for (i = 0; i < n; i++)
		if (strcmp(findings[i].rule, rule) == 0 &&
		    findings[i].severity == severity)
			return true;
	return false;
}

static void
each_trap_is_found(void **state)
{
	set_up_message(DIALECT_M3);
	assert_true(finds("no-clone-flags", BOOTSTRAP_TRAP));
	SET(CLONE_FLAGS, clone_flags, CLONE_NEWUSER);
	assert_true(finds("user-without-map", BOOTSTRAP_TRAP));
	SET_MAP(UID_MAP, uid_map, "1 1000 1");
	assert_true(finds("map-without-0", BOOTSTRAP_TRAP));
	assert_true(finds("map-without-line-feed", BOOTSTRAP_NOTE));
	SET(SETGROUP, setgroup, true);
	assert_true(finds("setgroup-without-gid-map", BOOTSTRAP_TRAP));
	SET(UIDMAP_PATH, uidmap_path, "newuidmap");
	assert_true(finds("relative-path", BOOTSTRAP_TRAP));
	SET_MAP(UID_MAP, uid_map, "0 1 1\n1 2 1\n2 3 1\n3 4 1\n4 5 1\n5 6 1\n");
	assert_true(finds("more-than-5-rows-for-a-tool", BOOTSTRAP_TRAP));
	SET(TIME_OFFSETS, time_offsets, "boottime 1 1\n");
	assert_true(finds("offsets-without-time", BOOTSTRAP_TRAP));
	SET(CLONE_FLAGS, clone_flags, 0);
	assert_true(finds("map-without-user", BOOTSTRAP_TRAP));

	set_up_message(DIALECT_M1);
	assert_true(finds("leading-nul", BOOTSTRAP_NOTE));
	SET(CLONE_FLAGS, clone_flags, CLONE_NEWTIME | CLONE_NEWUTS);
	assert_true(finds("newer-namespace", BOOTSTRAP_TRAP));
	SET(NS_PATHS, ns_paths, "uts:/a,uts:b,,net:/c");
	assert_true(finds("joined-and-created", BOOTSTRAP_TRAP));
	assert_true(finds("joined-twice", BOOTSTRAP_TRAP));
	assert_true(finds("empty-path", BOOTSTRAP_TRAP));
	SET(OOM_SCORE_ADJ, oom_score_adj, "-1");
	assert_true(finds("oom-below-0", BOOTSTRAP_NOTE));
	SET(GIDMAP_PATH, gidmap_path, "/bin/x");
	assert_true(finds("tool-without-map", BOOTSTRAP_TRAP));

	set_up_message(DIALECT_M3);
	SET(ROOTLESS, rootless, true);
	SET(CLONE_FLAGS, clone_flags, CLONE_NEWUSER);
	SET_MAP(GID_MAP, gid_map, "0 5 1\n1 6 1\n");
	assert_true(finds("rows-without-tool", BOOTSTRAP_TRAP));
}

static void
mixed_up_dialects_are_found(void **state)
{
	set_up_message(DIALECT_D2);
	SET(CLONE_FLAGS, clone_flags, 0);
	SET(NS_PATHS, ns_paths, "net:/proc/1/ns/net");
	assert_true(finds("joins-nothing-in-M3", BOOTSTRAP_TRAP));
	SET(SETGROUP, setgroup, true);
	assert_true(finds("bool-of-5-bytes", BOOTSTRAP_NOTE));

	set_up_message(DIALECT_M0);
	SET(CLONE_FLAGS, clone_flags, 0);
	SET(NS_PATHS, ns_paths, "net:/proc/1/ns/net");
	assert_true(finds("other-dialect", BOOTSTRAP_TRAP));
	assert_int_equal(bootstrap_other_dialects(DIALECT_NONE, NULL, buf,
						  encode_size()) &
				 (1u << DIALECT_M1),
			 1u << DIALECT_M1);
}

static void
order_other_than_runcs_is_found(void **state)
{
	uint8_t swapped[32];

	set_up_message(DIALECT_M3);
	SET(CLONE_FLAGS, clone_flags, CLONE_NEWNET);
	SET(ROOTLESS, rootless, false);
	assert_false(finds("order", BOOTSTRAP_TRAP));
	assert_true(bootstrap_is_canonical(&back, buf, 32));
	memcpy(swapped, buf, 16);
	memcpy(swapped + 16, buf + 24, 8);
	memcpy(swapped + 24, buf + 16, 8);
	assert_int_equal(bootstrap_decode(DIALECT_M3, BOOTSTRAP_TYPE, swapped,
					  32, &back, &error),
			 0);
	assert_false(bootstrap_is_canonical(&back, swapped, 32));
	assert_int_equal(bootstrap_lint(&back, swapped, 32, findings), 1);
	assert_string_equal(findings[0].rule, "order");
}

static void
clean_message_has_no_findings(void **state)
{
	set_up_message(DIALECT_M3);
	SET(CLONE_FLAGS, clone_flags, 0x6c020000);
	SET(ROOTLESS, rootless, false);
	assert_int_equal(bootstrap_lint(&msg, buf, encode_size(), findings), 0);
}

static void
diff_names_what_differs(void **state)
{
	static struct bootstrap other;
	char *text = NULL;
	size_t size;
	FILE *out;

	fill_everything();
	other = msg;
	other.uid = 5;
	other.passed_fds[1].number = 9;
	other.present &= ~(UINT64_C(1) << BOOTSTRAP_HOSTNAME);
	out = open_memstream(&text, &size);
	assert_int_equal(bootstrap_diff(&msg, &msg, out), 0);
	assert_int_equal(bootstrap_diff(&msg, &other, out), 5);
	fclose(out);
	assert_string_equal(text, "- uid: 0\n- hostname: box\n"
				  "- passed-fd: number=1023 fd=1\n"
				  "+ uid: 5\n"
				  "+ passed-fd: number=9 fd=1\n");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_attribute_goes_round),
		cmocka_unit_test(empty_lists_go_round),
		cmocka_unit_test(every_dialect_goes_round),
		cmocka_unit_test(spaces_in_records_go_round),
		cmocka_unit_test(wrong_text_is_refused_with_its_line),
		cmocka_unit_test(wrong_json_is_refused),
		cmocka_unit_test(each_trap_is_found),
		cmocka_unit_test(mixed_up_dialects_are_found),
		cmocka_unit_test(order_other_than_runcs_is_found),
		cmocka_unit_test(clean_message_has_no_findings),
		cmocka_unit_test(diff_names_what_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
