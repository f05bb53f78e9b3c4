/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a whole file or standard input. See input.h. */
#include "client/input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"

int
input_read(const char *path, size_t max, char **ret, size_t *ret_size)
{
	free_auto char *text = malloc(max + 1);
	fd_auto int opened = -1;
	int fd = STDIN_FILENO;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	if (strcmp(path, "-") != 0) {
		opened = open(path, O_RDONLY | O_CLOEXEC);
		if (opened < 0)
			return -errno;
		fd = opened;
	}
	n = fd_read_all(fd, text, max);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	*ret = ptr_steal(&text);
	*ret_size = (size_t)n;
	return 0;
}
