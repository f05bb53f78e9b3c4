/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of records: one file per task ("ID", or "ID@EXEC"), and the
 * numbering of events (".numbering"). A task's next record is appended in one
 * write, which our own death cannot tear; what comes short is cut off again.
 * (Replacing the file by rename costs six times as much where the directory is
 * on ext4.) The numbering is replaced. Nothing is synced, since a crash of the
 * machine ends the tasks as well. What cannot be read is set aside as
 * NAME@.bad.
 */
#ifndef NSX_DAEMON_RECORD_STORE_H
#define NSX_DAEMON_RECORD_STORE_H

#include "daemon/container.h"
#include "daemon/record.h"

struct record_store;

/* Opens the directory, makes it if need be. -errno. */
must_check int record_store_new(const char *path, struct record_store **ret);
struct record_store *record_store_free(struct record_store *store);

/*
 * Write the task's record at this stage. 0 or -errno; the old record stays on
 * error. Success is remembered in task->recorded.
 */
must_check int record_store_write(struct daemon *daemon, struct task *task,
				  Nsexec__Record__Stage stage);
/* Remove it; a missing one is none. */
void record_store_remove(struct daemon *daemon, struct task *task);

/* Write the reserved numbers of daemon->events; failure is logged, too. */
int record_store_numbering(struct daemon *daemon);
/*
 * Read them: epoch, ring_id and events are set. -ENOENT: there are none, or
 * they were damaged and set aside; -errno: nsexecd cannot start.
 */
must_check int record_store_load_numbering(struct daemon *daemon);

/*
 * Calls fn for every sound record; inits come before exec tasks. What cannot be
 * read is set aside. -errno: there was a shortage, or the directory was not
 * read to its end; nsexecd cannot start.
 */
must_check int record_store_load(
	struct daemon *daemon,
	void (*fn)(struct daemon *daemon, const Nsexec__Record__Task *record));

#endif
