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
		n = write(fd, text, size);
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		text += n;
		size -= (size_t)n;
		/* The file takes writes only at its beginning; pwrite(2) is
		 * refused by all seq files (ESPIPE). */
		if (size > 0 && lseek(fd, 0, SEEK_SET) < 0)
			return -errno;
	}
	return 0;
}
