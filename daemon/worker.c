/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the unprivileged nsexecd; see worker.h.
 *
 *	pid file (locked) -> confined -> loop, core, server -> PING answered:
 *	READY=1 -> ... -> TERM or INT: STOPPING=1, no new call, what is in
 *	flight is answered (5 s) -> end. Containers go on under the spawner.
 */
#include "daemon/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/audit.h"
#include "daemon/confine.h"
#include "daemon/core.h"
#include "daemon/handover.h"
#include "daemon/lease.h"
#include "daemon/loop.h"
#include "daemon/metrics.h"
#include "daemon/notify.h"
#include "daemon/quota.h"
#include "daemon/rpc.h"
#include "daemon/store.h"
#include "daemon/store_pidfds.h"
#include "daemon/who_ask.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"

#define DRAIN_TURN_MS 10
/* Descriptors that are no connection: records, pidfds of the first starts. */
#define FD_RESERVE 256

struct worker {
	struct daemon daemon; /* first: callbacks get it */
	int pid_fd;
	struct store_pidfds *pidfds;
	struct watch *on_term, *on_int, *on_hup, *watchdog, *drain;
	int64_t watchdog_ms, drain_end_ms;
};

/*
 * One nsexecd an instance. The lock is the kernel's (fcntl), so it ends with
 * the process and never lies; the file's text is for people.
 */
static int
pid_file_lock(const char *path, bool must_exist, int *ret_fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	fd_auto int fd = -1;
	char text[16];
	int n;

	fd = open(path,
		  O_RDWR | O_CLOEXEC | O_NOFOLLOW | (must_exist ? 0 : O_CREAT),
		  0644);
	if (fd < 0) {
		n = -errno;
		log_error("%s: cannot open: %s", path, strerror(-n));
		return n;
	}
	if (fcntl(fd, F_SETLK, &lock) < 0) {
		n = errno == EACCES || errno == EAGAIN ? -EEXIST : -errno;
		log_error("%s: cannot lock: %s", path,
			  n == -EEXIST ? "another nsexecd serves this "
					 "directory"
				       : strerror(-n));
		return n;
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n) {
		log_error("%s: cannot write: %s", path, strerror(errno));
		return -EIO;
	}
	/* Until here the spawner's death is ours: the next one would not find
	 * us, and start another on the same records. From here it does. */
	if (prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

static void
worker_on_watchdog(void *userdata)
{
	struct worker *worker = userdata;

	/* From the loop: a loop that is stuck sends none. */
	notify_watchdog();
	watch_timer_set(worker->watchdog, worker->watchdog_ms);
}

static void
worker_on_drain(void *userdata)
{
	struct worker *worker = userdata;
	struct daemon *daemon = &worker->daemon;

	if ((server_idle(daemon->server) && core_idle(daemon)) ||
	    clock_boottime_ms() >= worker->drain_end_ms) {
		loop_quit(daemon->loop);
		return;
	}
	watch_timer_set(worker->drain, DRAIN_TURN_MS);
}

static void
worker_on_end_signal(void *userdata, int signal_number)
{
	struct worker *worker = userdata;
	struct daemon *daemon = &worker->daemon;

	if (daemon->draining)
		return;
	daemon->draining = true;
	log_info("ending on signal %d; containers go on", signal_number);
	notify_stopping();
	server_drain(daemon->server);
	worker->drain_end_ms =
		clock_boottime_ms() + daemon->config->limits.drain_timeout_ms;
	watch_timer_set(worker->drain, DRAIN_TURN_MS);
}

static void
worker_on_hup(void *userdata, int signal_number)
{
	struct worker *worker = userdata;

	handover_begin(worker->daemon.handover);
}

static void
worker_on_ready(struct daemon *daemon)
{
	handover_settle(daemon->handover);
	notify_ready();
	log_info("ready: serving %s", daemon->config->rpc_socket);
}

static int
worker_watch(struct worker *worker)
{
	struct loop *loop = worker->daemon.loop;
	uint64_t usec = notify_watchdog_usec();
	int r;

	r = watch_new_signal(loop, SIGTERM, worker_on_end_signal, worker,
			     &worker->on_term);
	if (r == 0)
		r = watch_new_signal(loop, SIGINT, worker_on_end_signal, worker,
				     &worker->on_int);
	if (r == 0)
		r = watch_new_signal(loop, SIGHUP, worker_on_hup, worker,
				     &worker->on_hup);
	if (r == 0)
		r = watch_new_timer(loop, worker_on_drain, worker,
				    &worker->drain);
	if (r < 0 || usec == 0)
		return r;
	worker->watchdog_ms = (int64_t)(usec / 2000);
	if (worker->watchdog_ms == 0)
		worker->watchdog_ms = 1;
	r = watch_new_timer(loop, worker_on_watchdog, worker,
			    &worker->watchdog);
	if (r == 0)
		worker_on_watchdog(worker);
	return r;
}

/* Connections must leave room for pidfds: 20,000 descriptors may be all. */
static unsigned int
connections_max(const struct config *config)
{
	unsigned int max = config->limits.connections;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return max;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0 &&
		    getrlimit(RLIMIT_NOFILE, &limit) < 0)
			return max;
	}
	if (limit.rlim_cur <= 2 * FD_RESERVE)
		return FD_RESERVE / 2;
	return limit.rlim_cur - FD_RESERVE < max
		       ? (unsigned int)(limit.rlim_cur - FD_RESERVE)
		       : max;
}

