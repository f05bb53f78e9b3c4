/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of nsexec. A sibling is made with CLONE_PARENT, so that the
 * runtime, not we, is its parent and reaps it. The kernel then takes stage-0's
 * own exit signal for it and wants none given (clone(2)), and refuses it to
 * the init of a pid namespace.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"
#include "spawn/nsexec_program.h"

void
nsexec_name_process(const char *name)
{
	(void)prctl(PR_SET_NAME, name);
}

static void
forget_known(struct nsexec *self)
{
	for (size_t i = 0; i < ARRAY_SIZE(self->known); i++)
		fd_close(&self->known[i].pidfd);
}

pid_t
nsexec_clone(struct nsexec *self, uint64_t flags, int *ret_pidfd)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = flags | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
	};
	pid_t pid = sys_clone3(&args);

	if (pid < 0 && pid == -EINVAL && getpid() == 1)
		die(self, -pid,
		    "the init of a pid namespace cannot be nsexec: "
		    "failed to clone a sibling");
	if (pid < 0)
		die(self, -pid, "failed to clone");
	if (pid == 0) {
		forget_known(self);
		self->peer_socks[0] = self->peer_socks[1] = -1;
		return 0;
	}
	*ret_pidfd = pidfd;
	return pid;
}

int
nsexec_child_wait(int pidfd, int timeout_ms, struct nsexec_exit *ret)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	siginfo_t info = { 0 };
	int ready;

	do
		ready = poll(&pfd, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	if (ready != 1)
		(void)sys_pidfd_send_signal(pidfd, SIGKILL);
	if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL) < 0)
		return -errno;
	ret->exited = info.si_code == CLD_EXITED;
	ret->status = info.si_status;
	return ready == 1 ? 0 : -ETIMEDOUT;
}
