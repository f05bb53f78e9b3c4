/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 (FIPS 180-4), for naming bytes in the audit log: plain C, no secret
 * ever goes in, so its timing does not matter.
 */
#ifndef NSX_LIB_SHA256_H
#define NSX_LIB_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32u
#define SHA256_HEX_SIZE (2 * SHA256_SIZE + 1)

struct sha256 {
	uint32_t state[8];
	uint64_t size; /* bytes taken so far */
	uint8_t block[64];
};

void sha256_init(struct sha256 *sha256);
void sha256_update(struct sha256 *sha256, const void *data, size_t size);
/* The digest of all that was put in; *sha256 is used up. */
void sha256_end(struct sha256 *sha256, uint8_t digest[SHA256_SIZE]);
/* The same as lower-case hexadecimal text. Returns hex. */
const char *sha256_end_hex(struct sha256 *sha256, char hex[SHA256_HEX_SIZE]);

#endif
