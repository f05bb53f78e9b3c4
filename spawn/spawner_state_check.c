/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a state may be believed. It comes from a spawner, perhaps of another
 * release, perhaps with a fault: what it says becomes array indexes, paths and
 * pids that are killed, so each is looked at as if a stranger had written it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crc32c.h"
#include "lib/text.h"
#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_state_part.h"

/* What was seen so far. */
struct seen {
	size_t n[N_STATE_KINDS];
	uint64_t conn_ids[CONN_MAX];
	size_t n_packets[CONN_MAX];
	bool listed[CONN_MAX];
	bool texts[N_STATE_TEXTS];
	uint64_t last_conn_id;
	bool system, cgroups;
	int32_t *fds, *pids; /* owned */
	size_t n_fds, n_pids;
};

/* A check says what is wrong, or NULL. */
typedef const char *(*check_fn)(struct seen *seen,
				const struct state_item *item);

static bool
all_bools(const uint32_t *values, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (values[i] > 1)
			return false;
	return true;
}
#define ALL_BOOLS(...) \
	all_bools((const uint32_t[]){ __VA_ARGS__ }, \
		  sizeof((const uint32_t[]){ __VA_ARGS__ }) / \
			  sizeof(uint32_t))

static bool
is_id(const char id[STATE_ID_SIZE], uint32_t owner)
{
	size_t size = strnlen(id, STATE_ID_SIZE);

	return owner != UINT32_MAX && size < CONTAINER_ID_SIZE &&
	       text_is_id(id, size);
}

static bool
all_fds(const int32_t *fds, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (fds[i] < 0)
			return false;
	return true;
}

/* Which of the connections that came before; CONN_MAX: none. */
static size_t
seen_conn(const struct seen *seen, uint64_t id)
{
	size_t i;

	for (i = 0; i < seen->n[STATE_CONN]; i++)
		if (seen->conn_ids[i] == id)
			return i;
	return CONN_MAX;
}

static const char *
check_global(struct seen *seen, const struct state_item *item)
{
	const struct state_global *global = &item->fixed.global;

	if (!all_fds(global->fds, STATE_FD_CGROUP))
		return "a descriptor of its own is missing";
	if (!ALL_BOOLS(global->system, global->has_resolver,
		       global->policy_first, global->cgroup_made,
		       global->cgroup_memory, global->cgroup_pids))
		return "a flag is neither 0 nor 1";
	if (global->cgroup_made && (global->fds[STATE_FD_CGROUP] < 0 ||
				    global->fds[STATE_FD_CGROUP_PARENT] < 0))
		return "a cgroup that was made has no directory";
	if (strnlen(global->cgroup_name, STATE_NAME_SIZE) == STATE_NAME_SIZE ||
	    strchr(global->cgroup_name, '/') ||
	    strcmp(global->cgroup_name, "..") == 0)
		return "the cgroup's name is no name";
	if (global->worker_uid == 0 || global->worker_uid == UINT32_MAX ||
	    global->worker_gid == UINT32_MAX)
		return "nsexecd would be root";
	seen->last_conn_id = global->last_conn_id;
	seen->system = global->system;
	seen->cgroups = global->fds[STATE_FD_CGROUP] >= 0;
	return NULL;
}

static const char *
check_text(struct seen *seen, const struct state_item *item)
{
	const uint32_t name = item->fixed.text.name;

	if (name >= N_STATE_TEXTS || seen->texts[name])
		return "a text that is not known, or twice";
	if (item->n_tail < 2 ||
	    strnlen((const char *)item->tail, item->n_tail) != item->n_tail - 1)
		return "a text does not end where it says";
	if (name != STATE_TEXT_NOTIFY_SOCKET && item->tail[0] != '/')
		return "a path is not absolute";
	seen->texts[name] = true;
	return NULL;
}

/* A place that is empty, or a descriptor with a name (spawner_store.c). */
static bool
is_stored(const char name[STATE_STORED_SIZE], int32_t fd)
{
	size_t size = strnlen(name, STATE_STORED_SIZE);

	if (fd < 0)
		return size == 0;
	return size < sizeof(((struct keeper_stored *)0)->name) &&
	       text_is_id(name, size);
}

