/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises of the bootstrap codec beside runc's bytes (test_bootstrap_golden):
 * every dialect, every attribute of ours, the limits. What must be refused
 * stands in tests/data/hostile_bootstrap.txt.
 */
#include "tests/unit/bootstrap_everything.h"

static void
bool_of_m0_is_5_bytes_and_last(void **state)
{
	size_t size;

	set_up_message(DIALECT_M0);
	SET(CLONE_FLAGS, clone_flags, 0x10000000);
	SET_MAP(GID_MAP, gid_map, "0 0 1\n");
	SET(OOM_SCORE_ADJ, oom_score_adj, "-5");
	SET(SETGROUP, setgroup, true);
	assert_int_equal(encode_size() % 4, 1);
	assert_true(back.setgroup);

	SET(ROOTLESS, rootless, false);
	assert_int_equal(
		bootstrap_encode(&msg, buf, sizeof(buf), &size, &error),
		-EINVAL);
	assert_string_equal(error.text,
			    "attribute rootless (27287): stands beside "
			    "setgroup, but a bool of M0 must be last");
}

static void
bool_is_true_by_any_byte(void **state)
{
	uint8_t bytes[] = { 0x18, 0, 0, 0, 0x30, 0xf2, 1,    0,	   1, 0, 0, 0,
			    0,	  0, 0, 0, 8,	 0,    0x97, 0x6a, 0, 0, 0, 1 };

	assert_int_equal(bootstrap_decode(DIALECT_M3, BOOTSTRAP_TYPE, bytes,
					  sizeof(bytes), &back, &error),
			 0);
	assert_true(back.rootless);
	assert_int_equal(back.clone_flags, 0);
	assert_false(bootstrap_has(&back, BOOTSTRAP_CLONE_FLAGS));
	bytes[23] = 0;
	assert_int_equal(bootstrap_decode(DIALECT_M3, BOOTSTRAP_TYPE, bytes,
					  sizeof(bytes), &back, &error),
			 0);
	assert_false(back.rootless);
}

static void
order_is_free_for_the_decoder(void **state)
{
	static const uint8_t bytes[] = {
		0x20, 0, 0, 0, 0x30, 0xf2, 1, 0,    1,	  0,	0,
		0,    0, 0, 0, 0,    8,	   0, 0x97, 0x6a, 0,	0,
		0,    0, 8, 0, 0x91, 0x6a, 0, 0,    2,	  0x6c,
	};

	assert_int_equal(bootstrap_decode(DIALECT_M3, BOOTSTRAP_TYPE, bytes,
					  sizeof(bytes), &back, &error),
			 0);
	assert_int_equal(back.clone_flags, 0x6c020000);
}

static void
numbers_of_every_dialect_are_these(void **state)
{
	static const struct {
		enum dialect dialect;
		uint16_t first[13]; /* in the order of enum bootstrap_attr */
	} rows[] = {
		{ DIALECT_D1, { 27281, 27282, 27283, 27284, 27285, 27286 } },
		{ DIALECT_D2, { 27281, 27282, 27283, 27284, 27285, 27286 } },
		{ DIALECT_M0,
		  { 27281, 0, 27282, 27283, 27284, 27285, 27286, 27287, 27288,
		    27289 } },
		{ DIALECT_M1,
		  { 27281, 0, 27282, 27283, 27284, 27285, 27286, 27287, 27288,
		    27289 } },
		{ DIALECT_M2,
		  { 27281, 0, 27282, 27283, 27284, 27285, 27286, 27287, 27288,
		    27289, 27290 } },
		{ DIALECT_M3,
		  { 27281, 0, 27282, 27283, 27284, 27285, 27286, 27287, 27288,
		    27289, 0, 27290 } },
		{ DIALECT_NX,
		  { 27281, 0, 27282, 27283, 27284, 27285, 27286, 27287, 27288,
		    27289, 0, 27290, 28001 } },
	};
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		for (k = 0; k < ARRAY_SIZE(rows[i].first); k++)
			assert_int_equal(
				bootstrap_attr_number(rows[i].dialect,
						      (enum bootstrap_attr)k),
				rows[i].first[k]);
	assert_int_equal(bootstrap_attr_number(DIALECT_NX, BOOTSTRAP_PID),
			 28033);
	assert_int_equal(bootstrap_attr_number(DIALECT_NX, N_BOOTSTRAP_ATTRS),
			 0);
	assert_int_equal(bootstrap_attr_number(N_DIALECTS, BOOTSTRAP_PID), 0);
}

