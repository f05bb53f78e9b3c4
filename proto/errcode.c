/* SPDX-License-Identifier: Apache-2.0 */
/* The table of error codes. See errcode.h. */
#include "proto/errcode.h"

#define ROW(n, t, v, r, y) [ERRCODE_##n] = { #n, t, v, r, y }

static const struct errcode_row rows[] = {
	[ERRCODE_NONE] = { "NONE", 0, 0, 0, false },
	ROW(INVALID_ARGUMENT, 3, 2, 125, false),
	ROW(MAP_INVALID, 3, 2, 125, false),
	ROW(NS_TYPE_MISMATCH, 3, 2, 125, false),
	ROW(NOT_FOUND, 5, 3, 125, false),
	ROW(GONE, 5, 3, 125, false),
	ROW(CONFLICT, 6, 6, 125, false),
	ROW(FAILED_PRECONDITION, 9, 6, 125, false),
	ROW(PERMISSION_DENIED, 7, 4, 125, false),
	ROW(MAP_DENIED, 7, 4, 125, false),
	ROW(NS_DENIED, 7, 4, 125, false),
	ROW(NEED_USERNS, 7, 4, 125, false),
	ROW(CONFINED, 7, 4, 125, false),
	ROW(CALLER_GONE, 7, 4, 125, false),
	ROW(QUOTA, 8, 1, 125, true),
	ROW(RATE, 8, 1, 125, true),
	ROW(OVERLOADED, 8, 1, 125, true),
	ROW(NS_LIMIT, 8, 1, 125, true),
	ROW(EXEC_FAILED, 9, 1, 126, false),
	ROW(STAGE_FAILED, 9, 1, 125, false),
	ROW(DEADLINE, 4, 1, 125, true),
	ROW(CANCELLED, 1, 1, 125, true),
	ROW(ABORTED_RESTART, 10, 1, 125, true),
	ROW(UNSUPPORTED, 12, 1, 125, false),
	ROW(INTERNAL, 13, 1, 125, false),
};
_Static_assert(sizeof(rows) / sizeof(rows[0]) == N_ERRCODES,
	       "every code has a row");

const struct errcode_row *
errcode_row(unsigned int code)
{
	return &rows[code < N_ERRCODES ? code : ERRCODE_INTERNAL];
}
