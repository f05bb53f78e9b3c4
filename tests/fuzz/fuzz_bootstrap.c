/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of the bootstrap decoder: the first byte picks the dialect (and
 * START or EXEC for NX), the rest is the message. The header's length is set
 * right, so that the attributes are reached. What decodes must encode, and the
 * encoding must decode to the same values and encode to the same bytes; small
 * messages go through op_decode() and the id map parser as well.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/bootstrap.h"
#include "proto/idmap.h"
#include "proto/ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bootstrap first, second;
static uint8_t first_bytes[NLMSG_MAX], second_bytes[NLMSG_MAX];

static int
encode(const struct bootstrap *msg, uint8_t *bytes, size_t *size)
{
	struct bootstrap_error error;

	return bootstrap_encode(msg, bytes, NLMSG_MAX, size, &error);
}

static void
check_bootstrap(enum dialect dialect, uint16_t type, const uint8_t *data,
		size_t size)
{
	struct bootstrap_error error = { 0 };
	size_t first_size, second_size;

	if (bootstrap_decode(dialect, type, data, size, &first, &error) < 0) {
		assert(error.text[0] != '\0');
		assert(memchr(error.text, '\0', sizeof(error.text)));
		return;
	}
	assert(encode(&first, first_bytes, &first_size) == 0);
	assert(bootstrap_decode(dialect, type, first_bytes, first_size, &second,
				&error) == 0);
	assert(second.present == first.present);
	assert(second.clone_flags == first.clone_flags);
	assert(encode(&second, second_bytes, &second_size) == 0);
	assert(second_size == first_size);
	assert(memcmp(first_bytes, second_bytes, first_size) == 0);
}

static void
check_small(const uint8_t *data, size_t size)
{
	struct nlmsg_error error;
	struct op_message op;
	struct idmap_error map_error;
	static struct idmap map;
	static char text[IDMAP_MAX_TEXT + 2];
	size_t text_size;

	(void)!op_decode(data, size, &op, &error);
	if (size > NLMSG_HEADER_SIZE &&
	    idmap_parse((const char *)data + NLMSG_HEADER_SIZE,
			size - NLMSG_HEADER_SIZE, &map, &map_error) == 0 &&
	    idmap_check(&map, &map_error) == 0)
		assert(idmap_format(&map, text, sizeof(text), &text_size) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum dialect dialect;
	uint16_t type = BOOTSTRAP_TYPE;
	uint32_t len;
	uint8_t *copy;

	if (size < 1 || size - 1 > NLMSG_MAX)
		return 0;
	dialect = (enum dialect)(DIALECT_D1 +
				 (data[0] & 0x7f) % (N_DIALECTS - DIALECT_D1));
	if (dialect == DIALECT_NX && (data[0] & 0x80))
		type = OP_EXEC;
	size--;
	copy = malloc(size ? size : 1);
	assert(copy);
	memcpy(copy, data + 1, size);
	len = (uint32_t)size;
	if (size >= NLMSG_HEADER_SIZE)
		memcpy(copy, &len, sizeof(len));
	check_bootstrap(dialect, type, copy, size);
	check_small(copy, size);
	free(copy);
	return 0;
}