static void
dialect_names_go_both_ways(void **state)
{
	int i;

	for (i = DIALECT_D1; i < N_DIALECTS; i++)
		assert_int_equal(dialect_parse(dialect_name((enum dialect)i)),
				 i);
	assert_int_equal(dialect_parse("m3"), DIALECT_NONE);
	assert_int_equal(dialect_parse(""), DIALECT_NONE);
	assert_null(dialect_name(DIALECT_NONE));
	assert_null(dialect_name(N_DIALECTS));
}

static void
attribute_of_another_dialect_is_not_encoded(void **state)
{
	size_t size;

	set_up_message(DIALECT_M3);
	SET(CONSOLE, console, "/dev/pts/1");
	assert_int_equal(
		bootstrap_encode(&msg, buf, sizeof(buf), &size, &error),
		-EINVAL);
	assert_string_equal(error.text, "attribute console path (0): dialect "
					"M3 does not have it");
	set_up_message(DIALECT_D2);
	SET(ROOTLESS, rootless, true);
	assert_int_equal(
		bootstrap_encode(&msg, buf, sizeof(buf), &size, &error),
		-EINVAL);
	set_up_message(DIALECT_M3);
	SET(CONTAINER, container, "a");
	assert_int_equal(
		bootstrap_encode(&msg, buf, sizeof(buf), &size, &error),
		-EINVAL);
	set_up_message(DIALECT_NONE);
	assert_int_equal(
		bootstrap_encode(&msg, buf, sizeof(buf), &size, &error),
		-EINVAL);
}

static void
every_attribute_of_ours_round_trips(void **state)
{
	static uint8_t again[NLMSG_MAX];
	size_t size, again_size;

	fill_everything();
	size = encode_size();
	assert_true(back.present == msg.present);
	assert_int_equal(back.seq, 77);
	assert_string_equal(back.container, "c-1");
	assert_int_equal(back.n_fd_roles, 3);
	assert_int_equal(back.argv.size, 7);
	assert_memory_equal(back.env.data, "A=1\0B=\0", 7);
	assert_int_equal(back.n_joins, 2);
	assert_string_equal(back.joins[0].path, "/run/netns/x");
	assert_int_equal(back.joins[1].number, 1);
	assert_int_equal(back.groups[2], 4294967294);
	assert_memory_equal(&back.caps, &msg.caps, sizeof(msg.caps));
	assert_true(back.rlimits[0].hard == UINT64_MAX);
	assert_int_equal(back.nice, -20);
	assert_null(back.mounts[1].source);
	assert_string_equal(back.mounts[1].data, "size=1M");
	assert_string_equal(back.stdio[2].path, "/tmp/fifo");
	assert_int_equal(back.passed_fds[1].number, 1023);
	assert_int_equal(back.gate, GATE_NAMED);

	/* what was decoded encodes to the same bytes */
	assert_int_equal(bootstrap_encode(&back, again, sizeof(again),
					  &again_size, &error),
			 0);
	assert_int_equal(again_size, size);
	assert_memory_equal(again, buf, size);
}

static void
exec_carries_a_pid_and_an_exec_block(void **state)
{
	set_up_message(DIALECT_NX);
	msg.type = OP_EXEC;
	SET(CONTAINER, container, "c");
	msg.fd_roles[0] = FD_ROLE_EXEC_BLOCK;
	SET(FD_ROLES, n_fd_roles, 1);
	SET(EXEC_BLOCK, exec_block,
	    ((struct bootstrap_exec_block){ 1, 3, BOOTSTRAP_EXEC_BLOCK_MAX }));
	SET(PID, pid, 12345);
	encode_size();
	assert_int_equal(back.pid, 12345);
	assert_int_equal(back.exec_block.envc, 3);
	assert_int_equal(bootstrap_decode(DIALECT_NX, BOOTSTRAP_TYPE, buf, 60,
					  &back, &error),
			 -EBADMSG);
}

static void
limit(const char *text)
{
	size_t size;

	assert_int_equal(
		bootstrap_encode(&msg, buf, sizeof(buf), &size, &error),
		-EMSGSIZE);
	assert_string_equal(error.text, text);
}

