/* SPDX-License-Identifier: Apache-2.0 */
/* Promises of lib/vfork.h: shared memory, nothing else, and we sleep. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/vfork.h"

#define STACK_SIZE ((size_t)64 << 10)

struct shared {
	int value;
	int fd;
	uintptr_t stack;
};

static void
child_write_and_close(void *arg)
{
	struct shared *shared = arg;
	int here;

	shared->stack = (uintptr_t)&here;
	close(shared->fd);
	if (chdir("/proc") == 0)
		shared->value = 7;
	_exit(3);
}

static void
child_exec(void *arg)
{
	char *argv[] = { (char *)"true", NULL };

	(void)arg;
	execve("/bin/true", argv, argv + 1);
	_exit(4);
}

static int
clone_and_wait(uint8_t *stack, uint64_t flags, void (*fn)(void *), void *arg)
{
	struct clone_args args = { .flags = flags,
				   .stack = (uint64_t)(uintptr_t)stack,
				   .stack_size = STACK_SIZE };
	int status = -1;
	pid_t pid = vfork_clone(&args, fn, arg);

	if (pid < 0)
		return pid;
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
child_shares_memory_and_nothing_else(void **state)
{
	uint8_t *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct shared shared = { .fd = open("/dev/null", O_RDONLY) };
	char before[256], after[256];

	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(
		clone_and_wait(stack, 0, child_write_and_close, &shared), 3);
	assert_int_equal(shared.value, 7);
	assert_true(shared.stack > (uintptr_t)stack &&
		    shared.stack < (uintptr_t)stack + STACK_SIZE);
	assert_true(fcntl(shared.fd, F_GETFD) >= 0);
	assert_non_null(getcwd(after, sizeof(after)));
	assert_string_equal(before, after);
	close(shared.fd);
	munmap(stack, STACK_SIZE);
}

static void
exec_wakes_us(void **state)
{
	uint8_t *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_int_equal(clone_and_wait(stack, 0, child_exec, NULL), 0);
	munmap(stack, STACK_SIZE);
}

static void
refusal_is_an_errno(void **state)
{
	uint8_t *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* clone(2): a thread shares its signal handlers. */
	assert_int_equal(clone_and_wait(stack, CLONE_THREAD, child_exec, NULL),
			 -EINVAL);
	munmap(stack, STACK_SIZE);
}

static void
where_it_is_not_possible_it_says_so(void **state)
{
	struct clone_args args = { .flags = 0 };

	assert_int_equal(vfork_clone(&args, child_exec, NULL), -ENOSYS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_shares_memory_and_nothing_else),
		cmocka_unit_test(exec_wakes_us),
		cmocka_unit_test(refusal_is_an_errno),
	};
	const struct CMUnitTest without[] = {
		cmocka_unit_test(where_it_is_not_possible_it_says_so),
	};

	if (VFORK_IS_POSSIBLE)
		return cmocka_run_group_tests(tests, NULL, NULL);
	return cmocka_run_group_tests(without, NULL, NULL);
}
