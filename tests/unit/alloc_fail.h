/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function tried with each of its allocations failing in turn. Linked into a
 * test program, alloc_fail.c stands before malloc(3) for all that is loaded
 * (protobuf-c, jansson, the C library itself).
 */
#ifndef NSX_TESTS_UNIT_ALLOC_FAIL_H
#define NSX_TESTS_UNIT_ALLOC_FAIL_H

#include <stdint.h>

/* What an output holds that must be as it was after an error. */
#define ALLOC_FAIL_KEPT ((void *)(uintptr_t)0x5a5a5a5a5a5a5a5a)

/*
 * fn does one whole thing: it makes its input, calls what is tested, checks
 * that outputs are as they were on error, frees everything, and returns what
 * was returned. It is called with the 1st, the 2nd ... allocation failing,
 * until none is left to fail. Each time fn must return -ENOMEM, all that was
 * allocated must be free again, no descriptor be open that was not, and the
 * same call then work. Returns how many allocations there were.
 */
unsigned int alloc_fail_each(int (*fn)(void *data), void *data);

/*
 * Between these nothing is counted and nothing fails: for what fn needs and is
 * not tested. The blocks are freed between them as well.
 */
void alloc_fail_pause(void);
void alloc_fail_go_on(void);

#endif
