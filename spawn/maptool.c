/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map writers of the shadow package. See maptool.h.
 *
 * Why a hostile sender gains nothing: the programs ask their own caller's uid,
 * which is the spawner's and the caller's, and decide by subuid(5); the numbers
 * of argv are those of a map that was parsed and checked. Their path is the
 * command line's of the spawner, never the message's.
 */
#include "spawn/maptool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "proto/idmap.h"

#define MAPTOOL_TIMEOUT_S 5u
#define MAPTOOL_SAID_MAX 160

/* argv and what it points to; a stage does not allocate. */
struct maptool_argv {
	char path[4096];
	char pid[16];
	char text[IDMAP_MAX_TEXT + 2];
	char *argv[3 + 3 * IDMAP_MAX_ROWS];
};

static int
argv_fill(const struct maptool *tool, pid_t pid, struct maptool_argv *ret)
{
	size_t n = 2;
	char *word, *rest = ret->text;

	if (strlen(tool->path) >= sizeof(ret->path) ||
	    tool->size >= sizeof(ret->text))
		return -E2BIG;
	memcpy(ret->path, tool->path, strlen(tool->path) + 1);
	memcpy(ret->text, tool->text, tool->size);
	ret->text[tool->size] = '\0';
	snprintf(ret->pid, sizeof(ret->pid), "%d", pid);
	ret->argv[0] = ret->path;
	ret->argv[1] = ret->pid;
	while ((word = strsep(&rest, " \n"))) {
		if (*word == '\0')
			continue;
		if (n + 1 >= sizeof(ret->argv) / sizeof(ret->argv[0]))
			return -E2BIG;
		ret->argv[n++] = word;
	}
	ret->argv[n] = NULL;
	return 0;
}

static _Noreturn void
tool_exec(const struct maptool_argv *argv, int said_fd)
{
	char *const no_environment[] = { NULL };

	if (dup2(said_fd, STDOUT_FILENO) < 0 ||
	    dup2(said_fd, STDERR_FILENO) < 0 ||
	    sys_close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(126);
	alarm(MAPTOOL_TIMEOUT_S); /* survives the exec, and nobody blocks it */
	execve(argv->path, argv->argv, no_environment);
	_exit(127);
}

/* The first line that it wrote; it has ended. */
static void
said_read(int fd, char *buf, size_t size)
{
	ssize_t n = read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

static int
tool_wait(const struct maptool *tool, pid_t child, int said_fd,
	  struct failure *failure)
{
	const char *name = strrchr(tool->path, '/');
	char said[MAPTOOL_SAID_MAX];
	int status = 0;
	pid_t r;

	do
		r = waitpid(child, &status, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return failure_set(failure, tool->stage, "map-tool", "waitpid",
				   errno, "%s", tool->path);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return failure_set(
			failure, tool->stage, "map-tool", "waitpid",
			WTERMSIG(status) == SIGALRM ? ETIMEDOUT : EIO,
			"%s: signal %d", tool->path, WTERMSIG(status));
	if (WEXITSTATUS(status) > 125)
		return failure_set(failure, tool->stage, "map-tool", "execve",
				   EACCES, "%s", tool->path);
	said_read(said_fd, said, sizeof(said));
	return failure_set(failure, tool->stage, "map-check", "", EPERM, "%s",
			   *said  ? said
			   : name ? name + 1
				  : tool->path);
}

int
maptool_run(const struct maptool *tool, pid_t pid, struct failure *failure)
{
	fd_auto int said_read_fd = -1, said_write_fd = -1;
	struct maptool_argv argv;
	int pair[2], r;
	pid_t child;

	r = argv_fill(tool, pid, &argv);
	if (r < 0)
		return failure_set(failure, tool->stage, "map-tool", "", -r,
				   "%s", tool->path);
	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return failure_set(failure, tool->stage, "map-tool", "pipe2",
				   errno, "%s", tool->path);
	said_read_fd = pair[0];
	said_write_fd = pair[1];
	child = fork();
	if (child == 0)
		tool_exec(&argv, said_write_fd);
	if (child < 0)
		return failure_set(failure, tool->stage, "map-tool", "fork",
				   errno, "%s", tool->path);
	fd_close(&said_write_fd);
	return tool_wait(tool, child, said_read_fd, failure);
}
