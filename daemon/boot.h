/* SPDX-License-Identifier: Apache-2.0 */
/* Which boot of the machine this is (random(4), boot_id). */
#ifndef NSX_DAEMON_BOOT_H
#define NSX_DAEMON_BOOT_H

#include <stdint.h>

#define BOOT_ID_SIZE 16

/* 16 bytes, read once; all zero if the kernel does not say. */
const uint8_t *boot_id(void);

#endif
