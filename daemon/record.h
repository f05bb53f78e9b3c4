/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record file: one or more records in a row, the last one counts. A record
 * is a header and a packed message of proto/record.proto.
 *
 *	u32 magic "NSXR" | u32 version | u32 length | u32 crc32c | message
 *
 * Native byte order (records never leave the machine). The checksum covers the
 * message; length is that of the message. A writer that was killed leaves its
 * record cut short at the end of the file: that tail was promised to nobody
 * yet and does not count. Whatever else does not fit in every point is no
 * record, and a file with such a thing anywhere in it is no record file.
 */
#ifndef NSX_DAEMON_RECORD_H
#define NSX_DAEMON_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/container.h"
#include "lib/err.h"
#include "proto/record.pb-c.h"

#define RECORD_MAGIC 0x5258534eu /* "NSXR" in memory, little-endian */
#define RECORD_VERSION 1u
#define RECORD_HEADER_SIZE 16u
#define RECORD_MAX (256u * 1024u)

/* Header and message into a new buffer (given). 0 or -ENOMEM, -EMSGSIZE. */
must_check int record_encode(const ProtobufCMessage *message, uint8_t **ret,
			     size_t *ret_size);
/*
 * The message of the last whole record (borrowed from data); it ends where the
 * whole records do. -ENODATA: there is none, only the beginning of one or
 * nothing at all. -EBADMSG: too long, another magic or checksum;
 * -EPROTONOSUPPORT: a version that we do not know.
 */
must_check int record_decode(const void *data, size_t size, const uint8_t **ret,
			     size_t *ret_size);

/* A task as its record. *ret is new and given; free it with record_task_free.
 */
must_check int record_task_encode(const struct task *task,
				  Nsexec__Record__Stage stage, uint8_t **ret,
				  size_t *ret_size);
/* Decoded and checked: ids are ids, numbers in range. -EBADMSG, -ENOMEM. */
must_check int record_task_decode(const void *data, size_t size,
				  Nsexec__Record__Task **ret);

/* Fill a task (task_init() done) and, for an init, its container. -ENOMEM. */
must_check int record_task_restore(const Nsexec__Record__Task *record,
				   struct container *container,
				   struct task *task);

#endif
