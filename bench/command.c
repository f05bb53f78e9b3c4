/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contestants that are programs: runc, crun, bwrap, unshare. Their pid of the
 * payload is taken where they give it: a pid file (runc, crun: watched by
 * inotify) or a line on a descriptor (bwrap's --info-fd).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "lib/fd.h"
#include "lib/sys.h"

#define MAX_ARGS 64
#define INFO_FD 3

struct words {
	char *argv[MAX_ARGS + 1];
	char text[MAX_ARGS][160];
};

/* The command's words with "%d" replaced by the number. */
static int
words_build(const struct command *command, unsigned int number,
	    struct words *words)
{
	size_t i;

	for (i = 0; command->argv[i]; i++) {
		const char *mark = strstr(command->argv[i], "%d");
		int before = mark ? (int)(mark - command->argv[i]) : 0;

		if (i == MAX_ARGS)
			return -E2BIG;
		words->argv[i] = command->argv[i];
		if (!mark)
			continue;
		snprintf(words->text[i], sizeof(words->text[i]), "%.*s%u%s",
			 before, command->argv[i], number, mark + 2);
		words->argv[i] = words->text[i];
	}
	words->argv[i] = NULL;
	return 0;
}

int
command_start(const struct command *command, unsigned int number, int info_fd,
	      pid_t *ret_pid, int *ret_pidfd)
{
	char *envp[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	posix_spawn_file_actions_t actions;
	struct words words;
	int fd, r;

	r = words_build(command, number, &words);
	if (r < 0)
		return r;
	posix_spawn_file_actions_init(&actions);
	for (fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(&actions, fd, "/dev/null",
						 O_RDWR, 0);
	if (info_fd >= 0)
		posix_spawn_file_actions_adddup2(&actions, info_fd, INFO_FD);
	else if (command->info_fd)
		posix_spawn_file_actions_addopen(&actions, INFO_FD, "/dev/null",
						 O_WRONLY, 0);
	r = -posix_spawnp(ret_pid, words.argv[0], &actions, NULL, words.argv,
			  envp);
	posix_spawn_file_actions_destroy(&actions);
	if (r < 0)
		return r;
	*ret_pidfd = sys_pidfd_open(*ret_pid);
	return *ret_pidfd < 0 ? *ret_pidfd : 0;
}

/* A descriptor that becomes readable when the pid is known, or -1. */
static int
pid_watch_open(const struct command *command, int *ret_info_fd)
{
	int fds[2];

	*ret_info_fd = -1;
	if (command->info_fd) {
		if (pipe2(fds, O_CLOEXEC) < 0)
			return -1;
		*ret_info_fd = fds[1];
		return fds[0];
	}
	if (!command->pid_dir)
		return -1;
	fds[0] = inotify_init1(IN_CLOEXEC);
	if (fds[0] >= 0 && inotify_add_watch(fds[0], command->pid_dir,
					     IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
		fd_close(&fds[0]);
	return fds[0];
}

int
command_once(const struct command *command, unsigned int number,
	     struct sample *ret)
{
	fd_auto int info_fd = -1, watch = -1, pidfd = -1;
	struct pollfd polls[2];
	uint64_t began;
	int status, r;
	pid_t pid;

	watch = pid_watch_open(command, &info_fd);
	began = now_ns();
	r = command_start(command, number, info_fd, &pid, &pidfd);
	if (r < 0)
		return r;
	fd_close(&info_fd);
	ret->pid_ns = 0;
	polls[0] = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	polls[1] = (struct pollfd){ .fd = watch, .events = POLLIN };
	while (poll(polls, 2, 30000) > 0 && !polls[0].revents) {
		if (polls[1].revents & POLLIN)
			ret->pid_ns = now_ns() - began;
		polls[1].fd = -1;
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	ret->exit_ns = now_ns() - began;
	return status == 0 ? 0 : -ECHILD;
}
