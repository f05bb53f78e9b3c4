/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as entries of a memfd; see event_ring.h. Positions count the bytes
 * ever written and only grow; position modulo AREA_SIZE is the place. Entries
 * are multiples of 8 and do not run over the end: what is left there is one
 * without data, or nothing if not even a header fits.
 *
 *	tail is moved on, the entry is written, head is moved on
 *
 * Both are one store each, so whatever instruction is the last, what lies
 * between them is whole.
 */
#include "daemon/event_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/boot.h"
#include "lib/crc32c.h"
#include "lib/fd.h"

#define RING_MAGIC 0x4558534eu /* "NSXE" in memory, little-endian */
#define RING_VERSION 1u
#define HEADER_SIZE ((size_t)4096)
#define AREA_SIZE (EVENT_RING_SIZE - HEADER_SIZE)
#define RING_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

struct ring_header {
	uint32_t magic, version;
	uint64_t size;
	uint8_t id[EVENT_RING_ID_SIZE];
	uint8_t boot_id[BOOT_ID_SIZE];
	uint8_t epoch[16];
	uint64_t tail, head; /* of the oldest entry; behind the newest */
};

struct entry_header {
	uint32_t crc;	 /* of all behind it */
	uint32_t length; /* of the data; 0: none, up to the end */
	uint64_t position;
	uint64_t size; /* with this header */
};
#define ENTRY_SIZE sizeof(struct entry_header)
_Static_assert(sizeof(struct entry_header) == 24, "no padding");
_Static_assert(AREA_SIZE % 8 == 0, "entries are multiples of 8");

struct event_ring {
	int fd;
	uint8_t *map;
};

static struct ring_header *
header_of(const struct event_ring *ring)
{
	return (struct ring_header *)(void *)ring->map;
}

static uint8_t *
place_of(const struct event_ring *ring, uint64_t position)
{
	return ring->map + HEADER_SIZE + position % AREA_SIZE;
}

static size_t
left_behind(uint64_t position)
{
	return AREA_SIZE - (size_t)(position % AREA_SIZE);
}

struct event_ring *
event_ring_free(struct event_ring *ring)
{
	if (!ring)
		return NULL;
	if (ring->map)
		munmap(ring->map, EVENT_RING_SIZE);
	fd_close(&ring->fd);
	free(ring);
	return NULL;
}

/* Takes fd on success. */
static int
ring_map(int fd, struct event_ring **ret)
{
	struct event_ring *ring = calloc(1, sizeof(*ring));
	void *map;

	if (!ring)
		return -ENOMEM;
	map = mmap(NULL, EVENT_RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		   fd, 0);
	if (map == MAP_FAILED) {
		int r = -errno;

		free(ring);
		return r;
	}
	ring->map = map;
	ring->fd = fd;
	*ret = ring;
	return 0;
}

int
event_ring_new(const uint8_t epoch[16], struct event_ring **ret)
{
	struct ring_header header = { .magic = RING_MAGIC,
				      .version = RING_VERSION,
				      .size = EVENT_RING_SIZE };
	fd_auto int fd = -1;
	int r;

	if (getrandom(header.id, sizeof(header.id), 0) != sizeof(header.id))
		return -EIO;
	memcpy(header.boot_id, boot_id(), sizeof(header.boot_id));
	memcpy(header.epoch, epoch, sizeof(header.epoch));
	fd = memfd_create("nsexecd-events", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, EVENT_RING_SIZE) < 0 ||
	    fcntl(fd, F_ADD_SEALS, RING_SEALS | F_SEAL_SEAL) < 0)
		return -errno;
	r = ring_map(fd, ret);
	if (r < 0)
		return r;
	fd_steal(&fd);
	memcpy((*ret)->map, &header, sizeof(header));
	return 0;
}

static bool
header_is_sound(const struct ring_header *header, const uint8_t epoch[16],
		const uint8_t id[EVENT_RING_ID_SIZE])
{
	return header->magic == RING_MAGIC && header->version == RING_VERSION &&
	       header->size == EVENT_RING_SIZE &&
	       memcmp(header->id, id, sizeof(header->id)) == 0 &&
	       memcmp(header->boot_id, boot_id(), sizeof(header->boot_id)) ==
		       0 &&
	       memcmp(header->epoch, epoch, sizeof(header->epoch)) == 0 &&
	       header->tail % 8 == 0 && header->head % 8 == 0 &&
	       header->tail <= header->head &&
	       header->head - header->tail <= AREA_SIZE;
}

static int ring_walk(const struct event_ring *ring, bool check,
		     int (*fn)(void *userdata, const uint8_t *data,
			       size_t size),
		     void *userdata);

static int
walk_nothing(void *userdata, const uint8_t *data, size_t size)
{
	return 0;
}

