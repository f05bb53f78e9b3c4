/* SPDX-License-Identifier: Apache-2.0 */
/* See json_load.h. */
#include "proto/json_load.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* Of the reading under way: jansson's allocator is one for the process. */
static bool failed;

/*
 * After one failure all others fail: a string whose closing quote was lost is
 * then never copied, which would read behind its end.
 */
static void *
noting_malloc(size_t size)
{
	void *memory = failed ? NULL : malloc(size);

	if (!memory)
		failed = true;
	return memory;
}

int
json_load(const char *text, size_t size, json_t **ret, json_error_t *error)
{
	json_malloc_t old_malloc;
	json_free_t old_free;
	json_t *root;

	failed = false;
	json_get_alloc_funcs(&old_malloc, &old_free);
	json_set_alloc_funcs(noting_malloc, free);
	root = json_loadb(text, size, JSON_REJECT_DUPLICATES, error);
	json_set_alloc_funcs(old_malloc, old_free);
	if (failed) {
		json_decref(root);
		return -ENOMEM;
	}
	if (!root)
		return -EINVAL;
	*ret = root;
	return 0;
}
