/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/stat, fields 9 (flags) and 22 (start time); see proc_stat.h. The
 * file is readable by all unless /proc is mounted with hidepid. The pid cannot
 * be another's: the spawner keeps the child until we ask for the reap.
 */
#include "daemon/proc_stat.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"

#define FIELD_FLAGS 9
#define FIELD_START_TIME 22

bool
proc_stat_line_execed(const char *line, uint64_t start_time)
{
	/* comm may hold anything: the fields are counted from its end */
	const char *at = strrchr(line, ')');
	unsigned long long flags = SYS_PF_FORKNOEXEC, started = 0;

	if (!at)
		return false;
	for (int field = 3; field <= FIELD_START_TIME; field++) {
		at = strchr(at + 1, ' ');
		if (!at)
			return false;
		if (field == FIELD_FLAGS)
			flags = strtoull(at + 1, NULL, 10);
		else if (field == FIELD_START_TIME)
			started = strtoull(at + 1, NULL, 10);
	}
	return !(flags & SYS_PF_FORKNOEXEC) &&
	       (start_time == 0 || started == start_time);
}

bool
proc_stat_execed(pid_t pid, uint64_t start_time)
{
	char path[32], line[1024];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd_auto int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = read(fd, line, sizeof(line) - 1);
	if (size <= 0)
		return false;
	line[size] = '\0';
	return proc_stat_line_execed(line, start_time);
}
