/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unprivileged nsexecd as a child: with a fixed argv and environment, and
 * its listeners as descriptors 3 and 4, and what its predecessor left after
 * them. See spawner_program.h.
 */
#include <stdio.h>
#include <string.h>

#include "spawn/spawner.h"
#include "spawn/spawner_program.h"

/* The listeners' names and what the last worker left; how many it is. */
static size_t
worker_add_stored(const struct keeper *keeper, int fds[2 + KEEPER_STORE_MAX],
		  char *names, size_t size)
{
	const struct keeper_stored *stored;
	size_t i, n = 2, used;

	used = (size_t)snprintf(names, size, "LISTEN_FDNAMES=rpc:fd");
	for (i = 0; i < KEEPER_STORE_MAX; i++) {
		stored = &keeper->stored[i];
		if (stored->fd < 0)
			continue;
		fds[n++] = stored->fd;
		used += (size_t)snprintf(names + used, size - used, ":%s",
					 stored->name);
	}
	return n;
}

int
worker_start(struct spawner *spawner, pid_t *ret_pid, int *ret_pidfd)
{
	const struct keeper *keeper = &spawner->keeper;
	int fds[2 + KEEPER_STORE_MAX] = { keeper->rpc_fd, keeper->channel_fd };
	char listen_names[32 + KEEPER_STORE_MAX *
				       (sizeof(keeper->stored[0].name) + 1)];
	char listen_fds[24];
	char listen_pid[PROGRAM_LISTEN_PID_SIZE] = "LISTEN_PID=0";
	char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
			"LANG=C.UTF-8",
			listen_fds,
			listen_names,
			listen_pid,
			NULL };
	char *argv[7 + KEEPER_ARGS_MAX] = { "nsexecd", "--worker", "--run-dir",
					    (char *)spawner->options.run_dir };
	struct program program = { .name = "nsexecd",
				   .fd = keeper->program_fd,
				   .argv = argv,
				   .env = env,
				   .fds = fds,
				   .error_fd = -1,
				   .uid = spawner->options.worker_uid,
				   .gid = spawner->options.worker_gid,
				   .dies_with_us = true,
				   .listen_pid = listen_pid };
	size_t offset, n = 4;

	program.n_fds = worker_add_stored(keeper, fds, listen_names,
					  sizeof(listen_names));
	snprintf(listen_fds, sizeof(listen_fds), "LISTEN_FDS=%zu",
		 program.n_fds);
	if (spawner->rootless)
		argv[n++] = "--rootless";
	if (!place_is_cgroup(spawner))
		argv[n++] = "--no-cgroups";

	for (offset = 0; offset < keeper->args_size;
	     offset += strlen(keeper->args + offset) + 1)
		argv[n++] = (char *)keeper->args + offset;
	return program_start(spawner, &program, ret_pid, ret_pidfd);
}
