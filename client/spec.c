/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The description of a start: setters that fill a ContainerSpec.
 *
 * Every part of the message is its own heap block, so that protobuf-c's
 * free_unpacked releases a description that was built here by hand. The first
 * error sticks in status and later setters do nothing.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/internal.h"
#include "client/spec_parts.h"
#include "lib/util.h"

int
nsexec_spec_new(struct nsexec_spec **ret)
{
	struct nsexec_spec *spec = calloc(1, sizeof(*spec));

	if (!spec)
		return -ENOMEM;
	spec->message = malloc(sizeof(*spec->message));
	if (!spec->message) {
		free(spec);
		return -ENOMEM;
	}
	nsexec__v1__container_spec__init(spec->message);
	spec->message->process = malloc(sizeof(*spec->message->process));
	if (!spec->message->process) {
		nsexec_spec_free(spec);
		return -ENOMEM;
	}
	nsexec__v1__process__init(spec->message->process);
	*ret = spec;
	return 0;
}

struct nsexec_spec *
nsexec_spec_free(struct nsexec_spec *spec)
{
	if (!spec)
		return NULL;
	nsexec__v1__container_spec__free_unpacked(spec->message, NULL);
	free(spec);
	return NULL;
}

int
nsexec_spec_status(const struct nsexec_spec *spec)
{
	return spec->status;
}

void
spec_set_text(struct nsexec_spec *spec, char **field, const char *text)
{
	char *copy;

	if (spec->status < 0)
		return;
	copy = strdup(text);
	if (!copy) {
		spec->status = -ENOMEM;
		return;
	}
	if (*field != protobuf_c_empty_string)
		free(*field);
	*field = copy;
}

void
spec_set_bytes(struct nsexec_spec *spec, ProtobufCBinaryData *field,
	       protobuf_c_boolean *has, const char *text)
{
	char *copy;

	if (spec->status < 0 || !text)
		return;
	copy = strdup(text);
	if (!copy) {
		spec->status = -ENOMEM;
		return;
	}
	free(field->data);
	field->data = (uint8_t *)copy;
	field->len = strlen(text);
	*has = 1;
}

void *
spec_append(struct nsexec_spec *spec, void *array_field, size_t *count,
	    size_t item_size)
{
	void **array, *item;
	char *grown;

	if (spec->status < 0)
		return NULL;
	memcpy(&array, array_field, sizeof(array));
	/* Grow at powers of two only: 100,000 arguments are allowed. */
	if ((*count & (*count - 1)) == 0) {
		grown = realloc(array,
				(*count ? *count * 2 : 1) * sizeof(void *));
		if (!grown) {
			spec->status = -ENOMEM;
			return NULL;
		}
		memcpy(array_field, &grown, sizeof(grown));
		memcpy(&array, array_field, sizeof(array));
	}
	item = calloc(1, item_size);
	if (!item) {
		spec->status = -ENOMEM;
		return NULL;
	}
	array[(*count)++] = item;
	return item;
}

bool
spec_append_bytes(struct nsexec_spec *spec, ProtobufCBinaryData **array,
		  size_t *count, const char *text)
{
	ProtobufCBinaryData *grown;
	char *copy;

	if (spec->status < 0)
		return false;
	copy = strdup(text);
	if (copy && (*count & (*count - 1)) == 0) {
		grown = realloc(*array,
				(*count ? *count * 2 : 1) * sizeof(*grown));
		if (grown) {
			*array = grown;
		} else {
			free(copy);
			copy = NULL;
		}
	}
	if (!copy) {
		spec->status = -ENOMEM;
		return false;
	}
	(*array)[*count].data = (uint8_t *)copy;
	(*array)[*count].len = strlen(text);
	(*count)++;
	return true;
}

int
spec_fd_index(struct nsexec_spec *spec, int fd, uint32_t *ret)
{
	if (spec->status < 0)
		return spec->status;
	if (fd < 0)
		return spec->status = -EINVAL;
	for (size_t i = 0; i < spec->n_fds; i++) {
		if (spec->fds[i] == fd) {
			*ret = (uint32_t)i;
			return 0;
		}
	}
	if (spec->n_fds == NSEXEC_MAX_FDS)
		return spec->status = -E2BIG;
	spec->fds[spec->n_fds] = fd;
	*ret = (uint32_t)spec->n_fds++;
	return 0;
}

void
nsexec_spec_id(struct nsexec_spec *spec, const char *id)
{
	spec_set_text(spec, &spec->message->id, id);
}

void
nsexec_spec_name(struct nsexec_spec *spec, const char *name)
{
	spec_set_text(spec, &spec->message->name, name);
}

