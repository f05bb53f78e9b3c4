/* SPDX-License-Identifier: Apache-2.0 */
/* The boot id as 16 bytes; see boot.h. */
#include "daemon/boot.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fd.h"

static uint8_t
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0');
	return (uint8_t)(c - 'a' + 10);
}

/* "f6bfd5b0-...\n": 32 lower-case digits and dashes */
static int
boot_id_read(uint8_t id[BOOT_ID_SIZE])
{
	char text[64];
	ssize_t size;
	size_t n = 0;

	size = fd_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text,
			    sizeof(text));
	if (size < 0)
		return (int)size;
	for (const char *at = text; *at && n < 2u * BOOT_ID_SIZE; at++) {
		if (!isxdigit((unsigned char)*at))
			continue;
		id[n / 2] = (uint8_t)(id[n / 2] << 4 | hex_value(*at));
		n++;
	}
	return n == 2u * BOOT_ID_SIZE ? 0 : -EBADMSG;
}

/* constant for the life of the machine, so reading it once is no state of
 * ours */
static struct {
	uint8_t id[BOOT_ID_SIZE];
	bool known;
} boot;

int
boot_id_init(void)
{
	int r = boot.known ? 0 : boot_id_read(boot.id);

	boot.known = r == 0;
	return r;
}

const uint8_t *
boot_id(void)
{
	if (boot_id_init() < 0)
		abort();
	return boot.id;
}
