/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by spec.c, spec_system.c and spec_process.c: growing the parts of a
 * description. Each does nothing once spec->status is an error, and sets it.
 */
#ifndef NSX_CLIENT_SPEC_PARTS_H
#define NSX_CLIENT_SPEC_PARTS_H

#include "client/internal.h"

/* Replace *field by a copy of text. */
void spec_set_text(struct nsexec_spec *spec, char **field, const char *text);
/* The same for a bytes field with its presence bit; NULL leaves it. */
void spec_set_bytes(struct nsexec_spec *spec, ProtobufCBinaryData *field,
		    protobuf_c_boolean *has, const char *text);
/*
 * Append a zeroed item of item_size to an array of pointers (array_field is
 * the address of the array). The item, or NULL.
 */
void *spec_append(struct nsexec_spec *spec, void *array_field, size_t *count,
		  size_t item_size);
/* Append a copy of text to an array of bytes; false: it could not. */
bool spec_append_bytes(struct nsexec_spec *spec, ProtobufCBinaryData **array,
		       size_t *count, const char *text);
/* Where fd stands among the descriptors sent along; adds it. 0 or -errno. */
int spec_fd_index(struct nsexec_spec *spec, int fd, uint32_t *ret);

#endif
