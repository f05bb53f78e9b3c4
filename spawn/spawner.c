/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nsexec-spawner: the parent of every container process, and the only part
 * that runs as root. One thread, one loop, one small message format, libc
 * alone. It never opens a path on a caller's word and never waits for a stage.
 *
 * Diagnostics: exit status 0 at a clean end, 1 if it cannot start, 3 if
 * another spawner has the run directory. Lines on standard error begin
 * "spawner: ".
 */
#include "spawn/spawner.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "spawn/spawner_log.h"
#include "spawn/spawner_options.h"
#include "spawn/spawner_process.h"
#include "spawn/stage.h"

#define IDLE_MS 5000
#define EXIT_DIR_IN_USE 3

static void
spawner_on_signal(struct spawner *spawner, void *userdata, uint32_t events)
{
	struct signalfd_siginfo info;

	if (read(spawner->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD) {
		sweep_soon(spawner);
	} else if (info.ssi_signo == SIGHUP) {
		policy_reload(spawner);
	} else if (spawner->options.system) {
		/* systemd's KillMode=process leaves the containers alone. */
		spawner->loop.quit = true;
	} else {
		spawner->ending = true;
		keeper_stop(spawner);
	}
}

struct census {
	const struct spawner *spawner;
	size_t n;
};

static void
spawner_count_child(void *userdata, pid_t pid)
{
	struct census *census = userdata;
	struct child_exit end;

	if (!zygotes_has(&census->spawner->zygotes, pid) &&
	    child_peek(pid, &end) == 0 && !end.exited)
		census->n++;
}

/* Does no child live, strays of containers that are gone counted as well? */
static bool
spawner_is_childless(const struct spawner *spawner)
{
	struct census census = { spawner, 0 };

	return proc_children(spawner->proc_fd, spawner_count_child, &census) ==
		       0 &&
	       census.n == 0;
}

/* Is anything left to live for? A dead child's status is, until we are told. */
static bool
spawner_is_idle(struct spawner *spawner)
{
	if (spawner->options.system || spawner->starts.count > 0 ||
	    spawner->removals.count > 0 || spawner->keeper.state != KEEPER_NONE)
		return false;
	if (!spawner->ending)
		return spawner->conns.count == 0 &&
		       spawner->children.count == 0;
	return spawner_is_childless(spawner);
}

static void
spawner_on_idle(struct spawner *spawner)
{
	if (spawner_is_idle(spawner) && spawner_is_childless(spawner))
		spawner->loop.quit = true;
}

/* After every event. */
static void
spawner_after_event(struct spawner *spawner)
{
	reexec_after_event(spawner);
	if (!spawner_is_idle(spawner))
		timer_clear(&spawner->loop, TIMER_IDLE);
	else if (spawner->ending)
		spawner->loop.quit = true;
	else if (!timer_is_set(&spawner->loop, TIMER_IDLE))
		timer_set(&spawner->loop, TIMER_IDLE, IDLE_MS);
}

static void
spawner_init(struct spawner *spawner)
{
	spawner->rootless = geteuid() != 0;
	spawner->proc_fd = -1;
	spawner->signal_fd = -1;
	spawner->signal_watch = (struct watch){ -1, spawner_on_signal, NULL };
	spawner->loop.epoll_fd = -1;
	spawner->loop.timers[TIMER_STARTS].fn = start_on_timer;
	spawner->loop.timers[TIMER_REMOVALS].fn = removal_on_timer;
	spawner->loop.timers[TIMER_PRUNE].fn = removal_on_prune;
	spawner->loop.timers[TIMER_SWEEP].fn = sweep_on_timer;
	spawner->loop.timers[TIMER_LISTEN].fn = conn_on_timer;
	spawner->loop.timers[TIMER_WORKER].fn = keeper_on_timer;
	spawner->loop.timers[TIMER_IDLE].fn = spawner_on_idle;
	spawner->loop.timers[TIMER_ZYGOTES].fn = zygotes_on_timer;
	spawner->loop.timers[TIMER_RESOLVER].fn = defer_on_timer;
	spawner->loop.timers[TIMER_REEXEC].fn = reexec_on_timer;
	spawner->rundir.fd = -1;
	spawner->rundir.gates_fd = -1;
	spawner->rundir.pid_fd = -1;
	spawner->cgroups.fd = -1;
	spawner->cgroups.parent_fd = -1;
	spawner->cgroups.hierarchy_fd = -1;
	conn_table_init(&spawner->conns);
	start_table_init(&spawner->starts);
	keeper_init(&spawner->keeper);
	zygotes_init(&spawner->zygotes);
	resolver_init(&spawner->resolver);
	look_table_init(&spawner->looks);
}

static void
spawner_deinit(struct spawner *spawner)
{
	reexec_deinit(spawner);
	conn_table_deinit(spawner);
	zygotes_deinit(spawner);
	defer_deinit(spawner);
	resolver_deinit(spawner);
	look_table_deinit(spawner);
	policy_deinit(spawner);
	start_table_deinit(spawner);
	keeper_deinit(spawner);
	child_table_deinit(&spawner->children);
	orphan_table_deinit(&spawner->orphans);
	cgroup_root_deinit(&spawner->cgroups);
	rundir_deinit(&spawner->rundir);
	watch_remove(&spawner->loop, &spawner->signal_watch);
	fd_close(&spawner->signal_fd);
	fd_close(&spawner->proc_fd);
	loop_deinit(&spawner->loop);
}

/*
 * An ordinary user has cgroups only where some were delegated (systemd's
 * Delegate=). Without, containers are trees of processes: spawner_place.h.
 */
static int
spawner_open_cgroups(struct spawner *spawner)
{
	const struct spawner_options *options = &spawner->options;
	const char *path = options->cgroup_root;
	int r;

	if (options->system && !path)
		r = cgroup_root_delegated(&spawner->cgroups, spawner->proc_fd);
	else
		r = cgroup_root_open(&spawner->cgroups, path,
				     &spawner->rundir.stat, spawner->proc_fd);
	if (r < 0 && spawner->rootless && !path) {
		cgroup_root_deinit(&spawner->cgroups);
		log_note("no cgroup was delegated to uid %u: containers are "
			 "trees of processes",
			 geteuid());
		return 0;
	}
	if (r < 0)
		log_error(-r,
			  "cannot use cgroup root %s (a cgroup v2 "
			  "directory)",
			  path ? path : "below its own");
	else
		cgroup_root_controllers(&spawner->cgroups);
	return r;
}

/* Directory and cgroups: what must be ours before anybody is let in. */
static int
spawner_open_places(struct spawner *spawner)
{
	const struct spawner_options *options = &spawner->options;
	int r;

	r = proc_open(&spawner->proc_fd);
	if (r == 0)
		r = stage_own_namespaces(spawner->proc_fd, spawner->namespaces);
	if (r == 0)
		r = confinement_read_own(spawner->proc_fd, &spawner->own);
	if (r < 0) {
		log_error(-r, "cannot open a procfs");
		return r;
	}
	r = rundir_open(&spawner->rundir, options->run_dir, options->worker_uid,
			options->worker_gid);
	if (r < 0) {
		log_error(-r,
			  "cannot use run directory %s (it must be "
			  "our own, and writable for nobody else)",
			  options->run_dir);
		return r;
	}
	r = rundir_lock(&spawner->rundir);
	if (r == -EAGAIN)
		return r; /* a race of two launchers: nothing to tell */
	if (r < 0) {
		log_error(-r, "cannot lock %s/spawner.pid", options->run_dir);
		return r;
	}
	return spawner_open_cgroups(spawner);
}

static int
spawner_listen(struct spawner *spawner)
{
	const struct rundir_socket socket = { RUNDIR_SPAWNER_SOCKET,
					      SOCK_SEQPACKET, 0600,
					      spawner->options.worker_uid,
					      spawner->options.worker_gid };
	int fd = spawner->options.listener_fd, r = 0;

	if (fd < 0)
		r = rundir_listen(&spawner->rundir, &socket, &fd);
	if (r == 0)
		r = conn_listen(spawner, fd);
	if (r < 0)
		log_error(-r, "cannot listen on %s/%s",
			  spawner->options.run_dir, RUNDIR_SPAWNER_SOCKET);
	return r;
}

static int
spawner_start(struct spawner *spawner)
{
	int r;

	r = process_init(spawner);
	if (r < 0)
		return r;
	r = spawner_open_places(spawner);
	if (r < 0)
		return r;
	r = loop_init(&spawner->loop);
	if (r == 0)
		r = watch_add(&spawner->loop, &spawner->signal_watch,
			      spawner->signal_fd, EPOLLIN);
	if (r < 0) {
		log_error(-r, "cannot make an event loop");
		return r;
	}
	orphans_find(spawner);
	resolver_open(spawner);
	policy_open(spawner);
	keeper_adopt(spawner);
	if (spawner->keeper.state == KEEPER_NONE) {
		r = rundir_make_worker_pid(&spawner->rundir,
					   spawner->options.worker_uid,
					   spawner->options.worker_gid);
		if (r < 0) {
			log_error(-r, "cannot make %s", RUNDIR_WORKER_PID);
			return r;
		}
	}
	return spawner_listen(spawner);
}

/* One byte for who started us: 'R' = we listen, 'B' = another one does. */
static void
spawner_tell(struct spawner *spawner, const char *byte)
{
	if (spawner->options.ready_fd >= 0 &&
	    write(spawner->options.ready_fd, byte, 1) != 1)
		log_error(errno, "cannot say that we are ready");
	fd_close(&spawner->options.ready_fd);
}

/* Everybody may know: we serve. */
static void
spawner_serve(struct spawner *spawner)
{
	process_notify(spawner->options.notify_socket,
		       "READY=1\nSTATUS=Parent of containers");
	spawner_tell(spawner, "R");
	if (spawner->options.detach)
		process_detach();
	if (!spawner->rootless) /* they serve admins alone */
		zygotes_start(spawner);
	if (spawner->options.state_fd >= 0)
		reexec_resumed(spawner);
	spawner_after_event(spawner);
}

/* Anew, or in the place of another. 0 or -errno, said. */
static int
spawner_begin(struct spawner *spawner)
{
	if (spawner->options.state_fd < 0)
		return spawner_start(spawner);
	return reexec_resume(spawner);
}

int
main(int argc, char **argv, char **env)
{
	struct spawner *spawner = calloc(1, sizeof(*spawner));
	int r;

	if (!spawner)
		return EXIT_FAILURE;
	spawner_init(spawner);
	reexec_init(&spawner->reexec, env);
	r = options_parse(&spawner->options, argc, argv, env);
	if (r == 0 && spawner->options.reload) {
		r = reload_run(spawner->options.run_dir);
		free(spawner);
		return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	if (r != 0) {
		free(spawner);
		return r > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	r = spawner_begin(spawner);
	/* What we could not take over is not ours to clear away. */
	if (r < 0 && spawner->options.state_fd >= 0)
		_exit(EXIT_FAILURE);
	if (r == 0) {
		spawner_serve(spawner);
		r = loop_run(&spawner->loop, spawner, spawner_after_event);
		if (r < 0)
			log_error(-r, "cannot wait for events");
	}
	if (r == -EAGAIN)
		spawner_tell(spawner, "B");
	spawner_deinit(spawner);
	free(spawner);
	if (r == -EAGAIN)
		return EXIT_DIR_IN_USE;
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
