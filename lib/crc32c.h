/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli, RFC 3720 appendix B.4): checks the daemon's records. */
#ifndef NSX_LIB_CRC32C_H
#define NSX_LIB_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc is 0 to begin with, or what the call for the bytes before returned. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

#endif
