/* SPDX-License-Identifier: Apache-2.0 */
/*
 * argv and env of a request, put in a row as NUL-ended strings, argv first:
 * the form of the exec block. The names of passed descriptors go into the
 * environment as NSEXEC_FDNAMES="3=log:4=db".
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/request_part.h"
#include "lib/table.h"
#include "lib/util.h"

/* The kernel's MAX_ARG_STRLEN with its NUL (execve(2)). */
#define STRING_MAX_SIZE (128u * 1024u)
#define FDNAMES "NSEXEC_FDNAMES="
#define FDNAMES_MAX 4096u
#define RUNC_PREFIX "_LIBCONTAINER_"

static int
string_check(struct part *part, const ProtobufCBinaryData *string,
	     const char *prefix, const char *list, size_t i)
{
	if (string->len && memchr(string->data, 0, string->len))
		return part_refuse(part, "must not hold a NUL byte",
				   "the kernel would cut the text there",
				   "%s.%s[%zu]", prefix, list, i);
	if (string->len + 1 <= STRING_MAX_SIZE)
		return 0;
	part_refuse(part, "", "pass long data in a file or descriptor",
		    "%s.%s[%zu]", prefix, list, i);
	error_rule(part->error, "is %zu bytes long, the kernel takes %u",
		   string->len, STRING_MAX_SIZE - 1);
	return -EINVAL;
}

static int
env_check(struct part *part, const ProtobufCBinaryData *string,
	  const char *prefix, size_t i)
{
	const size_t own = sizeof(FDNAMES) - 1;
	const size_t runc = sizeof(RUNC_PREFIX) - 1;

	if (string->len == 0 || string->data[0] == '=' ||
	    !memchr(string->data, '=', string->len))
		return part_refuse(part, "must be NAME=VALUE",
				   "give it a name and an =", "%s.env[%zu]",
				   prefix, i);
	if (string->len >= own && memcmp(string->data, FDNAMES, own) == 0)
		return part_refuse(part, "NSEXEC_FDNAMES is set by the daemon",
				   "leave it out; name descriptors in fds",
				   "%s.env[%zu]", prefix, i);
	if (string->len >= runc && memcmp(string->data, RUNC_PREFIX, runc) == 0)
		return part_refuse(part,
				   "names of " RUNC_PREFIX "* steer runc's own "
				   "start-up code",
				   "leave it out", "%s.env[%zu]", prefix, i);
	return 0;
}

static size_t
env_name_size(const ProtobufCBinaryData *string)
{
	const uint8_t *end = memchr(string->data, '=', string->len);

	return (size_t)(end - string->data);
}

/*
 * No name twice: which of two values counts differs between programs, and
 * security checks fall into that gap.
 */
static int
env_check_unique(struct part *part, const Nsexec__V1__Process *from,
		 const char *prefix)
{
	struct table names = { 0 };
	int r = 0;

	for (size_t i = 0; i < from->n_env && r == 0; i++) {
		const ProtobufCBinaryData *string = &from->env[i], *same;
		size_t size = env_name_size(string);
		uint64_t hash = table_hash(string->data, size, 0);

		same = table_find(&names, hash);
		if (!same)
			r = table_add(&names, hash, (void *)string);
		else if (env_name_size(same) == size &&
			 memcmp(same->data, string->data, size) == 0)
			r = part_refuse(part, "names a variable twice",
					"give each name once", "%s.env[%zu]",
					prefix, i);
	}
	table_deinit(&names);
	return r == -ENOMEM ? part_no_memory(part) : r;
}

/* Check all strings and add up their bytes, NULs included. */
static int
strings_refuse(struct part *part, const char *prefix, const char *field,
	       size_t size, size_t limit)
{
	(void)part_refuse(part, "", "pass less, or in a file", "%s.%s", prefix,
			  field);
	error_rule(part->error, "%s: %zu bytes, at most %zu", field, size,
		   limit);
	return -EINVAL;
}

/* NULs are not counted here: the block has its own limit. */
static int
strings_limit(struct part *part, const Nsexec__V1__Process *from,
	      const char *prefix)
{
	const size_t args = part->spec->argv_size - from->n_args;
	const size_t env = part->spec->env_size - from->n_env;

	if (args > BOOTSTRAP_STRINGS_MAX)
		return strings_refuse(part, prefix, "args", args,
				      BOOTSTRAP_STRINGS_MAX);
	if (env > BOOTSTRAP_STRINGS_MAX)
		return strings_refuse(part, prefix, "env", env,
				      BOOTSTRAP_STRINGS_MAX);
	return 0;
}

