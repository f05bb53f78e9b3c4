/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the bootstrap codec share: a message to fill, the buffer
 * it is encoded into, what comes back. Included once by each program.
 */
#ifndef NSX_TESTS_UNIT_BOOTSTRAP_FIXTURE_H
#define NSX_TESTS_UNIT_BOOTSTRAP_FIXTURE_H

#include "tests/unit/unit.h"

#include "lib/sys.h"
#include "proto/bootstrap.h"
#include "proto/ops.h"

static uint8_t buf[NLMSG_MAX];
static struct bootstrap msg, back;
static struct bootstrap_error error;

static void
set_up_message(enum dialect dialect)
{
	memset(&msg, 0, sizeof(msg));
	msg.dialect = dialect;
	msg.type = BOOTSTRAP_TYPE;
	msg.seq = 1;
}

#define SET(attr, field, value) \
	(msg.field = (value), bootstrap_mark(&msg, BOOTSTRAP_##attr))
#define SET_MAP(attr, field, text) \
	(msg.field = (text), msg.field##_size = sizeof(text) - 1, \
	 bootstrap_mark(&msg, BOOTSTRAP_##attr))

static size_t
encode_size(void)
{
	size_t size = 0;

	assert_int_equal(
		bootstrap_encode(&msg, buf, sizeof(buf), &size, &error), 0);
	assert_int_equal(bootstrap_decode(msg.dialect, msg.type, buf, size,
					  &back, &error),
			 0);
	return size;
}

#endif
