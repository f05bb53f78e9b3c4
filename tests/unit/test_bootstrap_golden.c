/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runc's bytes, taken from captured writes and from nsexec runs of the
 * releases that doc/BOOTSTRAP.md names: what is encoded must be these, bit for
 * bit, and what is decoded from them must be what was meant.
 */
#include "tests/unit/bootstrap_fixture.h"

/* The bytes of a line of hexadecimal digits. */
static size_t
from_hex(const char *hex, uint8_t *bytes, size_t max)
{
	size_t i, n = strlen(hex) / 2;
	unsigned int byte;

	assert_true(n <= max);
	for (i = 0; i < n; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		bytes[i] = (uint8_t)byte;
	}
	return n;
}

/* msg encodes to these bytes, and they decode to what msg has. */
static void
expect_bytes(const char *hex)
{
	uint8_t want[256];
	size_t got = 0, size = from_hex(hex, want, sizeof(want));

	assert_int_equal(bootstrap_encode(&msg, buf, sizeof(buf), &got, &error),
			 0);
	assert_int_equal(got, size);
	assert_memory_equal(buf, want, size);
	assert_int_equal(bootstrap_decode(msg.dialect, msg.type, want, size,
					  &back, &error),
			 0);
	assert_true(back.present == msg.present);
}

static void
e1_privileged_init_is_32_bytes(void **state)
{
	static const char want[] = "2000000030f201000100000000000000"
				   "0800916a0000026c"
				   "0800976a00000000";
	enum dialect dialect;

	for (dialect = DIALECT_M1; dialect <= DIALECT_M3; dialect++) {
		set_up_message(dialect);
		SET(CLONE_FLAGS, clone_flags, 0x6c020000);
		SET(ROOTLESS, rootless, false);
		expect_bytes(want);
		assert_int_equal(back.clone_flags,
				 CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
					 CLONE_NEWPID | CLONE_NEWNET);
	}
}

static void
e2_rootless_with_two_extents_is_152_bytes(void **state)
{
	static const char want[] =
		"9800000030f201000100000000000000"
		"0800916a0000023c"
		"1700986a2f7573722f62696e2f6e65777569646d61700000"
		"1d00936a30203130303020310a31203530303030302036353533360a000000"
		"00"
		"1d00946a30203130303020310a31203630303030302036353533360a000000"
		"00"
		"1700996a2f7573722f62696e2f6e65776769646d61700000"
		"0800956a01000000"
		"0800976a01000000";
	enum dialect dialect;

	assert_int_equal(strlen(want), 2 * 152);
	for (dialect = DIALECT_M1; dialect <= DIALECT_M3; dialect++) {
		set_up_message(dialect);
		SET(CLONE_FLAGS, clone_flags, 0x3c020000);
		SET(UIDMAP_PATH, uidmap_path, "/usr/bin/newuidmap");
		SET_MAP(UID_MAP, uid_map, "0 1000 1\n1 500000 65536\n");
		SET_MAP(GID_MAP, gid_map, "0 1000 1\n1 600000 65536\n");
		SET(GIDMAP_PATH, gidmap_path, "/usr/bin/newgidmap");
		SET(SETGROUP, setgroup, true);
		SET(ROOTLESS, rootless, true);
		expect_bytes(want);
		assert_string_equal(back.uid_map, msg.uid_map);
		assert_int_equal(back.gid_map_size, msg.gid_map_size);
		assert_string_equal(back.gidmap_path, "/usr/bin/newgidmap");
		assert_true(back.setgroup && back.rootless);
	}
}

static void
e3_join_uts_and_net_is_108_bytes(void **state)
{
	static const char paths[] = "uts:/proc/1234567/ns/uts/xxxxxxx,"
				    "net:/proc/1234567/ns/net/xxxxx";

	assert_int_equal(strlen(paths), 63);
	set_up_message(DIALECT_M2);
	SET(CLONE_FLAGS, clone_flags, 0x28020000);
	SET(NS_PATHS, ns_paths, paths);
	SET(OOM_SCORE_ADJ, oom_score_adj, "7");
	SET(ROOTLESS, rootless, false);
	assert_int_equal(encode_size(), 108);
	assert_memory_equal(buf + 24, "\x44\0\x92\x6a", 4);
	assert_memory_equal(buf + 92,
			    "\6\0\x96\x6a\x37\0\0\0\10\0\x97\x6a\0\0\0\0", 16);
	assert_string_equal(back.ns_paths, paths);
}

static void
e4_exec_into_five_namespaces_is_148_bytes(void **state)
{
	static const char paths[] =
		"ipc:/proc/12345/ns/ipc,uts:/proc/12345/ns/uts,"
		"net:/proc/1234/ns/net,pid:/proc/1234/ns/pid,"
		"mnt:/proc/123/ns/mn";

	assert_int_equal(strlen(paths), 109);
	set_up_message(DIALECT_M2);
	SET(CLONE_FLAGS, clone_flags, 0);
	SET(NS_PATHS, ns_paths, paths);
	SET(ROOTLESS, rootless, false);
	assert_int_equal(encode_size(), 148);
	assert_memory_equal(buf + 24, "\x72\0\x92\x6a", 4);
}

