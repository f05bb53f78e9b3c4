/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCI state JSON; see oci_state.h. There is no bundle: the field, which the
 * specification requires, is the root directory given by the label "bundle",
 * else "/". Labels become annotations.
 */
#include "daemon/oci_state.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

#define OCI_VERSION "1.0.2"

static const char *
label_value(const struct container *container, const char *name)
{
	size_t size = strlen(name);

	for (size_t i = 0; i < container->n_labels; i++) {
		if (strncmp(container->labels[i], name, size) == 0 &&
		    container->labels[i][size] == '=')
			return container->labels[i] + size + 1;
	}
	return NULL;
}

static json_t *
annotations(const struct container *container)
{
	json_t *object = json_object();

	for (size_t i = 0; object && i < container->n_labels; i++) {
		const char *equals = strchr(container->labels[i], '=');
		free_auto char *name = NULL;

		if (!equals)
			continue;
		name = strndup(container->labels[i],
			       (size_t)(equals - container->labels[i]));
		if (!name || json_object_set_new(object, name,
						 json_string(equals + 1)) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

int
oci_state_format(const struct container *container, char **ret)
{
	enum container_state state = container_state(container);
	const char *bundle = label_value(container, "bundle");
	json_t *notes = annotations(container);
	json_t *object;
	char *text;
	int r = 0;

	object = json_pack("{s:s, s:s, s:s, s:s, s:o}", "ociVersion",
			   OCI_VERSION, "id", container->id, "status",
			   container_state_name(state), "bundle",
			   bundle ? bundle : "/", "annotations", notes);
	if (!object)
		return -ENOMEM;
	/* required on Linux where the status is created or running */
	if (state == CONTAINER_CREATED || state == CONTAINER_RUNNING)
		r = json_object_set_new(object, "pid",
					json_integer(container->init.pid));
	text = r < 0 ? NULL : json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}
