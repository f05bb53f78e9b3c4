/* SPDX-License-Identifier: Apache-2.0 */
/* Which boot of the machine this is (random(4), boot_id). */
#ifndef NSX_DAEMON_BOOT_H
#define NSX_DAEMON_BOOT_H

#include <stdint.h>

#include "lib/err.h"

#define BOOT_ID_SIZE 16

/* 16 bytes, read once; all zero if the kernel does not say. */
/*
 * Reads it: 0 or -errno. Before anything is compared with it: to take another
 * for it is to hold every process on record for ended.
 */
must_check int boot_id_init(void);
/* It was read, or can be. */
const uint8_t *boot_id(void);

#endif
