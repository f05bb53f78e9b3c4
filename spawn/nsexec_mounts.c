/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bind sources of dialect M2: opened by root outside the user namespace, which
 * may reach what the container's root may not, but in the container's new
 * mount namespace, because only mounts of it can be bound there (mount(2)). A
 * child does it, so that stage-0 itself never leaves the host's; a source on a
 * hung file system costs that child, not stage-0.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "spawn/nsexec_program.h"

/* The next source of the attribute, NULL at its end. Empty ones count. */
static const char *
source_next(const struct bootstrap_bytes *sources, size_t *offset)
{
	const char *source = sources->data + *offset;

	if (*offset >= sources->size)
		return NULL;
	*offset += strnlen(source, sources->size - *offset) + 1;
	return source;
}

static size_t
count_sources(const struct bootstrap_bytes *sources)
{
	const char *source;
	size_t offset = 0, n = 0;

	while ((source = source_next(sources, &offset)))
		n += *source != '\0';
	return n;
}

static size_t
count_targets(const struct nsexec *self)
{
	size_t n = 0;

	for (size_t i = 0; i < self->n_mount_fds; i++)
		n += self->mount_fds[i] >= 0;
	return n;
}

static _Noreturn void
send_sources(struct nsexec *self, int ns_fd)
{
	const char *source;
	size_t offset = 0;
	char byte = 0;
	int fd, r;

	if (setns(ns_fd, CLONE_NEWNS) < 0)
		die(self, errno,
		    "failed to join the mount namespace of "
		    "stage-1");
	while ((source = source_next(&self->msg.mount_sources, &offset))) {
		if (!*source)
			continue;
		fd = open(source, O_PATH | O_CLOEXEC);
		if (fd < 0)
			die(self, errno, "failed to open mount source %s",
			    source);
		r = fd_send(self->stage1_sock[0], &byte, 1, &fd, 1);
		if (r < 0)
			die(self, -r, "failed to send mount source %s", source);
		close(fd);
	}
	_exit(EXIT_SUCCESS);
}

void
nsexec_mounts_send(struct nsexec *self)
{
	fd_auto int ns_fd = -1, pidfd = -1;
	struct nsexec_exit end;
	char path[64];
	int r;

	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG,
			 "stage-1 requested to open mount sources");
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", self->mapped_pid);
	ns_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (ns_fd < 0)
		die(self, errno, "failed to open %s", path);
	if (nsexec_clone(self, 0, &pidfd) == 0)
		send_sources(self, ns_fd);
	r = nsexec_child_wait(pidfd, NSEXEC_STEP_TIMEOUT_MS, &end);
	if (r < 0)
		die(self, -r, "failed to open the mount sources");
	if (!end.exited || end.status != 0)
		die_quietly(self);
}

/* One source. Instead of it stage-0 may say that it has failed. */
static int
recv_source(struct nsexec *self, size_t index)
{
	int32_t packet[2] = { 0 };
	size_t n_fds = 0;
	int fd = -1;
	ssize_t r;

	r = fd_wait_readable(self->stage1_sock[1], NSEXEC_STAGE_TIMEOUT_MS);
	if (r == 0)
		r = -ETIMEDOUT;
	if (r > 0)
		r = fd_recv(self->stage1_sock[1], packet, sizeof(packet), &fd,
			    1, &n_fds);
	if (r == sizeof(packet) && packet[0] == SYNC_ERR)
		die_quietly(self);
	if (r <= 0 || n_fds != 1)
		die(self, r < 0 ? (int)-r : 0,
		    "failed to receive mount source %zu", index);
	return fd;
}

void
nsexec_mounts_recv(struct nsexec *self)
{
	size_t n = count_sources(&self->msg.mount_sources);
	int sock = self->stage1_sock[1];

	if (n != count_targets(self))
		die(self, 0,
		    "%zu mount sources, but _LIBCONTAINER_MOUNT_FDS "
		    "has room for %zu",
		    n, count_targets(self));
	nsexec_sync_send(self, sock, SYNC_MOUNTSOURCES_PLS, 0);
	for (size_t i = 0; i < self->n_mount_fds; i++) {
		fd_auto int fd = -1;

		if (self->mount_fds[i] < 0)
			continue;
		fd = recv_source(self, i);
		if (dup3(fd, self->mount_fds[i], O_CLOEXEC) < 0)
			die(self, errno, "failed to keep mount source %zu", i);
	}
	nsexec_sync_expect(self, sock, "stage-0", SYNC_MOUNTSOURCES_ACK);
}
