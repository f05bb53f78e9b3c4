/* SPDX-License-Identifier: Apache-2.0 */
/*
 * argv and env of the payload: NUL-ended strings one after the other, from the
 * message or from a sealed memfd ("exec block"). Pointers into them are made in
 * anonymous memory; nothing is copied.
 */
#ifndef NSX_SPAWN_EXECBLOCK_H
#define NSX_SPAWN_EXECBLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "spawn/stagectx.h"

/*
 * Pure: point at each of the count strings that data must be made of, exactly.
 * pointers has room for count + 1; the last becomes NULL. 0 or -EBADMSG.
 * *ret_used: bytes that the strings took, if not NULL; else size must be used
 * up.
 */
must_check int execblock_split(char *data, size_t size, size_t count,
			       char **pointers, size_t *ret_used);
/* Pure: number of NUL-ended strings in data; -EBADMSG if the last has no NUL.
 */
must_check int execblock_count(const char *data, size_t size,
			       size_t *ret_count);
/* Pure: value of PATH in env, or the default. */
const char *execblock_path(char *const *env);

/*
 * Pure: the first candidate of a search of name along path from *offset on,
 * into buf. 1 = there is one and *offset is behind it, 0 = no more,
 * -ENAMETOOLONG = it does not fit (skip it: *offset has moved on).
 */
int execblock_candidate(const char *path, const char *name, size_t *offset,
			char *buf, size_t buf_size);

#define EXEC_DEFAULT_PATH \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Init: map and check the block, or use the message's; fills context->argv
 * and env. Step "exec-block". */
must_check int execblock_load(struct stage_context *context);

/*
 * Which file execblock_exec() would run now, for the audit log: fills
 * context->program. Nothing is decided by it, and nothing there is no failure:
 * what is run is what is there when the gate opens.
 */
must_check int execblock_look(struct stage_context *context);

/*
 * execve(2) of argv[0], looked up in PATH of env unless it holds a slash.
 * Returns only on failure: -errno, step "exec", object: the path tried.
 */
must_check int execblock_exec(struct stage_context *context);

#endif
