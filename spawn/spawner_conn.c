/* SPDX-License-Identifier: Apache-2.0 */
/* Connections, requests in, answers out. See spawner_conn.h. */
#include "spawn/spawner_conn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_log.h"
#include "spawn/spawner_ops.h"

#define CONN_DRAIN_MAX 4096
#define CONN_ACCEPT_PAUSE_MS 200

static void conn_on_event(struct spawner *spawner, void *userdata,
			  uint32_t events);

void
conn_table_init(struct conn_table *table)
{
	size_t i;

	memset(table, 0, sizeof(*table));
	table->listen_fd = -1;
	table->listen_watch.fd = -1;
	for (i = 0; i < CONN_MAX; i++) {
		table->conns[i].fd = -1;
		table->conns[i].watch.fd = -1;
	}
}

struct conn *
conn_find(struct spawner *spawner, uint64_t id)
{
	size_t i;

	for (i = 0; i < CONN_MAX; i++)
		if (id && spawner->conns.conns[i].id == id)
			return &spawner->conns.conns[i];
	return NULL;
}

static void
conn_pop(struct conn *conn)
{
	struct conn_packet *packet = conn->queue;

	conn->queue = packet->next;
	if (!conn->queue)
		conn->queue_end = &conn->queue;
	conn->n_queued--;
	fd_close(&packet->fd);
	free(packet);
}

void
conn_close(struct spawner *spawner, struct conn *conn)
{
	watch_remove(&spawner->loop, &conn->watch);
	while (conn->queue)
		conn_pop(conn);
	free(conn->listed);
	fd_close(&conn->fd);
	memset(conn, 0, sizeof(*conn));
	conn->fd = -1;
	conn->watch.fd = -1;
	spawner->conns.count--;
}

void
conn_table_deinit(struct spawner *spawner)
{
	size_t i;

	for (i = 0; i < CONN_MAX; i++)
		if (spawner->conns.conns[i].id)
			conn_close(spawner, &spawner->conns.conns[i]);
	watch_remove(&spawner->loop, &spawner->conns.listen_watch);
	fd_close(&spawner->conns.listen_fd);
}

/* Read requests only while no answer waits. */
static uint32_t
conn_events(const struct conn *conn)
{
	return conn->queue || conn->listed ? EPOLLOUT : EPOLLIN;
}

static void
conn_update_watch(struct spawner *spawner, struct conn *conn)
{
	int r = watch_modify(&spawner->loop, &conn->watch, conn_events(conn));

	if (r < 0)
		log_error(-r, "cannot watch connection %lu",
			  (unsigned long)conn->id);
}

int
conn_resume_packet(struct conn *conn, const void *data, size_t size,
		   int take_fd)
{
	struct conn_packet *packet = malloc(sizeof(*packet) + size);

	if (!packet)
		return -ENOMEM;
	packet->next = NULL;
	packet->fd = take_fd;
	packet->size = size;
	memcpy(packet->data, data, size);
	*conn->queue_end = packet;
	conn->queue_end = &packet->next;
	conn->n_queued++;
	return 0;
}

/* Queue a packet behind what waits. 0, -ENOBUFS: the bound is reached. */
static int
conn_queue(struct conn *conn, const struct nlmsg_builder *builder, size_t size,
	   int fd)
{
	fd_auto int copy = -1;
	int r;

	if (conn->n_queued >= CONN_QUEUE_MAX)
		return -ENOBUFS;
	if (fd >= 0) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (copy < 0)
			return -EMFILE;
	}
	r = conn_resume_packet(conn, builder->data, size, copy);
	if (r == 0)
		copy = -1;
	return r;
}

void
conn_send(struct spawner *spawner, uint64_t conn_id,
	  struct nlmsg_builder *builder, int fd)
{
	struct conn *conn = conn_find(spawner, conn_id);
	size_t size;
	int r;

	if (!conn)
		return;
	r = nlmsg_builder_end(builder, &size);
	if (r == 0 && !conn->queue)
		r = fd_send(conn->fd, builder->data, size, &fd, fd >= 0);
	else if (r == 0)
		r = -EAGAIN;
	if (r == -EAGAIN) {
		r = conn_queue(conn, builder, size, fd);
		conn_update_watch(spawner, conn);
	}
	/* Nobody is there to be told; what he had asked for is yet to be read.
	 */
	if (r == -EPIPE || r == -ECONNRESET)
		return;
	/* An answer that cannot be given at all: without it the other side
	 * would wait for ever, so it shall see the end instead. Shut down and
	 * not closed here, because its own handler may be up the stack. */
	if (r < 0 && !conn->closing) {
		log_error(-r, "cannot answer connection %lu",
			  (unsigned long)conn->id);
		shutdown(conn->fd, SHUT_RDWR);
	}
}

