/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launcher: finds or starts the spawner of a run directory, has it keep
 * the worker, and waits. Runs as root, so it parses nothing from callers; all
 * it reads are answers of its own spawner. See launcher.h.
 */
#include "daemon/launcher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/launcher_part.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "proto/errcode.h"
#include "proto/ops.h"

#define LAUNCHER_PATIENCE_MS 10000
#define LAUNCHER_ANSWER_MS 20000
#define LAUNCHER_PAUSE_US 50000
#define LAUNCHER_AGAIN_US 200000

void
launcher_say(int error, const char *what, const char *object)
{
	fprintf(stderr, "nsexecd: cannot %s %s%s%s\n", what, object,
		error ? ": " : "", error ? strerror(error) : "");
}

/*
 * A connection to a living spawner, started if there is none. Two launchers
 * may race: the spawner that finds its directory taken ends with -EBUSY here,
 * and the next round finds the other's.
 */
static int
launcher_connect(const struct launch *launch, int *ret_fd)
{
	int64_t end = clock_boottime_ms() + LAUNCHER_PATIENCE_MS;
	int r;

	do {
		r = launch_connect(launch, ret_fd);
		if (r == 0)
			return 0;
		if (r != -ENOENT && r != -ECONNREFUSED && r != -EAGAIN) {
			launcher_say(-r, "connect to the spawner in",
				     launch->dir);
			return r;
		}
		r = launch_start_spawner(launch);
		if (r < 0 && r != -EBUSY)
			return r;
		if (r == -EBUSY)
			usleep(LAUNCHER_PAUSE_US);
	} while (clock_boottime_ms() < end);
	launcher_say(ETIMEDOUT, "reach a spawner in", launch->dir);
	return -ETIMEDOUT;
}

static int
launcher_send(int fd, enum op op, const int *fds, size_t n_fds)
{
	struct nlmsg_builder builder;
	uint8_t buf[64];
	size_t size;
	int r;

	nlmsg_builder_init(&builder, buf, sizeof(buf), (uint16_t)op, 1);
	r = nlmsg_builder_end(&builder, &size);
	return r < 0 ? r : fd_send(fd, buf, size, fds, n_fds);
}

/* DONE: 0. ERROR: -EPROTO with a line; -ECONNRESET: the spawner is gone. */
static int
launcher_answer(int fd, int timeout_ms, const char *what)
{
	struct op_message msg;
	struct nlmsg_error error;
	uint8_t buf[2048];
	ssize_t n;
	int r;

	r = fd_wait_readable(fd, timeout_ms);
	if (r <= 0)
		return r < 0 ? r : -ETIMEDOUT;
	n = fd_recv(fd, buf, sizeof(buf), NULL, 0, NULL);
	if (n <= 0)
		return n < 0 ? (int)n : -ECONNRESET;
	r = op_decode(buf, (size_t)n, &msg, &error);
	if (r < 0)
		return r;
	if (msg.header.type == ANSWER_DONE)
		return 0;
	if (msg.code == ERRCODE_CONFLICT)
		return -EBUSY; /* it is being stopped: soon there is a new one
				*/
	launcher_say(0, what,
		     op_has(&msg, OP_ATTR_RULE) ? msg.rule : "no reason given");
	return -EPROTO;
}

/*
 * A spawner that lives may be of another release: then it takes this one's
 * program, in place. If it will not, why not was said, and it goes on as it is.
 */
static void
launcher_renew(int fd)
{
	fd_auto int program = -1;

	if (launch_newer_spawner(fd, &program) < 0)
		return;
	if (launcher_send(fd, OP_REEXEC, &program, 1) == 0)
		(void)!launcher_answer(fd, LAUNCHER_ANSWER_MS,
				       "renew the spawner:");
}

/* Have the spawner keep a worker, and wait until that is ready. */
static int
launcher_keep(const struct launch *launch, int fd)
{
	int fds[] = { launch->program_fd, launch->args_fd };
	int r;

	r = launcher_send(fd, OP_KEEP, fds, ARRAY_SIZE(fds));
	if (r == 0)
		r = launcher_answer(fd, LAUNCHER_ANSWER_MS, "start nsexecd:");
	return r;
}

