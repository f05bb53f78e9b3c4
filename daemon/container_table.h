/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All containers, found by id, by name and owner, and in order of creation;
 * all tasks, found by their number; and what is counted per owner. Owns the
 * containers.
 */
#ifndef NSX_DAEMON_CONTAINER_TABLE_H
#define NSX_DAEMON_CONTAINER_TABLE_H

#include "daemon/container.h"
#include "daemon/metrics.h"
#include "daemon/viewer.h"

struct container_table;

/* An owner's counts; made on first use and kept. */
struct owner {
	uid_t uid;
	size_t in_flight; /* starts and execs */
	size_t live;	  /* containers that did not end */
	size_t ended;	  /* tombstones */
	size_t held_fds;  /* of starts in flight */
	size_t stuck;	  /* tasks that were killed and are still there */
	double tokens;	  /* of the start rate */
	int64_t tokens_ms;
	struct metrics metrics;
};

must_check int container_table_new(struct container_table **ret);
struct container_table *container_table_free(struct container_table *table);

/* A number for a task, never given before. */
uint64_t container_table_task_id(struct container_table *table);

/*
 * Add: takes the container (its id and owner set). -EEXIST: (owner,
 * id) or (owner, name) is taken. -ENOMEM. On error the caller still owns it.
 */
must_check int container_add(struct container_table *table,
			     struct container *container);
/* Remove and free, tasks included. */
void container_remove(struct container_table *table,
		      struct container *container);

/*
 * By the viewer's own id or name for it; ids are unique for each owner alone,
 * and what the viewer may not see is absent. An admin sees all: his own first,
 * then anybody's if only one has that id, or else that name; and with
 * "UID/ID" that owner's.
 */
struct container *container_find(const struct container_table *table,
				 struct viewer viewer, const char *id_or_name);
struct container *container_find_id(const struct container_table *table,
				    uid_t owner, const char *id);
/* In order of creation; NULL at the end. */
struct container *container_first(const struct container_table *table);
static inline struct container *
container_next(const struct container *container)
{
	return container->next;
}
static inline bool
container_visible(const struct container *container, struct viewer viewer)
{
	return viewer_sees(viewer, container->owner);
}

/* Tasks: the init is added with its container, exec tasks here. */
struct task *task_find(const struct container_table *table, uint64_t id);
must_check int task_add_exec(struct container_table *table, struct task *task);
void task_remove_exec(struct container_table *table, struct task *task);

/* NULL: no memory. */
struct owner *owner_counts(struct container_table *table, uid_t uid);
/* NULL: nothing was counted for him yet. */
const struct owner *owner_find(const struct container_table *table, uid_t uid);
/* Starts in flight and stuck tasks of those that the viewer sees. */
void owners_count(const struct container_table *table, struct viewer viewer,
		  size_t *ret_in_flight, size_t *ret_stuck);
/* All owners together. */
size_t container_table_in_flight(const struct container_table *table);
/* Containers of all owners that did not end. */
size_t container_table_live(const struct container_table *table);
void container_table_count_in_flight(struct container_table *table, uid_t uid,
				     int change);

/*
 * Idempotency keys: key_find() returns the id of the container that this key
 * made, NULL = unknown. key_add() forgets the owner's oldest above max.
 */
const char *key_find(const struct container_table *table, uid_t owner,
		     const uint8_t key[SPEC_KEY_SIZE], uint64_t *ret_hash);
must_check int key_add(struct container_table *table,
		       const struct container *container, size_t max);

#endif
