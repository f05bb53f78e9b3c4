/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state as records; see handover_record.h. It comes from our own store, and
 * is decoded like anything from outside: who wrote it may have been another
 * version, or not ours.
 */
#include "daemon/handover_record.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/audit.h"
#include "daemon/boot.h"
#include "daemon/park.h"
#include "daemon/peer.h"
#include "daemon/spec.h"
#include "daemon/subscribe.h"
#include "lib/crc32c.h"
#include "lib/fd.h"
#include "lib/text.h"
#include "lib/util.h"
#include "proto/pbpool.h"

struct record_header {
	uint32_t magic, version, kind, length, crc;
};
_Static_assert(sizeof(struct record_header) == HANDOVER_HEADER_SIZE,
	       "the header has no padding");

int
handover_record_write(int fd, enum handover_kind kind,
		      const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	struct record_header header = { .magic = HANDOVER_MAGIC,
					.version = HANDOVER_VERSION,
					.kind = kind,
					.length = (uint32_t)size };
	free_auto uint8_t *data = NULL;

	if (size > HANDOVER_RECORD_MAX)
		return -EMSGSIZE;
	data = malloc(HANDOVER_HEADER_SIZE + size);
	if (!data)
		return -ENOMEM;
	protobuf_c_message_pack(message, data + HANDOVER_HEADER_SIZE);
	header.crc = crc32c(0, data + HANDOVER_HEADER_SIZE, size);
	memcpy(data, &header, sizeof(header));
	return fd_write_all(fd, data, HANDOVER_HEADER_SIZE + size);
}

static bool
is_id(const char *text)
{
	return text && text_is_id(text, strlen(text));
}

static bool
reader_is_sound(const Nsexec__Handover__Reader *reader)
{
	if (reader->cursor == 0 || reader->max_events > SUBSCRIBE_EVENTS_MAX ||
	    reader->n_containers > SUBSCRIBE_CONTAINERS_MAX ||
	    (reader->gap_due && reader->gap_from >= reader->cursor) ||
	    (!reader->stream && (reader->max_events == 0 || !reader->end_ms)))
		return false;
	for (size_t i = 0; i < reader->n_containers; i++)
		if (!is_id(reader->containers[i]))
			return false;
	return true;
}

static bool
call_is_sound(const Nsexec__Handover__Call *call, uint64_t last_id)
{
	if (call->id == 0 || call->id > last_id || !call->method ||
	    call->stream_id % 2 == 0 || call->end_ms < 0)
		return false;
	if (call->has_note && call->note.len != sizeof(struct audit_note))
		return false;
	if (call->answered && (call->reader || call->parked))
		return false;
	if (call->reader && (call->parked || !reader_is_sound(call->reader)))
		return false;
	return !call->parked ||
	       (is_id(call->parked->id) &&
		(!call->parked->exec_id || is_id(call->parked->exec_id)) &&
		call->parked->has_owner_uid && call->parked->end_ms >= 0 &&
		call->parked->kind < N_PARK_KINDS);
}

static bool
skip_is_sound(const Nsexec__Handover__Skip *skip)
{
	return skip->left > 0 && skip->left <= skip->length &&
	       skip->reason <= PEER_SKIP_BUSY && skip->type <= UINT8_MAX &&
	       skip->flags <= UINT8_MAX;
}

static bool
peer_is_sound(const Nsexec__Handover__Peer *peer, uint64_t last_id)
{
	if (peer->id == 0 || peer->id > last_id ||
	    peer->in.len >
		    TTRPC_HEADER_SIZE + TTRPC_DATA_MAX + SERVER_READ_LARGE ||
	    (peer->skip && (peer->in.len || !skip_is_sound(peer->skip))) ||
	    peer->n_faults >= PEER_FAULTS_MAX)
		return false;
	for (size_t i = 0; i < peer->n_calls; i++)
		if (!call_is_sound(peer->calls[i], last_id))
			return false;
	return true;
}

/* Where the reading is. */
struct cursor {
	const struct handover_reader *reader; /* NULL: only check */
	void *userdata;
	uint64_t last_id;
	uint32_t n_peers, n_channels;
	bool begun, ended;
};

