/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of the state that a reload hands over. The first byte is a kind:
 * 0: the rest is a whole state; else the rest is the message of one record of
 * that kind within a sound state, so that the messages are reached.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/handover_record.h"
#include "lib/crc32c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t state[65536 + 4096];
static size_t used;

static void
put(uint32_t kind, const uint8_t *data, size_t size)
{
	uint32_t header[5] = { HANDOVER_MAGIC, HANDOVER_VERSION, kind,
			       (uint32_t)size, crc32c(0, data, size) };

	memcpy(state + used, header, sizeof(header));
	used += sizeof(header);
	memcpy(state + used, data, size);
	used += size;
}

static void
put_message(uint32_t kind, const ProtobufCMessage *message)
{
	uint8_t data[256];

	put(kind, data, protobuf_c_message_pack(message, data));
}

static void
wrap(uint32_t kind, const uint8_t *data, size_t size)
{
	Nsexec__Handover__Begin begin = NSEXEC__HANDOVER__BEGIN__INIT;
	Nsexec__Handover__End end = NSEXEC__HANDOVER__END__INIT;
	uint8_t id[16] = { 0 };

	begin.has_boot_id = begin.has_epoch = begin.has_last_id = 1;
	begin.boot_id.len = begin.epoch.len = sizeof(id);
	begin.boot_id.data = begin.epoch.data = id;
	begin.last_id = 100;
	end.has_n_peers = end.has_n_channels = 1;
	end.n_peers = kind == HANDOVER_PEER;
	end.n_channels = kind == HANDOVER_CHANNEL;
	if (kind != HANDOVER_BEGIN)
		put_message(HANDOVER_BEGIN, &begin.base);
	put(kind, data, size);
	if (kind != HANDOVER_END)
		put_message(HANDOVER_END, &end.base);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 65536)
		return 0;
	if (data[0] == 0) {
		(void)!handover_records_read(data + 1, size - 1, NULL, NULL);
		return 0;
	}
	used = 0;
	wrap(data[0] % 5 ? data[0] % 5u : HANDOVER_PEER, data + 1, size - 1);
	(void)!handover_records_read(state, used, NULL, NULL);
	return 0;
}
