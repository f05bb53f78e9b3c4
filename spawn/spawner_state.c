/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and walking through a state. See spawner_state.h. */
#include "spawn/spawner_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crc32c.h"
#include "spawn/spawner_state_part.h"

#define STATE_ROOM_MIN 65536

#define ROW(name, ...) \
	{ \
		.size = sizeof(struct state_##name), __VA_ARGS__ \
	}
#define FDS(name) \
	.fds_offset = offsetof(struct state_##name, fds), \
	.n_fds = sizeof(((struct state_##name *)0)->fds) / sizeof(int32_t)
#define PID(name) \
	.has_pid = true, .pid_offset = offsetof(struct state_##name, pid)
const struct state_row state_rows[N_STATE_KINDS] = {
	[STATE_GLOBAL] = ROW(global, FDS(global)),
	[STATE_TEXT] = ROW(text, .tail_max = STATE_TEXT_MAX),
	[STATE_KEEPER] = ROW(keeper, FDS(keeper), PID(keeper)),
	[STATE_CONN] = ROW(conn, FDS(conn)),
	[STATE_PACKET] = ROW(packet, FDS(packet), .tail_max = NLMSG_MAX),
	[STATE_LISTED] = ROW(listed, .tail_max = STATE_MAX),
	[STATE_CHILD] = ROW(child, PID(child)),
	[STATE_START] = ROW(start, FDS(start), PID(start)),
	[STATE_REMOVAL] = ROW(removal, .tail_max = 0),
	[STATE_DEFERRED] = ROW(deferred, FDS(deferred), .tail_max = NLMSG_MAX),
	[STATE_POLICY] = ROW(policy, .tail_max = sizeof(struct policy_table)),
	[STATE_LEFTOVER] = ROW(leftover, PID(leftover)),
	[STATE_ORPHAN] = ROW(orphan, FDS(orphan)),
};

void
state_writer_deinit(struct state_writer *writer)
{
	free(writer->data);
	*writer = (struct state_writer){ 0 };
}

/* Room for so many bytes more, which are zero. */
static uint8_t *
writer_grow(struct state_writer *writer, size_t size)
{
	size_t room = writer->room ? writer->room : STATE_ROOM_MIN;
	uint8_t *data = writer->data;

	if (writer->failed || size > STATE_MAX - writer->size) {
		writer->failed = true;
		return NULL;
	}
	while (room < writer->size + size)
		room *= 2;
	if (room != writer->room) {
		data = realloc(writer->data, room);
		if (!data) {
			writer->failed = true;
			return NULL;
		}
		writer->data = data;
		writer->room = room;
	}
	memset(data + writer->size, 0, size);
	writer->size += size;
	return data + writer->size - size;
}

void
state_put(struct state_writer *writer, enum state_kind kind, const void *fixed,
	  const void *tail, size_t n_tail)
{
	const size_t n_fixed = state_rows[kind].size;
	const struct state_record record = { kind,
					     (uint32_t)(n_fixed + n_tail) };
	uint8_t *at;

	if (n_tail > state_rows[kind].tail_max) {
		writer->failed = true;
		return;
	}
	if (writer->size == 0)
		writer_grow(writer, sizeof(struct state_header));
	at = writer_grow(writer, sizeof(record) + STATE_ALIGN(record.size));
	if (!at)
		return;
	memcpy(at, &record, sizeof(record));
	memcpy(at + sizeof(record), fixed, n_fixed);
	if (n_tail > 0)
		memcpy(at + sizeof(record) + n_fixed, tail, n_tail);
	writer->n_records++;
}

int
state_writer_end(struct state_writer *writer)
{
	struct state_header header = { .magic = STATE_MAGIC,
				       .version = STATE_VERSION,
				       .size = writer->size,
				       .n_records = writer->n_records };

	if (writer->failed || writer->size < sizeof(header))
		return -ENOMEM;
	header.checksum = crc32c(0, writer->data + sizeof(header),
				 writer->size - sizeof(header));
	memcpy(writer->data, &header, sizeof(header));
	return 0;
}

void
state_iter_init(struct state_iter *iter, const uint8_t *data, size_t size)
{
	iter->at = data + sizeof(struct state_header);
	iter->end = data + size;
}

bool
state_iter_next(struct state_iter *iter, struct state_item *ret)
{
	struct state_record record;
	size_t n_fixed;

	if (iter->at == iter->end)
		return false;
	memcpy(&record, iter->at, sizeof(record));
	iter->at += sizeof(record);
	n_fixed = state_rows[record.kind].size;
	ret->kind = (enum state_kind)record.kind;
	memcpy(&ret->fixed, iter->at, n_fixed);
	ret->tail = iter->at + n_fixed;
	ret->n_tail = record.size - n_fixed;
	iter->at += STATE_ALIGN(record.size);
	return true;
}

size_t
state_item_fds(const struct state_item *item, const int32_t **ret)
{
	const struct state_row *row = &state_rows[item->kind];

	*ret = (const int32_t *)(const void *)((const char *)&item->fixed +
					       row->fds_offset);
	return row->n_fds;
}