static const char *
check_keeper(struct seen *seen, const struct state_item *item)
{
	const struct state_keeper *keeper = &item->fixed.keeper;
	const bool alive = keeper->pid != 0;
	size_t i, count = 0;

	if (keeper->state > KEEPER_STOPPING ||
	    !ALL_BOOLS(keeper->adopted, keeper->was_ready))
		return "nsexecd is in no known state";
	if (alive != (keeper->fds[STATE_FD_WORKER] >= 0))
		return "nsexecd's pid and descriptor do not agree";
	if (seen->system && (alive || keeper->state != KEEPER_NONE))
		return "systemd keeps nsexecd, and so does it";
	for (i = 0; i < KEEPER_WAITERS; i++)
		if (keeper->waiters[i].stop > 1)
			return "a flag is neither 0 nor 1";
	if (keeper->args_size >= KEEPER_ARGS_SIZE ||
	    (keeper->args_size > 0 &&
	     keeper->args[keeper->args_size - 1] != '\0'))
		return "nsexecd's arguments do not end";
	for (i = 0; i < KEEPER_STORE_MAX; i++)
		if (!is_stored(keeper->stored[i],
			       keeper->fds[STATE_FD_STORED + i]))
			return "what nsexecd left has no name";
	for (i = 0; i < keeper->args_size; i++)
		count += keeper->args[i] == '\0';
	return count > KEEPER_ARGS_MAX ? "nsexecd has too many arguments"
				       : NULL;
}

static const char *
check_conn(struct seen *seen, const struct state_item *item)
{
	const struct state_conn *conn = &item->fixed.conn;
	const size_t n = seen->n[STATE_CONN];

	if (n >= CONN_MAX)
		return "there are too many connections";
	if (conn->id == 0 || conn->id > seen->last_conn_id ||
	    seen_conn(seen, conn->id) < CONN_MAX)
		return "a connection's number is not its own";
	if (conn->fds[0] < 0)
		return "a connection without a descriptor";
	if (!ALL_BOOLS(conn->is_worker, conn->is_keeper, conn->was_kept,
		       conn->closing))
		return "a flag is neither 0 nor 1";
	seen->conn_ids[n] = conn->id;
	return NULL;
}

static const char *
check_packet(struct seen *seen, const struct state_item *item)
{
	size_t conn = seen_conn(seen, item->fixed.packet.conn_id);

	if (conn == CONN_MAX || item->n_tail == 0)
		return "an answer to nobody, or an empty one";
	return ++seen->n_packets[conn] > CONN_QUEUE_MAX
		       ? "too many answers wait"
		       : NULL;
}

static const char *
check_listed(struct seen *seen, const struct state_item *item)
{
	size_t conn = seen_conn(seen, item->fixed.listed.conn_id);

	if (conn == CONN_MAX || seen->listed[conn])
		return "a list for nobody, or a second one";
	seen->listed[conn] = true;
	return item->n_tail % sizeof(uint32_t) ? "a list of half pids" : NULL;
}

static const char *
check_child(struct seen *seen, const struct state_item *item)
{
	const struct state_child *child = &item->fixed.child;

	if (!is_id(child->id, child->owner))
		return "a container's id is not an id";
	return ALL_BOOLS(child->gated, child->execed)
		       ? NULL
		       : "a flag is neither 0 nor 1";
}

static const char *
check_start(struct seen *seen, const struct state_item *item)
{
	const struct state_start *start = &item->fixed.start;

	if (seen->n[STATE_START] >= START_MAX)
		return "there are too many starts";
	if (!is_id(start->id, start->owner))
		return "a container's id is not an id";
	if (start->fds[0] < 0)
		return "a relay without a descriptor";
	return ALL_BOOLS(start->is_exec, start->gated, start->ungated,
			 start->answered, start->has_child)
		       ? NULL
		       : "a flag is neither 0 nor 1";
}

