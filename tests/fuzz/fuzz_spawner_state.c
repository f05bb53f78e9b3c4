/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a spawner leaves to its successor. First byte: bit 0 = make header and
 * checksum right, so that the records decide. What is taken can be walked
 * through, and holds what whoever uses it relies on.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crc32c.h"
#include "lib/text.h"
#include "spawn/spawner.h"
#include "spawn/spawner_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
walk(const uint8_t *data, size_t size)
{
	size_t n[N_STATE_KINDS] = { 0 }, n_fds, i;
	struct state_iter iter;
	struct state_item item;
	const int32_t *fds;

	state_iter_init(&iter, data, size);
	while (state_iter_next(&iter, &item)) {
		assert(item.tail + item.n_tail <= data + size);
		n_fds = state_item_fds(&item, &fds);
		for (i = 0; i < n_fds; i++)
			assert(fds[i] == -1 || fds[i] > 2);
		n[item.kind]++;
		if (item.kind == STATE_TEXT)
			assert(item.tail[item.n_tail - 1] == '\0');
		if (item.kind == STATE_ORPHAN)
			assert(item.fixed.orphan.number > 1 &&
			       item.fixed.orphan.fds[0] > 2 &&
			       text_is_id(item.fixed.orphan.id,
					  strlen(item.fixed.orphan.id)));
		if (item.kind == STATE_CHILD)
			assert(item.fixed.child.pid > 1 &&
			       text_is_id(item.fixed.child.id,
					  strlen(item.fixed.child.id)));
	}
	assert(n[STATE_GLOBAL] == 1 && n[STATE_KEEPER] == 1);
	assert(n[STATE_CONN] <= CONN_MAX && n[STATE_START] <= START_MAX &&
	       n[STATE_REMOVAL] <= REMOVAL_MAX &&
	       n[STATE_DEFERRED] <= DEFER_MAX &&
	       n[STATE_LEFTOVER] <= LEFTOVERS_MAX && n[STATE_POLICY] <= 1 &&
	       n[STATE_ORPHAN] <= ORPHANS_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[STATE_WHY_SIZE] = "";
	struct state_header header;
	uint8_t *copy;

	if (size < 1)
		return 0;
	copy = malloc(size);
	assert(copy);
	memcpy(copy, data + 1, size - 1);
	if ((data[0] & 1) && size - 1 >= sizeof(header)) {
		memcpy(&header, copy, sizeof(header));
		header.magic = STATE_MAGIC;
		header.version = STATE_VERSION;
		header.size = size - 1;
		header.checksum = crc32c(0, copy + sizeof(header),
					 size - 1 - sizeof(header));
		memcpy(copy, &header, sizeof(header));
	}
	if (state_check(copy, size - 1, why) == 0)
		walk(copy, size - 1);
	else
		assert(why[0]);
	free(copy);
	return 0;
}
