/* SPDX-License-Identifier: Apache-2.0 */
/* What the spawner reads of /etc/passwd and of systemd's listener names. */
#include "tests/unit/unit.h"

#include "spawn/spawner_options.h"

static void
user_is_found_by_its_whole_name(void **state)
{
	static const char passwd[] =
		"root:x:0:0:root:/root:/bin/bash\n"
		"nsexecd2:x:7:8::/:/bin/false\n"
		"xnsexecd:x:9:9::/:/bin/false\n"
		"nsexecd:x:997:996:agent:/nonexistent:/usr/sbin/nologin\n";
	unsigned int uid, gid;

	assert_int_equal(options_find_user(passwd, "nsexecd", &uid, &gid), 0);
	assert_int_equal(uid, 997);
	assert_int_equal(gid, 996);
	assert_int_equal(options_find_user(passwd, "root", &uid, &gid), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(options_find_user(passwd, "nsexec", &uid, &gid),
			 -ENOENT);
	assert_int_equal(options_find_user("", "nsexecd", &uid, &gid), -ENOENT);
}

static void
line_that_is_not_whole_is_refused(void **state)
{
	static const char *const texts[] = {
		"nsexecd:",	     "nsexecd:x",
		"nsexecd:x:",	     "nsexecd:x:1",
		"nsexecd:x:1:",	     "nsexecd:x:1:2",
		"nsexecd:x::2:",     "nsexecd:x:-1:2:",
		"nsexecd:x: 1:2:",   "nsexecd:x:1a:2:",
		"nsexecd:x:01:2:",   "nsexecd:x:4294967296:2:",
		"nsexecd:x:1\n:2:3", "nsexecd:x:1:99999999999999999999:",
		"nsexecd\n:x:1:2:",
	};
	unsigned int uid, gid;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++)
		assert_true(options_find_user(texts[i], "nsexecd", &uid, &gid) <
			    0);
}

static void
listener_is_found_by_its_whole_name(void **state)
{
	assert_int_equal(options_find_listener("spawner", "spawner"), 0);
	assert_int_equal(options_find_listener("rpc:fd:spawner", "spawner"), 2);
	assert_int_equal(options_find_listener("::spawner:", "spawner"), 2);
	assert_int_equal(options_find_listener("", "spawner"), -ENOENT);
	assert_int_equal(options_find_listener("spawner2:xspawner", "spawner"),
			 -ENOENT);
}

static void
resolver_gets_an_id_that_is_nobodys(void **state)
{
	static const char passwd[] = "root:x:0:0::/:/bin/sh\n"
				     "a:x:65519:1::/:/bin/sh\n"
				     "broken line\n"
				     "b:x:65517:1::/:/bin/sh\n";
	char all[20 * 32] = "";
	unsigned int uid, i;

	assert_int_equal(options_find_free_uid("", 997, &uid), 0);
	assert_int_equal(uid, 65519);
	assert_int_equal(options_find_free_uid("", 65519, &uid), 0);
	assert_int_equal(uid, 65518);
	assert_int_equal(options_find_free_uid(passwd, 65518, &uid), 0);
	assert_int_equal(uid, 65516);
	for (i = 65500; i <= 65519; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all),
			 "u:x:%u:1::/:/\n", i);
	assert_int_equal(options_find_free_uid(all, 997, &uid), -ENOENT);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(user_is_found_by_its_whole_name),
		cmocka_unit_test(line_that_is_not_whole_is_refused),
		cmocka_unit_test(listener_is_found_by_its_whole_name),
		cmocka_unit_test(resolver_gets_an_id_that_is_nobodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
