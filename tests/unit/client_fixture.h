/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of libnsexec in one process: listeners in a directory of their
 * own, and a server that reads one request and writes what the test says. No
 * thread: a request is sent by the time its call exists, and the socket holds
 * the answer until it is read.
 */
#ifndef NSX_TESTS_UNIT_CLIENT_FIXTURE_H
#define NSX_TESTS_UNIT_CLIENT_FIXTURE_H

#include "tests/unit/unit.h"

#include "client/nsexec.h"
#include "proto/nsexec.pb-c.h"
#include "proto/ttrpc.pb-c.h"
#include "proto/ttrpc_frame.h"

struct fixture {
	char dir[32];
	char address[80];
	int listener;	 /* nsexecd.sock */
	int fd_listener; /* fd.sock */
	int peer;	 /* the accepted connection */
	struct nsexec *nsexec;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Take fd.sock away, as before the daemon runs, and make it again. */
void fixture_fd_close(struct fixture *fixture);
void fixture_fd_listen(struct fixture *fixture);

/* The next request; free with ttrpc__request__free_unpacked(). */
Ttrpc__Request *fixture_request(struct fixture *fixture,
				struct ttrpc_header *ret_header);
/* Raw bytes of a frame. */
void fixture_send_frame(struct fixture *fixture,
			const struct ttrpc_header *header, const void *data);
/* A successful response with this message. */
void fixture_answer(struct fixture *fixture, uint32_t stream_id,
		    const ProtobufCMessage *message);
/* A failed one, with detail if not NULL. */
void fixture_refuse(struct fixture *fixture, uint32_t stream_id, int code,
		    const Nsexec__V1__ErrorDetail *detail);
/* One event of a stream; flags: TTRPC_REMOTE_CLOSED to end it with this. */
void fixture_event(struct fixture *fixture, uint32_t stream_id, uint64_t seq,
		   uint8_t flags);

#endif
