/* SPDX-License-Identifier: Apache-2.0 */
/* See spawner_identity.h. */
#include "spawn/spawner_identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_defer.h"
#include "spawn/spawner_log.h"

static const char *const identity_paths[] = { "/etc/passwd", "/etc/subuid",
					      "/etc/subgid", "/etc/login.defs",
					      "/etc/nsswitch.conf" };
_Static_assert(ARRAY_SIZE(identity_paths) == IDENTITY_FILES,
	       "one row for each file");

void
identity_unknown(uint32_t uid, struct resolved_user *ret)
{
	*ret = (struct resolved_user){ .magic = RESOLVE_MAGIC,
				       .version = RESOLVE_VERSION,
				       .uid = uid,
				       .owner = uid };
}

static int64_t
nanoseconds(const struct timespec *time)
{
	return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static void
identity_look_at_files(struct identity_table *table)
{
	struct identity_file files[IDENTITY_FILES];
	struct stat st;
	size_t i;

	memset(files, 0, sizeof(files)); /* as those that are missing are */
	for (i = 0; i < IDENTITY_FILES; i++) {
		if (stat(identity_paths[i], &st) < 0)
			continue;
		files[i] = (struct identity_file){
			.dev = st.st_dev,
			.inode = st.st_ino,
			.size = (uint64_t)st.st_size,
			.mtime_ns = nanoseconds(&st.st_mtim),
			.ctime_ns = nanoseconds(&st.st_ctim),
		};
	}
	if (memcmp(files, table->files, sizeof(files)) == 0)
		return;
	memcpy(table->files, files, sizeof(files));
	table->generation++;
	table->broken_until_ms = 0;
}

static struct identity *
identity_find(struct identity_table *table, uint32_t uid)
{
	struct identity *set = table->rows[uid % IDENTITY_SETS];
	size_t i;

	for (i = 0; i < IDENTITY_WAYS; i++)
		if (set[i].used && set[i].user.uid == uid)
			return &set[i];
	return NULL;
}

/* That uid's row, a free one, or the one that was not used for longest. */
static struct identity *
identity_row(struct identity_table *table, uint32_t uid)
{
	struct identity *set = table->rows[uid % IDENTITY_SETS];
	struct identity *found = identity_find(table, uid);
	size_t i;

	if (found)
		return found;
	found = &set[0];
	for (i = 0; i < IDENTITY_WAYS; i++) {
		if (!set[i].used)
			return &set[i];
		if (set[i].used_at < found->used_at)
			found = &set[i];
	}
	return found;
}

/* Once for each time that it breaks, or a broken one fills the log. */
static void
identity_say(struct identity_table *table, uint32_t uid, const char *why)
{
	if (!table->was_broken)
		log_error(0,
			  "cannot resolve uid %u: %s (until that is mended "
			  "nothing is delegated to it)",
			  uid, why);
	table->was_broken = true;
}

static uint32_t
identity_end_run(struct identity_table *table, uint32_t uid)
{
	size_t i;

	for (i = 0; i < RESOLVER_RUNS; i++)
		if (table->runs[i].used && table->runs[i].uid == uid) {
			table->runs[i].used = false;
			return table->runs[i].generation;
		}
	return table->generation;
}

static void
identity_on_result(struct spawner *spawner, uint32_t uid,
		   const struct resolver_result *result)
{
	struct identity_table *table = &spawner->identities;
	struct identity *row = identity_row(table, uid);
	int64_t now = clock_boottime_ms();
	const char *why = result->why;
	bool ok = result->data;

	row->generation = identity_end_run(table, uid);
	if (ok) {
		memcpy(&row->user, result->data, sizeof(row->user));
		ok = resolve_check(&row->user, uid) == 0;
		why = "its record cannot be";
	}
	row->used = true;
	row->used_at = ++table->clock;
	row->until_ms = now + (ok ? IDENTITY_KEEP_MS : IDENTITY_FAILED_MS);
	if (ok) {
		table->was_broken = false;
	} else {
		identity_unknown(uid, &row->user);
		identity_say(table, uid, why);
		/* Of one uid it may well complain, and answer for others. */
		if (!result->refused)
			table->broken_until_ms = now + IDENTITY_FAILED_MS;
	}
	defer_wake(spawner, uid, true);
	defer_wake_next(spawner);
	defer_set_timer(spawner);
}

static int
identity_start(struct spawner *spawner, uint32_t uid)
{
	struct identity_table *table = &spawner->identities;
	char number[16];
	char *argv[] = { "nsexec-resolver", "user", number, NULL };
	const struct resolver_order order = { .argv = argv,
					      .size = sizeof(
						      struct resolved_user),
					      .fn = identity_on_result,
					      .key = uid };
	size_t i, slot = RESOLVER_RUNS;
	int r;

	for (i = 0; i < RESOLVER_RUNS; i++) {
		if (table->runs[i].used && table->runs[i].uid == uid)
			return 0; /* it is being asked */
		if (!table->runs[i].used)
			slot = i;
	}
	if (slot == RESOLVER_RUNS)
		return -EAGAIN;
	snprintf(number, sizeof(number), "%u", uid);
	r = resolver_start(spawner, &order);
	if (r < 0)
		return r;
	table->runs[slot].used = true;
	table->runs[slot].uid = uid;
	table->runs[slot].generation = table->generation;
	return 0;
}

int
identity_get(struct spawner *spawner, uint32_t uid, bool resolved,
	     const struct resolved_user **ret)
{
	struct identity_table *table = &spawner->identities;
	int64_t now = clock_boottime_ms();
	struct identity *row = NULL;
	int r;

	*ret = &table->unknown;
	identity_unknown(uid, &table->unknown);
	if (uid == 0)
		return 0;
	identity_look_at_files(table);
	row = identity_find(table, uid);
	if (row && (resolved || (row->generation == table->generation &&
				 now < row->until_ms))) {
		row->used_at = ++table->clock;
		*ret = &row->user;
		return 0;
	}
	if (now < table->broken_until_ms)
		return 0;
	r = identity_start(spawner, uid);
	if (r == 0 || r == -EAGAIN)
		return -EINPROGRESS;
	identity_say(table, uid,
		     r == -ENOENT ? "there is no resolver"
				  : "the resolver cannot be started");
	table->broken_until_ms = now + IDENTITY_FAILED_MS;
	return 0;
}
