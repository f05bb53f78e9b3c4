/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of containers; see container_table.h. Names are hashed with a
 * random seed: a caller who could make two names collide could shut another
 * out.
 */
#include "daemon/container_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/lease.h"
#include "lib/table.h"
#include "lib/text.h"
#include "lib/util.h"

struct key_entry {
	struct key_entry *next;
	uint8_t key[SPEC_KEY_SIZE];
	uint64_t slot;
	uint64_t hash;
	char id[SPEC_ID_MAX + 1];
};

/* struct owner first: the rest is this file's. */
struct owner_entry {
	struct owner owner;
	struct key_entry *keys, **keys_end;
	size_t n_keys;
};

struct container_table {
	uint64_t seed;
	uint64_t last_serial;
	uint64_t last_task;
	struct table by_id;   /* hash of owner and id -> struct container */
	struct table by_name; /* hash of owner and name -> the same */
	struct table tasks;   /* task id -> struct task */
	struct table owners;  /* uid + 1 -> struct owner_entry */
	struct table keys;    /* hash of owner and key -> struct key_entry */
	struct container *first, *last;
	size_t in_flight;
};

int
container_table_new(struct container_table **ret)
{
	struct container_table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	if (getrandom(&table->seed, sizeof(table->seed), 0) < 0) {
		free(table);
		return -errno;
	}
	*ret = table;
	return 0;
}

static void
owner_entry_free(struct owner_entry *entry)
{
	while (entry->keys) {
		struct key_entry *key = entry->keys;

		entry->keys = key->next;
		free(key);
	}
	free(entry);
}

struct container_table *
container_table_free(struct container_table *table)
{
	uint64_t uid;
	struct owner_entry *entry;

	if (!table)
		return NULL;
	while (table->first)
		container_remove(table, table->first);
	while ((entry = table_any(&table->owners, &uid))) {
		table_remove(&table->owners, uid);
		owner_entry_free(entry);
	}
	table_deinit(&table->by_id);
	table_deinit(&table->by_name);
	table_deinit(&table->tasks);
	table_deinit(&table->owners);
	table_deinit(&table->keys);
	free(table);
	return NULL;
}

uint64_t
container_table_task_id(struct container_table *table)
{
	return ++table->last_task;
}

static uint64_t
id_slot(const struct container_table *table, uid_t owner, const char *id)
{
	return table_hash(id, strlen(id), table->seed + 1 + owner);
}

static uint64_t
name_slot(const struct container_table *table, uid_t owner, const char *name)
{
	return table_hash(name, strlen(name), table->seed + 1 + owner);
}

static int
container_index(struct container_table *table, struct container *container)
{
	int r;

	r = table_add(&table->by_id,
		      id_slot(table, container->owner, container->id),
		      container);
	if (r < 0)
		return r;
	if (container->name[0]) {
		r = table_add(
			&table->by_name,
			name_slot(table, container->owner, container->name),
			container);
		if (r < 0) {
			table_remove(&table->by_id,
				     id_slot(table, container->owner,
					     container->id));
			return r;
		}
	}
	r = table_add(&table->tasks, container->init.id, &container->init);
	if (r < 0) {
		table_remove(&table->by_id,
			     id_slot(table, container->owner, container->id));
		if (container->name[0])
			table_remove(&table->by_name,
				     name_slot(table, container->owner,
					       container->name));
	}
	return r;
}

int
container_add(struct container_table *table, struct container *container)
{
	int r;

	r = container_index(table, container);
	if (r < 0)
		return r;
	container->serial = ++table->last_serial;
	container->prev = table->last;
	container->next = NULL;
	if (table->last)
		table->last->next = container;
	else
		table->first = container;
	table->last = container;
	return 0;
}

void
container_remove(struct container_table *table, struct container *container)
{
	table_remove(&table->by_id,
		     id_slot(table, container->owner, container->id));
	if (container->name[0])
		table_remove(&table->by_name, name_slot(table, container->owner,
							container->name));
	table_remove(&table->tasks, container->init.id);
	for (struct task *task = container->execs; task; task = task->next)
		table_remove(&table->tasks, task->id);
	if (container->prev)
		container->prev->next = container->next;
	else
		table->first = container->next;
	if (container->next)
		container->next->prev = container->prev;
	else
		table->last = container->prev;
	lease_leave(container);
	container_free(container);
}

struct container *
container_find_id(const struct container_table *table, uid_t owner,
		  const char *id)
{
	struct container *container =
		table_find(&table->by_id, id_slot(table, owner, id));

	if (!container || container->owner != owner ||
	    strcmp(container->id, id) != 0)
		return NULL;
	return container;
}

static struct container *
find_name(const struct container_table *table, uid_t owner, const char *name)
{
	struct container *container =
		table_find(&table->by_name, name_slot(table, owner, name));

	if (!container || container->owner != owner ||
	    strcmp(container->name, name) != 0)
		return NULL;
	return container;
}

static struct container *
find_own(const struct container_table *table, uid_t owner, const char *text)
{
	struct container *container = container_find_id(table, owner, text);

	return container ? container : find_name(table, owner, text);
}

/* An admin's look for an id, or else a name, that only one owner uses. */
static struct container *
find_anywhere(const struct container_table *table, const char *text)
{
	struct container *ids = NULL, *names = NULL;
	size_t n_ids = 0, n_names = 0;

	for (struct container *c = table->first; c; c = c->next) {
		if (strcmp(c->id, text) == 0) {
			ids = c;
			n_ids++;
		} else if (strcmp(c->name, text) == 0) {
			names = c;
			n_names++;
		}
	}
	if (n_ids > 0)
		return n_ids == 1 ? ids : NULL;
	return n_names == 1 ? names : NULL;
}

