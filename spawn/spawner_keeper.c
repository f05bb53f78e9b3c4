/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, watching and ending the worker. See spawner_keeper.h. */
#include "spawn/spawner_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/sys.h"
#include "spawn/spawner.h"
#include "spawn/spawner_log.h"
#include "spawn/spawner_ops.h"

#define KEEPER_READY_MS 15000
#define KEEPER_STOP_MS 10000
#define KEEPER_PAUSE_MIN_MS 100
#define KEEPER_PAUSE_MAX_MS 5000
#define KEEPER_STEADY_MS 10000 /* lived that long: throttle anew */
#define KEEPER_REAP_POLL_MS 50

static void keeper_start(struct spawner *spawner);

void
keeper_init(struct keeper *keeper)
{
	memset(keeper, 0, sizeof(*keeper));
	keeper->pidfd = -1;
	keeper->program_fd = -1;
	keeper->rpc_fd = -1;
	keeper->channel_fd = -1;
	keeper->watch.fd = -1;
	keeper_store_init(keeper);
}

/* The worker is ready: say so to one who asked for it. */
static void
keeper_tell_ready(struct spawner *spawner, uint64_t conn_id, uint32_t seq)
{
	struct conn *conn = conn_find(spawner, conn_id);

	if (!conn)
		return;
	conn->was_kept = true;
	conn->keep_seq = seq;
	answer_done(spawner, conn_id, seq);
}

/* Answer those who wait for readiness (stop false) or for the end (true). */
static void
keeper_answer(struct spawner *spawner, bool stop,
	      const struct answer_error *error)
{
	struct keeper_waiter *waiter;
	size_t i;

	for (i = 0; i < KEEPER_WAITERS; i++) {
		waiter = &spawner->keeper.waiters[i];
		if (waiter->conn_id == 0 || waiter->stop != stop)
			continue;
		if (error)
			answer_error(spawner, waiter->conn_id, waiter->seq,
				     error);
		else if (stop)
			answer_done(spawner, waiter->conn_id, waiter->seq);
		else
			keeper_tell_ready(spawner, waiter->conn_id,
					  waiter->seq);
		waiter->conn_id = 0;
	}
}

static void
keeper_fail(struct spawner *spawner, enum errcode code, const char *rule)
{
	const struct answer_error error = { .code = code, .rule = rule };

	keeper_answer(spawner, false, &error);
}

static void
keeper_wait(struct spawner *spawner, const struct request *request, bool stop)
{
	struct keeper_waiter *waiter;
	size_t i;

	for (i = 0; i < KEEPER_WAITERS; i++) {
		waiter = &spawner->keeper.waiters[i];
		/* One of a connection that is gone may be taken over. */
		if (waiter->conn_id && conn_find(spawner, waiter->conn_id))
			continue;
		waiter->conn_id = request->conn_id;
		waiter->seq = request->seq;
		waiter->stop = stop;
		return;
	}
	ops_refuse(spawner, request, ERRCODE_OVERLOADED, "too many wait");
}

/* There is no worker and there shall be none: the instance is down. */
static void
keeper_to_none(struct spawner *spawner)
{
	struct keeper *keeper = &spawner->keeper;
	struct conn *conn;
	size_t i;

	keeper->state = KEEPER_NONE;
	timer_clear(&spawner->loop, TIMER_WORKER);
	fd_close(&keeper->rpc_fd);
	fd_close(&keeper->channel_fd);
	rundir_remove(&spawner->rundir, RUNDIR_RPC_SOCKET);
	rundir_remove(&spawner->rundir, RUNDIR_FD_SOCKET);
	keeper_answer(spawner, true, NULL);
	keeper_fail(spawner, ERRCODE_FAILED_PRECONDITION, "nsexecd has ended");
	/* Launchers in the foreground: a second DONE, and then the end. The end
	 * alone would mean that we died. */
	for (i = 0; i < CONN_MAX; i++) {
		conn = &spawner->conns.conns[i];
		if (!conn->id || !conn->is_keeper)
			continue;
		if (conn->was_kept)
			answer_done(spawner, conn->id, conn->keep_seq);
		conn_finish(spawner, conn);
	}
}

/* Soon another one; each later than the one before, unless that lived. */
static void
keeper_back_off(struct spawner *spawner, int64_t lived)
{
	struct keeper *keeper = &spawner->keeper;

	keeper->pause_ms = keeper->pause_ms == 0 || lived >= KEEPER_STEADY_MS
				   ? KEEPER_PAUSE_MIN_MS
				   : keeper->pause_ms * 2;
	if (keeper->pause_ms > KEEPER_PAUSE_MAX_MS)
		keeper->pause_ms = KEEPER_PAUSE_MAX_MS;
	keeper->state = KEEPER_BACKOFF;
	timer_set(&spawner->loop, TIMER_WORKER, keeper->pause_ms);
}

