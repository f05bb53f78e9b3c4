/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to nsexec-spawner; see spawner_client.h.
 *
 * Order is kept: once a datagram had to be queued, everything after it is
 * queued behind it. With QUEUE_MAX datagrams in it the queue takes none that
 * carry descriptors (it owns duplicates of them): starts, and whatever needs
 * its caller's connection. What nsexecd has to ask of its own tasks it takes
 * always: a question of that kind that is dropped is an exit that nobody hears
 * of, and the tasks, with one or two questions each, are the bound. Ten
 * thousand of them may end in the same moment.
 */
#include "daemon/spawner_client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/memory.h"
#include "lib/fd.h"
#include "lib/table.h"
#include "lib/util.h"

#define QUEUE_MAX 4096u
#define RECONNECT_MS 100
#define READS_PER_TURN 64
#define MAX_REQUEST_FDS 4
#define ANSWER_MAX (256u * 1024u)

struct queued {
	struct queued *next;
	int fds[MAX_REQUEST_FDS];
	size_t n_fds;
	size_t size;
	unsigned char data[];
};

struct pending {
	spawner_fn fn;
	uint64_t id;
};

struct spawner_client {
	struct daemon *daemon;
	struct spawner_callbacks callbacks;
	struct sockaddr_un address;
	int fd;
	struct watch *watch;
	struct watch *timer;
	struct queued *first, **last;
	size_t n_queued;
	struct table pending; /* seq -> struct pending */
	uint32_t last_seq;
	bool said_lost; /* log the first failure of a row only */
	unsigned char *buffer;
};

static void client_on_fd(void *userdata, int fd, unsigned int events);
static void client_lost(struct spawner_client *client);

static void
client_on_timer(void *userdata)
{
	spawner_connect(userdata);
}

int
spawner_client_new(struct daemon *daemon, const char *path,
		   const struct spawner_callbacks *callbacks,
		   struct spawner_client **ret)
{
	struct spawner_client *client;
	int r;

	if (strlen(path) >= sizeof(client->address.sun_path))
		return -ENAMETOOLONG;
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->daemon = daemon;
	client->callbacks = *callbacks;
	client->fd = -1;
	client->last = &client->first;
	client->address.sun_family = AF_UNIX;
	memcpy(client->address.sun_path, path, strlen(path) + 1);
	client->buffer = malloc(ANSWER_MAX);
	r = client->buffer ? watch_new_timer(daemon->loop, client_on_timer,
					     client, &client->timer)
			   : -ENOMEM;
	if (r < 0) {
		free(client->buffer);
		free(client);
		return r;
	}
	*ret = client;
	return 0;
}

static void
queued_free(struct queued *entry)
{
	for (size_t i = 0; i < entry->n_fds; i++)
		fd_close(&entry->fds[i]);
	free(entry);
}

static void
queue_clear(struct spawner_client *client)
{
	while (client->first) {
		struct queued *entry = client->first;

		client->first = entry->next;
		queued_free(entry);
	}
	client->last = &client->first;
	client->n_queued = 0;
}

static void
client_close(struct spawner_client *client)
{
	client->watch = watch_free(client->watch);
	fd_close(&client->fd);
	queue_clear(client);
}

struct spawner_client *
spawner_client_free(struct spawner_client *client)
{
	struct pending *pending;
	uint64_t seq;

	if (!client)
		return NULL;
	client_close(client);
	while ((pending = table_any(&client->pending, &seq))) {
		table_remove(&client->pending, seq);
		free(pending);
	}
	table_deinit(&client->pending);
	client->timer = watch_free(client->timer);
	free(client->buffer);
	free(client);
	return NULL;
}

bool
spawner_is_connected(const struct spawner_client *client)
{
	return client->fd >= 0;
}

size_t
spawner_pending(const struct spawner_client *client)
{
	return client->pending.used;
}

