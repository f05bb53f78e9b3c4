/* SPDX-License-Identifier: Apache-2.0 */
/* The spawner as a process: what it is made of before it listens. */
#ifndef NSX_SPAWN_SPAWNER_PROCESS_H
#define NSX_SPAWN_SPAWNER_PROCESS_H

#include "lib/err.h"

#define SPAWNER_NAME "nsexec-spawner" /* /proc/PID/comm */

struct spawner;

/*
 * In this order: descriptors, directory, umask, name, dumpable, limits,
 * signals. 0 or -errno with a line on standard error.
 */
must_check int process_init(struct spawner *spawner);
/* What of it exec undoes, in a program that took another's place. */
must_check int process_resume(struct spawner *spawner);
/* Nobody reads what we print any more. */
void process_detach(void);
/* Tell systemd something: one datagram, as sd_notify(3) says. NULL: nobody. */
void process_notify(const char *notify_socket, const char *text);

#endif