static int
worker_open(struct worker *worker, struct notify_fds *sockets)
{
	struct daemon *daemon = &worker->daemon;
	const struct config *config = daemon->config;
	const struct server_config server_config = {
		.rpc_listener = sockets->rpc,
		.fd_listener = sockets->fd,
		.max_connections = connections_max(config),
		.limits = owner_limits,
		.ask = who_ask,
		.initial_limits = &config->limits.owner,
		.audit = audit_verdict,
		.failed = metrics_on_error,
		.service = "nsexec.v1.Nsexec",
		.methods = rpc_methods,
		.stream_drained = rpc_stream_drained,
		.closed = lease_on_closed,
	};
	const struct store_fds stored = { fd_steal(&sockets->ring),
					  fd_steal(&sockets->handover) };
	int r;

	r = store_new(daemon, &stored, &daemon->store);
	if (r == 0)
		r = loop_new(&daemon->loop);
	if (r == 0)
		r = core_new(daemon);
	if (r == 0 && config->system)
		r = store_pidfds_new(daemon, &sockets->pidfds, &worker->pidfds);
	if (r < 0)
		return r;
	r = server_new(daemon->loop, daemon, &server_config, &daemon->server);
	if (r < 0)
		return r;
	sockets->rpc = -1;
	sockets->fd = -1;
	r = handover_new(daemon, &daemon->handover);
	if (r < 0)
		return r;
	handover_take(daemon->handover);
	return worker_watch(worker);
}

/* clean: it was told to end, or has handed over. */
static void
worker_close(struct worker *worker, bool clean)
{
	struct daemon *daemon = &worker->daemon;

	daemon->handover = handover_free(daemon->handover);
	daemon->server = server_free(daemon->server);
	worker->pidfds = store_pidfds_free(worker->pidfds);
	core_deinit(daemon);
	daemon->store = store_free(daemon->store);
	worker->on_term = watch_free(worker->on_term);
	worker->on_int = watch_free(worker->on_int);
	worker->on_hup = watch_free(worker->on_hup);
	worker->watchdog = watch_free(worker->watchdog);
	worker->drain = watch_free(worker->drain);
	daemon->loop = loop_free(daemon->loop);
	/* An empty file says: ended, and nobody is to serve here. After a
	 * failure another nsexecd is. */
	if (clean && worker->pid_fd >= 0 && ftruncate(worker->pid_fd, 0) < 0)
		log_warning("pid file: cannot empty: %s", strerror(errno));
	fd_close(&worker->pid_fd);
}

static int
worker_serve(struct worker *worker, struct notify_fds *sockets)
{
	struct daemon *daemon = &worker->daemon;
	const struct config *config = daemon->config;
	int r;

	if (config->private_instance) {
		r = pid_file_lock(config->pid_file, config->worker,
				  &worker->pid_fd);
		if (r < 0)
			return r;
	}
	r = confine_self(config->records_dir);
	if (r < 0) {
		log_error("cannot confine nsexecd: %s", strerror(-r));
		return r;
	}
	r = worker_open(worker, sockets);
	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return r;
	}
	core_on_ready(daemon, worker_on_ready);
	core_start(daemon);
	return loop_run(daemon->loop);
}

int
worker_run(const struct config *config, const struct notify_fds *fds)
{
	struct worker worker = { .daemon = { .config = config }, .pid_fd = -1 };
	struct notify_fds owned = *fds;
	int r;

	/* HUP before there is a loop to hear it: nothing to hand over yet */
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    signal(SIGHUP, SIG_IGN) == SIG_ERR)
		return -errno;
	r = worker_serve(&worker, &owned);
	worker_close(&worker, r == 0);
	fd_close(&owned.rpc);
	fd_close(&owned.fd);
	fd_close(&owned.ring);
	fd_close(&owned.handover);
	notify_pidfds_deinit(&owned.pidfds);
	return r;
}
