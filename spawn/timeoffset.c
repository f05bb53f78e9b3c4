/* SPDX-License-Identifier: Apache-2.0 */
/* Writing timens_offsets. See timeoffset.h. */
#include "spawn/timeoffset.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int
timeoffset_write(int fd, const char *text)
{
	size_t size = strlen(text);
	ssize_t n;

	while (size > 0) {
		/* The file takes a write only at its beginning. */
		n = pwrite(fd, text, size, 0);
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		text += n;
		size -= (size_t)n;
	}
	return 0;
}