/* The worker is gone. status as wait(2) gives it. */
static void
keeper_on_end(struct spawner *spawner, int status)
{
	struct keeper *keeper = &spawner->keeper;
	int64_t lived = clock_boottime_ms() - keeper->started_ms;
	enum keeper_state state = keeper->state;
	bool handed_over;

	watch_remove(&spawner->loop, &keeper->watch);
	fd_close(&keeper->pidfd);
	keeper->pid = 0;
	keeper->adopted = false;
	handed_over = state == KEEPER_READY && WIFEXITED(status) &&
		      WEXITSTATUS(status) == KEEPER_HANDED_OVER;
	if (state != KEEPER_STOPPING && status != 0 && !handed_over)
		log_note("nsexecd ended: %s %d",
			 WIFSIGNALED(status) ? "signal" : "exit status",
			 WIFSIGNALED(status) ? WTERMSIG(status)
					     : WEXITSTATUS(status));
	if (state == KEEPER_STARTING && !keeper->was_ready)
		keeper_fail(spawner, ERRCODE_FAILED_PRECONDITION,
			    "nsexecd ended before it was ready");
	if (state == KEEPER_STOPPING || status == 0 || !keeper->was_ready ||
	    keeper->program_fd < 0) {
		keeper_to_none(spawner);
		return;
	}
	if (handed_over) { /* it was ready, so this is no tight loop */
		keeper_start(spawner);
		return;
	}
	keeper_back_off(spawner, lived);
}

/* What the kernel kept in the pidfd of one that was reaped (Linux 6.15). */
static bool
keeper_kept_status(const struct keeper *keeper, int *ret_status)
{
	struct sys_pidfd_info info = { .mask = SYS_PIDFD_INFO_EXIT };

	if (ioctl(keeper->pidfd, SYS_PIDFD_GET_INFO, &info) < 0 ||
	    !(info.mask & SYS_PIDFD_INFO_EXIT))
		return false;
	*ret_status = info.exit_code;
	return true;
}

/*
 * How a worker ended that is not our child: the kernel shows it on the zombie,
 * and from 6.15 on in the pidfd of one that was reaped. If it was reaped and
 * the kernel is older, an empty pid file means a clean end. 0 and *ret_status,
 * -EAGAIN: it runs.
 */
static int
keeper_adopted_status(struct spawner *spawner, int *ret_status)
{
	struct keeper *keeper = &spawner->keeper;
	int r;

	if (keeper_kept_status(keeper, ret_status))
		return 0;
	/* Not reaped while the pidfd answers: then the pid is its own still. */
	r = proc_exit_read(spawner->proc_fd, keeper->pid, ret_status);
	if (sys_pidfd_send_signal(keeper->pidfd, 0) == 0)
		return r == 0 ? 0 : -EAGAIN;
	if (keeper_kept_status(keeper, ret_status)) /* reaped meanwhile */
		return 0;
	*ret_status =
		rundir_worker_pid_is_empty(&spawner->rundir) ? 0 : SIGKILL;
	return 0;
}

static void
keeper_on_worker(struct spawner *spawner, void *userdata, uint32_t events)
{
	struct keeper *keeper = &spawner->keeper;
	struct child_exit end;
	int r, status;

	if (keeper->adopted) {
		r = keeper_adopted_status(spawner, &status);
		if (r == -EAGAIN) {
			watch_remove(&spawner->loop, &keeper->watch);
			timer_set(&spawner->loop, TIMER_WORKER,
				  KEEPER_REAP_POLL_MS);
			return;
		}
		keeper_on_end(spawner, status);
		return;
	}
	r = child_reap(keeper->pid, &end);
	if (r == 0) {
		keeper_on_end(spawner, (int)end.wait_status);
		return;
	}
	/* Its pidfd says that it has ended, and a tracer has not let go of it
	 * (ptrace(2)): look again, but not all the time. */
	if (r != -EBUSY)
		log_error(-r, "cannot reap nsexecd %d", keeper->pid);
	watch_remove(&spawner->loop, &keeper->watch);
	timer_set(&spawner->loop, TIMER_WORKER, KEEPER_REAP_POLL_MS);
}

static int
keeper_watch(struct spawner *spawner)
{
	struct keeper *keeper = &spawner->keeper;

	keeper->watch.fn = keeper_on_worker;
	keeper->started_ms = clock_boottime_ms();
	return watch_add(&spawner->loop, &keeper->watch, keeper->pidfd,
			 EPOLLIN);
}

