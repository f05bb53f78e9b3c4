/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No memory for what is owed. Whoever asks for something new is refused
 * (OVERLOADED) and nothing was begun. What was begun before has nobody to be
 * refused: its event, its record, the order to reap or to kill it. nsexecd ends
 * then, which gives all of its memory back, and the next one takes everything
 * up from the records and the children, as after any death; to go on without
 * that event or that order would lose it for good.
 */
#ifndef NSX_DAEMON_MEMORY_H
#define NSX_DAEMON_MEMORY_H

#include <stddef.h>

/* EX_OSERR of sysexits.h: whoever restarts nsexecd does so after it, too. */
#define MEMORY_STATUS 71

/* what: as in "no memory for ...". */
void memory_out(const char *what) __attribute__((noreturn));
/* Never NULL; else as their namesakes of malloc(3). */
void *owed_malloc(size_t size, const char *what)
	__attribute__((returns_nonnull));
void *owed_calloc(size_t n, size_t size, const char *what)
	__attribute__((returns_nonnull));
void *owed_realloc(void *old, size_t size, const char *what)
	__attribute__((returns_nonnull));

#endif
