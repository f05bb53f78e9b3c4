/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of a pid namespace gets from outside only the signals that
 * it has a handler for, and KILL and STOP (pid_namespaces(7)); the kernel drops
 * the others without a word. A person who sends one is told.
 */
#include "client/lost_signal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fd.h"

/* What follows "name:" at the beginning of a line, or NULL. */
static const char *
field_find(const char *status, const char *name)
{
	size_t size = strlen(name);
	const char *line = status;

	while (line) {
		if (strncmp(line, name, size) == 0 && line[size] == ':')
			return line + size + 1;
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	return NULL;
}

/* NSpid: the pids from our namespace down to its own. */
static bool
is_first(const char *status)
{
	const char *p = field_find(status, "NSpid");
	unsigned long pid = 0;
	size_t n = 0;
	char *end;

	while (p && *p && *p != '\n') {
		pid = strtoul(p, &end, 10);
		if (end == p)
			break;
		p = end;
		n++;
	}
	return n > 1 && pid == 1;
}

bool
signal_is_lost_by(const char *status, int sig)
{
	const char *caught = field_find(status, "SigCgt");

	if (sig < 1 || sig > 64 || sig == SIGKILL || sig == SIGSTOP || !caught)
		return false;
	return is_first(status) &&
	       !(strtoull(caught, NULL, 16) >> (sig - 1) & 1);
}

bool
signal_is_lost(pid_t pid, int sig)
{
	char path[32], status[4096];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (fd_read_file(AT_FDCWD, path, status, sizeof(status)) < 0)
		return false;
	return signal_is_lost_by(status, sig);
}