void
conn_finish(struct spawner *spawner, struct conn *conn)
{
	conn->closing = true;
	if (!conn->queue)
		shutdown(conn->fd, SHUT_RDWR);
	else
		conn_update_watch(spawner, conn);
}

void
answer_done(struct spawner *spawner, uint64_t conn_id, uint32_t seq)
{
	struct nlmsg_builder builder;
	uint8_t buf[64];

	nlmsg_builder_init(&builder, buf, sizeof(buf), ANSWER_DONE, seq);
	conn_send(spawner, conn_id, &builder, -1);
}

void
answer_error(struct spawner *spawner, uint64_t conn_id, uint32_t seq,
	     const struct answer_error *error)
{
	struct nlmsg_builder builder;
	uint8_t buf[1024];

	nlmsg_builder_init(&builder, buf, sizeof(buf), ANSWER_ERROR, seq);
	nlmsg_put_u32(&builder, OP_ATTR_CODE, error->code);
	if (error->rule)
		nlmsg_put_text(&builder, OP_ATTR_RULE, error->rule);
	if (error->failure)
		op_put_failure(&builder, error->failure);
	if (error->quota)
		nlmsg_put(&builder, OP_ATTR_QUOTA, error->quota,
			  sizeof(*error->quota));
	conn_send(spawner, conn_id, &builder, -1);
}

void
conn_tell_policy(struct spawner *spawner)
{
	const struct conn *conn = spawner->conns.conns;
	struct nlmsg_builder builder;
	uint8_t buf[64];
	size_t i;

	for (i = 0; i < CONN_MAX; i++) {
		if (!conn[i].id || !conn[i].is_worker)
			continue;
		nlmsg_builder_init(&builder, buf, sizeof(buf), ANSWER_POLICY,
				   0);
		conn_send(spawner, conn[i].id, &builder, -1);
	}
}

/* The other side is gone: answers are for nobody, requests are yet to be
 * read. */
static void
conn_drop_answers(struct spawner *spawner, struct conn *conn)
{
	while (conn->queue)
		conn_pop(conn);
	free(conn->listed);
	conn->listed = NULL;
	conn_update_watch(spawner, conn);
}

/* Give what waits to the socket, then go on with a LIST. */
static void
conn_flush(struct spawner *spawner, struct conn *conn)
{
	struct conn_packet *packet;
	int r;

	while ((packet = conn->queue)) {
		r = fd_send(conn->fd, packet->data, packet->size, &packet->fd,
			    packet->fd >= 0);
		if (r == -EAGAIN)
			return;
		if (r == -EPIPE || r == -ECONNRESET) {
			conn_drop_answers(spawner, conn);
			return;
		}
		if (r < 0) {
			conn_close(spawner, conn);
			return;
		}
		conn_pop(conn);
	}
	if (conn->listed)
		ops_list_continue(spawner, conn);
	if (conn->closing && !conn->queue && !conn->listed) {
		conn_close(spawner, conn);
		return;
	}
	conn_update_watch(spawner, conn);
}

/*
 * Read one request and run it. 0 = done, -EAGAIN = none there, -EPIPE = the
 * connection is at its end and was closed. An empty datagram counts as the
 * end: nobody who keeps the protocol sends one.
 */
static int
conn_read_request(struct spawner *spawner, struct conn *conn)
{
	struct request request = { .conn = conn, .conn_id = conn->id };
	ssize_t n;
	size_t i;

	memset(spawner->message, 0, NLMSG_HEADER_SIZE);
	/* One that died with answers unread leaves an error that comes before
	 * what it had asked for (unix_release_sock() of Linux): once. */
	do
		n = fd_recv(conn->fd, spawner->message,
			    sizeof(spawner->message), request.fds, FD_MSG_MAX,
			    &request.n_fds);
	while (n == -ECONNRESET);
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n == 0 || (n < 0 && n != -EMSGSIZE && n != -EPROTO)) {
		for (i = 0; n == 0 && i < request.n_fds; i++)
			fd_close(&request.fds[i]);
		conn_close(spawner, conn);
		return -EPIPE;
	}
	request.data = spawner->message;
	if (n < 0) { /* cut: its fds are closed already */
		memcpy(&request.seq, spawner->message + 8, sizeof(request.seq));
		ops_refuse_cut(spawner, &request);
		return 0;
	}
	request.size = (size_t)n;
	ops_dispatch(spawner, &request);
	for (i = 0; i < request.n_fds; i++)
		fd_close(&request.fds[i]);
	return 0;
}

