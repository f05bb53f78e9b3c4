/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id maps, setgroups and time offsets of the stage that asked, written from
 * outside by its pid. Where the kernel says EPERM the parent's map writers
 * (newuidmap, newgidmap, by the path it sent) do it: with an empty
 * environment, no descriptor of ours, an argv of as many rows as there are,
 * and a deadline; only a normal exit with status 0 is a success.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"
#include "spawn/idmapwrite.h"
#include "spawn/nsexec_program.h"

static int
open_mapped(struct nsexec *self)
{
	int fd = idmap_process_open(-1, self->mapped_pid);

	if (fd < 0)
		die(self, -fd, "failed to open /proc/%d", self->mapped_pid);
	return fd;
}

/* argv: path, pid, then the numbers of all rows. Points into *text. */
static char **
tool_argv(struct nsexec *self, char *path, char *pid, char *text)
{
	size_t n = 3, at = 2;
	char **argv, *save = NULL;

	for (const char *p = text; *p; p++)
		n += *p == ' ' || *p == '\n';
	argv = calloc(n + 1, sizeof(*argv));
	if (!argv)
		die(self, ENOMEM, "failed to allocate the tool's arguments");
	argv[0] = path;
	argv[1] = pid;
	for (char *word = strtok_r(text, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save))
		argv[at++] = word;
	return argv;
}

static void
tool_wait(struct nsexec *self, const char *path, int pidfd)
{
	struct nsexec_exit end;
	int r = nsexec_child_wait(pidfd, NSEXEC_STEP_TIMEOUT_MS, &end);

	if (r < 0)
		die(self, -r, "failed to wait for mapping tool %s", path);
	if (!end.exited)
		die(self, 0, "mapping tool %s was killed by signal %d", path,
		    end.status);
	if (end.status != 0)
		die(self, 0, "mapping tool %s failed with status %d", path,
		    end.status);
}

static void
tool_run(struct nsexec *self, const char *path, const char *map, size_t size)
{
	char *const no_environment[] = { NULL };
	fd_auto int pidfd = -1;
	free_auto char *text = strndup(map, size);
	free_auto char *name = strdup(path);
	free_auto char **argv = NULL;
	char pid[16];

	if (!text || !name)
		die(self, ENOMEM, "failed to copy the map");
	snprintf(pid, sizeof(pid), "%d", self->mapped_pid);
	argv = tool_argv(self, name, pid, text);
	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG,
			 "update map of %s with %s", pid, path);
	if (nsexec_clone(self, 0, &pidfd) == 0) {
		(void)sigaction(SIGPIPE, &self->old_sigpipe, NULL);
		execve(path, argv, no_environment);
		nsexec_log_write(&self->log, NSEXEC_LOG_ERROR,
				 "failed to execute %s: %s", path,
				 strerror(errno));
		_exit(127);
	}
	tool_wait(self, path, pidfd);
}

static void
write_map(struct nsexec *self, int pid_dir_fd, enum idmap_side side)
{
	const struct bootstrap *msg = &self->msg;
	bool uid = side == IDMAP_UID;
	const char *text = uid ? msg->uid_map : msg->gid_map;
	size_t size = uid ? msg->uid_map_size : msg->gid_map_size;
	const char *path = uid ? msg->uidmap_path : msg->gidmap_path;
	struct failure failure = { 0 };
	int r;

	if (!bootstrap_has(msg, uid ? BOOTSTRAP_UID_MAP : BOOTSTRAP_GID_MAP))
		return;
	r = idmap_write(pid_dir_fd, side, text, size, STAGE_NONE, &failure);
	if (r == 0)
		return;
	if (r != -EPERM)
		die_failure(self, &failure);
	if (!path || !*path)
		die(self, EPERM,
		    "failed to write %s, and mapping tool not "
		    "present",
		    failure.object);
	tool_run(self, path, text, size);
}

/* What setgroups of the new namespace is to say; only before the gid map. */
static void
write_setgroups(struct nsexec *self, int pid_dir_fd)
{
	const struct bootstrap *msg = &self->msg;
	bool deny = msg->rootless && !msg->setgroup, allow = false;
	struct failure failure = { 0 };

	switch (self->era->setgroups) {
	case NSEXEC_SETGROUPS_MODERN:
		break;
	case NSEXEC_SETGROUPS_RC5:
		if (msg->rootless && msg->setgroup)
			die(self, 0,
			    "setgroup is not allowed for a rootless "
			    "container");
		allow = msg->setgroup;
		break;
	case NSEXEC_SETGROUPS_2016:
		deny = false;
		allow = msg->setgroup;
		break;
	}
	if ((deny || allow) &&
	    idmap_setgroups_write(pid_dir_fd, allow, STAGE_NONE, &failure) < 0)
		die_failure(self, &failure);
}

void
nsexec_map_write(struct nsexec *self)
{
	fd_auto int pid_dir_fd = open_mapped(self);

	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG,
			 "stage-1 requested userns mappings");
	write_map(self, pid_dir_fd, IDMAP_UID);
	if (bootstrap_has(&self->msg, BOOTSTRAP_GID_MAP))
		write_setgroups(self, pid_dir_fd);
	write_map(self, pid_dir_fd, IDMAP_GID);
}

void
nsexec_offsets_write(struct nsexec *self)
{
	fd_auto int pid_dir_fd = open_mapped(self), fd = -1;
	const char *text = self->msg.time_offsets;
	size_t size = strlen(text);

	nsexec_log_write(&self->log, NSEXEC_LOG_DEBUG,
			 "stage-1 requested to configure timens offsets");
	fd = openat(pid_dir_fd, "timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		die(self, errno, "failed to open /proc/%d/timens_offsets",
		    self->mapped_pid);
	/* One write: the kernel takes two lines of it and leaves the rest. */
	if (write(fd, text, size) != (ssize_t)size)
		die(self, errno, "failed to write /proc/%d/timens_offsets",
		    self->mapped_pid);
}
