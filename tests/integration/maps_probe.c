/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One id map, decided three ways: by proto/idmap_rights.h, by the real
 * newuidmap or newgidmap on a real process of that user, and, where those
 * refuse, by the kernel alone. A line of standard input is
 *
 *	RECORD UID GID u|g INSIDE:OUTSIDE:COUNT,...
 *
 * RECORD is a file with what nsexec-resolver says of UID. The answer is
 *
 *	WHY DELEGATED TOOL KERNEL SETGROUPS SAME
 *
 * WHY: enum idmap_refusal, or -1 for a map that is none. TOOL: exit status.
 * KERNEL: errno of the process's own attempt, -1 if there was none. SETGROUPS:
 * the file's first letter afterwards. SAME: the kernel shows that map.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "proto/idmap_rights.h"
#include "proto/resolve.h"

#define MAX_ROWS 400

struct probe {
	struct resolved_user user;
	uint32_t uid, gid;
	bool gids;
	char *args[3 * MAX_ROWS + 3];
	size_t n_args; /* with the tool's name and a pid */
	char text[65536];
	struct idmap map;
	bool is_map;
	struct idmap_verdict verdict;
};

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "maps_probe: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void
become(const struct probe *probe)
{
	if (setgroups(0, NULL) < 0 ||
	    setresgid(probe->gid, probe->gid, probe->gid) < 0 ||
	    setresuid(probe->uid, probe->uid, probe->uid) < 0)
		die("setresuid");
}

static void
parse_rows(struct probe *probe, char *rows)
{
	char *row, *number;
	size_t used = 0;

	probe->args[0] = probe->gids ? "newgidmap" : "newuidmap";
	probe->n_args = 2;
	probe->text[0] = '\0';
	while ((row = strsep(&rows, ","))) {
		for (int i = 0; (number = strsep(&row, ":")); i++) {
			if (probe->n_args >= 3 * MAX_ROWS + 2)
				die("rows");
			probe->args[probe->n_args++] = number;
			used += (size_t)snprintf(
				probe->text + used, sizeof(probe->text) - used,
				i < 2 ? "%s " : "%s\n", number);
		}
	}
	probe->args[probe->n_args] = NULL;
}

static void
read_record(struct probe *probe, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (read(fd, &probe->user, sizeof(probe->user)) !=
		    sizeof(probe->user) ||
	    resolve_check(&probe->user, probe->uid) < 0)
		die(path);
	close(fd);
}

/* As the relay decides (spawn/mapper.c). */
static void
decide(struct probe *probe)
{
	const struct resolved_user *user = &probe->user;
	struct idmap_rights rights;
	struct idmap_error error;
	int r;

	probe->verdict = (struct idmap_verdict){ 0 };
	probe->is_map = idmap_parse(probe->text, strlen(probe->text),
				    &probe->map, &error) == 0 &&
			idmap_check(&probe->map, &error) == 0;
	if (!probe->is_map)
		return;
	if (probe->gids) {
		idmap_rights_gid(user, probe->uid, probe->gid, &rights);
		r = idmap_gid_decide(&probe->map, &rights, &probe->verdict);
	} else {
		idmap_rights_uid(user, probe->uid, probe->gid, &rights);
		r = idmap_uid_decide(&probe->map, &rights, &probe->verdict);
	}
	if ((r == 0) != (probe->verdict.why == IDMAP_ALLOWED))
		die("verdict");
}

static int
own_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		r = errno;
	close(fd);
	return r;
}

/* A process of that user in a user namespace without maps. */
static _Noreturn void
target_run(const struct probe *probe, int channel)
{
	char byte = 'r';
	int error;

	become(probe);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 1);
	if (unshare(CLONE_NEWUSER) < 0)
		die("unshare");
	if (write(channel, &byte, 1) != 1 || read(channel, &byte, 1) != 1)
		_exit(0);
	/* what the tool refused, by the kernel's leave alone */
	error = probe->gids ? own_write("/proc/self/setgroups", "deny") : 0;
	if (error == 0)
		error = own_write(probe->gids ? "/proc/self/gid_map"
					      : "/proc/self/uid_map",
				  probe->text);
	byte = (char)error;
	(void)!write(channel, &byte, 1);
	(void)!read(channel, &byte, 1);
	_exit(0);
}

static int
tool_run(struct probe *probe, pid_t target)
{
	char number[16], path[32];
	int status;
	pid_t pid;

	snprintf(number, sizeof(number), "%d", target);
	snprintf(path, sizeof(path), "/usr/bin/%s", probe->args[0]);
	probe->args[1] = number;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		become(probe);
		execv(path, probe->args);
		_exit(126);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("fork");
	if (!WIFEXITED(status) || WEXITSTATUS(status) >= 126)
		die(path);
	return WEXITSTATUS(status);
}

/* Does the kernel show that map? It sorts what is more than five rows. */
static bool
is_shown(const struct probe *probe, pid_t target)
{
	static char text[65536];
	static struct idmap shown;
	struct idmap_error error;
	char path[40];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", target,
		 probe->gids ? "gid_map" : "uid_map");
	n = fd_read_file(AT_FDCWD, path, text, sizeof(text));
	if (n <= 0 || idmap_parse(text, (size_t)n, &shown, &error) < 0 ||
	    shown.n_rows != probe->map.n_rows)
		return false;
	for (size_t i = 0; i < shown.n_rows; i++) {
		size_t k = 0;

		while (k < shown.n_rows &&
		       memcmp(&shown.rows[i], &probe->map.rows[k],
			      sizeof(shown.rows[i])) != 0)
			k++;
		if (k == shown.n_rows)
			return false;
	}
	return true;
}

static void
probe_run(struct probe *probe)
{
	int pair[2], tool, kernel = -1;
	char path[40], setgroups_text[16], byte = 'w';
	pid_t target;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	target = fork();
	if (target == 0) {
		close(pair[0]);
		target_run(probe, pair[1]);
	}
	close(pair[1]);
	if (target < 0 || read(pair[0], &byte, 1) != 1)
		die("target");
	tool = tool_run(probe, target);
	if (tool != 0) {
		if (write(pair[0], "w", 1) != 1 || read(pair[0], &byte, 1) != 1)
			die("target");
		kernel = byte;
	}
	snprintf(path, sizeof(path), "/proc/%d/setgroups", target);
	if (fd_read_file(AT_FDCWD, path, setgroups_text,
			 sizeof(setgroups_text)) <= 0)
		die(path);
	printf("%d %d %d %d %c %d\n",
	       probe->is_map ? (int)probe->verdict.why : -1,
	       probe->verdict.delegated, tool, kernel, setgroups_text[0],
	       is_shown(probe, target));
	fflush(stdout);
	close(pair[0]);
	if (waitpid(target, NULL, 0) != target)
		die("waitpid");
}

int
main(void)
{
	static struct probe probe;
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		char *rest = line, *record, *side;

		line[strcspn(line, "\n")] = '\0';
		record = strsep(&rest, " ");
		probe.uid = (uint32_t)strtoul(strsep(&rest, " "), NULL, 10);
		probe.gid = (uint32_t)strtoul(strsep(&rest, " "), NULL, 10);
		side = strsep(&rest, " ");
		probe.gids = side[0] == 'g';
		read_record(&probe, record);
		parse_rows(&probe, rest);
		decide(&probe);
		probe_run(&probe);
	}
	free(line);
	return 0;
}