void
nsexec_spec_label(struct nsexec_spec *spec, const char *label)
{
	/* An array of strings: an item is the text itself. */
	char *item = spec_append(spec, &spec->message->labels,
				 &spec->message->n_labels, strlen(label) + 1);

	if (item)
		memcpy(item, label, strlen(label) + 1);
}

static Nsexec__V1__Namespace *
append_namespace(struct nsexec_spec *spec, enum nsexec_ns kind)
{
	Nsexec__V1__Namespace *ns;

	if (spec->status >= 0 && !nsexec_ns_name(kind))
		spec->status = -EINVAL;
	ns = spec_append(spec, &spec->message->namespaces,
			 &spec->message->n_namespaces, sizeof(*ns));
	if (!ns)
		return NULL;
	nsexec__v1__namespace__init(ns);
	ns->has_kind = 1;
	ns->kind = (Nsexec__V1__NamespaceKind)kind;
	return ns;
}

void
nsexec_spec_new_ns(struct nsexec_spec *spec, enum nsexec_ns kind)
{
	Nsexec__V1__Namespace *ns = append_namespace(spec, kind);

	if (!ns)
		return;
	ns->has_create = 1;
	ns->create = 1;
}

void
nsexec_spec_join_path(struct nsexec_spec *spec, enum nsexec_ns kind,
		      const char *path)
{
	Nsexec__V1__Namespace *ns = append_namespace(spec, kind);

	if (ns)
		spec_set_bytes(spec, &ns->path, &ns->has_path, path);
}

void
nsexec_spec_join_pid(struct nsexec_spec *spec, enum nsexec_ns kind, pid_t pid,
		     uint64_t pid_inode)
{
	Nsexec__V1__Namespace *ns = append_namespace(spec, kind);
	Nsexec__V1__ProcessRef *ref;

	if (!ns)
		return;
	ref = malloc(sizeof(*ref));
	if (!ref) {
		spec->status = -ENOMEM;
		return;
	}
	nsexec__v1__process_ref__init(ref);
	ref->has_pid = 1;
	ref->pid = pid;
	ref->has_pid_inode = pid_inode != 0;
	ref->pid_inode = pid_inode;
	ns->process = ref;
}

void
nsexec_spec_join_fd(struct nsexec_spec *spec, enum nsexec_ns kind, int fd)
{
	Nsexec__V1__Namespace *ns;
	uint32_t index = 0;

	if (spec_fd_index(spec, fd, &index) < 0)
		return;
	ns = append_namespace(spec, kind);
	if (!ns)
		return;
	ns->has_fd_index = 1;
	ns->fd_index = index;
}

static Nsexec__V1__IdMaps *
id_maps(struct nsexec_spec *spec)
{
	if (spec->status < 0)
		return NULL;
	if (!spec->message->id_maps) {
		spec->message->id_maps =
			malloc(sizeof(*spec->message->id_maps));
		if (spec->message->id_maps)
			nsexec__v1__id_maps__init(spec->message->id_maps);
		else
			spec->status = -ENOMEM;
	}
	return spec->message->id_maps;
}

void
nsexec_spec_map_preset(struct nsexec_spec *spec, enum nsexec_map preset)
{
	Nsexec__V1__IdMaps *maps = id_maps(spec);

	if (!maps)
		return;
	maps->has_preset = 1;
	maps->preset = (Nsexec__V1__MapPreset)preset;
}

static void
fill_mapping(Nsexec__V1__IdMapping *row, uint32_t container_id,
	     uint32_t host_id, uint32_t size)
{
	if (!row)
		return;
	nsexec__v1__id_mapping__init(row);
	row->has_container_id = row->has_host_id = row->has_size = 1;
	row->container_id = container_id;
	row->host_id = host_id;
	row->size = size;
}

void
nsexec_spec_map_uid(struct nsexec_spec *spec, uint32_t container_id,
		    uint32_t host_id, uint32_t size)
{
	Nsexec__V1__IdMaps *maps = id_maps(spec);

	if (maps)
		fill_mapping(spec_append(spec, &maps->uid, &maps->n_uid,
					 sizeof(Nsexec__V1__IdMapping)),
			     container_id, host_id, size);
}

void
nsexec_spec_map_gid(struct nsexec_spec *spec, uint32_t container_id,
		    uint32_t host_id, uint32_t size)
{
	Nsexec__V1__IdMaps *maps = id_maps(spec);

	if (maps)
		fill_mapping(spec_append(spec, &maps->gid, &maps->n_gid,
					 sizeof(Nsexec__V1__IdMapping)),
			     container_id, host_id, size);
}

void
nsexec_spec_setgroups(struct nsexec_spec *spec, enum nsexec_setgroups mode)
{
	Nsexec__V1__IdMaps *maps = id_maps(spec);

	if (!maps)
		return;
	maps->has_setgroups = 1;
	maps->setgroups = (Nsexec__V1__Setgroups)mode;
}