/* Spawner and worker, both alive; the connection stays. */
static int
launcher_ensure(const struct launch *launch, int *ret_fd)
{
	int64_t end = clock_boottime_ms() + LAUNCHER_PATIENCE_MS * 2;
	fd_auto int fd = -1;
	int r;

	for (;;) {
		fd_close(&fd);
		r = launcher_connect(launch, &fd);
		if (r < 0)
			return r;
		launcher_renew(fd);
		r = launcher_keep(launch, fd);
		if (r == 0)
			break;
		/* It was about to end when we found it. */
		if ((r != -EBUSY && r != -ECONNRESET && r != -EPIPE) ||
		    clock_boottime_ms() >= end) {
			if (r != -EPROTO)
				launcher_say(-r, "start nsexecd in",
					     launch->dir);
			return r;
		}
		usleep(LAUNCHER_PAUSE_US);
	}
	*ret_fd = fd_steal(&fd);
	return 0;
}

static int
launcher_stop(int fd)
{
	int r = launcher_send(fd, OP_STOP, NULL, 0);

	if (r == 0)
		r = launcher_answer(fd, LAUNCHER_ANSWER_MS, "stop nsexecd:");
	/* Gone together with the worker: that is what was wanted. */
	return r == -ECONNRESET || r == -EPIPE ? 0 : r;
}

/* HUP: the policy has changed; what is wrong with it is said here. */
static int
launcher_on_signal(int fd, int signal_fd)
{
	struct signalfd_siginfo info;
	int r;

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return 2;
	if (info.ssi_signo != SIGHUP)
		return launcher_stop(fd);
	r = launcher_send(fd, OP_RELOAD, NULL, 0);
	if (r == 0)
		r = launcher_answer(fd, LAUNCHER_ANSWER_MS,
				    "reload the policy:");
	return r == -ECONNRESET || r == -EPIPE ? 1 : 2;
}

/*
 * In the foreground: until a signal, or until the spawner says on the
 * connection that the worker has ended cleanly. The end of the connection
 * alone is the spawner's death, and then there has to be a new one. 0 = all is
 * over, 1 = ensure again, 2 = wait on.
 */
static int
launcher_wait(int fd, int signal_fd)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN },
			      { .fd = signal_fd, .events = POLLIN } };
	uint8_t buf[2048];
	int r;

	do
		r = poll(p, ARRAY_SIZE(p), -1);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (p[1].revents)
		return launcher_on_signal(fd, signal_fd);
	return fd_recv(fd, buf, sizeof(buf), NULL, 0, NULL) > 0 ? 0 : 1;
}

/*
 * The spawner has died. Whatever it was may end the next one as well, and the
 * containers go on meanwhile: not given up at the first failure.
 */
static int
launcher_ensure_again(const struct launch *launch, int *fd)
{
	int64_t end = clock_boottime_ms() + LAUNCHER_PATIENCE_MS;
	int r;

	fprintf(stderr, "nsexecd: the spawner in %s has died\n", launch->dir);
	fd_close(fd);
	for (;;) {
		r = launcher_ensure(launch, fd);
		if (r == 0 || clock_boottime_ms() >= end)
			return r;
		usleep(LAUNCHER_AGAIN_US);
	}
}

static int
launcher_watch(const struct launch *launch, int *fd, int signal_fd)
{
	int r;

	for (;;) {
		r = launcher_wait(*fd, signal_fd);
		if (r <= 0)
			return r;
		if (r == 2)
			continue;
		r = launcher_ensure_again(launch, fd);
		if (r < 0)
			return r;
	}
}

static int
launcher_block_signals(int *ret_fd)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int
launcher_run(const struct launcher_config *config)
{
	struct launch launch __attribute__((cleanup(launch_deinit))) =
		LAUNCH_NULL;
	fd_auto int fd = -1, signal_fd = -1;
	int r;

	r = launcher_block_signals(&signal_fd);
	if (r < 0)
		return r;
	r = launch_init(&launch, config);
	if (r < 0)
		return r;
	r = launcher_ensure(&launch, &fd);
	if (r < 0 && config->detach)
		fprintf(stderr,
			"nsexecd: without --detach nsexecd says more\n");
	if (r < 0 || config->detach)
		return r;
	return launcher_watch(&launch, &fd, signal_fd);
}

int
launcher_ensure_spawner(const struct launcher_config *config, uid_t *ret_uid,
			gid_t *ret_gid)
{
	struct launch launch __attribute__((cleanup(launch_deinit))) =
		LAUNCH_NULL;
	fd_auto int fd = -1;
	int r;

	r = launch_init(&launch, config);
	if (r < 0)
		return r;
	r = launcher_connect(&launch, &fd);
	if (r < 0)
		return r;
	*ret_uid = launch.uid;
	*ret_gid = launch.gid;
	return 0;
}