int
event_ring_open(int fd, const uint8_t epoch[16],
		const uint8_t id[EVENT_RING_ID_SIZE], struct event_ring **ret)
{
	struct event_ring *ring;
	int r, seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & RING_SEALS) != RING_SEALS ||
	    fstat(fd, &st) < 0 || st.st_size != (off_t)EVENT_RING_SIZE)
		return -EBADMSG;
	r = ring_map(fd, &ring);
	if (r < 0)
		return r;
	r = header_is_sound(header_of(ring), epoch, id)
		    ? ring_walk(ring, true, walk_nothing, NULL)
		    : -EBADMSG;
	if (r < 0) {
		ring->fd = -1;
		event_ring_free(ring);
		return r;
	}
	*ret = ring;
	return 0;
}

int
event_ring_fd(const struct event_ring *ring)
{
	return ring->fd;
}

const uint8_t *
event_ring_id(const struct event_ring *ring)
{
	return header_of(ring)->id;
}

static uint32_t
entry_crc(const struct entry_header *entry, const uint8_t *data)
{
	const uint8_t *bytes = (const uint8_t *)entry;
	uint32_t crc;

	crc = crc32c(0, bytes + sizeof(entry->crc),
		     ENTRY_SIZE - sizeof(entry->crc));
	return crc32c(crc, data, entry->length);
}

/* The header at a position, where one fits and its numbers are possible. */
static int
entry_read(const struct event_ring *ring, uint64_t position,
	   struct entry_header *ret)
{
	size_t left = left_behind(position);

	memcpy(ret, place_of(ring, position), ENTRY_SIZE);
	if (ret->position != position || ret->size > left || ret->size % 8 ||
	    ret->size < ENTRY_SIZE || ret->length > ret->size - ENTRY_SIZE)
		return -EBADMSG;
	return 0;
}

/* Where the entry behind this one begins. */
static int
entry_next(const struct event_ring *ring, uint64_t position, uint64_t *ret)
{
	struct entry_header entry;
	int r;

	if (left_behind(position) < ENTRY_SIZE) {
		*ret = position + left_behind(position);
		return 0;
	}
	r = entry_read(ring, position, &entry);
	if (r == 0)
		*ret = position + entry.size;
	return r;
}

/* Nobody but us writes after the checksums were looked at. */
static int
ring_walk(const struct event_ring *ring, bool check,
	  int (*fn)(void *userdata, const uint8_t *data, size_t size),
	  void *userdata)
{
	const struct ring_header *header = header_of(ring);
	uint64_t position = header->tail, next = position;
	struct entry_header entry;
	const uint8_t *data;
	int r = 0;

	for (; r == 0 && position < header->head; position = next) {
		if (entry_next(ring, position, &next) < 0)
			return -EBADMSG;
		if (left_behind(position) < ENTRY_SIZE)
			continue;
		r = entry_read(ring, position, &entry);
		data = place_of(ring, position) + ENTRY_SIZE;
		if (r < 0 || (check && entry.crc != entry_crc(&entry, data)))
			return -EBADMSG;
		if (entry.length > 0)
			r = fn(userdata, data, entry.length);
	}
	return r == 0 && position != header->head ? -EBADMSG : r;
}

int
event_ring_walk(const struct event_ring *ring,
		int (*fn)(void *userdata, const uint8_t *data, size_t size),
		void *userdata)
{
	return ring_walk(ring, false, fn, userdata);
}

static void
store_position(uint64_t *to, uint64_t position)
{
	/* Not before what was written until now, not after what comes. */
	__atomic_store_n(to, position, __ATOMIC_SEQ_CST);
}

/* So much behind head may be written over. */
static void
make_room(struct event_ring *ring, size_t need)
{
	struct ring_header *header = header_of(ring);
	uint64_t tail = header->tail;

	while (header->head + need - tail > AREA_SIZE) {
		if (entry_next(ring, tail, &tail) < 0)
			tail = header->head; /* nobody but us writes here */
	}
	store_position(&header->tail, tail);
}

static void
entry_write(struct event_ring *ring, struct entry_header *entry,
	    const void *data)
{
	uint8_t *place = place_of(ring, entry->position);

	entry->crc = entry_crc(entry, data);
	memcpy(place, entry, ENTRY_SIZE);
	if (entry->length > 0)
		memcpy(place + ENTRY_SIZE, data, entry->length);
}

void
event_ring_append(struct event_ring *ring, const void *data, size_t size)
{
	struct ring_header *header = header_of(ring);
	struct entry_header entry = { .length = (uint32_t)size };
	struct entry_header rest = { 0 };
	uint64_t position = header->head;

	if (size == 0 || size > EVENT_RING_ENTRY_MAX)
		return;
	entry.size = (ENTRY_SIZE + size + 7) / 8 * 8;
	rest.size = left_behind(position);
	if (rest.size < entry.size) {
		make_room(ring, rest.size + entry.size);
		rest.position = position;
		if (rest.size >= ENTRY_SIZE)
			entry_write(ring, &rest, "");
		position += rest.size;
	} else {
		make_room(ring, entry.size);
	}
	entry.position = position;
	entry_write(ring, &entry, data);
	store_position(&header->head, position + entry.size);
}
