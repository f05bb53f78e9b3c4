/* SPDX-License-Identifier: Apache-2.0 */
/* Text that crosses a boundary: strict numbers in, escaped bytes out. */
#ifndef NSX_LIB_TEXT_H
#define NSX_LIB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

/*
 * Decimal digits only: no sign, space, prefix or leading zero but "0" itself.
 * 0, -EINVAL for other text, -ERANGE above max.
 */
must_check int text_parse_u64(const char *text, uint64_t max, uint64_t *ret);
must_check int text_parse_u32(const char *text, uint32_t *ret);

/* A decimal with an optional leading '-'. 0, -EINVAL or -ERANGE. */
must_check int text_parse_i64(const char *text, int64_t min, int64_t max,
			      int64_t *ret);

/*
 * Write size bytes of data to out as printable ASCII plus valid UTF-8; any
 * other byte, the backslash and control characters become \xNN (backslash:
 * \\). Always NUL-terminates if out_size > 0; cuts at a whole escape.
 * Returns out.
 */
char *text_escape(char *out, size_t out_size, const void *data, size_t size);

/* Is this UTF-8 without NUL, surrogates or overlong forms? */
bool text_is_utf8(const void *data, size_t size);

/*
 * A container id or name: 1 to 64 of [A-Za-z0-9_.-], first alphanumeric.
 * Safe as a file and cgroup name.
 */
bool text_is_id(const char *text, size_t size);

#endif