static void
conn_on_event(struct spawner *spawner, void *userdata, uint32_t events)
{
	struct conn *conn = userdata;

	if ((conn->queue || conn->listed) &&
	    !(events & (EPOLLERR | EPOLLHUP))) {
		conn_flush(spawner, conn);
		return;
	}
	if (conn->queue || conn->listed)
		conn_drop_answers(spawner, conn);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		if (conn_read_request(spawner, conn) < 0)
			return;
}

/*
 * A dead nsexecd's datagrams are read to the end before its successor is
 * heard: what it asked for was promised to somebody. One that still lives when
 * a newer one connects is replaced.
 */
static void
conn_retire_worker(struct spawner *spawner)
{
	struct conn *conn;
	size_t i, left = CONN_DRAIN_MAX;

	for (i = 0; i < CONN_MAX; i++) {
		conn = &spawner->conns.conns[i];
		if (!conn->id || !conn->is_worker)
			continue;
		while (left-- > 0 && conn_read_request(spawner, conn) == 0)
			;
		if (conn->id)
			conn_close(spawner, conn);
	}
}

static struct conn *
conn_free_slot(struct conn_table *table)
{
	size_t i;

	for (i = 0; i < CONN_MAX; i++)
		if (table->conns[i].id == 0)
			return &table->conns[i];
	return NULL;
}

/* Without this a level-triggered listener would spin the loop. */
static void
conn_pause_accept(struct spawner *spawner, int error)
{
	if (error != EMFILE && error != ENFILE && error != ENOMEM &&
	    error != ENOBUFS)
		return; /* the client went away, or a signal came */
	log_error(error, "cannot accept a connection");
	watch_remove(&spawner->loop, &spawner->conns.listen_watch);
	timer_set(&spawner->loop, TIMER_LISTEN, CONN_ACCEPT_PAUSE_MS);
}

void
conn_on_timer(struct spawner *spawner)
{
	struct conn_table *table = &spawner->conns;

	if (table->listen_watch.fd < 0 &&
	    watch_add(&spawner->loop, &table->listen_watch, table->listen_fd,
		      EPOLLIN) < 0)
		timer_set(&spawner->loop, TIMER_LISTEN, CONN_ACCEPT_PAUSE_MS);
}

static void
conn_on_accept(struct spawner *spawner, void *userdata, uint32_t events)
{
	struct conn_table *table = &spawner->conns;
	socklen_t size = sizeof(struct ucred);
	fd_auto int fd = -1;
	struct ucred cred;
	struct conn *conn;
	bool is_worker;

	fd = accept4(table->listen_fd, NULL, NULL,
		     SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		conn_pause_accept(spawner, errno);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return;
	if (cred.uid != 0 && cred.uid != spawner->options.worker_uid) {
		log_note("refused a connection of uid %u", cred.uid);
		return;
	}
	/* Rootless, a launcher has the worker's uid: then it is the one that we
	 * keep, or took over. */
	is_worker = spawner->rootless
			    ? keeper_is_worker(&spawner->keeper, cred.pid)
			    : cred.uid != 0;
	if (is_worker)
		conn_retire_worker(spawner);
	conn = conn_free_slot(table);
	if (!conn) {
		log_note("refused a connection: %d are open", CONN_MAX);
		return;
	}
	conn->watch.fn = conn_on_event;
	conn->watch.userdata = conn;
	if (watch_add(&spawner->loop, &conn->watch, fd, EPOLLIN) < 0)
		return;
	conn->fd = fd_steal(&fd);
	conn->id = ++table->last_id;
	conn->uid = cred.uid;
	conn->pid = cred.pid;
	conn->is_worker = is_worker;
	conn->queue_end = &conn->queue;
	table->count++;
}

void
conn_resume(struct spawner *spawner, const struct conn *take_conn)
{
	struct conn *conn = conn_free_slot(&spawner->conns);

	assert(conn);
	*conn = *take_conn;
	conn->queue = NULL;
	conn->queue_end = &conn->queue;
	conn->n_queued = 0;
	conn->watch = (struct watch){ -1, conn_on_event, conn };
	spawner->conns.count++;
}

int
conn_resume_end(struct spawner *spawner)
{
	struct conn *conn;
	int r = 0;
	size_t i;

	for (i = 0; i < CONN_MAX && r == 0; i++) {
		conn = &spawner->conns.conns[i];
		if (conn->id)
			r = watch_add(&spawner->loop, &conn->watch, conn->fd,
				      conn_events(conn));
	}
	return r;
}

int
conn_listen(struct spawner *spawner, int take_listen_fd)
{
	struct conn_table *table = &spawner->conns;

	table->listen_fd = take_listen_fd;
	table->listen_watch.fn = conn_on_accept;
	return watch_add(&spawner->loop, &table->listen_watch, take_listen_fd,
			 EPOLLIN);
}
