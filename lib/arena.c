/* SPDX-License-Identifier: Apache-2.0 */
/* A list of chunks, filled from the front; see arena.h. */
#include "lib/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE 4000u

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	alignas(max_align_t) unsigned char data[];
};

void *
arena_alloc(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->chunks;
	size_t need =
		(size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	void *memory;

	if (need < size || need > SIZE_MAX / 2)
		return NULL;
	if (!chunk || chunk->size - chunk->used < need) {
		size_t capacity = need > CHUNK_SIZE ? need : CHUNK_SIZE;

		chunk = malloc(sizeof(*chunk) + capacity);
		if (!chunk)
			return NULL;
		chunk->size = capacity;
		chunk->used = 0;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
	}
	memory = chunk->data + chunk->used;
	chunk->used += need;
	return memory;
}

char *
arena_text(struct arena *arena, const void *data, size_t size)
{
	char *text = arena_alloc(arena, size + 1);

	if (!text)
		return NULL;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

void
arena_deinit(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		free(chunk);
	}
}
