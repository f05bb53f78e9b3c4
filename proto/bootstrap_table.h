/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec's own header: the table of attributes, and what its parts share.
 * Not for anyone outside proto/bootstrap_*.c.
 *
 * One row says all there is to know of an attribute: its name, its number in
 * each dialect, where its value lives in struct bootstrap, its bounds, and the
 * function that reads it and the one that writes it.
 */
#ifndef NSX_PROTO_BOOTSTRAP_TABLE_H
#define NSX_PROTO_BOOTSTRAP_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/bootstrap.h"

/* What is being decoded; handed to every read function. */
struct bootstrap_decoder {
	struct bootstrap *msg;
	struct bootstrap_error *error;
	enum bootstrap_attr attr; /* at hand */
	size_t offset;		  /* of it in the message */
	size_t message_size;
	uint32_t join_flags; /* kinds that ns paths and joins enter */
};

typedef int bootstrap_read_fn(struct bootstrap_decoder *decoder,
			      const struct nlmsg_attr *attr);
typedef void bootstrap_write_fn(struct nlmsg_builder *builder, uint16_t number,
				const struct bootstrap *msg, const void *field);

struct bootstrap_row {
	const char *name;
	size_t offset; /* of the field in struct bootstrap */
	bootstrap_read_fn *read;
	bootstrap_write_fn *write;
	uint32_t min, max; /* of a u32; of a text's length */
};
extern const struct bootstrap_row bootstrap_rows[N_BOOTSTRAP_ATTRS];

/* Attributes in the order in which they are emitted. */
extern const uint8_t bootstrap_order[N_BOOTSTRAP_ATTRS];

/* D1, D2 and M0: a bool is 5 bytes long, unpadded, and must be last. */
bool dialect_has_short_bools(enum dialect dialect);
/* How many of ns_kinds the dialect's ns paths know: 6, 7 or 8. */
int dialect_n_ns_kinds(enum dialect dialect);
/* The attribute of this number, or -1. */
int bootstrap_attr_find(enum dialect dialect, uint16_t number);

/* Fill *error and return -EBADMSG; _limit: a bound was crossed, -EMSGSIZE. */
int bootstrap_fail(struct bootstrap_decoder *decoder, const char *fmt, ...)
	printf_like(2, 3);
int bootstrap_fail_limit(struct bootstrap_decoder *decoder, const char *fmt,
			 ...) printf_like(2, 3);

/* What came over the wire, and what it should be. */
struct bootstrap_wire {
	enum dialect dialect;
	uint16_t type;
	const void *data;
	size_t size;
};
/* As bootstrap_decode(), but a crossed limit is -EMSGSIZE. */
must_check int bootstrap_decode_all(const struct bootstrap_wire *wire,
				    struct bootstrap *ret,
				    struct bootstrap_error *ret_error);
/* The rules that bind attributes of NX to each other. */
must_check int bootstrap_check_nx(struct bootstrap_decoder *decoder);
/* A text value: non-empty, ends in NUL, holds no other. */
must_check int bootstrap_read_text_value(struct bootstrap_decoder *decoder,
					 const struct nlmsg_attr *attr,
					 const char **ret);

/* bootstrap_decode.c */
bootstrap_read_fn bootstrap_read_u32;
bootstrap_read_fn bootstrap_read_bool;
bootstrap_read_fn bootstrap_read_clone_flags;
bootstrap_read_fn bootstrap_read_text;
bootstrap_read_fn bootstrap_read_path;
bootstrap_read_fn bootstrap_read_id;
/* bootstrap_decode_text.c */
bootstrap_read_fn bootstrap_read_ns_paths;
bootstrap_read_fn bootstrap_read_uid_map;
bootstrap_read_fn bootstrap_read_gid_map;
bootstrap_read_fn bootstrap_read_oom;
bootstrap_read_fn bootstrap_read_time_offsets;
bootstrap_read_fn bootstrap_read_mount_sources;
bootstrap_read_fn bootstrap_read_argv;
bootstrap_read_fn bootstrap_read_env;
/* bootstrap_decode_packed.c */
bootstrap_read_fn bootstrap_read_fd_roles;
bootstrap_read_fn bootstrap_read_exec_block;
bootstrap_read_fn bootstrap_read_joins;
bootstrap_read_fn bootstrap_read_groups;
bootstrap_read_fn bootstrap_read_caps;
bootstrap_read_fn bootstrap_read_rlimits;
bootstrap_read_fn bootstrap_read_nice;
bootstrap_read_fn bootstrap_read_mounts;
bootstrap_read_fn bootstrap_read_stdio;
bootstrap_read_fn bootstrap_read_passed_fds;
/* bootstrap_encode.c */
bootstrap_write_fn bootstrap_write_u32;
bootstrap_write_fn bootstrap_write_bool;
bootstrap_write_fn bootstrap_write_text;
bootstrap_write_fn bootstrap_write_bytes;
bootstrap_write_fn bootstrap_write_uid_map;
bootstrap_write_fn bootstrap_write_gid_map;
bootstrap_write_fn bootstrap_write_mount_sources;
bootstrap_write_fn bootstrap_write_fd_roles;
bootstrap_write_fn bootstrap_write_exec_block;
bootstrap_write_fn bootstrap_write_joins;
bootstrap_write_fn bootstrap_write_groups;
bootstrap_write_fn bootstrap_write_caps;
bootstrap_write_fn bootstrap_write_rlimits;
bootstrap_write_fn bootstrap_write_mounts;
bootstrap_write_fn bootstrap_write_stdio;
bootstrap_write_fn bootstrap_write_passed_fds;

#endif
