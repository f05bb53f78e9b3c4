/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay that lies, in the place of the real stages: what a caller could make
 * of one that it controls. argv of the request says how:
 *
 *	claim PID	report that pid and end
 *	claim-own	report the relay's own pid
 *	two		make two inits, report both
 *	reused		make an init that ends at once, reap nothing, report it
 *	short | long	report too few or too many bytes
 *	unreported	make an init, report nothing, fail
 *	stray		make an init and a second one, report the first only
 *	die		be killed without a word
 *	sleep		do nothing, so that the spawner has to end it
 * An init sleeps until it is killed.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/sys.h"
#include "spawn/direct.h"
#include "spawn/stage.h"

/* Every start of these tests has a relay. */
bool
direct_is_possible(const struct stage_input *input)
{
	return input == NULL;
}

bool
direct_is_shareable(const struct stage_input *input)
{
	return input == NULL;
}

int
direct_open(const struct stage_input *input, struct direct *ret)
{
	*ret = (struct direct){ 0, -1, -1 };
	return input ? -ENOSYS : 0;
}

void
direct_close(struct direct *direct)
{
	direct->go_read = direct->go_write = -1;
}

int
direct_let_go(const struct stage_input *input, struct direct *direct, pid_t pid,
	      struct failure *failure)
{
	return failure_set(failure, STAGE_SPAWNER, "go", "", ENOSYS, "%d", pid);
}

_Noreturn void
direct_run(const struct stage_input *input, const struct direct *direct)
{
	_exit(input && direct ? 4 : 5);
}

int
stage_own_namespaces(int proc_fd, uint64_t *ret)
{
	*ret = 0; /* no false relay asks for them */
	return 0;
}

static void
report(const struct stage_input *input, pid_t pid)
{
	const struct relay_report claim = { .pid = pid };

	if (write(input->relay_report, &claim, sizeof(claim)) < 0)
		_exit(3);
}

/* A child of the spawner, as the real relay makes init. */
static pid_t
make_init(bool ends_at_once)
{
	struct clone_args args = { .flags = CLONE_PARENT };
	pid_t pid = sys_clone3(&args);

	if (pid == 0 && ends_at_once)
		_exit(7);
	while (pid == 0)
		pause();
	return pid;
}

_Noreturn void
stage_relay_run(const struct stage_input *input)
{
	const char *mode = input->msg->argv.data;
	const char *value = mode + strlen(mode) + 1;
	const char bytes[12] = { 0 };

	if (strcmp(mode, "claim") == 0)
		report(input, (pid_t)strtol(value, NULL, 10));
	else if (strcmp(mode, "claim-own") == 0)
		report(input, getpid());
	else if (strcmp(mode, "reused") == 0)
		report(input, make_init(true));
	else if (strcmp(mode, "short") == 0)
		(void)!write(input->relay_report, bytes, 3);
	else if (strcmp(mode, "long") == 0)
		(void)!write(input->relay_report, bytes, sizeof(bytes));
	else if (strcmp(mode, "die") == 0)
		kill(getpid(), SIGKILL);
	else if (strcmp(mode, "sleep") == 0)
		pause();
	if (strcmp(mode, "two") == 0) {
		report(input, make_init(false));
		report(input, make_init(false));
	}
	if (strcmp(mode, "stray") == 0) {
		report(input, make_init(false));
		make_init(true);
	}
	if (strcmp(mode, "unreported") == 0)
		make_init(false);
	_exit(strcmp(mode, "unreported") == 0 ? 5 : 0);
}
