/* SPDX-License-Identifier: Apache-2.0 */
/* subuid(5), subgid(5) and login.defs(5). See subid.h. */
#include "resolver/subid.h"

#include <dlfcn.h>
#include <errno.h>
#include <pwd.h>
#include <shadow/subid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/util.h"

#define LINE_FIELDS 3
#define LINE_MAX_BYTES 1023 /* newuidmap skips what is longer */

static const struct {
	const char *path;
	int (*get)(const char *owner, struct subid_range **ranges);
} sides[] = {
	[SUBID_UID] = { "/etc/subuid", subid_get_uid_ranges },
	[SUBID_GID] = { "/etc/subgid", subid_get_gid_ranges },
};

const char *
subid_path(enum subid_side side)
{
	return sides[side].path;
}

static void
file_close(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define file_auto __attribute__((cleanup(file_close)))

/* As shadow's getulong(): decimal, octal or hexadecimal, blanks before it. */
static bool
number_parse(const char *text, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 0);
	return *text && !*end && errno != ERANGE;
}

/*
 * What newuidmap can use of it: ids below 2^32 - 1. A count that wraps gives it
 * nothing, but "0:0", which gives it every id there is, is never meant.
 */
static bool
range_clip(unsigned long first, unsigned long count, struct idmap_range *ret)
{
	unsigned long last = first + count - 1;

	if (count == 0 || last < first || first >= UINT32_MAX)
		return false;
	if (last > UINT32_MAX - 1)
		last = UINT32_MAX - 1;
	ret->first = (uint32_t)first;
	ret->size = (uint32_t)(last - first + 1);
	return true;
}

static bool
owner_is(const struct subid_owner *owner, const char *word)
{
	char number[16];
	size_t i;

	snprintf(number, sizeof(number), "%u", owner->uid);
	if (strcmp(word, number) == 0)
		return true;
	for (i = 0; i < owner->n_names; i++)
		if (strcmp(word, owner->names[i]) == 0)
			return true;
	return false;
}

/* A fourth field is ignored, as newuidmap ignores it. */
static bool
line_parse(char *line, const struct subid_owner *owner, struct idmap_range *ret)
{
	char *fields[LINE_FIELDS];
	unsigned long first, count;
	size_t i;

	line[strcspn(line, "\n")] = '\0';
	if (line[0] == '+' || line[0] == '-' || strlen(line) > LINE_MAX_BYTES)
		return false;
	for (i = 0; i < LINE_FIELDS; i++) {
		fields[i] = strsep(&line, ":");
		if (!fields[i] || !fields[i][0])
			return false;
	}
	return owner_is(owner, fields[0]) && number_parse(fields[1], &first) &&
	       number_parse(fields[2], &count) && range_clip(first, count, ret);
}

static int
file_read(const char *path, const struct subid_owner *owner,
	  struct idmap_range *ranges, size_t max, uint32_t *ret_n)
{
	file_auto FILE *file = fopen(path, "re");
	free_auto char *line = NULL;
	size_t size = 0;

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	while (*ret_n < max && getline(&line, &size, file) >= 0)
		if (line_parse(line, owner, &ranges[*ret_n]))
			++*ret_n;
	return ferror(file) ? -EIO : 0;
}

/* The service that libsubid has taken from nsswitch.conf(5), if any. */
static bool
service_is_used(void)
{
	file_auto FILE *file = fopen("/etc/nsswitch.conf", "re");
	free_auto char *line = NULL;
	char name[51], module[80];
	size_t size = 0;
	void *handle;

	while (file && getline(&line, &size, file) >= 0) {
		if (strncasecmp(line, "subid:", 6) != 0 || strlen(line) < 8 ||
		    sscanf(line + 6, " %50s", name) != 1)
			continue;
		if (strcmp(name, "files") == 0)
			return false;
		snprintf(module, sizeof(module), "libsubid_%s.so", name);
		handle = dlopen(module, RTLD_LAZY | RTLD_NOLOAD);
		if (handle)
			dlclose(handle);
		return handle != NULL;
	}
	return false;
}

int
subid_ranges_read(enum subid_side side, const struct subid_owner *owner,
		  struct idmap_range *ranges, size_t max, uint32_t *ret_n)
{
	free_auto struct subid_range *found = NULL;
	int i, n;

	*ret_n = 0;
	/* asked in any case: only then has it loaded its service */
	n = sides[side].get(owner->names[0], &found);
	if (!service_is_used())
		return file_read(sides[side].path, owner, ranges, max, ret_n);
	if (n < 0)
		return -EIO;
	for (i = 0; i < n && *ret_n < max; i++)
		if (range_clip(found[i].start, found[i].count, &ranges[*ret_n]))
			++*ret_n;
	return 0;
}

void
subid_owner_find_names(struct subid_owner *owner)
{
	const struct passwd *entry;

	setpwent();
	while (owner->n_names < SUBID_MAX_NAMES && (entry = getpwent())) {
		if (entry->pw_uid != owner->uid ||
		    owner_is(owner, entry->pw_name) ||
		    strlen(entry->pw_name) >= sizeof(owner->names[0]))
			continue;
		snprintf(owner->names[owner->n_names++],
			 sizeof(owner->names[0]), "%s", entry->pw_name);
	}
	endpwent();
}

bool
subid_any_group_read(void)
{
	file_auto FILE *file = fopen("/etc/login.defs", "re");
	free_auto char *line = NULL;
	bool yes = false;
	size_t size = 0;

	/* the last of several lines counts */
	while (file && getline(&line, &size, file) >= 0) {
		char *name = line + strspn(line, " \t"), *value;
		size_t end = strcspn(name, " \t\n");

		if (end != strlen("GRANT_AUX_GROUP_SUBIDS") ||
		    memcmp(name, "GRANT_AUX_GROUP_SUBIDS", end) != 0)
			continue;
		value = name + end;
		value += strspn(value, " \"\t");
		value[strcspn(value, " \t\n\"")] = '\0';
		if (value[0])
			yes = strcasecmp(value, "yes") == 0;
	}
	return yes;
}
