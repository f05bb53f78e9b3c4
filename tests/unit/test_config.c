/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: what is taken, what is refused and where. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "daemon/config.h"

static int
parse(struct config *config, const char *text, char error[CONFIG_ERROR_MAX])
{
	return config_parse(config, "x.conf", text, strlen(text), error);
}

static void
defaults_are_the_documented_limits(void **state)
{
	struct config config;

	config_init(&config);
	assert_int_equal(config.limits.connections, 4096);
	assert_int_equal(config.limits.owner.connections, 32);
	assert_int_equal(config.limits.owner.requests, 64);
	assert_int_equal(config.limits.owner.queued_bytes, 4u << 20);
	assert_int_equal(config.limits.owner.subscribers, 8);
	assert_int_equal(config.limits.owner.starts, 16);
	assert_int_equal(config.limits.owner.starts_per_second, 20);
	assert_int_equal(config.limits.owner.starts_burst, 50);
	assert_int_equal(config.limits.owner.containers, 128);
	assert_int_equal(config.limits.owner.execs_per_container, 16);
	assert_int_equal(config.limits.owner.request_fds, 32);
	assert_int_equal(config.limits.owner.held_fds, 256);
	assert_int_equal(config.limits.owner.stuck, 8);
	assert_int_equal(config.limits.owner.keys, 1024);
	assert_int_equal(config.limits.containers, 10000);
	assert_int_equal(config.limits.starts_in_flight, 512);
	assert_int_equal(config.limits.events_per_owner, 4096);
	assert_int_equal(config.limits.drain_timeout_ms, 5000);
	assert_int_equal(config.log_level, LOG_LEVEL_NOTICE);
	config_deinit(&config);
	config_deinit(&config);
}

static void
file_sets_what_it_names_and_nothing_else(void **state)
{
	char error[CONFIG_ERROR_MAX];
	struct config config;

	config_init(&config);
	assert_int_equal(parse(&config,
			       "{\"log_level\": \"debug\",\n"
			       " \"cgroup_root\": \"/sys/fs/cgroup/x\",\n"
			       " \"limits\": {\"connections\": 7,"
			       "  \"stuck_per_owner\": 3}}\n",
			       error),
			 0);
	assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(config.cgroup_root, "/sys/fs/cgroup/x");
	assert_int_equal(config.limits.connections, 7);
	assert_int_equal(config.limits.owner.stuck, 3);
	assert_int_equal(config.limits.owner.connections, 32);
	/* A second text without it leaves the path alone. */
	assert_int_equal(parse(&config, "{}", error), 0);
	assert_string_equal(config.cgroup_root, "/sys/fs/cgroup/x");
	config_deinit(&config);
}

static void
refusal_names_key_and_line_and_changes_nothing(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "x.conf:1: " },
		{ "[]", "x.conf:1: " },
		{ "{\"log_level\": \"debug\"", "x.conf:1: " },
		{ "{} {}", "x.conf:1: " },
		{ "{\n\"limits\": {\n\"conections\": 1}}",
		  "x.conf:3: conections: no such limit" },
		{ "{\n\n\"colour\": 1}", "x.conf:3: colour: no such key" },
		{ "{\"log_level\": \"debug\",\n\"log_level\": \"info\"}",
		  "x.conf:2: " },
		{ "{\"log_level\": \"loud\"}", "x.conf:1: log_level: want " },
		{ "{\"log_level\": 7}", "x.conf:1: log_level: want " },
		{ "{\"cgroup_root\": \"relative\"}",
		  "x.conf:1: cgroup_root: want an absolute path" },
		{ "{\"cgroup_root\": \"/a\\u0000b\"}", "x.conf:1: " },
		{ "{\"limits\": 5}", "x.conf:1: limits: want an object" },
		{ "{\"limits\":\n{\"connections\": -1}}",
		  "x.conf:2: connections: want a whole number" },
		{ "{\"limits\":{\"connections\": 1.5}}",
		  "x.conf:1: connections: want a whole number" },
		{ "{\"limits\":{\"connections\": 4294967296}}",
		  "x.conf:1: connections: want a whole number" },
		{ "{\"limits\":{\"connections\": \"9\"}}",
		  "x.conf:1: connections: want a whole number" },
		{ "{\"log_level\": \"debug\", \"cgroup_root\": \"/x\",\n"
		  "\"a\\nb\": 1}",
		  ": a\\x0ab: no such key" },
	};
	char error[CONFIG_ERROR_MAX];
	struct config config, before;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		config_init(&config);
		before = config;
		assert_int_equal(parse(&config, rows[i].text, error), -EINVAL);
		if (!strstr(error, rows[i].want))
			fail_msg("%s: got \"%s\"", rows[i].want, error);
		assert_memory_equal(&config, &before, sizeof(config));
		config_deinit(&config);
	}
}

static void
run_dir_becomes_absolute_and_fits_a_socket(void **state)
{
	char long_path[120];
	struct config config;

	config_init(&config);
	assert_int_equal(config_set_run_dir(&config, "/tmp/x//"), 0);
	assert_string_equal(config.run_dir, "/tmp/x");
	assert_string_equal(config.rpc_socket, "/tmp/x/nsexecd.sock");
	assert_string_equal(config.fd_socket, "/tmp/x/fd.sock");
	assert_string_equal(config.spawner_socket, "/tmp/x/spawner.sock");
	assert_true(config.private_instance);
	assert_int_equal(config_set_run_dir(&config, "relative"), 0);
	assert_int_equal(config.run_dir[0], '/');
	memset(long_path, 'a', sizeof(long_path));
	long_path[0] = '/';
	long_path[100] = '\0';
	assert_int_equal(config_set_run_dir(&config, long_path), -EINVAL);
	assert_int_equal(config_set_run_dir(&config, NULL), 0);
	assert_string_equal(config.run_dir, "/run/nsexecd");
	assert_false(config.private_instance);
	config_deinit(&config);
}

static void
file_is_bounded_and_must_be_readable(void **state)
{
	char error[CONFIG_ERROR_MAX], path[] = "/tmp/nsxunit-XXXXXX";
	struct config config;
	char blank[1024];
	int fd, i;

	config_init(&config);
	assert_int_equal(config_read(&config, "/nonexistent/x", error),
			 -ENOENT);
	assert_non_null(strstr(error, "/nonexistent/x: cannot read"));
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "{}", 2), 2);
	assert_int_equal(config_read(&config, path, error), 0);
	assert_string_equal(config.config_file, path);
	memset(blank, ' ', sizeof(blank));
	for (i = 0; i < 65; i++)
		assert_int_equal(write(fd, blank, sizeof(blank)),
				 sizeof(blank));
	close(fd);
	assert_int_equal(config_read(&config, path, error), -EMSGSIZE);
	unlink(path);
	config_deinit(&config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_the_documented_limits),
		cmocka_unit_test(file_sets_what_it_names_and_nothing_else),
		cmocka_unit_test(
			refusal_names_key_and_line_and_changes_nothing),
		cmocka_unit_test(run_dir_becomes_absolute_and_fits_a_socket),
		cmocka_unit_test(file_is_bounded_and_must_be_readable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
