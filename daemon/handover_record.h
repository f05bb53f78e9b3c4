/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state that is handed over, as bytes: records in a row, each a header and
 * a packed message of proto/handover.proto.
 *
 *	u32 magic "NSXH" | u32 version | u32 kind | u32 length | u32 crc32c
 *
 * BEGIN first, then PEER and CHANNEL, END last and once. Native byte order.
 * Whoever reads it checks all of it before he builds on any: what does not fit
 * in every point is no state.
 */
#ifndef NSX_DAEMON_HANDOVER_RECORD_H
#define NSX_DAEMON_HANDOVER_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "proto/handover.pb-c.h"

#define HANDOVER_MAGIC 0x4858534eu /* "NSXH" in memory, little-endian */
#define HANDOVER_VERSION 1u
#define HANDOVER_HEADER_SIZE 20u
/* A frame begun, what may be queued, and what is around them. */
#define HANDOVER_RECORD_MAX ((size_t)64 << 20)
#define HANDOVER_STATE_MAX ((size_t)1 << 30)

enum handover_kind {
	HANDOVER_BEGIN = 1,
	HANDOVER_PEER,
	HANDOVER_CHANNEL,
	HANDOVER_END,
};

/* Append a record to the file. -errno. */
must_check int handover_record_write(int fd, enum handover_kind kind,
				     const ProtobufCMessage *message);

/* What is called for each; messages are freed afterwards. NULL: only check. */
struct handover_reader {
	int (*begin)(void *userdata, const Nsexec__Handover__Begin *begin);
	int (*peer)(void *userdata, const Nsexec__Handover__Peer *peer);
	int (*channel)(void *userdata,
		       const Nsexec__Handover__Channel *channel);
};
/*
 * All records in order. 0; -EPROTONOSUPPORT: of another version; -EBADMSG: not
 * sound; or what a function said.
 */
must_check int handover_records_read(const void *data, size_t size,
				     const struct handover_reader *reader,
				     void *userdata);

#endif
