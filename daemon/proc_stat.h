/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says of a process that the spawner keeps unreaped. */
#ifndef NSX_DAEMON_PROC_STAT_H
#define NSX_DAEMON_PROC_STAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Did this process exec? True only if /proc/PID/stat can be read, is of the
 * process with this start time (0: not compared), and PF_FORKNOEXEC is clear.
 * False says nothing: ask the spawner.
 */
bool proc_stat_execed(pid_t pid, uint64_t start_time);

/* The parse alone, of a whole stat line. */
bool proc_stat_line_execed(const char *line, uint64_t start_time);

#endif
