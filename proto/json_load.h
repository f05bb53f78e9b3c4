/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_loadb() of jansson that tells want of memory apart. jansson 2.14 goes
 * on without a byte of a text that it had no room for, and says of most of the
 * other failures that the text is wrong.
 */
#ifndef NSX_PROTO_JSON_LOAD_H
#define NSX_PROTO_JSON_LOAD_H

#include <jansson.h>

#include "lib/err.h"

/*
 * Duplicate keys are refused. Gives *ret. 0; -EINVAL with *error; -ENOMEM.
 * One thread at a time.
 */
must_check int json_load(const char *text, size_t size, json_t **ret,
			 json_error_t *error);

#endif
