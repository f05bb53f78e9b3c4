/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts that wait for the fd socket. A daemon that our connection activates
 * binds fd.sock only when it runs, which its first answer proves: a start with
 * descriptors that finds no such socket before is kept here, as the bytes of
 * its request, and goes out when a Version of our own is answered. One that
 * came to an answer without the socket has none: then the start fails.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/internal.h"
#include "lib/util.h"

struct held_start {
	const char *method; /* a literal */
	uint8_t *payload;   /* owned */
	size_t size;
	struct fd_channel channel;
};

struct held_start *
held_free(struct held_start *held)
{
	if (!held)
		return NULL;
	free(held->payload);
	free(held);
	return NULL;
}

/* Its turn has come: open the channel and send. */
static int
release(struct nsexec *nsexec, struct nsexec_call *call,
	const struct held_start *held)
{
	const struct request request = { .method = held->method,
					 .payload = held->payload,
					 .payload_size = held->size };
	int r = fdchan_open(nsexec->fd_path, &held->channel, &call->fd_channel);

	return r < 0 ? r : conn_send(nsexec, call, &request);
}

static struct nsexec_call *
next_held(const struct nsexec *nsexec)
{
	struct nsexec_call *call = nsexec->calls;

	while (call && !call->held)
		call = call->next;
	return call;
}

/* The daemon answered, or refused: it is there. Or the connection broke, and
 * then conn_break() ends the held ones as all others. */
static void
on_awake(struct nsexec_call *waker, void *data)
{
	struct nsexec *nsexec = data;
	struct nsexec_call *call;

	nsexec->waker = nsexec_call_free(waker);
	while (!nsexec->broken && (call = next_held(nsexec))) {
		struct held_start *held = ptr_steal(&call->held);
		const int r = release(nsexec, call, held);

		held_free(held);
		if (r >= 0)
			continue;
		call->error = calloc(1, sizeof(*call->error));
		if (call->error)
			error_local(call->error, r, "open-fd-channel",
				    nsexec->fd_path);
		call_finish(call, r);
	}
}

static int
wake(struct nsexec *nsexec)
{
	int r;

	if (nsexec->waker)
		return 0;
	r = nsexec_call_version(nsexec, &nsexec->waker);
	if (r >= 0)
		nsexec_call_on_done(nsexec->waker, on_awake, nsexec);
	return r;
}

int
start_hold(struct nsexec *nsexec, const struct request *request,
	   const struct fd_channel *channel, struct nsexec_call **ret)
{
	struct nsexec_call *call = NULL;
	struct held_start *held = calloc(1, sizeof(*held));
	int r = held ? 0 : -ENOMEM;

	if (r >= 0) {
		held->method = request->method;
		held->channel = *channel;
		r = conn_pack(request, &held->payload, &held->size);
	}
	if (r >= 0)
		r = wake(nsexec);
	if (r >= 0)
		r = call_new(&call);
	if (r < 0) {
		held_free(held);
		return r;
	}
	call->held = held;
	conn_enter(nsexec, call, request);
	*ret = call;
	return 0;
}
