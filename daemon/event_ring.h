/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest events of all viewers as bytes in a memfd, which outlives
 * nsexecd in the store of whoever starts it (store.h): after a crash its
 * successor knows what was told and under which numbers. A help only: without
 * it, or if anything in it is not as it should be, the records decide and the
 * numbers that may have been given show as a gap.
 *
 *	header | entry entry ... | the oldest are written over
 *
 * A death in the middle of a write leaves an entry that the header does not
 * count yet. The size is sealed, so a mapping cannot fault.
 */
#ifndef NSX_DAEMON_EVENT_RING_H
#define NSX_DAEMON_EVENT_RING_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

#define EVENT_RING_SIZE ((size_t)4 << 20)
#define EVENT_RING_ID_SIZE 16u
/* What a larger entry would be is not kept; no event is near it. */
#define EVENT_RING_ENTRY_MAX ((size_t)64 << 10)

struct event_ring;

/* An empty one of this epoch, with a random id. -errno. */
must_check int event_ring_new(const uint8_t epoch[16], struct event_ring **ret);
/*
 * One that was handed back; takes fd on success. -EBADMSG: not sealed, of
 * another size, version, boot, epoch or id, or an entry that is not whole.
 */
must_check int event_ring_open(int fd, const uint8_t epoch[16],
			       const uint8_t id[EVENT_RING_ID_SIZE],
			       struct event_ring **ret);
struct event_ring *event_ring_free(struct event_ring *ring);

int event_ring_fd(const struct event_ring *ring); /* lent */
const uint8_t *event_ring_id(const struct event_ring *ring);

/* Append one entry; the oldest go. */
void event_ring_append(struct event_ring *ring, const void *data, size_t size);
/*
 * Each entry, the oldest first, until fn says otherwise than 0. What fn said,
 * or -EBADMSG.
 */
must_check int event_ring_walk(const struct event_ring *ring,
			       int (*fn)(void *userdata, const uint8_t *data,
					 size_t size),
			       void *userdata);

#endif
