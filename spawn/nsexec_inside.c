/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stage-1: joins what is to be joined, creates what is to be created, and
 * clones stage-2 into all of it. Joins come before the own user namespace:
 * from inside that nothing of the host can be entered. Group and user become 0
 * before anything else is created, or objects made by a namespace's creation
 * (/dev/mqueue's root) would belong to ids that are not mapped.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "spawn/nsexec_program.h"

/* Linux before 4.3: EINVAL while somebody reads /proc/PID/status. */
#define UNSHARE_TRIES 5

static void
join_all(struct nsexec *self)
{
	bool given = self->era->dialect == DIALECT_D1;
	struct failure failure = { 0 };

	if (!self->joins_any)
		return;
	if (nsjoin_enter(&self->joins,
			 given ? NSJOIN_AS_GIVEN : NSJOIN_THREE_PASSES,
			 NSJOIN_BECOME_ROOT, &failure) < 0)
		die_failure(self, &failure);
	nsjoin_deinit(&self->joins);
}

static void
unshare_some(struct nsexec *self, uint32_t flags, const char *what)
{
	int tries = 0, r;

	do
		r = unshare((int)flags);
	while (r < 0 && errno == EINVAL && ++tries < UNSHARE_TRIES);
	if (r < 0)
		die(self, errno, "failed to unshare %s (flags 0x%x)", what,
		    flags);
}

/*
 * Ask the outside for something it does through our /proc files. Those are
 * root's while we are not dumpable, which an unprivileged outside cannot
 * write; and we are not, from the moment something of a container is held.
 */
static void
ask_dumpable(struct nsexec *self, enum nsexec_sync request)
{
	int dumpable = prctl(PR_GET_DUMPABLE);

	if (dumpable != 1 && prctl(PR_SET_DUMPABLE, 1) < 0)
		die(self, errno, "failed to become dumpable");
	nsexec_sync_send(self, self->stage1_sock[1], request, 0);
	nsexec_sync_expect(self, self->stage1_sock[1], "stage-0", request + 1);
	if (dumpable != 1 && prctl(PR_SET_DUMPABLE, 0) < 0)
		die(self, errno, "failed to become non-dumpable again");
}

static void
create_user(struct nsexec *self)
{
	if (!(self->msg.clone_flags & CLONE_NEWUSER))
		return;
	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG,
			 "unshare user namespace");
	unshare_some(self, CLONE_NEWUSER, "user namespace");
	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG,
			 "request stage-0 to map user namespace");
	ask_dumpable(self, SYNC_USERMAP_PLS);
	if (setresgid(0, 0, 0) < 0)
		die(self, errno,
		    "failed to become root in user namespace "
		    "(is gid 0 mapped?)");
	if (setresuid(0, 0, 0) < 0)
		die(self, errno,
		    "failed to become root in user namespace "
		    "(is uid 0 mapped?)");
}

static void
create_others(struct nsexec *self)
{
	uint32_t later = CLONE_NEWUSER | CLONE_NEWCGROUP;

	unshare_some(self, self->msg.clone_flags & ~later,
		     "remaining namespaces");
	if (bootstrap_has(&self->msg, BOOTSTRAP_TIME_OFFSETS))
		ask_dumpable(self, SYNC_TIMEOFFSETS_PLS);
	if (bootstrap_has(&self->msg, BOOTSTRAP_MOUNT_SOURCES))
		nsexec_mounts_recv(self);
}

void
nsexec_console_open(struct nsexec *self)
{
	const char *path = self->msg.console;

	if (!bootstrap_has(&self->msg, BOOTSTRAP_CONSOLE) || !*path)
		return;
	self->console_fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (self->console_fd < 0)
		die(self, errno, "failed to open console %s", path);
}

void
nsexec_inside_run(struct nsexec *self)
{
	int sock = self->stage1_sock[1];
	pid_t pid;

	fd_close(&self->stage1_sock[0]);
	fd_close(&self->stage2_sock[0]);
	self->peer_socks[0] = sock;
	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG, "~> nsexec stage-1");
	join_all(self);
	if (self->era->dialect == DIALECT_D1 &&
	    nsexec_input_console_after_joins(self))
		nsexec_console_open(self);
	create_user(self);
	create_others(self);
	pid = nsexec_clone(self, CLONE_PARENT, &self->known[0].pidfd);
	if (pid == 0)
		nsexec_init_run(self);
	fd_close(&self->stage2_sock[1]);
	nsexec_sync_send(self, sock, SYNC_RECVPID_PLS, pid);
	nsexec_sync_expect(self, sock, "stage-0", SYNC_RECVPID_ACK);
	nsexec_sync_send(self, sock, SYNC_CHILD_FINISH, 0);
	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG, "<~ nsexec stage-1");
}
