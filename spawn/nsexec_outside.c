/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage that stays outside: it answers what the inside asks for (maps,
 * offsets, mount sources), vouches for nothing, tells the parent the pids in
 * the words of the era, and ends with 0 only when stage-2 has executed its
 * program. Whatever goes wrong, it leaves no process behind that the parent
 * has not been told of.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "spawn/nsexec_program.h"

static void
report_write(struct nsexec *self)
{
	struct pollfd pfd = { .fd = self->init_fd, .events = POLLOUT };
	char line[96];
	int first = self->stage1_pid, last = self->stage2_pid, size = 0;

	switch (self->era->report) {
	case NSEXEC_REPORT_PID:
		size = snprintf(line, sizeof(line), "{\"pid\": %d}\n", last);
		break;
	case NSEXEC_REPORT_PID_FIRST:
		size = snprintf(line, sizeof(line),
				"{\"pid\": %d, \"pid_first\": %d}\n", last,
				first);
		break;
	case NSEXEC_REPORT_STAGES:
		size = snprintf(line, sizeof(line),
				"{\"stage1_pid\":%d,\"stage2_pid\":%d}\n",
				first, last);
		break;
	}
	if (poll(&pfd, 1, NSEXEC_STEP_TIMEOUT_MS) != 1)
		die(self, ETIMEDOUT, "failed to write the pids to the parent");
	if (write(self->init_fd, line, (size_t)size) != size)
		die(self, errno, "failed to write the pids to the parent");
}

/* The pid is stage-1's word, and stage-1 is our own code, not yet a payload. */
static void
take_stage2(struct nsexec *self, int32_t pid)
{
	int pidfd = sys_pidfd_open(pid);

	if (pidfd < 0)
		die(self, -pidfd, "failed to open stage-2 (pid %d)", pid);
	self->stage2_pid = pid;
	self->known[1].pidfd = pidfd;
	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG,
			 "forward stage-1 (%d) "
			 "and stage-2 (%d) pids to runc",
			 self->stage1_pid, pid);
	if (self->era->report == NSEXEC_REPORT_STAGES)
		report_write(self);
}

static void
serve_stage1(struct nsexec *self)
{
	int sock = self->stage1_sock[0];
	enum nsexec_sync value;
	int32_t argument;

	for (;;) {
		value = nsexec_sync_recv(self, sock, "stage-1",
					 NSEXEC_STAGE_TIMEOUT_MS, &argument);
		switch (value) {
		case SYNC_USERMAP_PLS:
			nsexec_map_write(self);
			nsexec_sync_send(self, sock, SYNC_USERMAP_ACK, 0);
			break;
		case SYNC_TIMEOFFSETS_PLS:
			nsexec_offsets_write(self);
			nsexec_sync_send(self, sock, SYNC_TIMEOFFSETS_ACK, 0);
			break;
		case SYNC_MOUNTSOURCES_PLS:
			nsexec_mounts_send(self);
			nsexec_sync_send(self, sock, SYNC_MOUNTSOURCES_ACK, 0);
			break;
		case SYNC_RECVPID_PLS:
			take_stage2(self, argument);
			nsexec_sync_send(self, sock, SYNC_RECVPID_ACK, 0);
			break;
		case SYNC_CHILD_FINISH:
			return;
		default:
			die(self, 0, "unexpected sync value 0x%x", value);
		}
	}
}

_Noreturn void
nsexec_outside_run(struct nsexec *self)
{
	fd_close(&self->stage1_sock[1]);
	fd_close(&self->stage2_sock[1]);
	self->peer_socks[0] = self->stage1_sock[0];
	self->peer_socks[1] = self->stage2_sock[0];
	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG, "~> nsexec stage-0");
	serve_stage1(self);
	if (self->stage2_pid <= 0)
		die(self, 0, "stage-1 ended without making stage-2");
	nsexec_sync_send(self, self->stage2_sock[0], SYNC_GRANDCHILD, 0);
	nsexec_sync_expect(self, self->stage2_sock[0], "stage-2",
			   SYNC_CHILD_FINISH);
	nsexec_sync_expect_close(self, self->stage2_sock[0], "stage-2");
	if (self->era->report != NSEXEC_REPORT_STAGES)
		report_write(self);
	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG, "<~ nsexec stage-0");
	_exit(EXIT_SUCCESS);
}
