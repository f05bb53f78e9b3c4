/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unprivileged nsexecd as a child: from a sealed memfd, with a fixed argv
 * and environment, its listeners as descriptors 3 and 4, another uid, and no
 * way back to a privilege.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys.h"
#include "lib/util.h"
#include "spawn/spawner.h"

enum { WORKER_RPC_FD = 3, WORKER_CHANNEL_FD, WORKER_PROGRAM_FD };

static _Noreturn void
worker_die(const char *what)
{
	dprintf(STDERR_FILENO, "spawner: cannot start nsexecd: %s: %s\n", what,
		strerror(errno));
	_exit(126);
}

/* Descriptors 3, 4 and 5, and no others above 2. */
static void
worker_set_fds(const struct keeper *keeper)
{
	int from[] = { keeper->rpc_fd, keeper->channel_fd, keeper->program_fd };
	size_t i;

	/* Out of the way first: any of them may be 3, 4 or 5 now. */
	for (i = 0; i < ARRAY_SIZE(from); i++) {
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 10);
		if (from[i] < 0)
			worker_die("fcntl");
	}
	if (dup2(from[0], WORKER_RPC_FD) < 0 ||
	    dup2(from[1], WORKER_CHANNEL_FD) < 0 ||
	    dup3(from[2], WORKER_PROGRAM_FD, O_CLOEXEC) < 0)
		worker_die("dup2");
	if (sys_close_range(WORKER_PROGRAM_FD + 1, ~0u, 0) < 0)
		worker_die("close_range");
}

static void
worker_drop_privilege(uid_t uid, gid_t gid)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct none[2] = { { 0 } };
	int cap;

	for (cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			if (errno != EINVAL) /* past the last one */
				worker_die("prctl(PR_CAPBSET_DROP)");
			break;
		}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		worker_die("prctl(PR_CAP_AMBIENT)");
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		worker_die("setresuid");
	if (syscall(SYS_capset, &header, none) < 0)
		worker_die("capset");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		worker_die("prctl(PR_SET_NO_NEW_PRIVS)");
}

static _Noreturn void
worker_exec(const struct spawner *spawner)
{
	const struct keeper *keeper = &spawner->keeper;
	char listen_pid[32];
	char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
			"LANG=C.UTF-8",
			"LISTEN_FDS=2",
			"LISTEN_FDNAMES=rpc:fd",
			listen_pid,
			NULL };
	char *argv[5 + KEEPER_ARGS_MAX] = { "nsexecd", "--worker", "--run-dir",
					    (char *)spawner->options.run_dir };
	size_t offset, n = 4;

	for (offset = 0; offset < keeper->args_size;
	     offset += strlen(keeper->args + offset) + 1)
		argv[n++] = (char *)keeper->args + offset;
	snprintf(listen_pid, sizeof(listen_pid), "LISTEN_PID=%d", getpid());
	spawner_restore_process(spawner);
	worker_set_fds(keeper);
	umask(022);
	worker_drop_privilege(spawner->options.worker_uid,
			      spawner->options.worker_gid);
	syscall(SYS_execveat, WORKER_PROGRAM_FD, "", argv, env, AT_EMPTY_PATH);
	worker_die("execveat");
}

int
worker_start(struct spawner *spawner, pid_t *ret_pid, int *ret_pidfd)
{
	struct clone_args args = { .flags = CLONE_PIDFD,
				   .exit_signal = SIGCHLD };
	int pidfd = -1;
	pid_t pid;

	args.pidfd = (uint64_t)(uintptr_t)&pidfd;
	pid = sys_clone3(&args);
	if (pid == 0)
		worker_exec(spawner);
	if (pid < 0)
		return pid;
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}
