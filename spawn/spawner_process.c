/* SPDX-License-Identifier: Apache-2.0 */
/* The spawner as a process. See spawner_process.h. */
#include "spawn/spawner_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "spawn/spawner.h"
#include "spawn/spawner_log.h"

/* 0, 1 and 2 are open, 0 is /dev/null; nothing else but what we were given. */
static int
process_set_fds(const struct spawner_options *options)
{
	int given = options->ready_fd >= 0 ? options->ready_fd
					   : options->listener_fd;
	int fd;

	do
		fd = open("/dev/null", O_RDWR); /* becomes 0, 1, 2 if closed */
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
		return -errno;
	if (given < 0)
		return sys_close_range(STDERR_FILENO + 1, ~0u, 0);
	if (given <= STDERR_FILENO || fcntl(given, F_SETFD, FD_CLOEXEC) < 0)
		return -EBADF;
	if (given > STDERR_FILENO + 1 &&
	    sys_close_range(STDERR_FILENO + 1, (unsigned int)given - 1, 0) < 0)
		return -errno;
	return sys_close_range((unsigned int)given + 1, ~0u, 0);
}

/* Starts in flight and idle containers need descriptors: take what may be. */
static int
process_set_limits(struct spawner *spawner)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_CORE, &spawner->core_limit) < 0 ||
	    getrlimit(RLIMIT_NOFILE, &spawner->fd_limit) < 0)
		return -errno;
	limit = spawner->core_limit;
	limit.rlim_cur = 0; /* only the soft one: a child may have it back */
	if (setrlimit(RLIMIT_CORE, &limit) < 0)
		return -errno;
	limit = spawner->fd_limit;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

/*
 * TERM and INT end us; CHLD says that it is worth to look for strays; HUP, that
 * the policy has changed. PIPE is
 * blocked, for the sake of lines to a standard error that nobody reads. All
 * dispositions are the default: with SIGCHLD ignored there were no zombies.
 */
static int
process_set_signals(struct spawner *spawner)
{
	sigset_t blocked, seen;
	int number;

	for (number = 1; number < NSIG; number++)
		(void)sys_signal_default(number); /* but KILL and STOP */
	sigemptyset(&seen);
	sigaddset(&seen, SIGTERM);
	sigaddset(&seen, SIGINT);
	sigaddset(&seen, SIGCHLD);
	sigaddset(&seen, SIGHUP);
	blocked = seen;
	sigaddset(&blocked, SIGPIPE);
	if (sigprocmask(SIG_SETMASK, &blocked, NULL) < 0)
		return -errno;
	spawner->signal_fd = signalfd(-1, &seen, SFD_CLOEXEC | SFD_NONBLOCK);
	return spawner->signal_fd < 0 ? -errno : 0;
}

static int
process_set_name(const struct spawner *spawner)
{
	int r = 0;

	if (prctl(PR_SET_NAME, SPAWNER_NAME, 0, 0, 0) < 0)
		r = -errno;
#ifndef NSX_SANITIZED /* whose leak check traces its own process */
	/* Rootless, whoever could trace us is our user already, and a stage has
	 * to open its own files below /proc without root's rights. */
	if (r == 0 && !spawner->rootless &&
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = -errno;
#endif
	return r;
}

int
process_init(struct spawner *spawner)
{
	int r = process_set_fds(&spawner->options);

	if (r == 0 && chdir("/") < 0)
		r = -errno;
	umask(022);
	if (r == 0)
		r = process_set_name(spawner);
	if (r == 0)
		r = process_set_limits(spawner);
	if (r == 0)
		r = process_set_signals(spawner);
	if (r < 0)
		log_error(-r, "cannot set up the process");
	return r;
}

/* Blocked signals and those that wait, limits, directory and umask stay. */
int
process_resume(struct spawner *spawner)
{
	int r = process_set_name(spawner);

	if (r == 0)
		r = process_set_signals(spawner);
	if (r < 0)
		log_error(-r, "cannot set up the process");
	return r;
}

void
spawner_restore_process(const struct spawner *spawner)
{
	sigset_t none;

	sigemptyset(&none);
	if (setrlimit(RLIMIT_CORE, &spawner->core_limit) < 0 ||
	    setrlimit(RLIMIT_NOFILE, &spawner->fd_limit) < 0 ||
	    sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		_exit(1);
}

void
process_detach(void)
{
	if (dup2(STDIN_FILENO, STDOUT_FILENO) < 0 ||
	    dup2(STDIN_FILENO, STDERR_FILENO) < 0)
		log_error(errno, "cannot leave standard error");
}

void
process_notify(const char *notify_socket, const char *text)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	fd_auto int fd = -1;
	size_t size;

	if (!notify_socket)
		return;
	size = strlen(notify_socket);
	if (size < 2 || size >= sizeof(address.sun_path) ||
	    (notify_socket[0] != '/' && notify_socket[0] != '@'))
		return;
	memcpy(address.sun_path, notify_socket, size);
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    sendto(fd, text, strlen(text), MSG_NOSIGNAL,
		   (const struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) <
		    0)
		log_error(errno, "cannot notify systemd");
}
