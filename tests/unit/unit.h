/* SPDX-License-Identifier: Apache-2.0 */
/* What every cmocka program here includes first, in cmocka's order. */
#ifndef NSX_TESTS_UNIT_UNIT_H
#define NSX_TESTS_UNIT_UNIT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"

#endif
