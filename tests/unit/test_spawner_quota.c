/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds of owners' cgroups: spawn/spawner_quota.h, over plain directories. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "spawn/spawner.h"
#include "spawn/spawner_quota.h"
#include "spawn/stage.h"

static const char *const dirs[] = { "u1000", "user.slice",
				    "user.slice/user-1000.slice" };
static const char *const files[] = { "u1000/pids.max", "u1000/pids.current",
				     "u1000/memory.max",
				     "user.slice/user-1000.slice/pids.max",
				     "user.slice/user-1000.slice/memory.max" };

struct sample {
	char path[32];
	struct spawner *spawner;
	struct policy_rights rights;
	struct caller caller;
	int fd;
};

static void
put(const struct sample *s, const char *name, const char *text)
{
	fd_auto int fd = openat(s->fd, name,
				O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static uint64_t
value(const struct sample *s, const char *name)
{
	uint64_t ret = 0;

	assert_int_equal(cgroup_value_read(s->fd, name, &ret), 0);
	return ret;
}

static int
setup(void **state)
{
	struct sample *s = calloc(1, sizeof(*s));

	strcpy(s->path, "/tmp/nsxquota-XXXXXX");
	assert_non_null(mkdtemp(s->path));
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_int_equal(mkdirat(s->fd, dirs[i], 0700), 0);
	put(s, "u1000/pids.max", "max\n");
	put(s, "u1000/memory.max", "max\n");
	s->spawner = calloc(1, sizeof(*s->spawner));
	assert_non_null(s->spawner);
	s->spawner->cgroups.fd = s->fd;
	s->spawner->cgroups.hierarchy_fd = s->fd;
	s->spawner->cgroups.pids = s->spawner->cgroups.memory = true;
	s->rights.quotas[POLICY_QUOTA_TASKS] = POLICY_QUOTA_INHERIT;
	s->rights.quotas[POLICY_QUOTA_MEMORY_MIB] = POLICY_QUOTA_INHERIT;
	s->caller = (struct caller){ .uid = 1000,
				     .owner = 1000,
				     .rights = &s->rights };
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct sample *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		(void)unlinkat(s->fd, files[i], 0);
	for (size_t i = ARRAY_SIZE(dirs); i-- > 0;)
		assert_int_equal(unlinkat(s->fd, dirs[i], AT_REMOVEDIR), 0);
	assert_int_equal(rmdir(s->path), 0);
	fd_close(&s->fd);
	free(s->spawner);
	free(s);
	return 0;
}

static int
apply(const struct sample *s, struct op_quota *ret)
{
	return quota_apply(s->spawner, &s->caller, ret);
}

static void
owner_has_what_the_rule_says(void **state)
{
	struct sample *s = *state;
	struct op_quota quota;

	s->rights.quotas[POLICY_QUOTA_TASKS] = 1234;
	s->rights.quotas[POLICY_QUOTA_MEMORY_MIB] = 64;
	assert_int_equal(apply(s, &quota), 0);
	assert_int_equal(value(s, "u1000/pids.max"), 1234);
	assert_int_equal(value(s, "u1000/memory.max"), 64u << 20);
}

static void
without_a_rule_it_is_his_slice_s(void **state)
{
	struct sample *s = *state;
	struct op_quota quota;

	put(s, "user.slice/user-1000.slice/pids.max", "10813\n");
	put(s, "user.slice/user-1000.slice/memory.max", "1073741824\n");
	assert_int_equal(apply(s, &quota), 0);
	assert_int_equal(value(s, "u1000/pids.max"), 10813);
	assert_int_equal(value(s, "u1000/memory.max"), 1u << 30);
}

static void
without_a_slice_it_is_4096_and_half_of_the_memory(void **state)
{
	struct sample *s = *state;
	uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) *
		       (uint64_t)sysconf(_SC_PAGESIZE);
	struct op_quota quota;

	assert_int_equal(apply(s, &quota), 0);
	assert_int_equal(value(s, "u1000/pids.max"), 4096);
	assert_in_range(value(s, "u1000/memory.max"), all / 2 - 65536, all / 2);
	/* nor does it matter where the hierarchy was not found */
	s->spawner->cgroups.hierarchy_fd = -1;
	put(s, "u1000/pids.max", "max\n");
	assert_int_equal(apply(s, &quota), 0);
	assert_int_equal(value(s, "u1000/pids.max"), 4096);
}

static void
admin_has_none_and_frees_what_was_bound(void **state)
{
	struct sample *s = *state;
	struct op_quota quota;

	put(s, "u1000/pids.max", "12\n");
	s->caller.admin = true;
	assert_int_equal(apply(s, &quota), 0);
	assert_true(value(s, "u1000/pids.max") == CGROUP_NO_LIMIT);
	assert_true(value(s, "u1000/memory.max") == CGROUP_NO_LIMIT);
}

static void
quota_of_nothing_is_a_refusal(void **state)
{
	struct sample *s = *state;
	struct op_quota quota = { .limit = 9, .used = 9 };

	s->rights.quotas[POLICY_QUOTA_MEMORY_MIB] = 0;
	assert_int_equal(apply(s, &quota), -EDQUOT);
	assert_int_equal(quota.quota, POLICY_QUOTA_MEMORY_MIB);
	assert_int_equal(quota.limit, 0);
	assert_int_equal(quota.used, 0);
	s->rights.quotas[POLICY_QUOTA_TASKS] = 0;
	assert_int_equal(apply(s, &quota), -EDQUOT);
	assert_int_equal(quota.quota, POLICY_QUOTA_TASKS);
}

/* A start that cannot be bound is none. */
static void
bound_that_cannot_be_set_is_an_error(void **state)
{
	struct sample *s = *state;
	struct op_quota quota;

	assert_int_equal(unlinkat(s->fd, "u1000/memory.max", 0), 0);
	assert_int_equal(apply(s, &quota), -ENOENT);
	s->spawner->cgroups.memory = false; /* known not to be there */
	assert_int_equal(apply(s, &quota), 0);
}

static void
nothing_is_bound_without_controllers(void **state)
{
	struct sample *s = *state;
	struct op_quota quota;

	assert_int_equal(quota_bounds(s->spawner),
			 WHO_BOUND_TASKS | WHO_BOUND_MEMORY);
	s->spawner->cgroups.memory = false;
	assert_int_equal(quota_bounds(s->spawner), WHO_BOUND_TASKS);
	s->spawner->rootless = true;
	assert_int_equal(quota_bounds(s->spawner), 0);
	assert_int_equal(apply(s, &quota), 0);
	assert_true(value(s, "u1000/pids.max") == CGROUP_NO_LIMIT);
}

static void
full_is_what_has_reached_its_limit(void **state)
{
	struct sample *s = *state;
	struct op_quota quota;

	assert_false(quota_tasks_full(s->spawner, 1000, 1, &quota));
	put(s, "u1000/pids.current", "4\n");
	assert_false(quota_tasks_full(s->spawner, 1000, 3, &quota)); /* max */
	put(s, "u1000/pids.max", "5\n");
	assert_false(quota_tasks_full(s->spawner, 1000, 1, &quota));
	assert_true(quota_tasks_full(s->spawner, 1000, 2, &quota));
	put(s, "u1000/pids.current", "6\n"); /* was lowered */
	assert_true(quota_tasks_full(s->spawner, 1000, 1, &quota));
	put(s, "u1000/pids.current", "5\n");
	assert_true(quota_tasks_full(s->spawner, 1000, 1, &quota));
	assert_int_equal(quota.quota, POLICY_QUOTA_TASKS);
	assert_int_equal(quota.limit, 5);
	assert_int_equal(quota.used, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(owner_has_what_the_rule_says),
		TEST(without_a_rule_it_is_his_slice_s),
		TEST(without_a_slice_it_is_4096_and_half_of_the_memory),
		TEST(admin_has_none_and_frees_what_was_bound),
		TEST(quota_of_nothing_is_a_refusal),
		TEST(bound_that_cannot_be_set_is_an_error),
		TEST(nothing_is_bound_without_controllers),
		TEST(full_is_what_has_reached_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