static int
keeper_listen(struct spawner *spawner)
{
	/* Everybody may call, since everybody gets what is his own; without
	 * root there is only the user himself to serve. */
	const mode_t mode = spawner->rootless ? 0600 : 0666;
	const struct rundir_socket rpc = { RUNDIR_RPC_SOCKET, SOCK_STREAM, mode,
					   geteuid(), getegid() };
	const struct rundir_socket channel = { RUNDIR_FD_SOCKET, SOCK_SEQPACKET,
					       mode, geteuid(), getegid() };
	struct keeper *keeper = &spawner->keeper;
	int r = 0;

	if (keeper->rpc_fd < 0)
		r = rundir_listen(&spawner->rundir, &rpc, &keeper->rpc_fd);
	if (r == 0 && keeper->channel_fd < 0)
		r = rundir_listen(&spawner->rundir, &channel,
				  &keeper->channel_fd);
	return r;
}

static int
keeper_try_start(struct spawner *spawner)
{
	struct keeper *keeper = &spawner->keeper;
	int r;

	r = keeper_listen(spawner);
	if (r < 0)
		return r;
	r = rundir_make_worker_pid(&spawner->rundir,
				   spawner->options.worker_uid,
				   spawner->options.worker_gid);
	if (r < 0)
		return r;
	r = worker_start(spawner, &keeper->pid, &keeper->pidfd);
	if (r < 0)
		return r;
	keeper->adopted = false;
	keeper->state = KEEPER_STARTING;
	timer_set(&spawner->loop, TIMER_WORKER, KEEPER_READY_MS);
	return keeper_watch(spawner);
}

static void
keeper_start(struct spawner *spawner)
{
	struct keeper *keeper = &spawner->keeper;
	int r = keeper_try_start(spawner);

	if (r == 0)
		return;
	log_error(-r, "cannot start nsexecd");
	if (keeper->pid) {
		/* It runs and cannot be watched: look for its end by timer. */
		sys_pidfd_send_signal(keeper->pidfd, SIGKILL);
		timer_set(&spawner->loop, TIMER_WORKER, KEEPER_REAP_POLL_MS);
		return;
	}
	if (keeper->was_ready) { /* it served, and is to serve again */
		keeper_back_off(spawner, 0);
		return;
	}
	keeper_fail(spawner, ERRCODE_INTERNAL, "nsexecd cannot be started");
	keeper_to_none(spawner);
}

void
keeper_stop(struct spawner *spawner)
{
	struct keeper *keeper = &spawner->keeper;

	if (keeper->pid == 0) {
		keeper_to_none(spawner);
		return;
	}
	if (keeper->state == KEEPER_STOPPING)
		return;
	keeper->state = KEEPER_STOPPING;
	sys_pidfd_send_signal(keeper->pidfd, SIGTERM);
	timer_set(&spawner->loop, TIMER_WORKER, KEEPER_STOP_MS);
}

void
keeper_on_timer(struct spawner *spawner)
{
	struct keeper *keeper = &spawner->keeper;

	if (keeper->pid && keeper->watch.fd < 0) {
		keeper_on_worker(spawner, NULL, 0);
		return;
	}
	switch (keeper->state) {
	case KEEPER_BACKOFF:
		keeper_start(spawner);
		break;
	case KEEPER_STARTING:
		/* Not killed: it may only be slow. Whoever waits is told. */
		keeper_fail(spawner, ERRCODE_DEADLINE,
			    "nsexecd was not ready within 15 s");
		break;
	case KEEPER_STOPPING:
		log_note("nsexecd did not end within 10 s: killed");
		sys_pidfd_send_signal(keeper->pidfd, SIGKILL);
		break;
	case KEEPER_NONE:
	case KEEPER_READY:
		break;
	}
}

void
keeper_on_ping(struct spawner *spawner, const struct conn *conn)
{
	struct keeper *keeper = &spawner->keeper;

	if (!keeper_is_worker(keeper, conn->pid) ||
	    keeper->state != KEEPER_STARTING)
		return;
	keeper->state = KEEPER_READY;
	keeper->was_ready = true;
	timer_clear(&spawner->loop, TIMER_WORKER);
	keeper_answer(spawner, false, NULL);
}

