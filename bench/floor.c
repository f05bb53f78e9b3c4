/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor: what the kernel itself needs for a start, by the shortest way
 * that a small program has. The child stops on a pipe until its maps are
 * written, if it has any. Nothing is set up beyond namespaces and maps.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "lib/fd.h"
#include "lib/sys.h"

static const char *const MAP = "0 0 1";

static int
write_file(pid_t pid, const char *name, const char *text)
{
	char path[64];
	fd_auto int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd_write_all(fd, text, strlen(text));
}

static int
write_maps(pid_t pid)
{
	int r = write_file(pid, "uid_map", MAP);

	return r < 0 ? r : write_file(pid, "gid_map", MAP);
}

__attribute__((noreturn)) static void
child_run(const char *payload, int go)
{
	char *argv[] = { (char *)payload, NULL };
	char *envp[] = { NULL };
	char byte;

	if (go >= 0 && read(go, &byte, 1) != 1)
		_exit(99);
	execve(payload, argv, envp);
	_exit(98);
}

int
floor_start(enum profile profile, const char *payload, pid_t *ret_pid,
	    int *ret_pidfd)
{
	uint64_t flags = profile_flags(profile);
	fd_auto int go_read = -1, go_write = -1;
	int pidfd = -1, pipe_fds[2], r = 0;
	struct clone_args args = { .flags = flags | CLONE_PIDFD,
				   .pidfd = (uint64_t)(uintptr_t)&pidfd,
				   .exit_signal = SIGCHLD };
	pid_t pid;

	if (flags & CLONE_NEWUSER) {
		if (pipe2(pipe_fds, O_CLOEXEC) < 0)
			return -errno;
		go_read = pipe_fds[0];
		go_write = pipe_fds[1];
	}
	pid = sys_clone3(&args);
	if (pid < 0)
		return pid;
	if (pid == 0)
		child_run(payload, go_read);
	if (flags & CLONE_NEWUSER) {
		r = write_maps(pid);
		if (r == 0)
			r = fd_write_all(go_write, "G", 1);
	}
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return r;
}

int
floor_once(enum profile profile, const char *payload, struct sample *ret)
{
	uint64_t began = now_ns();
	fd_auto int pidfd = -1;
	int status, r;
	pid_t pid;

	r = floor_start(profile, payload, &pid, &pidfd);
	if (r < 0)
		return r;
	ret->pid_ns = now_ns() - began;
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	ret->exit_ns = now_ns() - began;
	return status == 0 ? 0 : -ECHILD;
}
