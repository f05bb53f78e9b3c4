/* SPDX-License-Identifier: Apache-2.0 */
/* See memory.h. */
#include "daemon/memory.h"

#include <stdlib.h>
#include <unistd.h>

#include "daemon/log.h"

void
memory_out(const char *what)
{
	log_error("nsexecd: no memory for %s: it ends, the next one goes on "
		  "from the records",
		  what);
	_exit(MEMORY_STATUS);
}

void *
owed_malloc(size_t size, const char *what)
{
	void *data = malloc(size ? size : 1);

	if (!data)
		memory_out(what);
	return data;
}

void *
owed_calloc(size_t n, size_t size, const char *what)
{
	void *data = calloc(n, size);

	if (!data)
		memory_out(what);
	return data;
}

void *
owed_realloc(void *old, size_t size, const char *what)
{
	void *data = realloc(old, size);

	if (!data)
		memory_out(what);
	return data;
}
