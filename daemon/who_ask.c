/* SPDX-License-Identifier: Apache-2.0 */
/* WHO and its answer; see who_ask.h. */
#include "daemon/who_ask.h"

#include <errno.h>
#include <string.h>

#include "daemon/error.h"
#include "daemon/log.h"
#include "daemon/rpc.h"
#include "daemon/spawner_client.h"
#include "daemon/task.h"
#include "lib/fd.h"
#include "proto/who.h"

static void
who_on_answer(struct daemon *daemon, uint64_t peer_id,
	      const struct op_message *answer, int fd)
{
	struct error error;
	struct who who;

	fd_close(&fd);
	/* the connection was lost: asked again when there is a new one */
	if (!answer || !daemon->server)
		return;
	if (answer->header.type == ANSWER_ERROR) {
		error_from_message(&error, answer);
		server_identify(daemon->server, peer_id, NULL, &error);
		return;
	}
	if (answer->header.type == ANSWER_WHO && op_has(answer, OP_ATTR_WHO) &&
	    who_decode(answer->who, answer->n_who, &who) == 0) {
		server_identify(daemon->server, peer_id, &who, NULL);
		return;
	}
	log_error("spawner: its answer to WHO cannot be read");
	(void)error_set(&error, ERRCODE_INTERNAL, "identify", "connection",
			"the spawner's answer cannot be read",
			"see that nsexecd and nsexec-spawner are of one "
			"version");
	server_identify(daemon->server, peer_id, NULL, &error);
}

int
who_ask(struct daemon *daemon, uint64_t peer_id, int fd)
{
	const struct spawner_small who = {
		.op = OP_WHO,
		.caller_fd = fd,
		.fn = who_on_answer,
		.id = peer_id,
	};

	return spawner_send_small(daemon->spawner, &who);
}
