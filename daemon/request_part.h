/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files that check a request (request.c, request_process.c,
 * request_mounts.c): where we are in it, how a refusal is written, and the
 * checks of texts that all parts need.
 */
#ifndef NSX_DAEMON_REQUEST_PART_H
#define NSX_DAEMON_REQUEST_PART_H

#include "daemon/request.h"

struct part {
	struct spec *spec;
	struct error *error;
};

/* A range of numbers for part_range(). */
struct part_range {
	int64_t min, max;
};

/*
 * Refuse: rule and hint are phrases; the field's name is formatted last, as in
 * part_refuse(part, "must be absolute", "begin it with /", "%s[%zu]", ...).
 */
int part_refuse(struct part *part, const char *rule, const char *hint,
		const char *fmt, ...) printf_like(4, 5);
/* No memory: OVERLOADED, -ENOMEM. */
must_check int part_no_memory(struct part *part);

/*
 * Copy bytes that become a C string of at most max bytes (without its NUL):
 * refuses a NUL byte, an empty one and a longer one.
 */
must_check int part_text(struct part *part, const ProtobufCBinaryData *data,
			 size_t max, const char *field, const char **ret);
/* The same, and it must begin with '/'. */
must_check int part_path(struct part *part, const ProtobufCBinaryData *data,
			 const char *field, const char **ret);
must_check int part_range(struct part *part, int64_t value,
			  struct part_range range, const char *field);
/* An index into the fd channel's message. */
must_check int part_fd_index(struct part *part, uint32_t fd_index,
			     const char *field);

/* request_process.c; exec: a process for a container that runs already */
must_check int part_process(struct part *part,
			    const Nsexec__V1__Process *process,
			    const char *prefix);
/* request_exec.c: argv, env and the names of passed descriptors */
must_check int part_exec_data(struct part *part,
			      const Nsexec__V1__Process *process,
			      const char *prefix);
/* request_mounts.c */
must_check int part_mounts(struct part *part,
			   const Nsexec__V1__ContainerSpec *from);
/* request_maps.c: id maps and time offsets */
must_check int part_maps(struct part *part,
			 const Nsexec__V1__ContainerSpec *from);
must_check int part_offsets(struct part *part,
			    const Nsexec__V1__ContainerSpec *from);

#endif
