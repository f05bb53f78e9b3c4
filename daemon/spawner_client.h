/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to nsexec-spawner: one datagram out per request, answers by
 * sequence number. Never blocks: what the socket does not take is queued, with
 * a bound. When the connection is lost, every open request is answered with
 * NULL, and a new connection is tried every 100 ms.
 *
 * The owner of a request passes an id that it looks up in its callback; gone
 * means drop the answer (and close the fd).
 */
#ifndef NSX_DAEMON_SPAWNER_CLIENT_H
#define NSX_DAEMON_SPAWNER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/daemon.h"
#include "lib/err.h"
#include "proto/ops.h"

struct spawner_client;

/*
 * answer NULL: the connection was lost. fd: given (the callback owns it), -1
 * none. LIST is called once per ENTRY and once for DONE.
 */
typedef void (*spawner_fn)(struct daemon *daemon, uint64_t id,
			   const struct op_message *answer, int fd);

struct spawner_callbacks {
	void (*on_connected)(struct daemon *daemon);
	void (*on_lost)(struct daemon *daemon);
	/* another policy is in force */
	void (*on_policy)(struct daemon *daemon);
};

must_check int spawner_client_new(struct daemon *daemon, const char *path,
				  const struct spawner_callbacks *callbacks,
				  struct spawner_client **ret);
struct spawner_client *spawner_client_free(struct spawner_client *client);
/* Connect now, or begin to try. */
void spawner_connect(struct spawner_client *client);
bool spawner_is_connected(const struct spawner_client *client);
/* Requests that were not answered yet. */
size_t spawner_pending(const struct spawner_client *client);

/* The number that the next spawner_send() has to carry. */
uint32_t spawner_next_seq(struct spawner_client *client);

struct spawner_request {
	const void *data; /* an nlmsg whose seq is spawner_next_seq() */
	size_t size;
	const int *fds; /* lent */
	size_t n_fds;
	spawner_fn fn;
	uint64_t id;
};
/*
 * 0; -ENOTCONN; -EAGAIN: the queue is full, never said to a request without
 * descriptors; -ENOMEM. The callback is called only after a 0, and never from
 * within this call.
 */
must_check int spawner_send(struct spawner_client *client,
			    const struct spawner_request *request);

/* A small request. -1/0 in pid, signal and uid: the attribute is left out. */
struct spawner_small {
	enum op op;
	const char *container;
	pid_t pid;
	uint32_t signal;
	bool has_uid;
	uint32_t uid;
	int caller_fd; /* lent, -1 none */
	spawner_fn fn;
	uint64_t id;
};
must_check int spawner_send_small(struct spawner_client *client,
				  const struct spawner_small *small);
/* The same for what is owed (memory.h): never -ENOMEM. */
must_check int spawner_send_owed(struct spawner_client *client,
				 const struct spawner_small *small);

#endif
