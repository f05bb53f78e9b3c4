/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The payload's argv and env, and execve. See execblock.h.
 *
 * The memfd comes from nsexecd. Its seals are checked here, once: sealed
 * against writing and shrinking its bytes cannot change or vanish (SIGBUS)
 * between the check of its strings and execve.
 */
#include "spawn/execblock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BLOCK_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int
execblock_count(const char *data, size_t size, size_t *ret_count)
{
	size_t i, count = 0;

	if (size > 0 && data[size - 1] != '\0')
		return -EBADMSG;
	for (i = 0; i < size; i++)
		if (data[i] == '\0')
			count++;
	*ret_count = count;
	return 0;
}

int
execblock_split(char *data, size_t size, size_t count, char **pointers,
		size_t *ret_used)
{
	size_t i, used = 0;
	char *end;

	for (i = 0; i < count; i++) {
		end = memchr(data + used, '\0', size - used);
		if (!end)
			return -EBADMSG;
		pointers[i] = data + used;
		used = (size_t)(end + 1 - data);
	}
	pointers[count] = NULL;
	if (ret_used)
		*ret_used = used;
	else if (used != size)
		return -EBADMSG;
	return 0;
}

const char *
execblock_path(char *const *env)
{
	for (; *env; env++)
		if (strncmp(*env, "PATH=", 5) == 0)
			return *env + 5;
	return EXEC_DEFAULT_PATH;
}

int
execblock_candidate(const char *path, const char *name, size_t *offset,
		    char *buf, size_t buf_size)
{
	size_t size, name_size = strlen(name) + 1, used = 0;
	const char *element;

	/* Behind the last element lies its NUL, one further means the end. */
	if (*offset > strlen(path))
		return 0;
	element = path + *offset;
	size = strcspn(element, ":");
	*offset += size + 1;
	/* An empty element is the current directory (environ(7)). */
	if (size + 1 + name_size > buf_size)
		return -ENAMETOOLONG;
	if (size > 0) {
		memcpy(buf, element, size);
		buf[size] = '/';
		used = size + 1;
	}
	memcpy(buf + used, name, name_size);
	return 1;
}

static int
block_fail(struct stage_context *context, const char *syscall, int error,
	   const char *what)
{
	return stage_fail(context, NULL, syscall, error, "%s", what);
}

/* The memfd's bytes, checked to be what was announced and immutable. */
static int
block_map(struct stage_context *context, size_t size, char **ret)
{
	int seals = fcntl(context->exec_block, F_GET_SEALS);
	struct stat st;
	void *data;

	if (seals < 0)
		return block_fail(context, "fcntl", errno, "seals");
	if ((seals & BLOCK_SEALS) != BLOCK_SEALS)
		return block_fail(context, "fcntl", EPERM, "is not sealed");
	if (fstat(context->exec_block, &st) < 0)
		return block_fail(context, "fstat", errno, "size");
	if (size == 0 || size > BOOTSTRAP_EXEC_BLOCK_MAX ||
	    (uint64_t)st.st_size != size)
		return block_fail(context, "fstat", EBADMSG, "size");
	data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, context->exec_block, 0);
	if (data == MAP_FAILED)
		return block_fail(context, "mmap", errno, "memfd");
	*ret = data;
	return 0;
}

