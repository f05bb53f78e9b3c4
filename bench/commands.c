/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of command-line contestants, as bench/run.py writes it: lines of
 *	contestant NAME
 *	pid-dir PATH | info-fd
 *	profile NAME
 *	arg WORD
 * pid-dir and info-fd hold for the contestant; arg lines for the profile.
 */
#include <errno.h>
#include <stdio.h>

#include "bench/commands.h"
#include "lib/util.h"

#define MAX_WORDS 64

static int
profile_parse(const char *name)
{
	int profile;

	for (profile = 0; profile < N_PROFILES; profile++)
		if (strcmp(profile_name((enum profile)profile), name) == 0)
			return profile;
	return -EINVAL;
}

static int
contestant_add(struct command_list *list, const char *name)
{
	struct contestant *contestant;

	if (list->n == COMMANDS_MAX)
		return -E2BIG;
	contestant = &list->contestants[list->n++];
	contestant->commands = calloc(N_PROFILES, sizeof(struct command));
	contestant->name = strdup(name);
	return contestant->commands && contestant->name ? 0 : -ENOMEM;
}

static int
word_add(struct command *command, const char *word)
{
	size_t n = 0;

	if (!command->argv)
		command->argv = calloc(MAX_WORDS + 1, sizeof(char *));
	if (!command->argv)
		return -ENOMEM;
	while (command->argv[n])
		n++;
	if (n == MAX_WORDS)
		return -E2BIG;
	command->argv[n] = strdup(word);
	return command->argv[n] ? 0 : -ENOMEM;
}

static int
line_handle(struct command_list *list, int *profile, const char *key,
	    const char *value)
{
	struct command *commands = NULL;
	int i;

	if (list->n > 0)
		commands = list->contestants[list->n - 1].commands;
	if (strcmp(key, "contestant") == 0)
		return contestant_add(list, value);
	if (!commands)
		return -EINVAL;
	if (strcmp(key, "profile") == 0) {
		*profile = profile_parse(value);
		return *profile < 0 ? *profile : 0;
	}
	if (strcmp(key, "arg") == 0)
		return word_add(&commands[*profile], value);
	for (i = 0; i < N_PROFILES; i++) {
		if (strcmp(key, "info-fd") == 0)
			commands[i].info_fd = true;
		else if (strcmp(key, "pid-dir") == 0)
			commands[i].pid_dir = strdup(value);
		else
			return -EINVAL;
	}
	return 0;
}

int
command_list_read(const char *path, struct command_list *list)
{
	char line[1024], *value;
	int profile = 0, r = 0;
	FILE *file = fopen(path, "re");

	if (!file)
		return -errno;
	while (r == 0 && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		value = strchr(line, ' ');
		if (value)
			*value++ = '\0';
		r = line_handle(list, &profile, line, value ? value : "");
	}
	fclose(file);
	return r;
}
