/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One uid: its passwd entry, its delegated ranges, whose delegated id it is.
 *
 * Whose: a uid with a passwd entry of its own is its own owner, even within
 * another's range. One without is its own too, unless lines of subuid(5) cover
 * it: then it is the user's that they name, and if that is a number without an
 * entry which is itself delegated, the next one's, and so on. Two users' lines
 * over one uid are an error and so no caller: counting it as either would let
 * the one see and use up what is the other's, and counting it as itself would
 * give both as many quotas as they have ids. A line of a user who is no more is
 * an error for the ids it covers as well.
 */
#ifndef NSX_RESOLVER_USER_H
#define NSX_RESOLVER_USER_H

#include <stddef.h>

#include "lib/err.h"
#include "proto/resolve.h"

#define USER_ERROR_MAX 256

/*
 * Fill *ret. 0, or -errno with one line in error_text that names the file, what
 * is wrong and what to change. What cannot be found out is an error, never an
 * absence.
 */
must_check int user_resolve(uint32_t uid, struct resolved_user *ret,
			    char error_text[USER_ERROR_MAX]);

#endif