static void
e5_time_offsets_of_m3_are_132_bytes(void **state)
{
	static const char want[] = "8400000030f201000100000000000000"
				   "0800916a80000230"
				   "1400936a30203130303030302036353533360a00"
				   "1400946a30203130303030302036353533360a00"
				   "0800956a01000000"
				   "0800966a35303000"
				   "0800976a00000000"
				   "2a009a6a6d6f6e6f746f6e696320313732383030203"
				   "00a626f6f7474696d6520"
				   "36303438303020300a000000";

	assert_int_equal(strlen(want), 2 * 132);
	set_up_message(DIALECT_M3);
	SET(CLONE_FLAGS, clone_flags, 0x30020080);
	SET_MAP(UID_MAP, uid_map, "0 100000 65536\n");
	SET_MAP(GID_MAP, gid_map, "0 100000 65536\n");
	SET(SETGROUP, setgroup, true);
	SET(OOM_SCORE_ADJ, oom_score_adj, "500");
	SET(ROOTLESS, rootless, false);
	SET(TIME_OFFSETS, time_offsets,
	    "monotonic 172800 0\nboottime 604800 0\n");
	expect_bytes(want);
	assert_string_equal(back.time_offsets, msg.time_offsets);
	assert_string_equal(back.oom_score_adj, "500");
}

static void
e6_bool_of_2016_ends_a_message_of_69_bytes(void **state)
{
	static const char want[] = "4500000030f201000100000000000000"
				   "0800916a0000027c"
				   "1400946a30203130303030302036353533360a00"
				   "1400956a30203130303030302036353533360a00"
				   "0500966a01";
	enum dialect dialect;

	assert_int_equal(strlen(want), 2 * 69);
	for (dialect = DIALECT_D1; dialect <= DIALECT_D2; dialect++) {
		set_up_message(dialect);
		SET(CLONE_FLAGS, clone_flags, 0x7c020000);
		SET_MAP(UID_MAP, uid_map, "0 100000 65536\n");
		SET_MAP(GID_MAP, gid_map, "0 100000 65536\n");
		SET(SETGROUP, setgroup, true);
		expect_bytes(want);
		assert_true(back.setgroup);
	}
}

static void
console_and_paths_of_2016_have_their_own_numbers(void **state)
{
	set_up_message(DIALECT_D2);
	SET(CLONE_FLAGS, clone_flags, 0);
	SET(CONSOLE, console, "/dev/pts/3");
	SET(NS_PATHS, ns_paths, "user:/proc/1/ns/user,net:/a:b");
	assert_int_equal(encode_size(), 16 + 8 + 16 + 36);
	assert_memory_equal(buf + 24, "\x0f\0\x92\x6a/dev/pts/3\0", 15);
	assert_memory_equal(buf + 40, "\x22\0\x93\x6auser", 8);
	assert_string_equal(back.console, "/dev/pts/3");

	set_up_message(DIALECT_D1);
	SET(CLONE_FLAGS, clone_flags, 0);
	SET(NS_PATHS, ns_paths, "/proc/1/ns/net,/proc/1/ns/mnt");
	encode_size();
	assert_string_equal(back.ns_paths, "/proc/1/ns/net,/proc/1/ns/mnt");
}

static void
mount_sources_of_m2_keep_their_nuls(void **state)
{
	static const char sources[] = "\0\0\0\0\0\0/src"; /* 11 with the NUL */

	set_up_message(DIALECT_M2);
	SET(CLONE_FLAGS, clone_flags, 0x10020000);
	SET(ROOTLESS, rootless, false);
	msg.mount_sources =
		(struct bootstrap_bytes){ sources, sizeof(sources) };
	bootstrap_mark(&msg, BOOTSTRAP_MOUNT_SOURCES);
	assert_int_equal(encode_size(), 32 + 16);
	assert_memory_equal(buf + 32, "\x10\0\x9a\x6a\0\0\0\0\0\0/src\0\0", 16);
	assert_int_equal(back.mount_sources.size, 11);
	assert_memory_equal(back.mount_sources.data, sources, 11);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(e1_privileged_init_is_32_bytes),
		cmocka_unit_test(e2_rootless_with_two_extents_is_152_bytes),
		cmocka_unit_test(e3_join_uts_and_net_is_108_bytes),
		cmocka_unit_test(e4_exec_into_five_namespaces_is_148_bytes),
		cmocka_unit_test(e5_time_offsets_of_m3_are_132_bytes),
		cmocka_unit_test(e6_bool_of_2016_ends_a_message_of_69_bytes),
		cmocka_unit_test(
			console_and_paths_of_2016_have_their_own_numbers),
		cmocka_unit_test(mount_sources_of_m2_keep_their_nuls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