static const char *
check_removal(struct seen *seen, const struct state_item *item)
{
	const struct state_removal *removal = &item->fixed.removal;

	if (seen->n[STATE_REMOVAL] >= REMOVAL_MAX)
		return "there are too many removals";
	if (removal->pause_ms < 0)
		return "a pause that is none";
	return is_id(removal->id, removal->owner)
		       ? NULL
		       : "a container's id is not an id";
}

static const char *
check_deferred(struct seen *seen, const struct state_item *item)
{
	const struct state_deferred *deferred = &item->fixed.deferred;
	size_t i;

	if (seen->n[STATE_DEFERRED] >= DEFER_MAX || item->n_tail == 0)
		return "too many requests wait, or an empty one";
	if (deferred->n_fds > FD_MSG_MAX ||
	    !all_fds(deferred->fds, deferred->n_fds))
		return "a request without its descriptors";
	for (i = deferred->n_fds; i < FD_MSG_MAX; i++)
		if (deferred->fds[i] != -1)
			return "a request with too many descriptors";
	return NULL;
}

/* Nothing is wrong with the state. */
static const char no_memory[] = "no memory";

static const char *
check_policy(struct seen *seen, const struct state_item *item)
{
	free_auto struct policy_table *table = malloc(sizeof(*table));
	const char *why = "";

	if (item->n_tail != sizeof(*table))
		return "the policy is of another size";
	if (!table)
		return no_memory;
	memcpy(table, item->tail, sizeof(*table));
	return policy_check(table, &why) == 0 ? NULL : why;
}

static const char *
check_leftover(struct seen *seen, const struct state_item *item)
{
	return seen->n[STATE_LEFTOVER] >= LEFTOVERS_MAX
		       ? "too many are left over"
		       : NULL;
}

static const char *
check_orphan(struct seen *seen, const struct state_item *item)
{
	const struct state_orphan *orphan = &item->fixed.orphan;

	if (seen->n[STATE_ORPHAN] >= ORPHANS_MAX)
		return "too many are of an earlier spawner";
	if (!is_id(orphan->id, orphan->owner))
		return "a container's id is not an id";
	if (orphan->number <= 1)
		return "a pid that is none";
	return orphan->fds[0] < 0 ? "a process without a descriptor" : NULL;
}

static const check_fn checks[] = {
	[STATE_GLOBAL] = check_global,	 [STATE_TEXT] = check_text,
	[STATE_KEEPER] = check_keeper,	 [STATE_CONN] = check_conn,
	[STATE_PACKET] = check_packet,	 [STATE_LISTED] = check_listed,
	[STATE_CHILD] = check_child,	 [STATE_START] = check_start,
	[STATE_REMOVAL] = check_removal, [STATE_DEFERRED] = check_deferred,
	[STATE_POLICY] = check_policy,	 [STATE_LEFTOVER] = check_leftover,
	[STATE_ORPHAN] = check_orphan,
};
_Static_assert(ARRAY_SIZE(checks) == N_STATE_KINDS, "each kind is checked");

/* Its descriptors and its pid, for the look at all of them. */
static const char *
seen_add(struct seen *seen, const struct state_item *item)
{
	const struct state_row *row = &state_rows[item->kind];
	const int32_t *fds;
	size_t i, n = state_item_fds(item, &fds);
	int32_t pid;

	for (i = 0; i < n; i++) {
		if (fds[i] < -1 || (fds[i] >= 0 && fds[i] <= 2))
			return "a descriptor that is none";
		if (fds[i] > 2)
			seen->fds[seen->n_fds++] = fds[i];
	}
	if (!row->has_pid)
		return NULL;
	memcpy(&pid, (const char *)&item->fixed + row->pid_offset, sizeof(pid));
	if (pid < 0 || pid == 1 || (pid == 0 && item->kind != STATE_KEEPER))
		return "a pid that is none";
	if (pid > 0)
		seen->pids[seen->n_pids++] = pid;
	return NULL;
}

