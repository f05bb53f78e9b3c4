/* SPDX-License-Identifier: Apache-2.0 */
/* See alloc.c. */
#ifndef NSX_TESTS_FAULT_ALLOC_H
#define NSX_TESTS_FAULT_ALLOC_H

#define ALLOC_MAGIC "NSX allocation fault, by number"

struct alloc_fault {
	char magic[32];
	volatile long at;    /* which allocation fails; 0: none */
	volatile long count; /* of allocations so far */
	volatile long hits;
};
extern struct alloc_fault alloc_fault;

#endif