static int
client_try_connect(struct spawner_client *client)
{
	fd_auto int fd = socket(
		AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int size = 4 * 1024 * 1024;
	int r;

	if (fd < 0)
		return -errno;
	/* room for many starts before the queue is needed; capped by wmem_max
	 */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (connect(fd, (struct sockaddr *)&client->address,
		    sizeof(client->address)) < 0)
		return -errno;
	r = watch_new_fd(client->daemon->loop, fd, LOOP_READ, client_on_fd,
			 client, &client->watch);
	if (r < 0)
		return r;
	client->fd = fd_steal(&fd);
	return 0;
}

void
spawner_connect(struct spawner_client *client)
{
	int r;

	if (client->fd >= 0)
		return;
	r = client_try_connect(client);
	if (r < 0) {
		if (!client->said_lost)
			log_warning("spawner: cannot connect %s: %s, trying on",
				    client->address.sun_path, strerror(-r));
		client->said_lost = true;
		watch_timer_set(client->timer, RECONNECT_MS);
		return;
	}
	client->said_lost = false;
	client->callbacks.on_connected(client->daemon);
}

/* Everything that waits for an answer hears NULL; then try again. */
static void
client_lost(struct spawner_client *client)
{
	struct table pending = client->pending;
	struct pending *entry;
	uint64_t seq;

	client_close(client);
	client->pending = (struct table){ 0 };
	client->callbacks.on_lost(client->daemon);
	while ((entry = table_any(&pending, &seq))) {
		table_remove(&pending, seq);
		entry->fn(client->daemon, entry->id, NULL, -1);
		free(entry);
	}
	table_deinit(&pending);
	watch_timer_set(client->timer, RECONNECT_MS);
}

uint32_t
spawner_next_seq(struct spawner_client *client)
{
	uint32_t seq = client->last_seq + 1;

	while (seq == 0 || table_find(&client->pending, seq))
		seq++;
	return seq;
}

static int
queue_append(struct spawner_client *client,
	     const struct spawner_request *request)
{
	struct queued *entry;

	if (client->n_queued >= QUEUE_MAX && request->n_fds > 0)
		return -EAGAIN;
	entry = malloc(sizeof(*entry) + request->size);
	if (!entry)
		return -ENOMEM;
	entry->next = NULL;
	entry->n_fds = 0;
	entry->size = request->size;
	memcpy(entry->data, request->data, request->size);
	for (size_t i = 0; i < request->n_fds; i++) {
		int copy = fcntl(request->fds[i], F_DUPFD_CLOEXEC, 3);

		if (copy < 0) {
			int r = -errno;

			queued_free(entry);
			return r;
		}
		entry->fds[entry->n_fds++] = copy;
	}
	*client->last = entry;
	client->last = &entry->next;
	client->n_queued++;
	return watch_set_events(client->watch, LOOP_READ | LOOP_WRITE);
}

/* EAGAIN: the buffer is full. ETOOMANYREFS, ENOBUFS: too much in flight. */
static bool
is_full(int r)
{
	return r == -EAGAIN || r == -ENOBUFS || r == -ETOOMANYREFS;
}

int
spawner_send(struct spawner_client *client,
	     const struct spawner_request *request)
{
	struct pending *pending;
	uint32_t seq;
	int r;

	assert(request->n_fds <= MAX_REQUEST_FDS);
	if (client->fd < 0)
		return -ENOTCONN;
	seq = spawner_next_seq(client);
	pending = malloc(sizeof(*pending));
	if (!pending)
		return -ENOMEM;
	*pending = (struct pending){ request->fn, request->id };
	r = table_add(&client->pending, seq, pending);
	if (r < 0) {
		free(pending);
		return r;
	}
	r = -EAGAIN;
	if (!client->first)
		r = fd_send(client->fd, request->data, request->size,
			    request->fds, request->n_fds);
	if (is_full(r))
		r = queue_append(client, request);
	if (r < 0) {
		table_remove(&client->pending, seq);
		free(pending);
		/* a broken connection is seen by the watch as end of file */
		return r == -EPIPE || r == -ECONNRESET ? -ENOTCONN : r;
	}
	client->last_seq = seq;
	return 0;
}

int
spawner_send_small(struct spawner_client *client,
		   const struct spawner_small *small)
{
	unsigned char data[512];
	struct nlmsg_builder builder;
	struct spawner_request request = {
		.data = data,
		.fds = &small->caller_fd,
		.n_fds = small->caller_fd >= 0,
		.fn = small->fn,
		.id = small->id,
	};
	int r;

	nlmsg_builder_init(&builder, data, sizeof(data), (uint16_t)small->op,
			   spawner_next_seq(client));
	if (small->container)
		nlmsg_put_text(&builder, OP_ATTR_CONTAINER, small->container);
	if (small->pid > 0)
		nlmsg_put_u32(&builder, OP_ATTR_PID, (uint32_t)small->pid);
	if (small->signal)
		nlmsg_put_u32(&builder, OP_ATTR_SIGNAL, small->signal);
	if (small->has_uid)
		nlmsg_put_u32(&builder, OP_ATTR_UID, small->uid);
	r = nlmsg_builder_end(&builder, &request.size);
	if (r < 0)
		return r;
	return spawner_send(client, &request);
}

int
spawner_send_owed(struct spawner_client *client,
		  const struct spawner_small *small)
{
	int r = spawner_send_small(client, small);

	if (r == -ENOMEM)
		memory_out("a request to the spawner");
	return r;
}

static int
queue_flush(struct spawner_client *client)
{
	while (client->first) {
		struct queued *entry = client->first;
		int r = fd_send(client->fd, entry->data, entry->size,
				entry->fds, entry->n_fds);

		if (is_full(r))
			return 0;
		if (r < 0)
			return r;
		client->first = entry->next;
		if (!client->first)
			client->last = &client->first;
		client->n_queued--;
		queued_free(entry);
	}
	return watch_set_events(client->watch, LOOP_READ);
}

/* Hand an answer to whoever asked. -EBADMSG: not for any request of ours. */
static int
client_dispatch(struct spawner_client *client, size_t size, int fd)
{
	struct nlmsg_error error = { .rule = "" };
	struct op_message message;
	struct pending *pending;
	struct pending call;
	int r;

	r = op_decode(client->buffer, size, &message, &error);
	if (r < 0) {
		log_error("spawner: cannot read answer: attribute %u at %zu: "
			  "%s",
			  error.type, error.offset, error.rule);
		fd_close(&fd);
		return r;
	}
	if (message.header.type == ANSWER_POLICY && message.header.seq == 0) {
		fd_close(&fd);
		client->callbacks.on_policy(client->daemon);
		return 0;
	}
	pending = table_find(&client->pending, message.header.seq);
	if (!pending) {
		fd_close(&fd);
		return 0;
	}
	call = *pending;
	if (message.header.type != ANSWER_ENTRY) {
		table_remove(&client->pending, message.header.seq);
		free(pending);
	}
	call.fn(client->daemon, call.id, &message, fd);
	return 0;
}

/* 1: there may be more; 0: nothing more now; -errno: the connection is over */
static int
client_read_one(struct spawner_client *client)
{
	size_t n_fds = 0;
	int fds[1] = { -1 };
	ssize_t size;
	int r;

	/* a spawner that died with requests unread: its answers come after */
	do
		size = fd_recv(client->fd, client->buffer, ANSWER_MAX, fds, 1,
			       &n_fds);
	while (size == -ECONNRESET);
	if (size == -EAGAIN || size == -EINTR)
		return 0;
	if (size == 0)
		return -ECONNRESET;
	if (size < 0)
		return (int)size;
	r = client_dispatch(client, (size_t)size, n_fds ? fds[0] : -1);
	return r < 0 ? r : 1;
}

static void
client_on_fd(void *userdata, int fd, unsigned int events)
{
	struct spawner_client *client = userdata;
	int r = 0;

	if (events & LOOP_WRITE)
		r = queue_flush(client);
	for (int i = 0; r >= 0 && (events & LOOP_READ) && i < READS_PER_TURN;
	     i++) {
		r = client_read_one(client);
		if (r == 0)
			return;
	}
	if (r >= 0)
		return;
	log_warning("spawner: connection lost: %s", strerror(-r));
	client_lost(client);
}
