/* SPDX-License-Identifier: Apache-2.0 */
/* Reads of /proc through a detached mount. See spawner_proc.h. */
#include "spawn/spawner_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"

#define STATUS_SIZE 8192

static int
proc_mount(void)
{
	fd_auto int context = fsopen("proc", FSOPEN_CLOEXEC);
	int fd;

	if (context < 0)
		return -errno;
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(context, FSMOUNT_CLOEXEC,
		     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? -errno : fd;
}

int
proc_open(int *ret_fd)
{
	fd_auto int fd = proc_mount();
	struct statfs fs;

	if (fd < 0)
		fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_type != PROC_SUPER_MAGIC)
		return -ENOTSUP;
	*ret_fd = fd_steal(&fd);
	return 0;
}

int
proc_stat_parse(const char *text, struct proc_stat *ret)
{
	/* Field 2 is a name in brackets that may hold anything: take the last
	 * bracket. Then fields 3 (state) to 22 (start time). */
	const char *p = strrchr(text, ')');
	char *end;
	unsigned long long value;
	int field;

	if (!p || p[1] != ' ' || p[2] == '\0' || p[3] != ' ')
		return -EBADMSG;
	ret->state = p[2];
	p += 3;
	for (field = 4; field <= 22; field++) {
		if (*p != ' ')
			return -EBADMSG;
		p++;
		errno = 0;
		value = strtoull(p, &end, 10); /* some are negative */
		if (end == p || errno == ERANGE)
			return -EBADMSG;
		if (field == 4)
			ret->parent = (pid_t)value;
		if (field == 9)
			ret->flags = (uint32_t)value;
		if (field == 22)
			ret->start_time = value;
		p = end;
	}
	return 0;
}

int
proc_stat_read(int proc_fd, pid_t pid, struct proc_stat *ret)
{
	char path[32], text[1024];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/stat", pid);
	n = fd_read_file(proc_fd, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	return proc_stat_parse(text, ret);
}

int
proc_exit_read(int proc_fd, pid_t pid, int *ret_status)
{
	struct proc_stat stat;
	char path[32], text[1024];
	const char *last;
	ssize_t n;
	int r;

	snprintf(path, sizeof(path), "%d/stat", pid);
	n = fd_read_file(proc_fd, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	r = proc_stat_parse(text, &stat);
	if (r < 0)
		return r;
	if (stat.state != 'Z')
		return -EAGAIN;
	last = strrchr(text, ' ');
	if (!last || sscanf(last, "%d", ret_status) != 1)
		return -EBADMSG;
	return 0;
}

char *
proc_cgroup_parse(char *text)
{
	static const char deleted[] = " (deleted)";
	char *line = text, *end;
	size_t size;

	while (line) {
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		if (strncmp(line, "0::", 3) == 0) {
			line += 3;
			size = strlen(line);
			if (size >= sizeof(deleted) - 1 &&
			    strcmp(line + size - (sizeof(deleted) - 1),
				   deleted) == 0)
				line[size - (sizeof(deleted) - 1)] = '\0';
			return line;
		}
		line = end;
	}
	return NULL;
}

int
proc_cgroup_read(int proc_fd, pid_t pid, char *buf)
{
	char path[32], text[PROC_PATH_MAX * 2];
	char *found;
	ssize_t n;

	snprintf(path, sizeof(path), "%d/cgroup", pid);
	n = fd_read_file(proc_fd, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	found = proc_cgroup_parse(text);
	if (!found || strlen(found) >= PROC_PATH_MAX)
		return -ENOENT;
	memcpy(buf, found, strlen(found) + 1);
	return 0;
}

static int
proc_status_read(int proc_fd, pid_t pid, char text[STATUS_SIZE])
{
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/status", pid);
	n = fd_read_file(proc_fd, path, text, STATUS_SIZE);
	return n < 0 ? (int)n : 0;
}

int
proc_state_read(int proc_fd, pid_t pid)
{
	char text[STATUS_SIZE];
	const char *p;
	int r;

	r = proc_status_read(proc_fd, pid, text);
	if (r < 0)
		return r;
	p = strstr(text, "\nState:\t");
	return p ? p[8] : -EBADMSG;
}

int
proc_is_stage(int proc_fd, pid_t pid)
{
	static const char prefix[] = "nsx:[";
	char path[32], text[64];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/comm", pid);
	n = fd_read_file(proc_fd, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	return strncmp(text, prefix, sizeof(prefix) - 1) == 0;
}

/* 0: this file is the same of both. */
static int
proc_compare(int proc_fd, pid_t pid, const char *name)
{
	char path[48], own[8192], other[8192];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/%s", getpid(), name);
	n = fd_read_file(proc_fd, path, own, sizeof(own));
	if (n < 0)
		return (int)n;
	snprintf(path, sizeof(path), "%d/%s", pid, name);
	n = fd_read_file(proc_fd, path, other, sizeof(other));
	if (n < 0)
		return (int)n;
	return strcmp(own, other) == 0 ? 0 : 1;
}

int
proc_shares_id_map(int proc_fd, pid_t pid)
{
	int r = proc_compare(proc_fd, pid, "uid_map");

	if (r == 0)
		r = proc_compare(proc_fd, pid, "gid_map");
	return r < 0 ? r : r == 0;
}

int
proc_shares_user_namespace(int proc_fd, pid_t pid)
{
	struct stat own, other;
	char path[32];

	if (fstatat(proc_fd, "self/ns/user", &own, 0) < 0)
		return -errno;
	snprintf(path, sizeof(path), "%d/ns/user", pid);
	if (fstatat(proc_fd, path, &other, 0) < 0)
		return -errno;
	return own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

int
proc_uid_read(int proc_fd, pid_t pid, uid_t *ret)
{
	char text[STATUS_SIZE];
	unsigned int uid;
	const char *p;
	int r;

	r = proc_status_read(proc_fd, pid, text);
	if (r < 0)
		return r;
	p = strstr(text, "\nUid:");
	if (!p || sscanf(p, "\nUid: %u", &uid) != 1)
		return -EBADMSG;
	*ret = uid;
	return 0;
}

int
proc_each_pid(int fd, proc_pid_fn fn, void *userdata)
{
	char buf[4096];
	int64_t pid = 0;
	ssize_t n, i;

	for (;;) {
		n = read(fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (i = 0; i < n; i++) {
			if (buf[i] >= '0' && buf[i] <= '9') {
				pid = pid * 10 + (buf[i] - '0');
				if (pid > INT32_MAX)
					return -EBADMSG;
				continue;
			}
			/* 0 = a process outside our pid namespace */
			if (pid > 0)
				fn(userdata, (pid_t)pid);
			pid = 0;
		}
		if (n == 0)
			break;
	}
	if (pid > 0)
		fn(userdata, (pid_t)pid);
	return 0;
}

int
proc_children(int proc_fd, proc_pid_fn fn, void *userdata)
{
	fd_auto int fd = -1;
	char path[64];

	/* Not "self": a number needs no link to be followed. */
	snprintf(path, sizeof(path), "%d/task/%d/children", getpid(), getpid());
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return proc_each_pid(fd, fn, userdata);
}
