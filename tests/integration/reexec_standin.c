/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays a new nsexec-spawner that is none. It gets no arguments of a test's
 * choice, so the last byte of its own file says what it does:
 *
 *	1	ends with status 1 and a reason that is not fit to be shown
 *	0	ends with status 0 and says nothing
 *	k	is killed
 *	h	never ends
 *	f	talks without an end
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int
main(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char mode = '0';

	if (fd < 0 || lseek(fd, -1, SEEK_END) < 0 || read(fd, &mode, 1) != 1)
		return 9;
	switch (mode) {
	case '1':
		dprintf(STDERR_FILENO,
			"spawner: no \033[31mwill\nsecond line\n");
		return 1;
	case 'k':
		raise(SIGKILL);
		break;
	case 'h':
		for (;;)
			pause();
	case 'f':
		for (;;)
			if (write(STDOUT_FILENO, "ok ok ok ok ok ok", 17) < 0)
				usleep(1000);
	}
	return 0;
}
