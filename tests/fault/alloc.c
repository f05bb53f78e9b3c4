/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc(3) of a program under torture: counts, and fails once when told to.
 *
 * Linked into a program it stands before the C library's for all that the
 * program loads (libevent, protobuf-c). Whoever tests writes to alloc_fault,
 * which it finds by its first word: in the file before the program starts, or
 * in the memory of the process.
 */
#include "tests/fault/alloc.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* The C library's own, by the names that it exports for this. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

struct alloc_fault alloc_fault = { .magic = { ALLOC_MAGIC } };

static int
fails(void)
{
	if (++alloc_fault.count != alloc_fault.at)
		return 0;
	alloc_fault.hits++;
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}
