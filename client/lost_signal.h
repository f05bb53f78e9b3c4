/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that the kernel drops: see lost_signal.c. */
#ifndef NSX_CLIENT_LOST_SIGNAL_H
#define NSX_CLIENT_LOST_SIGNAL_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Is pid the first process of its pid namespace, without a handler for this
 * signal? false as well where /proc does not say.
 */
bool signal_is_lost(pid_t pid, int sig);
/* The same of the text of /proc/PID/status. */
bool signal_is_lost_by(const char *status, int sig);

#endif
