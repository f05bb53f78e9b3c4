/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unprivileged nsexecd as a child: with a fixed argv and environment, and
 * its listeners as descriptors 3 and 4. See spawner_program.h.
 */
#include <string.h>

#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_program.h"

int
worker_start(struct spawner *spawner, pid_t *ret_pid, int *ret_pidfd)
{
	const struct keeper *keeper = &spawner->keeper;
	const int fds[] = { keeper->rpc_fd, keeper->channel_fd };
	char listen_pid[PROGRAM_LISTEN_PID_SIZE] = "LISTEN_PID=0";
	char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
			"LANG=C.UTF-8",
			"LISTEN_FDS=2",
			"LISTEN_FDNAMES=rpc:fd",
			listen_pid,
			NULL };
	char *argv[7 + KEEPER_ARGS_MAX] = { "nsexecd", "--worker", "--run-dir",
					    (char *)spawner->options.run_dir };
	const struct program program = { .name = "nsexecd",
					 .fd = keeper->program_fd,
					 .argv = argv,
					 .env = env,
					 .fds = fds,
					 .n_fds = ARRAY_SIZE(fds),
					 .error_fd = -1,
					 .uid = spawner->options.worker_uid,
					 .gid = spawner->options.worker_gid,
					 .listen_pid = listen_pid };
	size_t offset, n = 4;

	if (spawner->rootless)
		argv[n++] = "--rootless";
	if (!place_is_cgroup(spawner))
		argv[n++] = "--no-cgroups";

	for (offset = 0; offset < keeper->args_size;
	     offset += strlen(keeper->args + offset) + 1)
		argv[n++] = (char *)keeper->args + offset;
	return program_start(spawner, &program, ret_pid, ret_pidfd);
}
