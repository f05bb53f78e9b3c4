/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line on standard error: "spawner: cannot verb object: reason". Never
 * blocks: a line that a full pipe or a stopped terminal would hold is dropped.
 */
#ifndef NSX_SPAWN_SPAWNER_LOG_H
#define NSX_SPAWN_SPAWNER_LOG_H

#include "lib/err.h"

/* A failure. error is a positive errno or 0. */
void log_error(int error, const char *fmt, ...) printf_like(2, 3);
/* Something that a person may want to know. */
void log_note(const char *fmt, ...) printf_like(1, 2);

#endif
