/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The number-to-pointer hash table of table.h. Linear probing at most three
 * quarters full; a removal shifts the following run back, so that lookups stay
 * short however many ids come and go.
 */
#include "lib/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ (x >> 33);
}

uint64_t
table_hash(const void *data, size_t size, uint64_t seed)
{
	const unsigned char *byte = data;
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ mix(seed);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
	hash = mix(hash);
	return hash ? hash : 1;
}

/* The slot of key, or the free one where it would go. */
static size_t
probe(const struct table *table, uint64_t key)
{
	size_t i = (size_t)mix(key) & (table->size - 1);

	while (table->slots[i].key && table->slots[i].key != key)
		i = (i + 1) & (table->size - 1);
	return i;
}

static int
grow(struct table *table)
{
	struct table bigger = { .size = table->size ? table->size * 2 : 16 };

	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < table->size; i++) {
		if (table->slots[i].key)
			bigger.slots[probe(&bigger, table->slots[i].key)] =
				table->slots[i];
	}
	bigger.used = table->used;
	free(table->slots);
	*table = bigger;
	return 0;
}

int
table_add(struct table *table, uint64_t key, void *value)
{
	size_t i;
	int r;

	assert(key);
	if ((table->used + 1) * 4 > table->size * 3) {
		r = grow(table);
		if (r < 0)
			return r;
	}
	i = probe(table, key);
	if (table->slots[i].key)
		return -EEXIST;
	table->slots[i] = (struct table_slot){ key, value };
	table->used++;
	return 0;
}

void *
table_find(const struct table *table, uint64_t key)
{
	if (!table->used || !key)
		return NULL;
	return table->slots[probe(table, key)].value;
}

void *
table_remove(struct table *table, uint64_t key)
{
	size_t mask = table->size - 1;
	size_t hole, i;
	void *value;

	if (!table->used || !key)
		return NULL;
	hole = probe(table, key);
	if (!table->slots[hole].key)
		return NULL;
	value = table->slots[hole].value;
	for (i = (hole + 1) & mask; table->slots[i].key; i = (i + 1) & mask) {
		size_t home = (size_t)mix(table->slots[i].key) & mask;

		/* may it move back to the hole without passing its home? */
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			table->slots[hole] = table->slots[i];
			hole = i;
		}
	}
	table->slots[hole] = (struct table_slot){ 0, NULL };
	table->used--;
	return value;
}

void *
table_any(const struct table *table, uint64_t *ret_key)
{
	for (size_t i = 0; table->used && i < table->size; i++) {
		if (table->slots[i].key) {
			*ret_key = table->slots[i].key;
			return table->slots[i].value;
		}
	}
	return NULL;
}

void
table_deinit(struct table *table)
{
	free(table->slots);
	*table = (struct table){ 0 };
}
