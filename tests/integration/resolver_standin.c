/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays nsexec-resolver badly. It gets neither environment nor arguments of a
 * test's choice, so a test writes what it shall do into a copy of the program,
 * over the text below: the mode, and a file that gets one byte with each run.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util.h"
#include "proto/policy.h"
#include "proto/resolve.h"

#define OUTPUT_FD 3

static volatile char mode_text[32] = "STANDIN-MODE-------------------";
static volatile char log_text[128] = "STANDIN-LOG------------------------------"
				     "------------------------------";

static void
copy_text(char *ret, const volatile char *text, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		ret[i] = text[i];
	ret[size - 1] = '\0';
}

static void
put(const void *data, size_t size)
{
	if (write(OUTPUT_FD, data, size) < 0)
		_exit(9);
}

/* Nothing but the pipe, and nothing of root. */
static const char *
what_is_wrong(char **env)
{
	int fd;

	for (fd = OUTPUT_FD + 1; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0 && !(fcntl(fd, F_GETFD) & 1))
			return "a descriptor too many";
	if (getuid() == 0 || geteuid() == 0 || getgid() == 0)
		return "it is root";
	if (getgroups(0, NULL) != 0)
		return "it has groups";
	return *env ? "it has an environment" : NULL;
}

static void
play(const char *mode, const char *uid)
{
	struct resolved_user user = { .magic = RESOLVE_MAGIC,
				      .version = RESOLVE_VERSION,
				      .uid = (uint32_t)strtoul(uid, NULL, 10) };

	user.owner = user.uid;
	if (strcmp(mode, "hang") == 0)
		pause();
	if (strcmp(mode, "crash") == 0)
		abort();
	if (strcmp(mode, "refuse") == 0) {
		fputs("nsexec-resolver: no \033 today\n", stderr);
		exit(EXIT_FAILURE);
	}
	if (strcmp(mode, "garbage") == 0)
		memset(&user, 0x5a, sizeof(user));
	if (strcmp(mode, "stranger") == 0)
		user.uid++;
	put(&user,
	    strcmp(mode, "short") == 0 ? sizeof(user) - 1 : sizeof(user));
	if (strcmp(mode, "long") == 0)
		put("x", 1);
}

int
main(int argc, char **argv, char **env)
{
	const char *wrong = what_is_wrong(env);
	char mode[sizeof(mode_text)], log[sizeof(log_text)];
	int fd;

	copy_text(mode, mode_text, sizeof(mode));
	copy_text(log, log_text, sizeof(log));
	fd = open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0 || write(fd, wrong ? "w" : ".", 1) != 1)
		return 8;
	if (wrong) {
		fprintf(stderr, "%s\n", wrong);
		return EXIT_FAILURE;
	}
	if (argc > 2)
		play(mode, argv[2]);
	return EXIT_SUCCESS;
}