static int
strings_measure(struct part *part, const Nsexec__V1__Process *from,
		const char *prefix)
{
	struct spec *spec = part->spec;
	int r;

	if (from->n_args == 0)
		return part_refuse(part, "must have at least one entry",
				   "name the program to run", "%s.args",
				   prefix);
	if (from->args[0].len == 0)
		return part_refuse(part, "must not be empty",
				   "name the program to run", "%s.args[0]",
				   prefix);
	for (size_t i = 0; i < from->n_args; i++) {
		r = string_check(part, &from->args[i], prefix, "args", i);
		if (r < 0)
			return r;
		spec->argv_size += from->args[i].len + 1;
	}
	for (size_t i = 0; i < from->n_env; i++) {
		r = string_check(part, &from->env[i], prefix, "env", i);
		if (r == 0)
			r = env_check(part, &from->env[i], prefix, i);
		if (r < 0)
			return r;
		spec->env_size += from->env[i].len + 1;
	}
	r = strings_limit(part, from, prefix);
	if (r < 0)
		return r;
	spec->argc = (uint32_t)from->n_args;
	spec->envc = (uint32_t)from->n_env;
	return env_check_unique(part, from, prefix);
}

static bool
is_fd_name(const ProtobufCBinaryData *name)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "abcdefghijklmnopqrstuvwxyz"
				       "0123456789_.-";

	if (name->len == 0 || name->len > 64)
		return false;
	for (size_t i = 0; i < name->len; i++) {
		if (!name->data[i] || !strchr(alphabet, name->data[i]))
			return false;
	}
	return true;
}

/* The NSEXEC_FDNAMES string of the named descriptors; empty: none. */
static int
fdnames_build(struct part *part, const Nsexec__V1__Process *from,
	      const char *prefix, char text[FDNAMES_MAX])
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < from->n_fds; i++) {
		const Nsexec__V1__PassedFd *fd = from->fds[i];

		if (!fd->has_name)
			continue;
		if (!is_fd_name(&fd->name))
			return part_refuse(part,
					   "must be 1 to 64 of A-Z a-z 0-9 _ "
					   ". -",
					   "choose another name",
					   "%s.fds[%zu].name", prefix, i);
		/* 32 names of 64 bytes: always fits */
		used += (size_t)snprintf(text + used, FDNAMES_MAX - used,
					 "%s%u=%.*s", used ? ":" : FDNAMES,
					 fd->number, (int)fd->name.len,
					 (const char *)fd->name.data);
	}
	return 0;
}

static char *
string_append(char *at, const ProtobufCBinaryData *string)
{
	if (string->len)
		memcpy(at, string->data, string->len);
	at[string->len] = '\0';
	return at + string->len + 1;
}

int
part_exec_data(struct part *part, const Nsexec__V1__Process *process,
	       const char *prefix)
{
	struct spec *spec = part->spec;
	char fdnames[FDNAMES_MAX];
	size_t size;
	char *at;
	int r;

	r = strings_measure(part, process, prefix);
	if (r == 0)
		r = fdnames_build(part, process, prefix, fdnames);
	if (r < 0)
		return r;
	if (fdnames[0]) {
		spec->env_size += strlen(fdnames) + 1;
		spec->envc++;
	}
	size = spec->argv_size + spec->env_size;
	if (size > BOOTSTRAP_EXEC_BLOCK_MAX)
		return strings_refuse(part, prefix, "args and env", size,
				      BOOTSTRAP_EXEC_BLOCK_MAX);
	spec->exec_data = malloc(size);
	if (!spec->exec_data)
		return part_no_memory(part);
	at = spec->exec_data;
	for (size_t i = 0; i < process->n_args; i++)
		at = string_append(at, &process->args[i]);
	for (size_t i = 0; i < process->n_env; i++)
		at = string_append(at, &process->env[i]);
	if (fdnames[0])
		memcpy(at, fdnames, strlen(fdnames) + 1);
	return 0;
}