static void
limits_are_refused_by_name(void **state)
{
	static char map[8192], text[65540], argv[131072];
	size_t used, i;

	memset(text, 'p', sizeof(text) - 1);
	memcpy(text, "net:/", 5);
	set_up_message(DIALECT_M3);
	SET(NS_PATHS, ns_paths, text);
	limit("attribute namespace paths (27282): over 65535 bytes with its "
	      "header of 4");
	text[65530] = '\0'; /* 4 + 65530 + 1 = 65535 */
	assert_int_equal(encode_size(), 16 + 65536);

	set_up_message(DIALECT_M3);
	for (i = 0, used = 0; i < 341; i++)
		used += (size_t)sprintf(map + used, "%zu %zu 1\n", i, i);
	assert_true(used < 4094);
	msg.uid_map = map;
	msg.uid_map_size = used;
	bootstrap_mark(&msg, BOOTSTRAP_UID_MAP);
	limit("attribute uid map (27283): 341 rows, at most 340");

	for (i = 0, used = 0; i < 171; i++)
		used += (size_t)sprintf(
			map + used, "10000000%02zu 20000%05zu 1\n", i % 100, i);
	msg.uid_map_size = used;
	limit("attribute uid map (27283): 4104 bytes of text, at most 4094");

	set_up_message(DIALECT_NX);
	SET(CONTAINER, container, "c");
	memset(argv, 'x', sizeof(argv));
	argv[65530] = '\0';
	SET(ARGV, argv, ((struct bootstrap_bytes){ argv, 65531 }));
	argv[1] = '=';
	SET(ENV, env, ((struct bootstrap_bytes){ argv, 65531 }));
	limit("attribute env (28004): does not fit: the message goes over "
	      "131072 bytes");
	SET(ARGV, argv, ((struct bootstrap_bytes){ argv, 65532 }));
	limit("attribute argv (28003): over 65535 bytes with its header of 4");
	SET(GROUPS, n_groups, BOOTSTRAP_MAX_GROUPS + 1);
	limit("attribute groups (28010): 1025 entries, at most 1024");
}

static void
small_buffers_are_refused(void **state)
{
	size_t size, full, i;

	fill_everything();
	full = encode_size();
	for (i = 0; i < full; i += i < 64 ? 1 : 37)
		assert_int_equal(bootstrap_encode(&msg, buf, i, &size, &error),
				 -EMSGSIZE);
	assert_int_equal(bootstrap_encode(&msg, buf, full, &size, &error), 0);
}

/* Whatever byte is changed or cut off, the decoder stays inside the bytes and
 * says why (the sanitizers watch). */
static void
no_mutation_leaves_the_message(void **state)
{
	static uint8_t original[4096], *exact;
	size_t size, i;

	fill_everything();
	size = encode_size();
	assert_true(size <= sizeof(original));
	memcpy(original, buf, size);
	for (i = 0; i <= size; i++) {
		exact = malloc(i + 1);
		memcpy(exact, original, i);
		if (i >= 4)
			memcpy(exact, &(uint32_t){ (uint32_t)i }, 4);
		if (bootstrap_decode(DIALECT_NX, BOOTSTRAP_TYPE, exact, i,
				     &back, &error) < 0)
			assert_true(error.text[0] != '\0');
		free(exact);
	}
	for (i = 0; i < size * 4; i++) {
		static const uint8_t values[] = { 0, 1, 0x7f, 0xff };

		exact = malloc(size);
		memcpy(exact, original, size);
		exact[i / 4] = values[i % 4];
		if (bootstrap_decode(DIALECT_NX, BOOTSTRAP_TYPE, exact, size,
				     &back, &error) < 0)
			assert_true(error.text[0] != '\0');
		free(exact);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bool_of_m0_is_5_bytes_and_last),
		cmocka_unit_test(bool_is_true_by_any_byte),
		cmocka_unit_test(order_is_free_for_the_decoder),
		cmocka_unit_test(numbers_of_every_dialect_are_these),
		cmocka_unit_test(dialect_names_go_both_ways),
		cmocka_unit_test(attribute_of_another_dialect_is_not_encoded),
		cmocka_unit_test(every_attribute_of_ours_round_trips),
		cmocka_unit_test(exec_carries_a_pid_and_an_exec_block),
		cmocka_unit_test(limits_are_refused_by_name),
		cmocka_unit_test(small_buffers_are_refused),
		cmocka_unit_test(no_mutation_leaves_the_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
