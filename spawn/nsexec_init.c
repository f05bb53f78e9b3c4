/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stage-2: the container's init. Takes its session, ids, console and cgroup
 * namespace, says that it is done, and becomes the program of the command
 * line with the parent's descriptors and environment as they came. Its end of
 * the sync socket is CLOEXEC: stage-0 sees it closed by the exec, or hears
 * that there was none.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "spawn/nsexec_program.h"

#define CGROUP_BYTE 0x80

static void
become_root(struct nsexec *self)
{
	bool drop = self->msg.setgroup && !self->msg.rootless;

	if (setsid() < 0)
		die(self, errno, "setsid failed");
	if (setgid(0) < 0)
		die(self, errno, "setgid failed");
	if (setuid(0) < 0)
		die(self, errno, "setuid failed");
	if ((drop || self->era->drops_groups) && setgroups(0, NULL) < 0)
		die(self, errno, "setgroups failed");
}

static void
take_console(struct nsexec *self)
{
	if (self->console_fd < 0)
		return;
	if (ioctl(self->console_fd, TIOCSCTTY, 0) < 0)
		die(self, errno,
		    "failed to make console %s the controlling "
		    "terminal",
		    self->msg.console);
	for (int fd = 0; fd < 3; fd++)
		if (dup3(self->console_fd, fd, 0) < 0)
			die(self, errno, "failed to make console %s fd %d",
			    self->msg.console, fd);
	fd_close(&self->console_fd);
}

/* Late, so that the parent may have moved us to the cgroup that is its root. */
static void
create_cgroup(struct nsexec *self)
{
	uint8_t byte;

	if (!(self->msg.clone_flags & CLONE_NEWCGROUP))
		return;
	if (self->era->cgroup_byte) {
		byte = nsexec_input_byte(self, "the cgroup namespace byte");
		if (byte != CGROUP_BYTE)
			die(self, 0, "unexpected cgroup namespace byte 0x%02x",
			    byte);
	}
	if (unshare(CLONE_NEWCGROUP) < 0)
		die(self, errno, "failed to unshare cgroup namespace");
}

/* Clone and the ids' change cleared it (prctl(2)); the parent may be gone. */
static void
rearm_death_signal(struct nsexec *self)
{
	struct pollfd pfd = { .fd = self->parent_pidfd, .events = POLLIN };

	if (self->death_signal == 0)
		return;
	if (prctl(PR_SET_PDEATHSIG, self->death_signal) < 0)
		die(self, errno, "failed to set the parent death signal");
	if (poll(&pfd, 1, 0) != 0)
		die(self, 0, "the parent is gone");
	fd_close(&self->parent_pidfd);
}

_Noreturn void
nsexec_init_run(struct nsexec *self)
{
	int sock = self->stage2_sock[1];

	fd_close(&self->stage1_sock[1]);
	self->peer_socks[0] = sock;
	self->log.stage = "nsexec-2";
	nsexec_name_process("runc:[2:INIT]");
	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG, "~> nsexec stage-2");
	nsexec_sync_expect(self, sock, "stage-0", SYNC_GRANDCHILD);
	become_root(self);
	take_console(self);
	create_cgroup(self);
	rearm_death_signal(self);
	nsexec_sync_send(self, sock, SYNC_CHILD_FINISH, 0);
	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG, "<~ nsexec stage-2");
	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG,
			 "<= nsexec container setup");
	if (!self->argv[0])
		_exit(EXIT_SUCCESS);
	nsexec_env_inherit(self);
	(void)sigaction(SIGPIPE, &self->old_sigpipe, NULL);
	(void)sigaction(SIGCHLD, &self->old_sigchld, NULL);
	execvp(self->argv[0], self->argv);
	die(self, errno, "failed to execute %s", self->argv[0]);
}
