/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A main for fuzz targets without libFuzzer: gives the target every regular
 * file of the folder CORPUS (or of those named on the command line), in an
 * allocation of exactly its size so that AddressSanitizer sees a read one byte
 * beyond. Prints how many files there were; none is a failure.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
run_file(int dir_fd, const char *name)
{
	struct stat st;
	uint8_t *data;
	ssize_t n;
	int fd;

	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(name);
		exit(1);
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return 0;
	}
	data = malloc((size_t)st.st_size ? (size_t)st.st_size : 1);
	n = data ? read(fd, data, (size_t)st.st_size) : -1;
	close(fd);
	if (n != st.st_size) {
		perror(name);
		exit(1);
	}
	LLVMFuzzerTestOneInput(data, (size_t)n);
	free(data);
	return 1;
}

static int
run_folder(const char *path)
{
	struct dirent *entry;
	int n = 0;
	DIR *dir;

	dir = opendir(path);
	if (!dir) {
		perror(path);
		exit(1);
	}
	while ((entry = readdir(dir)))
		n += run_file(dirfd(dir), entry->d_name);
	closedir(dir);
	return n;
}

int
main(int argc, char **argv)
{
	int i, n = 0;

	if (argc == 1)
		n = run_folder(CORPUS);
	for (i = 1; i < argc; i++)
		n += run_folder(argv[i]);
	printf("%d corpus files\n", n);
	return n > 0 ? 0 : 1;
}
