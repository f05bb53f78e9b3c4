/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands where nsexecd stands after confine_self(), and tries a door.
 *
 *	confine_probe list
 *	confine_probe UID RECORDS-DIR open|write|create PATH
 *	confine_probe UID RECORDS-DIR call NUMBER [ARGUMENT...]
 *	confine_probe UID RECORDS-DIR calls NUMBER...
 *	confine_probe UID RECORDS-DIR signal|abstract|code [WHAT]
 *	confine_probe UID RECORDS-DIR abort|wait
 *
 * One line a try: "ok" or the number of the error. list prints the tables.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/confine.h"
#include "daemon/confine_calls.h"
#include "daemon/log.h"

static void
print_result(long r)
{
	if (r < 0)
		printf("%d\n", errno);
	else
		puts("ok");
	fflush(stdout);
}

static void
print_table(const char *word, const struct confine_call *table)
{
	for (; table->name; table++)
		printf("%s\t%s\t%d\t%d\t%s\n", word, table->name, table->number,
		       table->condition, table->why);
}

static void
try_file(const char *how, const char *path)
{
	int flags = O_CLOEXEC;

	if (strcmp(how, "open") == 0)
		flags |= O_RDONLY;
	else
		flags |= strcmp(how, "create") == 0 ? O_WRONLY | O_CREAT
						    : O_WRONLY;
	print_result(open(path, flags, 0600));
}

static void
try_call(char **args, int n_args)
{
	long values[7] = { 0 };

	for (int i = 0; i < n_args && i < 7; i++)
		values[i] = strtol(args[i], NULL, 0);
	print_result(syscall(values[0], values[1], values[2], values[3],
			     values[4], values[5], values[6]));
}

static void
try_abstract(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s",
		 name);
	print_result(
		connect(fd, (struct sockaddr *)&address,
			(socklen_t)(sizeof(sa_family_t) + 1 + strlen(name))));
}

static void
try_code(void)
{
	void *page;

	page = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	print_result(page == MAP_FAILED ? -1 : 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	print_result(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static void
try_door(const char *what, char **args, int n_args)
{
	if (strcmp(what, "call") == 0)
		try_call(args, n_args);
	else if (strcmp(what, "calls") == 0)
		for (int i = 0; i < n_args; i++)
			try_call(args + i, 1);
	else if (strcmp(what, "signal") == 0)
		print_result(kill(atoi(args[0]), 0));
	else if (strcmp(what, "abstract") == 0)
		try_abstract(args[0]);
	else if (strcmp(what, "code") == 0)
		try_code();
	else if (strcmp(what, "abort") == 0)
		abort();
	else if (strcmp(what, "wait") == 0) {
		puts("ready");
		fflush(stdout);
		print_result(read(STDIN_FILENO, (char[1]){ 0 }, 1));
	} else
		try_file(what, args[0]);
}

int
main(int argc, char **argv)
{
	uid_t uid;
	int r;

	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		print_table("allowed", confine_allowed);
		print_table("fatal", confine_fatal);
		return 0;
	}
	if (argc < 4)
		return 2;
	log_init(LOG_LEVEL_INFO);
	uid = (uid_t)strtoul(argv[1], NULL, 10);
	r = confine_drop(uid, uid);
	if (r == 0)
		r = confine_self(argv[2]);
	if (r < 0) {
		fprintf(stderr, "cannot confine: %s\n", strerror(-r));
		return 1;
	}
	try_door(argv[3], argv + 4, argc - 4);
	return 0;
}
