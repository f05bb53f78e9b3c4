/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ttrpc server with a table of methods that only note their calls, and a
 * client on raw frames, both in one loop: everything a test waits for is an fd
 * of that loop, with a deadline.
 */
#ifndef NSX_TESTS_UNIT_SERVER_FIXTURE_H
#define NSX_TESTS_UNIT_SERVER_FIXTURE_H

#include "tests/unit/unit.h"

#include "daemon/daemon.h"
#include "daemon/loop.h"
#include "daemon/rpc.h"
#include "proto/nsexec.pb-c.h"
#include "proto/ttrpc.pb-c.h"
#include "proto/ttrpc_frame.h"

/* No account of Debian has this uid. */
#define ORDINARY_UID 54321u
#define NOTED_MAX 5000

/* A list of call ids in the order in which something was told of them. */
struct noted {
	uint64_t ids[NOTED_MAX];
	size_t n;
};

struct fixture {
	struct daemon daemon; /* first: methods get it */
	char dir[32];
	char rpc_path[64], fd_path[64];
	struct watch *deadline;
	bool late;
	struct noted called, gone, drained, waited;
	struct rpc_caller caller; /* of the last call */
};

/* config may be NULL; listeners are made here. */
int fixture_new(void **state, const struct server_config *config);
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* One frame that the server sent, and its status if it is a Response. */
struct answer {
	struct ttrpc_header header;
	uint8_t *data;
	int code; /* ttrpc, 0 = success */
	char message[256];
	unsigned int detail_code; /* nsexec.v1.ErrorCode, 0 = no detail */
	bool retryable;
};
void answer_free(struct answer *answer);
#define answer_auto __attribute__((cleanup(answer_free)))

/* A connection; -1 where the server closed it at once. */
int client_connect(struct fixture *fixture);
int client_connect_as(struct fixture *fixture, uid_t uid);
int channel_connect_as(struct fixture *fixture, uid_t uid);
/* Raw bytes, and frames of them. Turns the loop while the socket is full. */
void client_send(struct fixture *fixture, int fd, const void *data,
		 size_t size);
void client_send_frame(struct fixture *fixture, int fd,
		       const struct ttrpc_header *header, const void *data);
/* A Request to nsexec.v1.Nsexec; payload may be NULL (empty). */
struct request {
	uint32_t id;
	const char *method;
	const ProtobufCMessage *message;
	int64_t timeout_nano;
	uint8_t flags;
};
void client_request(struct fixture *fixture, int fd,
		    const struct request *request);
void client_call(struct fixture *fixture, int fd, uint32_t id,
		 const char *method);
/* The next frame; fails the test after 5 s or at end of file. */
struct answer client_read(struct fixture *fixture, int fd);
/* The next frame is a Response on id with this code. */
struct answer client_expect(struct fixture *fixture, int fd, uint32_t id,
			    int code);
void client_expect_code(struct fixture *fixture, int fd, uint32_t id, int code);
/* The server closes; what it sent before is dropped. */
void client_expect_close(struct fixture *fixture, int fd);
/* The next frame answers a Version call: nothing else was sent before. */
void client_expect_nothing(struct fixture *fixture, int fd, uint32_t id);
/* All that was sent to the server until now has been seen by it. */
void fixture_fence(struct fixture *fixture);
/* Turn the loop until *n > at_least. */
void fixture_wait_for(struct fixture *fixture, const size_t *n,
		      size_t at_least);

#endif
