/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/statm, readable by all unless /proc is mounted with hidepid. The
 * pid cannot be another's: the spawner keeps the child until we ask for the
 * reap.
 */
#include "daemon/proc_stat.h"

#include <fcntl.h>
#include <stdio.h>

#include "lib/fd.h"

bool
proc_has_memory(pid_t pid)
{
	char path[32], line[128];

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	return fd_read_file(AT_FDCWD, path, line, sizeof(line)) > 0 &&
	       line[0] >= '1' && line[0] <= '9';
}
