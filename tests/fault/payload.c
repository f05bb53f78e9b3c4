/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program that torture starts: it leaves one line for each time it runs,
 * with the rights that it runs with.
 *
 *	payload MARK CODE [MILLISECONDS]
 *
 * Appends to MARK in one write, sleeps, exits with CODE. The line holds what
 * must be the same each time: ids, capabilities and no_new_privs
 * (/proc/self/status), resource limits, descriptors, namespaces (proc(5)).
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char line[16384];
static size_t used;

#define add(...) \
	(used += \
	 (size_t)snprintf(line + used, sizeof(line) - used, __VA_ARGS__))

static void
add_status(void)
{
	static const char *const wanted[] = {
		"Uid:",	   "Gid:",    "Groups:", "CapInh:",	"CapPrm:",
		"CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:",
		"SigBlk:", "SigIgn:", "Umask:"
	};
	FILE *f = fopen("/proc/self/status", "re");
	char text[512];

	while (f && fgets(text, sizeof(text), f)) {
		text[strcspn(text, "\n")] = '\0';
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (strncmp(text, wanted[i], strlen(wanted[i])) == 0)
				add("%s;", text);
	}
	if (f)
		fclose(f);
	else
		add("no status;");
}

static void
add_limits(void)
{
	struct rlimit limit;

	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (getrlimit((__rlimit_resource_t)i, &limit) == 0)
			add("%llx:%llx,", (unsigned long long)limit.rlim_cur,
			    (unsigned long long)limit.rlim_max);
	add("securebits %d;nice %d;", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0),
	    getpriority(PRIO_PROCESS, 0));
}

static void
add_descriptors(void)
{
	struct stat st;

	for (int fd = 0; fd < 4096; fd++)
		if (fstat(fd, &st) == 0)
			add("fd %d %o;", fd, st.st_mode & S_IFMT);
}

static void
add_namespaces(void)
{
	static const char *const kinds[] = { "user", "ipc", "uts",    "net",
					     "pid",  "mnt", "cgroup", "time" };
	char path[64];
	struct stat st;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		if (stat(path, &st) == 0)
			add("ns %s %llu;", kinds[i],
			    (unsigned long long)st.st_ino);
	}
}

int
main(int argc, char **argv)
{
	struct timespec pause = { 0, 0 };
	int fd;

	if (argc < 3)
		return 99;
	add_status();
	add_limits();
	add_descriptors();
	add_namespaces();
	add("\n");
	fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, line, used) != (ssize_t)used)
		return 98;
	close(fd);
	if (argc > 3) {
		long ms = strtol(argv[3], NULL, 10);

		pause.tv_sec = ms / 1000;
		pause.tv_nsec = ms % 1000 * 1000000;
		nanosleep(&pause, NULL);
	}
	return (int)strtol(argv[2], NULL, 10);
}
