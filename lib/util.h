/* SPDX-License-Identifier: Apache-2.0 */
/* Small idioms used everywhere: array length, cleanup of heap memory. */
#ifndef NSX_LIB_UTIL_H
#define NSX_LIB_UTIL_H

#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void
free_auto_free(void *p)
{
	void *memory;

	memcpy(&memory, p, sizeof(memory));
	free(memory);
}
/* A local that owns heap memory: "free_auto char *text = NULL;". */
#define free_auto __attribute__((cleanup(free_auto_free)))

/* Give heap memory away: returns *p and leaves NULL behind. */
#define ptr_steal(p) \
	({ \
		__typeof__(*(p)) _t = *(p); \
		*(p) = NULL; \
		_t; \
	})

#endif