void
keeper_adopt(struct spawner *spawner)
{
	struct keeper *keeper = &spawner->keeper;
	fd_auto int pidfd = -1;
	uid_t uid;
	pid_t pid;
	int r;

	pid = spawner->options.system ? 0 : rundir_worker(&spawner->rundir);
	if (pid == 0)
		return;
	pidfd = sys_pidfd_open(pid);
	if (pidfd < 0) {
		pidfd = -1;
		return;
	}
	/* The pidfd pins it; then it must still hold the lock. */
	if (proc_uid_read(spawner->proc_fd, pid, &uid) < 0 ||
	    uid != spawner->options.worker_uid ||
	    rundir_worker(&spawner->rundir) != pid)
		return;
	keeper->pid = pid;
	keeper->pidfd = fd_steal(&pidfd);
	keeper->adopted = true;
	/* It served before we came: if it ends now, there is to be another. */
	keeper->was_ready = true;
	keeper->state = KEEPER_STARTING;
	timer_set(&spawner->loop, TIMER_WORKER, KEEPER_READY_MS);
	r = keeper_watch(spawner);
	if (r < 0)
		log_error(-r, "cannot watch nsexecd %d", pid);
	log_note("took over nsexecd %d", pid);
}

int
keeper_resume(struct spawner *spawner, int64_t started_ms)
{
	struct keeper *keeper = &spawner->keeper;
	int r = keeper->pid ? keeper_watch(spawner) : 0;

	keeper->started_ms = started_ms;
	return r;
}

void
keeper_deinit(struct spawner *spawner)
{
	struct keeper *keeper = &spawner->keeper;

	watch_remove(&spawner->loop, &keeper->watch);
	fd_close(&keeper->pidfd);
	fd_close(&keeper->program_fd);
	fd_close(&keeper->rpc_fd);
	fd_close(&keeper->channel_fd);
	keeper_store_clear(keeper);
}

/* The worker's further arguments. 0, -EBADMSG, or -errno of reading. */
static int
keeper_read_args(struct keeper *keeper, int fd)
{
	ssize_t n = pread(fd, keeper->args, sizeof(keeper->args), 0);
	size_t i, count = 0;

	keeper->args_size = 0;
	if (n < 0)
		return -errno;
	if (n == 0)
		return 0;
	for (i = 0; i < (size_t)n; i++)
		count += keeper->args[i] == '\0';
	if ((size_t)n == sizeof(keeper->args) || keeper->args[n - 1] != '\0' ||
	    count > KEEPER_ARGS_MAX)
		return -EBADMSG;
	keeper->args_size = (size_t)n;
	return 0;
}

/* Take what KEEP brought: a sealed program, and perhaps its arguments. */
static const char *
keeper_take(struct keeper *keeper, const struct request *request)
{
	const int need = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(request->fds[0], F_GET_SEALS);
	int fd;

	if (seals < 0 || (seals & need) != need)
		return "the program is a sealed memfd";
	if (request->n_fds > 1 && keeper_read_args(keeper, request->fds[1]) < 0)
		return "the arguments are at most 32 and 4 KiB";
	fd = fcntl(request->fds[0], F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return "no descriptor is free";
	fd_close(&keeper->program_fd);
	keeper->program_fd = fd;
	return NULL;
}

void
op_keep(struct spawner *spawner, const struct request *request,
	const struct op_message *msg)
{
	struct keeper *keeper = &spawner->keeper;
	const char *rule;

	if (spawner->options.system) {
		ops_refuse(spawner, request, ERRCODE_UNSUPPORTED,
			   "systemd keeps nsexecd");
		return;
	}
	if (keeper->state == KEEPER_STOPPING || spawner->ending) {
		ops_refuse(spawner, request, ERRCODE_CONFLICT,
			   "the instance is being stopped");
		return;
	}
	rule = keeper_take(keeper, request);
	if (rule) {
		ops_refuse(spawner, request, ERRCODE_INVALID_ARGUMENT, rule);
		return;
	}
	request->conn->is_keeper = true;
	if (keeper->state == KEEPER_READY) {
		keeper_tell_ready(spawner, request->conn_id, request->seq);
		return;
	}
	keeper_wait(spawner, request, false);
	if (keeper->state == KEEPER_NONE) {
		keeper->was_ready = false;
		keeper->pause_ms = 0;
		/* One may live that nobody gave us: started by systemd's
		 * socket activation, say. */
		keeper_adopt(spawner);
		if (keeper->state == KEEPER_NONE)
			keeper_start(spawner);
	} else if (keeper->state == KEEPER_BACKOFF) {
		keeper_start(spawner);
	}
}

void
op_stop(struct spawner *spawner, const struct request *request,
	const struct op_message *msg)
{
	if (spawner->options.system) {
		ops_refuse(spawner, request, ERRCODE_UNSUPPORTED,
			   "systemd keeps nsexecd");
		return;
	}
	keeper_wait(spawner, request, true);
	keeper_stop(spawner);
}
