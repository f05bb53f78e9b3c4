/* SPDX-License-Identifier: Apache-2.0 */
/* Birth and end of a struct spec; see spec.h. */
#include "daemon/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
spec_init(struct spec *spec)
{
	memset(spec, 0, sizeof(*spec));
	spec->boot.dialect = DIALECT_NX;
	spec->boot.type = BOOTSTRAP_TYPE;
	spec->timeout_ms = SPEC_TIMEOUT_MS;
}

void
spec_deinit(struct spec *spec)
{
	free(spec->exec_data);
	spec->exec_data = NULL;
	arena_deinit(&spec->arena);
}

int
spec_new(struct spec **ret)
{
	struct spec *spec = malloc(sizeof(*spec));

	if (!spec)
		return -ENOMEM;
	spec_init(spec);
	*ret = spec;
	return 0;
}

struct spec *
spec_free(struct spec *spec)
{
	if (!spec)
		return NULL;
	spec_deinit(spec);
	free(spec);
	return NULL;
}