static int
pointers_alloc(struct stage_context *context, size_t argc, size_t envc)
{
	size_t n = argc + envc + 2;
	void *memory = context->pointers;

	if (n > STAGE_INLINE_POINTERS)
		memory = mmap(NULL, n * sizeof(char *), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return block_fail(context, "mmap", errno, "pointers");
	context->argv = memory;
	context->env = context->argv + argc + 1;
	return 0;
}

static int
load_from_memfd(struct stage_context *context)
{
	const struct bootstrap_exec_block *block = &context->msg->exec_block;
	size_t size = (size_t)block->size, used = 0;
	char *data = NULL;
	int r;

	if (context->exec_block < 0)
		return block_fail(context, "", EBADF, "no memfd");
	if (block->argc == 0 || block->argc > size || block->envc > size)
		return block_fail(context, "", EBADMSG, "counts");
	r = block_map(context, size, &data);
	if (r == 0)
		r = pointers_alloc(context, block->argc, block->envc);
	if (r < 0)
		return r;
	r = execblock_split(data, size, block->argc, context->argv, &used);
	if (r == 0)
		r = execblock_split(data + used, size - used, block->envc,
				    context->env, NULL);
	return r < 0 ? block_fail(context, "", -r, "strings") : 0;
}

static int
load_from_message(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;
	size_t argc = 0, envc = 0;
	int r;

	r = execblock_count(msg->argv.data, msg->argv.size, &argc);
	if (r == 0)
		r = execblock_count(msg->env.data, msg->env.size, &envc);
	if (r < 0 || argc == 0)
		return block_fail(context, "", EBADMSG, "strings");
	r = pointers_alloc(context, argc, envc);
	if (r < 0)
		return r;
	/* execve() takes pointers to char that it does not write through. */
	r = execblock_split((char *)(uintptr_t)msg->argv.data, msg->argv.size,
			    argc, context->argv, NULL);
	if (r == 0)
		r = execblock_split((char *)(uintptr_t)msg->env.data,
				    msg->env.size, envc, context->env, NULL);
	return r < 0 ? block_fail(context, "", -r, "strings") : 0;
}

int
execblock_load(struct stage_context *context)
{
	if (bootstrap_has(context->msg, BOOTSTRAP_EXEC_BLOCK))
		return load_from_memfd(context);
	return load_from_message(context);
}

static bool
look_one(struct stage_context *context, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
	    !(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return false;
	context->program = (struct op_program){ .major = major(st.st_dev),
						.minor = minor(st.st_dev),
						.inode = st.st_ino };
	return true;
}

int
execblock_look(struct stage_context *context)
{
	const char *name = context->argv[0], *path;
	char candidate[4096];
	size_t offset = 0;
	int r;

	if (strchr(name, '/') || name[0] == '\0') {
		(void)look_one(context, name);
		return 0;
	}
	path = execblock_path(context->env);
	while ((r = execblock_candidate(path, name, &offset, candidate,
					sizeof(candidate))) != 0)
		if (r > 0 && look_one(context, candidate))
			break;
	return 0;
}

/* Failures of one candidate after which the next is tried, as execvp(3). */
static bool
is_not_here(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES ||
	       error == ELOOP || error == ENAMETOOLONG;
}

/* What execve counts, see bprm_stack_limits() in the kernel's fs/exec.c. */
static size_t
list_size(char *const *list)
{
	size_t size = 0;

	for (; *list; list++)
		size += strlen(*list) + 1 + sizeof(char *);
	return size;
}

/*
 * Strings may fill a quarter of the stack limit. A payload with more of them,
 * whose request says nothing of its stack, gets a higher soft limit: anybody
 * may raise that to the hard one. false: nothing was changed.
 */
static bool
stack_make_room(const struct stage_context *context, const char *path)
{
	const struct bootstrap *msg = context->msg;
	struct rlimit limit;
	rlim_t need;

	for (size_t i = 0; i < msg->n_rlimits; i++)
		if (msg->rlimits[i].resource == RLIMIT_STACK)
			return false;
	need = 4 * (list_size(context->argv) + list_size(context->env) +
		    strlen(path) + 1);
	if (getrlimit(RLIMIT_STACK, &limit) < 0 || limit.rlim_cur >= need ||
	    limit.rlim_max < need)
		return false;
	limit.rlim_cur = need;
	return setrlimit(RLIMIT_STACK, &limit) == 0;
}

/* Does not return if it succeeds. */
static void
exec_one(const struct stage_context *context, const char *path)
{
	execve(path, context->argv, context->env);
	if (errno != E2BIG)
		return;
	if (stack_make_room(context, path))
		execve(path, context->argv, context->env);
	else
		errno = E2BIG;
}

int
execblock_exec(struct stage_context *context)
{
	const char *name = context->argv[0], *path;
	char candidate[4096], denied[FAILURE_OBJECT_MAX] = "";
	size_t offset = 0;
	int r;

	if (strchr(name, '/') || name[0] == '\0') {
		exec_one(context, name);
		return stage_fail(context, "exec", "execve", errno, "%s", name);
	}
	path = execblock_path(context->env);
	while ((r = execblock_candidate(path, name, &offset, candidate,
					sizeof(candidate))) != 0) {
		if (r < 0)
			continue;
		exec_one(context, candidate);
		if (!is_not_here(errno))
			return stage_fail(context, "exec", "execve", errno,
					  "%s", candidate);
		if (errno == EACCES && denied[0] == '\0')
			snprintf(denied, sizeof(denied), "%.*s",
				 (int)sizeof(denied) - 1, candidate);
	}
	if (denied[0] != '\0')
		return stage_fail(context, "exec", "execve", EACCES, "%s",
				  denied);
	return stage_fail(context, "exec", "execve", ENOENT, "%s", name);
}
