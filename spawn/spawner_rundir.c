/* SPDX-License-Identifier: Apache-2.0 */
/* The run directory: sockets, gates, pid files. See spawner_rundir.h. */
#include "spawn/spawner_rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"

#define RUNDIR_PID "spawner.pid"

/* A directory of nsexecd's own. No link is followed: root made its parent. */
static int
rundir_open_child(int dir_fd, const char *name, uid_t uid, gid_t gid)
{
	fd_auto int fd = -1;

	if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir_fd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, 0700) < 0)
		return -errno;
	return fd_steal(&fd);
}

int
rundir_open(struct rundir *rundir, const char *path, uid_t uid, gid_t gid)
{
	fd_auto int records = -1;

	rundir->fd =
		open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (rundir->fd < 0)
		return -errno;
	if (fstat(rundir->fd, &rundir->stat) < 0)
		return -errno;
	if (rundir->stat.st_uid != geteuid() || (rundir->stat.st_mode & 022))
		return -EPERM;
	rundir->gates_fd = rundir_open_child(rundir->fd, "gates", uid, gid);
	if (rundir->gates_fd < 0)
		return rundir->gates_fd;
	records = rundir_open_child(rundir->fd, "records", uid, gid);
	return records < 0 ? records : 0;
}

/* Is the locked file still the one of that name? */
static bool
rundir_pid_is_current(const struct rundir *rundir)
{
	struct stat ours, named;

	return fstat(rundir->pid_fd, &ours) == 0 &&
	       fstatat(rundir->fd, RUNDIR_PID, &named, AT_SYMLINK_NOFOLLOW) ==
		       0 &&
	       ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

int
rundir_lock(struct rundir *rundir)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[16];
	int n, r, tries;

	for (tries = 0; tries < 10; tries++) {
		fd_close(&rundir->pid_fd);
		rundir->pid_fd =
			openat(rundir->fd, RUNDIR_PID,
			       O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (rundir->pid_fd < 0)
			return -errno;
		if (fcntl(rundir->pid_fd, F_SETLK, &lock) < 0) {
			r = errno == EACCES ? -EAGAIN : -errno;
			fd_close(&rundir->pid_fd); /* another's: not ours */
			return r;
		}
		if (!rundir_pid_is_current(rundir))
			continue; /* its last owner removed it just now */
		n = snprintf(text, sizeof(text), "%d\n", getpid());
		if (ftruncate(rundir->pid_fd, 0) < 0)
			return -errno;
		return fd_write_all(rundir->pid_fd, text, (size_t)n);
	}
	return -EAGAIN;
}

void
rundir_remove(const struct rundir *rundir, const char *name)
{
	if (unlinkat(rundir->fd, name, 0) < 0 && errno != ENOENT)
		return; /* nothing hangs on it: the next one replaces it */
}

void
rundir_deinit(struct rundir *rundir)
{
	if (rundir->pid_fd >= 0 && rundir_pid_is_current(rundir)) {
		rundir_remove(rundir, RUNDIR_SPAWNER_SOCKET);
		if (rundir_worker(rundir) == 0)
			rundir_remove(rundir, RUNDIR_WORKER_PID);
		rundir_remove(rundir, RUNDIR_PID);
	}
	fd_close(&rundir->pid_fd);
	fd_close(&rundir->gates_fd);
	fd_close(&rundir->fd);
}

static int
rundir_bind(const struct rundir *rundir, const char *name, int sock)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t size = strlen(name);
	mode_t old;
	int r = 0;

	memcpy(address.sun_path, name, size + 1);
	/* The path may be longer than an address: go there for the call. */
	if (fchdir(rundir->fd) < 0)
		return -errno;
	old = umask(0777); /* nobody connects before its mode is set */
	if (bind(sock, (const struct sockaddr *)&address,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size +
			     1)) < 0)
		r = -errno;
	umask(old);
	if (chdir("/") < 0 && r == 0)
		r = -errno;
	return r;
}

int
rundir_listen(const struct rundir *rundir, const struct rundir_socket *what,
	      int *ret_fd)
{
	fd_auto int fd = -1;
	int r;

	fd = socket(AF_UNIX, what->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	rundir_remove(rundir, what->name);
	r = rundir_bind(rundir, what->name, fd);
	if (r < 0)
		return r;
	if (listen(fd, SOMAXCONN) < 0 ||
	    fchownat(rundir->fd, what->name, what->uid, what->gid,
		     AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(rundir->fd, what->name, what->mode, 0) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

int
rundir_make_worker_pid(const struct rundir *rundir, uid_t uid, gid_t gid)
{
	fd_auto int fd =
		openat(rundir->fd, RUNDIR_WORKER_PID,
		       O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0 || fchown(fd, uid, gid) < 0 || fchmod(fd, 0644) < 0)
		return -errno;
	/* One that lives and was not taken over yet is named in it. */
	if (rundir_worker(rundir) == 0 && ftruncate(fd, 0) < 0)
		return -errno;
	return 0;
}

pid_t
rundir_worker(const struct rundir *rundir)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	fd_auto int fd = openat(rundir->fd, RUNDIR_WORKER_PID,
				O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK ||
	    lock.l_pid <= 0)
		return 0;
	return lock.l_pid;
}

bool
rundir_worker_pid_is_empty(const struct rundir *rundir)
{
	struct stat st;

	return fstatat(rundir->fd, RUNDIR_WORKER_PID, &st,
		       AT_SYMLINK_NOFOLLOW) < 0 ||
	       st.st_size == 0;
}
