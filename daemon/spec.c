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

int
spec_take(struct spec_pool *pool, struct spec **ret)
{
	if (pool->n == 0)
		return spec_new(ret);
	*ret = pool->specs[--pool->n];
	spec_init(*ret);
	return 0;
}

struct spec *
spec_give(struct spec_pool *pool, struct spec *spec)
{
	if (!spec || pool->n == SPEC_POOL_MAX)
		return spec_free(spec);
	spec_deinit(spec);
	pool->specs[pool->n++] = spec;
	return NULL;
}

void
spec_pool_deinit(struct spec_pool *pool)
{
	while (pool->n > 0)
		spec_free(pool->specs[--pool->n]);
}
