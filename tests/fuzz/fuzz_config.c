/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: any text is taken whole or refused with a reason. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error_text[CONFIG_ERROR_MAX];
	struct config config, before;
	int r;

	config_init(&config);
	before = config;
	r = config_parse(&config, "f", (const char *)data, size, error_text);
	if (r < 0) {
		assert(strncmp(error_text, "f:", 2) == 0);
		assert(memcmp(&config, &before, sizeof(config)) == 0);
	} else {
		assert(config.limits.ended_seconds <= 31536000);
		assert(!config.cgroup_root || config.cgroup_root[0] == '/');
	}
	config_deinit(&config);
	return 0;
}
