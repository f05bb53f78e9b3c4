/* SPDX-License-Identifier: Apache-2.0 */
/* The check of what the spawner says of a connection. See who.h. */
#include "proto/who.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* A byte other than 0 and 1 must not even be read as a bool. */
static bool
is_bool(const uint8_t *data, size_t offset)
{
	return data[offset] <= 1;
}

static bool
has_end(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

#define RIGHT(field) (offsetof(struct who, rights.field))
int
who_decode(const void *data, size_t size, struct who *ret)
{
	if (size != sizeof(*ret) || !is_bool(data, RIGHT(admin)) ||
	    !is_bool(data, RIGHT(no_new_privs)) ||
	    !is_bool(data, RIGHT(any_join_owner)))
		return -EBADMSG;
	memcpy(ret, data, sizeof(*ret));
	if (ret->magic != WHO_MAGIC || ret->version != WHO_VERSION ||
	    ret->size != sizeof(*ret) ||
	    ret->rights.n_uid_ranges > POLICY_MAX_RANGES ||
	    ret->rights.n_gid_ranges > POLICY_MAX_RANGES ||
	    ret->rights.join_owners.n_ranges > POLICY_MAX_RANGES ||
	    !has_end(ret->label, sizeof(ret->label)) ||
	    !has_end(ret->unit, sizeof(ret->unit)) ||
	    !has_end(ret->rights.name, sizeof(ret->rights.name)) ||
	    !has_end(ret->rights.source, sizeof(ret->rights.source)))
		return -EBADMSG;
	return resolve_check(&ret->resolved, ret->uid);
}
