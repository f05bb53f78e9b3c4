/* SPDX-License-Identifier: Apache-2.0 */
/* Fork, descriptors, drop, exec. See spawner_program.h. */
#include "spawn/spawner_program.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "spawn/spawner.h"

#define PROGRAM_FIRST_FD 3
#define PROGRAM_HIGH_FD 16 /* above what the program gets */
#ifndef MFD_EXEC
#define MFD_EXEC 0x10u /* Linux 6.3 */
#endif

static _Noreturn void
program_die(const struct program *program, const char *what)
{
	dprintf(STDERR_FILENO, "spawner: cannot start %s: %s: %s\n",
		program->name, what, strerror(errno));
	_exit(126);
}

static int
program_move_fd(const struct program *program, int fd)
{
	fd = fcntl(fd, F_DUPFD_CLOEXEC, PROGRAM_HIGH_FD);
	if (fd < 0)
		program_die(program, "fcntl");
	return fd;
}

/* Its descriptors, then the program's own, and no others above 2. */
static void
program_set_fds(const struct program *program)
{
	int from[PROGRAM_MAX_FDS], file, at = PROGRAM_FIRST_FD;
	size_t i;

	/* Out of the way first: any of them may be a low one now. */
	for (i = 0; i < program->n_fds; i++)
		from[i] = program_move_fd(program, program->fds[i]);
	file = program_move_fd(program, program->fd);
	if (program->error_fd >= 0 &&
	    (dup2(program->error_fd, STDERR_FILENO) < 0 ||
	     dup2(STDIN_FILENO, STDOUT_FILENO) < 0))
		program_die(program, "dup2");
	for (i = 0; i < program->n_fds; i++)
		if (dup2(from[i], at++) < 0)
			program_die(program, "dup2");
	if (dup3(file, at, O_CLOEXEC) < 0)
		program_die(program, "dup3");
	if (sys_close_range((unsigned int)at + 1, ~0u, 0) < 0)
		program_die(program, "close_range");
}

static void
program_drop_privilege(const struct program *program)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct none[2] = { { 0 } };
	int cap;

	for (cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			if (errno != EINVAL) /* past the last one */
				program_die(program, "prctl(PR_CAPBSET_DROP)");
			break;
		}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		program_die(program, "prctl(PR_CAP_AMBIENT)");
	if (setgroups(0, NULL) < 0 ||
	    setresgid(program->gid, program->gid, program->gid) < 0 ||
	    setresuid(program->uid, program->uid, program->uid) < 0)
		program_die(program, "setresuid");
	if (syscall(SYS_capset, &header, none) < 0)
		program_die(program, "capset");
}

/*
 * What these programs hold of callers is for nobody to read, and exec makes
 * them dumpable until they say otherwise. Hard, too: they start nobody who
 * could want it back.
 */
static void
program_forbid_core(const struct program *program)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		program_die(program, "setrlimit");
}

static _Noreturn void
program_exec(const struct spawner *spawner, const struct program *program,
	     pid_t parent)
{
	int at = PROGRAM_FIRST_FD + (int)program->n_fds;

	if (program->listen_pid)
		snprintf(program->listen_pid, PROGRAM_LISTEN_PID_SIZE,
			 "LISTEN_PID=%d", getpid());
	spawner_restore_process(spawner);
	program_forbid_core(program);
	program_set_fds(program);
	umask(022);
	if (!spawner->rootless) /* there is none, and no other uid */
		program_drop_privilege(program);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		program_die(program, "prctl(PR_SET_NO_NEW_PRIVS)");
	/* After the change of credentials, which clears it; exec keeps it. */
	if (program->dies_with_us &&
	    (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0, 0, 0) < 0 ||
	     getppid() != parent))
		program_die(program, "prctl(PR_SET_PDEATHSIG)");
	syscall(SYS_execveat, at, "", program->argv, program->env,
		AT_EMPTY_PATH);
	program_die(program, "execveat");
}

int
program_start(const struct spawner *spawner, const struct program *program,
	      pid_t *ret_pid, int *ret_pidfd)
{
	struct clone_args args = { .flags = CLONE_PIDFD,
				   .exit_signal = SIGCHLD };
	pid_t pid, parent = getpid();
	int pidfd = -1;

	if (program->n_fds > PROGRAM_MAX_FDS)
		return -E2BIG;
	args.pidfd = (uint64_t)(uintptr_t)&pidfd;
	pid = sys_clone3(&args);
	if (pid == 0)
		program_exec(spawner, program, parent);
	if (pid < 0)
		return pid;
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}

int
program_load(const char *path, int *ret_fd)
{
	fd_auto int from = -1, fd = -1;
	ssize_t n;

	from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (from < 0)
		return -errno;
	fd = memfd_create(path, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0 && errno == EINVAL) /* before 6.3 all may be executed */
		fd = memfd_create(path, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	do
		n = sendfile(fd, from, NULL, 1 << 30);
	while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0 || fchmod(fd, 0555) < 0 ||
	    fcntl(fd, F_ADD_SEALS,
		  F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}