static int
read_begin(struct cursor *cursor, const Nsexec__Handover__Begin *begin)
{
	if (cursor->begun || begin->boot_id.len != BOOT_ID_SIZE ||
	    begin->epoch.len != 16)
		return -EBADMSG;
	cursor->begun = true;
	cursor->last_id = begin->last_id;
	return cursor->reader ? cursor->reader->begin(cursor->userdata, begin)
			      : 0;
}

static int
read_peer(struct cursor *cursor, const Nsexec__Handover__Peer *peer)
{
	cursor->n_peers++;
	if (!peer_is_sound(peer, cursor->last_id))
		return -EBADMSG;
	return cursor->reader ? cursor->reader->peer(cursor->userdata, peer)
			      : 0;
}

static int
read_channel(struct cursor *cursor, const Nsexec__Handover__Channel *channel)
{
	cursor->n_channels++;
	if (channel->id == 0 ||
	    (channel->has_token && channel->token.len != 16))
		return -EBADMSG;
	return cursor->reader
		       ? cursor->reader->channel(cursor->userdata, channel)
		       : 0;
}

static int
read_end(struct cursor *cursor, const Nsexec__Handover__End *end)
{
	cursor->ended = true;
	return end->n_peers == cursor->n_peers &&
			       end->n_channels == cursor->n_channels
		       ? 0
		       : -EBADMSG;
}

static int
read_message(struct cursor *cursor, uint32_t kind,
	     const ProtobufCMessage *message)
{
	const void *typed = message;

	switch (kind) {
	case HANDOVER_BEGIN:
		return read_begin(cursor, typed);
	case HANDOVER_PEER:
		return read_peer(cursor, typed);
	case HANDOVER_CHANNEL:
		return read_channel(cursor, typed);
	default:
		return read_end(cursor, typed);
	}
}

static int
read_record(struct cursor *cursor, const struct record_header *header,
	    const uint8_t *data)
{
	static const ProtobufCMessageDescriptor *const kinds[] = {
		[HANDOVER_BEGIN] = &nsexec__handover__begin__descriptor,
		[HANDOVER_PEER] = &nsexec__handover__peer__descriptor,
		[HANDOVER_CHANNEL] = &nsexec__handover__channel__descriptor,
		[HANDOVER_END] = &nsexec__handover__end__descriptor,
	};
	ProtobufCMessage *message;
	int r;

	if (header->kind == 0 || header->kind >= ARRAY_SIZE(kinds) ||
	    cursor->ended || (header->kind != HANDOVER_BEGIN && !cursor->begun))
		return -EBADMSG;
	r = pb_unpack(kinds[header->kind], data, header->length, &message);
	if (r < 0)
		return r;
	r = read_message(cursor, header->kind, message);
	protobuf_c_message_free_unpacked(message, NULL);
	return r;
}

static int
read_pass(const uint8_t *data, size_t size, struct cursor *cursor)
{
	struct record_header header;
	int r = 0;

	while (r == 0 && size > 0) {
		if (size < sizeof(header))
			return -EBADMSG;
		memcpy(&header, data, sizeof(header));
		data += sizeof(header);
		size -= sizeof(header);
		if (header.magic != HANDOVER_MAGIC)
			return -EBADMSG;
		if (header.version != HANDOVER_VERSION)
			return -EPROTONOSUPPORT;
		if (header.length > size ||
		    header.length > HANDOVER_RECORD_MAX ||
		    header.crc != crc32c(0, data, header.length))
			return -EBADMSG;
		r = read_record(cursor, &header, data);
		data += header.length;
		size -= header.length;
	}
	return r == 0 && !cursor->ended ? -EBADMSG : r;
}

int
handover_records_read(const void *data, size_t size,
		      const struct handover_reader *reader, void *userdata)
{
	struct cursor check = { 0 };
	struct cursor use = { .reader = reader, .userdata = userdata };
	int r;

	r = read_pass(data, size, &check);
	return r < 0 || !reader ? r : read_pass(data, size, &use);
}
