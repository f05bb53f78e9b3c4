/* SPDX-License-Identifier: Apache-2.0 */
/* Records as files; see record_store.h. */
#include "daemon/record_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/events.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "proto/pbpool.h"

#define NUMBERING ".numbering"
/* no id holds an @, so no record is mistaken for one set aside */
#define BAD_SUFFIX "@.bad"
/* OWNER:ID and OWNER:ID@EXEC: an id is one owner's alone */
#define NAME_MAX_SIZE (2 * SPEC_ID_MAX + 24)

struct record_store {
	int dir_fd;
};

int
record_store_new(const char *path, struct record_store **ret)
{
	fd_auto int fd = -1;
	struct record_store *store;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	store = malloc(sizeof(*store));
	if (!store)
		return -ENOMEM;
	store->dir_fd = fd_steal(&fd);
	*ret = store;
	return 0;
}

struct record_store *
record_store_free(struct record_store *store)
{
	if (!store)
		return NULL;
	fd_close(&store->dir_fd);
	free(store);
	return NULL;
}

static int
file_write(struct record_store *store, const char *name, const void *data,
	   size_t size)
{
	char temporary[NAME_MAX_SIZE + 8];
	fd_auto int fd = -1;
	int r;

	snprintf(temporary, sizeof(temporary), ".new.%s", name);
	fd = openat(store->dir_fd, temporary,
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, data, size);
	if (r == 0 &&
	    renameat(store->dir_fd, temporary, store->dir_fd, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(store->dir_fd, temporary, 0);
	return r;
}

/* A file that grew by many a refused Start is begun anew. */
#define APPEND_MAX (64 * 1024)

static int
file_append(struct record_store *store, const char *name, bool first,
	    const void *data, size_t size)
{
	fd_auto int fd = openat(store->dir_fd, name,
				O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC |
					O_NOFOLLOW | (first ? O_TRUNC : 0),
				0600);
	struct stat st = { .st_size = 0 };
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	/* a first one is empty: nothing is asked that may fail and leave it */
	if (!first && fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > APPEND_MAX)
		return file_write(store, name, data, size);
	n = write(fd, data, size);
	if (n == (ssize_t)size)
		return 0;
	r = n < 0 ? -errno : -ENOSPC;
	/* A first one that was not written is none, and no file either. */
	if (first)
		(void)unlinkat(store->dir_fd, name, 0);
	else if (n > 0 && ftruncate(fd, st.st_size) < 0)
		return -errno;
	return r;
}

static void
task_file_name(const struct task *task, char name[NAME_MAX_SIZE])
{
	if (task_is_init(task))
		snprintf(name, NAME_MAX_SIZE, "%u:%s", task->container->owner,
			 task->container->id);
	else
		snprintf(name, NAME_MAX_SIZE, "%u:%s@%s",
			 task->container->owner, task->container->id,
			 task->exec_id);
}

int
record_store_write(struct daemon *daemon, struct task *task,
		   Nsexec__Record__Stage stage)
{
	free_auto uint8_t *data = NULL;
	char name[NAME_MAX_SIZE];
	size_t size;
	int r;

	r = record_task_encode(task, stage, &data, &size);
	if (r < 0)
		return r;
	task_file_name(task, name);
	r = file_append(daemon->records, name, !task->recorded, data, size);
	if (r == 0)
		task->recorded = true;
	return r;
}

static int
file_remove(struct record_store *store, const char *name)
{
	if (unlinkat(store->dir_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

/*
 * One that stays after all comes back with the next nsexecd as what it says,
 * a container that has ended, and is removed anew when that one's time is over.
 */
void
record_store_remove(struct daemon *daemon, struct task *task)
{
	char name[NAME_MAX_SIZE];
	int r;

	if (!task->recorded)
		return;
	task_file_name(task, name);
	r = file_remove(daemon->records, name);
	if (r < 0) /* what was short for a moment may not be so any more */
		r = file_remove(daemon->records, name);
	if (r < 0)
		log_warning("container %s: cannot remove record: %s",
			    task->container->id, strerror(-r));
	task->recorded = false;
}

struct numbering {
	Nsexec__Record__Numbering message;
	Nsexec__Record__Numbering__Viewer **viewers;
	size_t size;
	bool failed;
};

static void
numbering_add(void *userdata, uid_t viewer, uint64_t limit)
{
	struct numbering *numbering = userdata;
	Nsexec__Record__Numbering__Viewer *entry = malloc(sizeof(*entry));
	size_t n = numbering->message.n_viewers;

	if (entry && n == numbering->size) {
		size_t size = n ? n * 2 : 16;
		void *grown = realloc(numbering->viewers,
				      size * sizeof(*numbering->viewers));

		if (grown) {
			numbering->viewers = grown;
			numbering->size = size;
		}
	}
	if (!entry || n == numbering->size) {
		numbering->failed = true;
		free(entry);
		return;
	}
	*entry = (Nsexec__Record__Numbering__Viewer)
		NSEXEC__RECORD__NUMBERING__VIEWER__INIT;
	entry->has_uid = entry->has_limit = true;
	entry->uid = viewer;
	entry->limit = limit;
	numbering->viewers[n] = entry;
	numbering->message.n_viewers = n + 1;
}

int
record_store_numbering(struct daemon *daemon)
{
	struct numbering numbering = {
		.message = NSEXEC__RECORD__NUMBERING__INIT,
	};
	free_auto uint8_t *data = NULL;
	size_t size;
	int r = -ENOMEM;

	if (!daemon->records)
		return 0;
	numbering.message.has_epoch = true;
	numbering.message.epoch.data = daemon->epoch;
	numbering.message.epoch.len = sizeof(daemon->epoch);
	numbering.message.has_begun = true;
	numbering.message.begun = daemon->n_begun;
	numbering.message.has_ring_id = true;
	numbering.message.ring_id.data = daemon->ring_id;
	numbering.message.ring_id.len = sizeof(daemon->ring_id);
	event_log_limits(daemon->events, numbering_add, &numbering);
	numbering.message.viewers = numbering.viewers;
	if (!numbering.failed)
		r = record_encode(&numbering.message.base, &data, &size);
	if (r == 0)
		r = file_write(daemon->records, NUMBERING, data, size);
	if (r == -ENOMEM)
		memory_out("the numbers of events");
	if (r < 0)
		log_error("events: cannot record their numbers: %s",
			  strerror(-r));
	for (size_t i = 0; i < numbering.message.n_viewers; i++)
		free(numbering.viewers[i]);
	free(numbering.viewers);
	return r;
}

/*
 * -EBADMSG if it is not a regular file that nsexecd made: another's, one that
 * others may write, or one that has a second name somewhere.
 */
static int
file_check_ours(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_nlink != 1 || (st.st_mode & 022) != 0)
		return -EBADMSG;
	return 0;
}

static int
file_read(struct record_store *store, const char *name, uint8_t **ret,
	  size_t *ret_size)
{
	free_auto uint8_t *data = malloc(RECORD_MAX + 1);
	ssize_t size;
	int r;

	if (!data)
		return -ENOMEM;
	fd_auto int fd = openat(store->dir_fd, name,
				O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = file_check_ours(fd);
	if (r < 0)
		return r;
	size = fd_read_all(fd, data, RECORD_MAX);
	if (size < 0)
		return (int)size;
	*ret = ptr_steal(&data);
	*ret_size = (size_t)size;
	return 0;
}

static void
file_set_aside(struct record_store *store, const char *name, int reason)
{
	char bad[NAME_MAX_SIZE + 264];

	snprintf(bad, sizeof(bad), "%s" BAD_SUFFIX, name);
	log_error("record %s: cannot read: %s; set aside", name,
		  strerror(-reason));
	if (renameat(store->dir_fd, name, store->dir_fd, bad) < 0)
		log_error("record %s: cannot rename: %s", name,
			  strerror(errno));
}

/* What nsexecd had too little of for a moment, whatever is in the file. */
static bool
error_is_shortage(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

/* -EBADMSG if it is damaged. */
static int
numbering_read(struct daemon *daemon, Nsexec__Record__Numbering **ret)
{
	Nsexec__Record__Numbering *numbering;
	ProtobufCMessage *unpacked;
	free_auto uint8_t *data = NULL;
	const uint8_t *message;
	size_t size, message_size;
	int r;

	r = file_read(daemon->records, NUMBERING, &data, &size);
	if (r < 0)
		return r;
	r = record_decode(data, size, &message, &message_size);
	if (r < 0)
		return -EBADMSG;
	r = pb_unpack(&nsexec__record__numbering__descriptor, message,
		      message_size, &unpacked);
	if (r < 0)
		return r;
	numbering = (Nsexec__Record__Numbering *)unpacked;
	if (numbering->epoch.len != sizeof(daemon->epoch)) {
		nsexec__record__numbering__free_unpacked(numbering, NULL);
		return -EBADMSG;
	}
	*ret = numbering;
	return 0;
}

int
record_store_load_numbering(struct daemon *daemon)
{
	Nsexec__Record__Numbering *numbering;
	int r;

	r = numbering_read(daemon, &numbering);
	if (r < 0 && r != -ENOENT && !error_is_shortage(r)) /* it may pass */
		r = numbering_read(daemon, &numbering);
	if (r == -EBADMSG) {
		file_set_aside(daemon->records, NUMBERING, r);
		return -ENOENT;
	}
	if (r < 0)
		return r;
	memcpy(daemon->epoch, numbering->epoch.data, sizeof(daemon->epoch));
	/* of a version that did not count: there was one at least */
	daemon->n_begun = numbering->has_begun ? numbering->begun : 1;
	if (numbering->ring_id.len == sizeof(daemon->ring_id))
		memcpy(daemon->ring_id, numbering->ring_id.data,
		       sizeof(daemon->ring_id));
	for (size_t i = 0; i < numbering->n_viewers; i++) {
		/* a uid twice would be our own fault: the first one counts */
		if (event_last(daemon->events, numbering->viewers[i]->uid))
			continue;
		event_log_resume(daemon->events, numbering->viewers[i]->uid,
				 numbering->viewers[i]->limit);
	}
	nsexec__record__numbering__free_unpacked(numbering, NULL);
	return r;
}

/* A record under another name than its own is a copy, and older than it. */
static int
record_check_name(const Nsexec__Record__Task *record, const char *name)
{
	char own[NAME_MAX_SIZE];

	if (record->exec_id)
		snprintf(own, sizeof(own), "%u:%s@%s", record->owner_uid,
			 record->id, record->exec_id);
	else
		snprintf(own, sizeof(own), "%u:%s", record->owner_uid,
			 record->id);
	return strcmp(own, name) == 0 ? 0 : -EBADMSG;
}

/*
 * What a killed writer left behind the last whole record goes, so that the
 * next one is not appended to it.
 */
static int
file_cut_tail(struct record_store *store, const char *name, const uint8_t *data,
	      size_t size)
{
	const uint8_t *message;
	size_t message_size, whole;
	fd_auto int fd = -1;
	int r;

	r = record_decode(data, size, &message, &message_size);
	if (r < 0)
		return r;
	whole = (size_t)(message - data) + message_size;
	if (whole == size)
		return 0;
	log_warning("record %s: its last entry was cut short: the one before "
		    "counts",
		    name);
	fd = openat(store->dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	return ftruncate(fd, (off_t)whole) < 0 ? -errno : 0;
}

/* Made, and its writer killed before it wrote: nothing had begun. */
static void
file_remove_empty(struct record_store *store, const char *name)
{
	log_notice("record %s: it is empty, nothing had begun", name);
	if (unlinkat(store->dir_fd, name, 0) < 0)
		log_error("record %s: cannot remove: %s", name,
			  strerror(errno));
}

/* *ret of the file, NULL of an empty one. */
static int
file_read_task(struct record_store *store, const char *name,
	       Nsexec__Record__Task **ret)
{
	Nsexec__Record__Task *record = NULL;
	free_auto uint8_t *data = NULL;
	size_t size = 0;
	int r;

	*ret = NULL;
	r = file_read(store, name, &data, &size);
	if (r < 0 || size == 0)
		return r;
	r = record_task_decode(data, size, &record);
	if (r == 0)
		r = record_check_name(record, name);
	if (r == 0)
		r = file_cut_tail(store, name, data, size);
	if (r == 0)
		*ret = record;
	else if (record)
		nsexec__record__task__free_unpacked(record, NULL);
	return r;
}

/*
 * A record set aside is a container given up, so nothing that may pass does
 * it: it is read twice, and of a shortage nsexecd's start fails.
 */
static int
file_load(struct daemon *daemon, const char *name,
	  void (*fn)(struct daemon *daemon, const Nsexec__Record__Task *record))
{
	Nsexec__Record__Task *record;
	int r;

	r = file_read_task(daemon->records, name, &record);
	if (r < 0 && !error_is_shortage(r)) /* it may pass */
		r = file_read_task(daemon->records, name, &record);
	if (error_is_shortage(r)) {
		log_error("record %s: cannot read: %s", name, strerror(-r));
		return r;
	}
	if (r < 0) {
		file_set_aside(daemon->records, name, r);
		return 0;
	}
	if (!record) {
		file_remove_empty(daemon->records, name);
		return 0;
	}
	fn(daemon, record);
	nsexec__record__task__free_unpacked(record, NULL);
	return 0;
}

static int
load_pass(struct daemon *daemon, bool execs,
	  void (*fn)(struct daemon *daemon, const Nsexec__Record__Task *record))
{
	int fd = openat(daemon->records->dir_fd, ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = -errno;
		fd_close(&fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (strncmp(name, ".new.", 5) == 0)
			(void)unlinkat(daemon->records->dir_fd, name, 0);
		if (name[0] == '.' || strlen(name) >= NAME_MAX_SIZE ||
		    strstr(name, BAD_SUFFIX))
			continue;
		if ((strchr(name, '@') != NULL) == execs)
			r = file_load(daemon, name, fn);
	}
	if (r == 0) /* of an end: 0 */
		r = -errno;
	closedir(dir);
	return r;
}

int
record_store_load(struct daemon *daemon,
		  void (*fn)(struct daemon *daemon,
			     const Nsexec__Record__Task *record))
{
	int r;

	r = load_pass(daemon, false, fn);
	if (r == 0)
		r = load_pass(daemon, true, fn);
	return r;
}