/* "UID/ID"; no id has a '/'. */
static struct container *
find_of_owner(const struct container_table *table, const char *text,
	      const char *slash)
{
	char number[16];
	uint32_t owner;

	if ((size_t)(slash - text) >= sizeof(number))
		return NULL;
	memcpy(number, text, (size_t)(slash - text));
	number[slash - text] = '\0';
	if (text_parse_u32(number, &owner) < 0)
		return NULL;
	return find_own(table, owner, slash + 1);
}

struct container *
container_find(const struct container_table *table, struct viewer viewer,
	       const char *id_or_name)
{
	const char *slash = strchr(id_or_name, '/');
	struct container *container;

	if (slash)
		container = find_of_owner(table, id_or_name, slash);
	else
		container = find_own(table, viewer.owner, id_or_name);
	if (!container && !slash && viewer.admin)
		container = find_anywhere(table, id_or_name);
	return container && container_visible(container, viewer) ? container
								 : NULL;
}

struct container *
container_first(const struct container_table *table)
{
	return table->first;
}

struct task *
task_find(const struct container_table *table, uint64_t id)
{
	return table_find(&table->tasks, id);
}

int
task_add_exec(struct container_table *table, struct task *task)
{
	struct container *container = task->container;
	struct task **end = &container->execs;
	int r;

	r = table_add(&table->tasks, task->id, task);
	if (r < 0)
		return r;
	while (*end)
		end = &(*end)->next;
	*end = task;
	container->n_execs_kept++;
	return 0;
}

void
task_remove_exec(struct container_table *table, struct task *task)
{
	struct container *container = task->container;
	struct task **link = &container->execs;

	while (*link != task)
		link = &(*link)->next;
	*link = task->next;
	container->n_execs_kept--;
	table_remove(&table->tasks, task->id);
	task_deinit(task);
	free(task);
}

struct owner *
owner_counts(struct container_table *table, uid_t uid)
{
	struct owner_entry *entry =
		table_find(&table->owners, (uint64_t)uid + 1);

	if (entry)
		return &entry->owner;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->owner.uid = uid;
	entry->owner.tokens = -1; /* full */
	entry->keys_end = &entry->keys;
	if (table_add(&table->owners, (uint64_t)uid + 1, entry) < 0) {
		free(entry);
		return NULL;
	}
	return &entry->owner;
}

const struct owner *
owner_find(const struct container_table *table, uid_t uid)
{
	const struct owner_entry *entry =
		table_find(&table->owners, (uint64_t)uid + 1);

	return entry ? &entry->owner : NULL;
}

void
owners_count(const struct container_table *table, struct viewer viewer,
	     size_t *ret_in_flight, size_t *ret_stuck)
{
	*ret_in_flight = *ret_stuck = 0;
	for (size_t i = 0; i < table->owners.size; i++) {
		const struct owner_entry *entry = table->owners.slots[i].value;

		if (!table->owners.slots[i].key ||
		    !viewer_sees(viewer, entry->owner.uid))
			continue;
		*ret_in_flight += entry->owner.in_flight;
		*ret_stuck += entry->owner.stuck;
	}
}

size_t
container_table_in_flight(const struct container_table *table)
{
	return table->in_flight;
}

size_t
container_table_live(const struct container_table *table)
{
	const struct owner_entry *entry;
	size_t i, n = 0;

	for (i = 0; i < table->owners.size; i++) {
		entry = table->owners.slots[i].value;
		if (table->owners.slots[i].key)
			n += entry->owner.live;
	}
	return n;
}

void
container_table_count_in_flight(struct container_table *table, uid_t uid,
				int change)
{
	struct owner *owner = owner_counts(table, uid);

	table->in_flight += (size_t)change;
	if (owner)
		owner->in_flight += (size_t)change;
}

static uint64_t
key_slot(const struct container_table *table, uid_t owner, const uint8_t *key)
{
	return table_hash(key, SPEC_KEY_SIZE, table->seed + 1 + owner);
}

const char *
key_find(const struct container_table *table, uid_t owner,
	 const uint8_t key[SPEC_KEY_SIZE], uint64_t *ret_hash)
{
	struct key_entry *entry =
		table_find(&table->keys, key_slot(table, owner, key));

	if (!entry || memcmp(entry->key, key, SPEC_KEY_SIZE) != 0)
		return NULL;
	*ret_hash = entry->hash;
	return entry->id;
}

static void
key_forget_oldest(struct container_table *table, struct owner_entry *owner)
{
	struct key_entry *oldest = owner->keys;

	owner->keys = oldest->next;
	if (!owner->keys)
		owner->keys_end = &owner->keys;
	owner->n_keys--;
	table_remove(&table->keys, oldest->slot);
	free(oldest);
}

int
key_add(struct container_table *table, const struct container *container,
	size_t max)
{
	struct owner *owner = owner_counts(table, container->owner);
	struct owner_entry *owner_entry;
	struct key_entry *entry;
	int r;

	if (!owner)
		return -ENOMEM;
	owner_entry = (struct owner_entry *)owner;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	memcpy(entry->key, container->key, SPEC_KEY_SIZE);
	memcpy(entry->id, container->id, sizeof(entry->id));
	entry->hash = container->hash;
	entry->slot = key_slot(table, container->owner, container->key);
	r = table_add(&table->keys, entry->slot, entry);
	if (r < 0) {
		free(entry);
		return r;
	}
	*owner_entry->keys_end = entry;
	owner_entry->keys_end = &entry->next;
	owner_entry->n_keys++;
	while (owner_entry->n_keys > max)
		key_forget_oldest(table, owner_entry);
	return 0;
}
