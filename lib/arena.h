/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is freed all at once: for what one request says. All zero is an
 * empty arena.
 */
#ifndef NSX_LIB_ARENA_H
#define NSX_LIB_ARENA_H

#include <stddef.h>

struct arena_chunk;
struct arena {
	struct arena_chunk *chunks;
};

/* size bytes, aligned for any type, not cleared; NULL: no memory. */
void *arena_alloc(struct arena *arena, size_t size);
/* A NUL-terminated copy of size bytes; NULL: no memory. */
char *arena_text(struct arena *arena, const void *data, size_t size);
/* Safe twice. */
void arena_deinit(struct arena *arena);

#endif