static int
compare_numbers(const void *a, const void *b)
{
	const int32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool
has_twice(int32_t *numbers, size_t n)
{
	size_t i;

	if (n > 0)
		qsort(numbers, n, sizeof(*numbers), compare_numbers);
	for (i = 1; i < n; i++)
		if (numbers[i] == numbers[i - 1])
			return true;
	return false;
}

/* All records are there in full; what they say comes next. */
static const char *
check_frames(const uint8_t *data, const struct state_header *header,
	     size_t *ret_n_fds)
{
	const size_t size = (size_t)header->size;
	struct state_record record;
	size_t at = sizeof(*header), n = 0, n_fds = 0;
	const struct state_row *row;

	for (; at < size; at += STATE_ALIGN(record.size), n++) {
		if (size - at < sizeof(record))
			return "its last record is cut";
		memcpy(&record, data + at, sizeof(record));
		at += sizeof(record);
		if (record.kind >= N_STATE_KINDS)
			return "it has a record of no known kind";
		row = &state_rows[record.kind];
		if (record.size < row->size ||
		    record.size - row->size > row->tail_max ||
		    STATE_ALIGN(record.size) > size - at)
			return "it has a record of another size";
		if ((record.kind == STATE_GLOBAL) != (n == 0))
			return "its first record, and no other, is of all";
		n_fds += row->n_fds;
	}
	*ret_n_fds = n_fds;
	return n > 0 && n == header->n_records ? NULL : "it has lost records";
}

static const char *
check_records(struct seen *seen, const uint8_t *data, size_t size)
{
	struct state_iter iter;
	struct state_item item;
	const char *why;

	state_iter_init(&iter, data, size);
	while (state_iter_next(&iter, &item)) {
		why = checks[item.kind](seen, &item);
		if (!why)
			why = seen_add(seen, &item);
		if (why)
			return why;
		seen->n[item.kind]++;
	}
	if (seen->n[STATE_KEEPER] != 1 || seen->n[STATE_POLICY] > 1)
		return "one keeper and one policy";
	if (!seen->texts[STATE_TEXT_RUN_DIR] ||
	    seen->texts[STATE_TEXT_CGROUP_PATH] != seen->cgroups ||
	    !seen->texts[STATE_TEXT_RESOLVER])
		return "a path is missing";
	if (has_twice(seen->fds, seen->n_fds))
		return "a descriptor is there twice";
	if (has_twice(seen->pids, seen->n_pids))
		return "a pid is there twice";
	return NULL;
}

static const char *
check_header(const uint8_t *data, size_t size, struct state_header *header,
	     char why[STATE_WHY_SIZE])
{
	if (size < sizeof(*header) || size > STATE_MAX)
		return "it is too small or too large";
	memcpy(header, data, sizeof(*header));
	if (header->magic != STATE_MAGIC)
		return "it is none";
	if (header->version != STATE_VERSION) {
		snprintf(why, STATE_WHY_SIZE,
			 "it is of version %u, and only %u is understood",
			 header->version, STATE_VERSION);
		return why;
	}
	if (header->size != size)
		return "it is cut";
	if (header->checksum !=
	    crc32c(0, data + sizeof(*header), size - sizeof(*header)))
		return "its checksum is wrong";
	return NULL;
}

int
state_check(const uint8_t *data, size_t size, char why[STATE_WHY_SIZE])
{
	free_auto int32_t *fds = NULL, *pids = NULL;
	free_auto struct seen *seen = calloc(1, sizeof(*seen));
	struct state_header header;
	const char *text;
	size_t n_fds = 0;

	if (!seen)
		return -ENOMEM;
	text = check_header(data, size, &header, why);
	if (!text)
		text = check_frames(data, &header, &n_fds);
	if (!text) {
		fds = calloc(n_fds + 1, sizeof(*fds));
		pids = calloc((size_t)header.n_records + 1, sizeof(*pids));
		if (!fds || !pids)
			return -ENOMEM;
		seen->fds = fds;
		seen->pids = pids;
		text = check_records(seen, data, size);
	}
	if (!text)
		return 0;
	if (text == no_memory)
		return -ENOMEM;
	if (text != why)
		snprintf(why, STATE_WHY_SIZE, "%s", text);
	return -EBADMSG;
}
