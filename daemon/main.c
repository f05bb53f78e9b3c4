/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nsexecd. One program, three ways to be started:
 *
 *	as root with --run-dir DIR	the launcher of a private instance
 *	--worker, by the spawner	the unprivileged nsexecd of it
 *	with sockets passed (systemd)	the unprivileged nsexecd itself; as
 *					root it first becomes the spawner
 *					socket's owner, for ever
 *
 * Only the second and third ever read a caller's byte, and never as root.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/confine.h"
#include "daemon/launcher.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/worker.h"
#include "lib/fd.h"
#include "lib/util.h"

/* The launcher passes on what the worker must know, too. */
static int
launch(const struct config *config)
{
	const char *args[4];
	struct launcher_config launcher = {
		.run_dir = config->run_dir,
		.cgroup_root = config->cgroup_root,
		.policy_dir = config->policy_dir,
		.detach = config->detach,
		.worker_args = args,
	};

	args[launcher.n_worker_args++] = "--log-level";
	args[launcher.n_worker_args++] = log_level_name(config->log_level);
	if (config->config_file) {
		args[launcher.n_worker_args++] = "--config";
		args[launcher.n_worker_args++] = config->config_file;
	}
	return launcher_run(&launcher);
}

/* The fd socket beside an rpc socket that came alone. */
static int
bind_fd_socket(const char *path, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	fd_auto int fd = -1;

	/* config_set_run_dir() has checked that it fits. */
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(path, 0666) < 0 || listen(fd, 256) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

/*
 * Started as root with sockets passed, by hand: there must be a spawner, and
 * nsexecd becomes the one that the spawner expects.
 */
static int
become_worker(const struct config *config, struct notify_fds *sockets)
{
	const struct launcher_config launcher = {
		.run_dir = config->run_dir,
		.cgroup_root = config->cgroup_root,
		.policy_dir = config->policy_dir,
	};
	uid_t uid;
	gid_t gid;
	int r;

	r = launcher_ensure_spawner(&launcher, &uid, &gid);
	if (r < 0)
		return r;
	if (sockets->fd < 0) {
		r = bind_fd_socket(config->fd_socket, &sockets->fd);
		if (r < 0) {
			log_error("%s: cannot bind: %s", config->fd_socket,
				  strerror(-r));
			return r;
		}
	}
	r = confine_drop(uid, gid);
	if (r < 0)
		log_error("cannot become uid %u: %s", uid, strerror(-r));
	return r;
}

static int
serve_passed_sockets(const struct config *config)
{
	char error_text[NOTIFY_ERROR_MAX] = "";
	struct notify_fds sockets = { -1, -1, -1, -1, { 0 } };
	bool root = geteuid() == 0;
	int r;

	r = notify_listeners(&sockets, error_text);
	if (r < 0) {
		log_error("%s", error_text);
		notify_pidfds_deinit(&sockets.pidfds);
		return r;
	}
	if (sockets.rpc < 0) {
		log_error("no socket \"rpc\" was passed: start nsexecd.socket, "
			  "or use nsexecd --run-dir DIR");
		notify_pidfds_deinit(&sockets.pidfds);
		return -ENOENT;
	}
	if (root)
		r = become_worker(config, &sockets);
	if (r == 0)
		return worker_run(config, &sockets);
	fd_close(&sockets.rpc);
	fd_close(&sockets.fd);
	fd_close(&sockets.ring);
	fd_close(&sockets.handover);
	notify_pidfds_deinit(&sockets.pidfds);
	return r;
}

int
main(int argc, char **argv)
{
	struct config config;
	int r;

	config_init(&config);
	r = options_read(&config, argc, argv);
	if (r != 0) {
		config_deinit(&config);
		return r == OPTIONS_DONE ? 0 : 2;
	}
	log_init(config.log_level);
	if (config.worker || notify_has_listeners() || config.system)
		r = serve_passed_sockets(&config);
	else
		r = launch(&config);
	config_deinit(&config);
	return r < 0 ? 1 : 0;
}
