/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of the record decode. The first byte says whether the bytes are
 * a whole file, a message to be put into a sound record (so that the message is
 * reached), or an event of the ring. A record that is taken must restore and
 * encode again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/record.h"
#include "daemon/record_event.h"
#include "lib/crc32c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t file[RECORD_HEADER_SIZE + 65536];

static size_t
wrap(const uint8_t *data, size_t size)
{
	uint32_t header[4] = { RECORD_MAGIC, RECORD_VERSION };

	if (size > sizeof(file) - RECORD_HEADER_SIZE)
		size = sizeof(file) - RECORD_HEADER_SIZE;
	memcpy(file + RECORD_HEADER_SIZE, data, size);
	header[2] = (uint32_t)size;
	header[3] = crc32c(0, data, size);
	memcpy(file, header, sizeof(header));
	return RECORD_HEADER_SIZE + size;
}

static void
check(const uint8_t *data, size_t size)
{
	Nsexec__Record__Task *record, *again;
	struct container *container;
	uint8_t *encoded;
	size_t encoded_size;

	if (record_task_decode(data, size, &record) < 0)
		return;
	if (container_new(&container) == 0) {
		task_init(&container->init, NULL, container, 1);
		/* an exec task's record has no container of its own */
		strcpy(container->id, "fuzz");
		if (record_task_restore(record, container, &container->init) ==
			    0 &&
		    record_task_encode(&container->init, record->stage,
				       &encoded, &encoded_size) == 0) {
			assert(record_task_decode(encoded, encoded_size,
						  &again) == 0);
			assert(again->stage == record->stage);
			nsexec__record__task__free_unpacked(again, NULL);
			free(encoded);
		}
		container_free(container);
	}
	nsexec__record__task__free_unpacked(record, NULL);
}

static void
check_event(const uint8_t *data, size_t size)
{
	struct event_record_parts parts, parts_again;
	struct event_record record, again;
	uint8_t *encoded;
	size_t encoded_size;

	if (record_event_decode(data, size, &record, &parts) == 0 &&
	    record_event_encode(&record, &encoded, &encoded_size) == 0) {
		assert(record_event_decode(encoded, encoded_size, &again,
					   &parts_again) == 0);
		assert(again.seqs.owner == record.seqs.owner);
		assert(again.draft.type == record.draft.type);
		event_record_parts_deinit(&parts_again);
		free(encoded);
	}
	event_record_parts_deinit(&parts);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] & 2)
		check_event(data + 1, size - 1);
	else if (data[0] & 1)
		check(file, wrap(data + 1, size - 1));
	else
		check(data + 1, size - 1);
	return 0;
}
