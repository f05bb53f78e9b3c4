/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files and standard input, for the commands that need no daemon. */
#ifndef NSX_CLIENT_INPUT_H
#define NSX_CLIENT_INPUT_H

#include <stddef.h>

#include "lib/err.h"

/*
 * Read a file, or standard input for "-", of at most max bytes. Gives *ret,
 * which ends in a NUL that *ret_size does not count. 0, or the -errno of
 * open(2) or read(2), -EMSGSIZE, -ENOMEM.
 */
must_check int input_read(const char *path, size_t max, char **ret,
			  size_t *ret_size);

#endif
