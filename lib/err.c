/* SPDX-License-Identifier: Apache-2.0 */
/* struct failure: the fixed record of a failed step. See err.h. */
#include "lib/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const stage_names[] = {
	[STAGE_NONE] = "none",	     [STAGE_DAEMON] = "daemon",
	[STAGE_SPAWNER] = "spawner", [STAGE_RELAY] = "relay",
	[STAGE_MAPPER] = "mapper",   [STAGE_INIT] = "init",
};
_Static_assert(sizeof(stage_names) / sizeof(stage_names[0]) == N_STAGES,
	       "every stage has a name");

const char *
stage_name(enum stage stage)
{
	if ((unsigned int)stage >= N_STAGES)
		return "none";
	return stage_names[stage];
}

int
failure_set(struct failure *failure, enum stage stage, const char *step,
	    const char *syscall, int error, const char *fmt, ...)
{
	va_list ap;

	memset(failure, 0, sizeof(*failure));
	failure->stage = stage;
	failure->error = error;
	snprintf(failure->step, sizeof(failure->step), "%s", step);
	snprintf(failure->syscall, sizeof(failure->syscall), "%s", syscall);
	va_start(ap, fmt);
	vsnprintf(failure->object, sizeof(failure->object), fmt, ap);
	va_end(ap);
	return error > 0 ? -error : -EINVAL;
}
