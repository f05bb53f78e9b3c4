/* SPDX-License-Identifier: Apache-2.0 */
/* What the resolver gives up before it reads anything. */
#ifndef NSX_RESOLVER_CONFINE_H
#define NSX_RESOLVER_CONFINE_H

#include "lib/err.h"

#define RESOLVER_OUTPUT_FD 3

/*
 * Keep descriptors 0 to 3 alone, no environment, no capability, no way to gain
 * one, no core, not to be traced; bounded memory, time, files, no child. 0 or
 * -errno with *ret_step a word: -EBADF "output" if descriptor 3 is not open.
 */
must_check int confine_self(const char **ret_step);

#endif
