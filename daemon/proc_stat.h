/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc says of a process that the spawner keeps unreaped, of what can be
 * read without waiting: stat and the links of a process wait for a lock that it
 * has while execve(2) closes its files, as long as the server of a FUSE file
 * likes.
 */
#ifndef NSX_DAEMON_PROC_STAT_H
#define NSX_DAEMON_PROC_STAT_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Has it an address space? True only if /proc/PID/statm can be read and says
 * so. A process whose close-on-exec descriptor has closed has executed its
 * program then: one that ends gives up its memory before its descriptors
 * (do_exit() in kernel/exit.c). False says nothing: ask the spawner.
 */
bool proc_has_memory(pid_t pid);

#endif
