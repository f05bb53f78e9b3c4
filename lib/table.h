/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table from 64-bit numbers (never 0) to borrowed pointers: the lookups
 * behind "async edges pass ids". Open addressing, grows by doubling, no
 * tombstones (deletion shifts back).
 */
#ifndef NSX_LIB_TABLE_H
#define NSX_LIB_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

struct table_slot {
	uint64_t key; /* 0 = free */
	void *value;
};
/* All zero is an empty table. */
struct table {
	struct table_slot *slots;
	size_t size; /* a power of two, or 0 */
	size_t used;
};

/* 0, -EEXIST, -ENOMEM; unchanged on error. key is not 0. */
must_check int table_add(struct table *table, uint64_t key, void *value);
/* NULL = absent. */
void *table_find(const struct table *table, uint64_t key);
/* Remove and return the value; NULL = was absent. */
void *table_remove(struct table *table, uint64_t key);
/* Some value (to empty a table one by one); NULL = empty. */
void *table_any(const struct table *table, uint64_t *ret_key);
/* Frees the slots, not the values. Safe twice. */
void table_deinit(struct table *table);

/* FNV-1a with a final mix; never 0. Not for secrets. */
uint64_t table_hash(const void *data, size_t size, uint64_t seed);

#endif
