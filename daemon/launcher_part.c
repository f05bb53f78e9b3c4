/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instance on disk, and the start of its spawner. Programs are run from
 * sealed memfds: a rebuilt or replaced file does not change what runs, and no
 * descriptor leads back to a file that somebody may write.
 */
#include "daemon/launcher_part.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"

#ifndef NSX_LIBEXECDIR
#define NSX_LIBEXECDIR "/usr/local/libexec"
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x10u /* Linux 6.3 */
#endif

#define SPAWNER_NAME "nsexec-spawner"
#define RESOLVER_NAME "nsexec-resolver"
#define SPAWNER_DIR_IN_USE 3
#define ARGS_MAX 4096

static int
launcher_memfd_new(const char *name, int *ret_fd)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

	if (fd < 0 && errno == EINVAL) /* before 6.3 all may be executed */
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int
launcher_memfd_seal(int fd, mode_t mode)
{
	if (fchmod(fd, mode) < 0 ||
	    fcntl(fd, F_ADD_SEALS,
		  F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	return 0;
}

int
launcher_memfd_copy(const char *name, int from_fd, int *ret_fd)
{
	fd_auto int fd = -1;
	ssize_t n;
	int r;

	r = launcher_memfd_new(name, &fd);
	if (r < 0)
		return r;
	do
		n = sendfile(fd, from_fd, NULL, 1 << 30);
	while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return -errno;
	r = launcher_memfd_seal(fd, 0555);
	if (r == 0)
		*ret_fd = fd_steal(&fd);
	return r;
}

int
launcher_memfd_text(const char *name, const void *data, size_t size,
		    int *ret_fd)
{
	fd_auto int fd = -1;
	int r;

	r = launcher_memfd_new(name, &fd);
	if (r == 0)
		r = fd_write_all(fd, data, size);
	if (r == 0)
		r = launcher_memfd_seal(fd, 0444);
	if (r == 0)
		*ret_fd = fd_steal(&fd);
	return r;
}

/* Nothing in it, or an instance that was here before. */
static bool
launch_dir_is_ours(int dir_fd)
{
	struct dirent *entry;
	struct stat st;
	bool empty = true;
	DIR *dir;
	int fd;

	if (fstatat(dir_fd, "records", &st, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		fd_close(&fd);
		return false;
	}
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			empty = false;
	closedir(dir);
	return empty;
}

/*
 * Root's, closed for others' writing and open for their passing. Only a
 * directory that is ours is opened to them: mktemp -d makes it 0700.
 */
static int
launch_check_dir(const struct launch *launch)
{
	struct stat st;

	if (fstat(launch->dir_fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid()) {
		launcher_say(0, "use a run directory that is another user's:",
			     launch->dir);
		return -EPERM;
	}
	if (st.st_mode & 022) {
		launcher_say(0, "use a run directory that others may write in:",
			     launch->dir);
		return -EPERM;
	}
	if (geteuid() != 0 || (st.st_mode & 055) == 055)
		return 0; /* rootless, nobody else is to pass */
	if (!launch_dir_is_ours(launch->dir_fd)) {
		launcher_say(0,
			     "use a full directory that others may not pass "
			     "as run directory:",
			     launch->dir);
		return -EPERM;
	}
	return fchmod(launch->dir_fd, 0755) < 0 ? -errno : 0;
}

/* DIR, made if missing. */
static int
launch_open_dir(struct launch *launch)
{
	const char *path = launch->config->run_dir;

	if (mkdir(path, geteuid() == 0 ? 0755 : 0700) < 0 && errno != EEXIST) {
		launcher_say(errno, "make", path);
		return -errno;
	}
	if (!realpath(path, launch->dir)) {
		launcher_say(errno, "find", path);
		return -errno;
	}
	launch->dir_fd = open(launch->dir,
			      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (launch->dir_fd < 0) {
		launcher_say(errno, "open", path);
		return -errno;
	}
	return launch_check_dir(launch);
}

static int
launch_fill_memfds(struct launch *launch)
{
	const struct launcher_config *config = launch->config;
	fd_auto int self = -1;
	char args[ARGS_MAX];
	size_t i, size, used = 0;
	int r;

	for (i = 0; i < config->n_worker_args; i++) {
		size = strlen(config->worker_args[i]) + 1;
		if (used + size >= sizeof(args))
			return -E2BIG;
		memcpy(args + used, config->worker_args[i], size);
		used += size;
	}
	r = launcher_memfd_text("nsexecd-args", args, used, &launch->args_fd);
	if (r < 0)
		return r;
	self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (self < 0)
		return -errno;
	return launcher_memfd_copy("nsexecd", self, &launch->program_fd);
}

int
launch_init(struct launch *launch, const struct launcher_config *config)
{
	int r;

	launch->config = config;
	r = launch_open_dir(launch);
	if (r < 0)
		return r;
	if (geteuid() != 0) {
		launch->uid = geteuid();
		launch->gid = getegid();
		launcher_find_tool("newuidmap", launch->newuidmap);
		launcher_find_tool("newgidmap", launch->newgidmap);
		r = 0;
	} else {
		r = launcher_choose_user(launch->dir_fd, &launch->uid,
					 &launch->gid);
	}
	if (r < 0) {
		launcher_say(-r, "find a free uid for nsexecd in",
			     "61184 to 65519");
		return r;
	}
	r = launch_fill_memfds(launch);
	if (r < 0)
		launcher_say(-r, "copy", "its own program");
	return r;
}

void
launch_deinit(struct launch *launch)
{
	fd_close(&launch->dir_fd);
	fd_close(&launch->program_fd);
	fd_close(&launch->args_fd);
}

int
launch_connect(const struct launch *launch, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	fd_auto int fd = -1;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* By descriptor: DIR may be longer than an address. */
	snprintf(address.sun_path, sizeof(address.sun_path),
		 "/proc/self/fd/%d/spawner.sock", launch->dir_fd);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

/* Beside our own executable (a build tree). -ENOENT: nothing is there. */
static int
launch_path_beside(const char *name, char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	if (n <= 0)
		return -ENOENT;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash || (size_t)(slash - path) + strlen(name) + 2 > PATH_MAX)
		return -ENOENT;
	memcpy(slash + 1, name, strlen(name) + 1);
	return access(path, X_OK) < 0 ? -ENOENT : 0;
}

/* There, else where it is installed. */
int
launch_open_spawner(int *ret_fd)
{
	char path[PATH_MAX];
	int fd = -1;

	if (launch_path_beside(SPAWNER_NAME, path) == 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fd = open(NSX_LIBEXECDIR "/" SPAWNER_NAME,
			  O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		launcher_say(errno,
			     "find " SPAWNER_NAME " beside nsexecd or in",
			     NSX_LIBEXECDIR);
		return -errno;
	}
	*ret_fd = fd;
	return 0;
}

/* Rootless: who writes the maps of delegated ids. */
static size_t
launch_add_tools(const struct launch *launch, char **argv, size_t n)
{
	if (launch->newuidmap[0]) {
		argv[n++] = "--newuidmap";
		argv[n++] = (char *)launch->newuidmap;
	}
	if (launch->newgidmap[0]) {
		argv[n++] = "--newgidmap";
		argv[n++] = (char *)launch->newgidmap;
	}
	return n;
}

/* In the grandchild: detached, with nothing of ours but standard error. */
static _Noreturn void
launch_exec_spawner(const struct launch *launch, int program_fd, int ready_fd)
{
	const struct launcher_config *config = launch->config;
	char uid[16], gid[16], ready[16], resolver[PATH_MAX];
	char *argv[20] = { SPAWNER_NAME, "--run-dir",  (char *)launch->dir,
			   "--user-uid", uid,	       "--user-gid",
			   gid,		 "--ready-fd", ready };
	char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
			NULL };
	size_t n = 9;
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	snprintf(uid, sizeof(uid), "%u", launch->uid);
	snprintf(gid, sizeof(gid), "%u", launch->gid);
	snprintf(ready, sizeof(ready), "%d", ready_fd);
	if (config->detach)
		argv[n++] = "--detach";
	if (config->cgroup_root) {
		argv[n++] = "--cgroup-root";
		argv[n++] = (char *)config->cgroup_root;
	}
	if (config->policy_dir) {
		argv[n++] = "--policy-dir";
		argv[n++] = (char *)config->policy_dir;
	}
	/* Else it looks where that is installed. */
	if (launch_path_beside(RESOLVER_NAME, resolver) == 0) {
		argv[n++] = "--resolver";
		argv[n++] = resolver;
	}
	n = launch_add_tools(launch, argv, n);
	sigemptyset(&none);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || setsid() < 0 ||
	    chdir("/") < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
	    fcntl(ready_fd, F_SETFD, 0) < 0)
		_exit(1);
	syscall(SYS_execveat, program_fd, "", argv, env, AT_EMPTY_PATH);
	_exit(1);
}

/*
 * Forked twice: the spawner is nobody's child but init's, and outlives us.
 */
static int
launch_fork_spawner(const struct launch *launch, int program_fd, int ready_fd)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			launch_exec_spawner(launch, program_fd, ready_fd);
		_exit(pid < 0);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status == 0 ? 0 : -EAGAIN;
}

int
launch_start_spawner(const struct launch *launch)
{
	fd_auto int file = -1, program = -1, ready = -1;
	int pipe_fds[2], r;
	char byte;

	r = launch_open_spawner(&file);
	if (r < 0)
		return r;
	r = launcher_memfd_copy(SPAWNER_NAME, file, &program);
	if (r == 0 && fchmod(program, 0511) < 0)
		r = -errno;
	if (r == 0 && pipe2(pipe_fds, O_CLOEXEC) < 0)
		r = -errno;
	if (r < 0) {
		launcher_say(-r, "prepare", SPAWNER_NAME);
		return r;
	}
	ready = pipe_fds[0];
	r = launch_fork_spawner(launch, program, pipe_fds[1]);
	close(pipe_fds[1]);
	if (r < 0) {
		launcher_say(-r, "start", SPAWNER_NAME);
		return r;
	}
	/* 'R' = ready, 'B' = busy; it ended: then it said why. */
	if (read(ready, &byte, 1) != 1)
		return -ECHILD;
	return byte == 'R' ? 0 : -EBUSY;
}
