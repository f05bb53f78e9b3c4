/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the unprivileged nsexecd, so that the spawner's keeper can be
 * tested alone: writes what it finds itself to be into records/report, locks
 * nsexecd.pid, says PING on spawner.sock (again whenever that connection ends)
 * and waits for SIGTERM. Its fifth argument changes that: "early" ends with
 * status 3 before the PING; "store" leaves descriptors of several kinds, writes
 * what was said to each into records/stored, and ends with the status of one
 * that handed over, unless it finds that one has done so before it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"
#include "proto/ops.h"

extern char **environ;
static volatile sig_atomic_t stopped;

static void
on_term(int number)
{
	stopped = number;
}

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "standin: %s: %s\n", what, strerror(errno));
	exit(9);
}

static void
copy_status(FILE *report)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[512];

	while (status && fgets(line, sizeof(line), status))
		fputs(line, report);
	if (status)
		fclose(status);
}

static void
list_fds(FILE *report)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
		    atoi(entry->d_name) != dirfd(dir))
			fprintf(report, "fd:\t%s\n", entry->d_name);
	if (dir)
		closedir(dir);
}

static void
write_report(int argc, char **argv, const char *dir)
{
	char path[4096], **env;
	FILE *report;
	int i;

	snprintf(path, sizeof(path), "%s/records/report", dir);
	report = fopen(path, "we");
	if (!report)
		die(path);
	copy_status(report);
	fclose(report);
	report = fopen(path, "ae");
	if (!report)
		die(path);
	for (i = 0; i < argc; i++)
		fprintf(report, "arg:\t%s\n", argv[i]);
	for (env = environ; *env; env++)
		fprintf(report, "env:\t%s\n", *env);
	list_fds(report); /* the report's own is among them */
	fclose(report);
}

static int
lock_pid_file(const char *dir)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[4096], text[16];
	int fd, n;

	snprintf(path, sizeof(path), "%s/nsexecd.pid", dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0 || ftruncate(fd, 0) < 0)
		die(path);
	n = snprintf(text, sizeof(text), "%d\n", getpid());
	if (fd_write_all(fd, text, (size_t)n) < 0)
		die(path);
	return fd;
}

static int
say_ping(const char *dir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct nlmsg_builder builder;
	uint8_t buf[64];
	size_t size;
	int fd;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/spawner.sock",
		 dir);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	nlmsg_builder_init(&builder, buf, sizeof(buf), OP_PING, 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    nlmsg_builder_end(&builder, &size) < 0 ||
	    fd_send(fd, buf, size, NULL, 0) < 0 ||
	    fd_recv(fd, buf, sizeof(buf), NULL, 0, NULL) <= 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The code of the answer; 0: DONE. fd -1: keep none. */
static unsigned int
say_store(int sock, const char *name, int fd)
{
	struct nlmsg_error error;
	struct nlmsg_builder builder;
	struct op_message answer;
	uint8_t buf[1024];
	size_t size;
	ssize_t n;

	nlmsg_builder_init(&builder, buf, sizeof(buf), OP_STORE, 2);
	nlmsg_put_text(&builder, OP_ATTR_CONTAINER, name);
	if (nlmsg_builder_end(&builder, &size) < 0 ||
	    fd_send(sock, buf, size, &fd, fd >= 0) < 0)
		die("STORE");
	n = fd_recv(sock, buf, sizeof(buf), NULL, 0, NULL);
	if (n <= 0 || op_decode(buf, (size_t)n, &answer, &error) < 0)
		die("answer to STORE");
	return answer.header.type == ANSWER_DONE ? 0 : answer.code;
}

static void
leave_all(int sock, const char *dir)
{
	static const char long_name[] = "a-name-of-more-than-thirty-two-bytes";
	char path[4096];
	FILE *report;
	int memory, unix_socket, null;

	snprintf(path, sizeof(path), "%s/records/stored", dir);
	report = fopen(path, "we");
	memory = memfd_create("left", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	unix_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (!report || memory < 0 || unix_socket < 0 || null < 0)
		die(path);
	fprintf(report, "memfd %u\n", say_store(sock, "one", memory));
	fprintf(report, "socket %u\n", say_store(sock, "two", unix_socket));
	fprintf(report, "again %u\n", say_store(sock, "two", memory));
	fprintf(report, "device %u\n", say_store(sock, "three", null));
	fprintf(report, "long %u\n", say_store(sock, long_name, memory));
	fprintf(report, "three %u\n", say_store(sock, "three", memory));
	fprintf(report, "four %u\n", say_store(sock, "four", memory));
	fprintf(report, "five %u\n", say_store(sock, "five", memory));
	fprintf(report, "none %u\n", say_store(sock, "three", -1));
	fclose(report);
}

int
main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_term };
	struct pollfd p = { .fd = -1, .events = POLLIN };
	int pid_fd;

	if (argc < 4)
		return 8;
	write_report(argc, argv, argv[3]);
	if (argc > 4 && strcmp(argv[4], "early") == 0)
		return 3;
	sigaction(SIGTERM, &action, NULL);
	pid_fd = lock_pid_file(argv[3]);
	/* as nsexecd: from here the next spawner finds it */
	prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
	if (argc > 4 && strcmp(argv[4], "store") == 0 &&
	    strcmp(getenv("LISTEN_FDS"), "2") == 0) {
		leave_all(say_ping(argv[3]), argv[3]);
		return 75;
	}
	while (!stopped) {
		if (p.fd < 0)
			p.fd = say_ping(argv[3]);
		if (poll(&p, 1, p.fd < 0 ? 20 : 100) > 0) {
			close(p.fd);
			p.fd = -1;
		}
	}
	return ftruncate(pid_fd, 0) < 0 ? 9 : 0;
}
