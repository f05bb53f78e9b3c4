/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end that comes: what the last nsexecd sent is in a socket of the store;
 * see handover.h. All of it is read and checked before any is built on.
 */
#include "daemon/handover_part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "daemon/boot.h"
#include "daemon/fdchan.h"
#include "daemon/handover_record.h"
#include "daemon/log.h"
#include "daemon/peer.h"
#include "lib/table.h"

struct taker {
	struct daemon *daemon;
	struct table fds; /* id -> descriptor + 1 */
	int state_fd;
	int n; /* connections that live on */
};

static int
taker_find(struct taker *taker, uint64_t id)
{
	return (int)(intptr_t)table_remove(&taker->fds, id) - 1;
}

static void
taker_deinit(struct taker *taker)
{
	uint64_t id;

	while (table_any(&taker->fds, &id)) {
		int fd = taker_find(taker, id);

		fd_close(&fd);
	}
	table_deinit(&taker->fds);
	fd_close(&taker->state_fd);
}

/* A connection of a unix socket of this kind, and nothing else. */
static bool
is_connection(int fd, int type)
{
	int has, domain;
	socklen_t size = sizeof(has), domain_size = sizeof(domain);
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_NONBLOCK) &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &has, &size) == 0 &&
	       has == type &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size) ==
		       0 &&
	       domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &has, &size) == 0 &&
	       has == 0;
}

/* Takes the descriptors. */
static int
take_fds(struct taker *taker, const struct handover_packet *packet,
	 const int *fds, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		int fd = fds[i];

		if (r == 0 && (packet->ids[i] == 0 ||
			       taker->fds.used >= HANDOVER_FDS_MAX))
			r = -EBADMSG;
		if (r == 0)
			r = table_add(&taker->fds, packet->ids[i],
				      (void *)(intptr_t)(fd + 1));
		if (r < 0)
			fd_close(&fd);
	}
	return r;
}

/* 1: that was the state, and the last; 0: there is more to come. */
static int
take_packet(struct taker *taker, int fd)
{
	struct handover_packet packet = { 0 };
	int fds[FD_MSG_MAX];
	size_t n = 0;
	ssize_t size;

	size = fd_recv(fd, &packet, sizeof(packet), fds, FD_MSG_MAX, &n);
	if (size < 0)
		return (int)size;
	if (size == (ssize_t)HANDOVER_PACKET_SIZE(n) && n > 0 &&
	    packet.magic == HANDOVER_PACKET_MAGIC &&
	    packet.what == HANDOVER_FDS)
		return take_fds(taker, &packet, fds, n);
	if (size == (ssize_t)HANDOVER_PACKET_SIZE(0) && n == 1 &&
	    packet.magic == HANDOVER_PACKET_MAGIC &&
	    packet.what == HANDOVER_STATE) {
		taker->state_fd = fds[0];
		return 1;
	}
	for (size_t i = 0; i < n; i++)
		fd_close(&fds[i]);
	/* an end without a state: it went on, or died, in the middle */
	return size == 0 ? -ENODATA : -EBADMSG;
}

static int
on_begin(void *userdata, const Nsexec__Handover__Begin *begin)
{
	struct taker *taker = userdata;
	struct daemon *daemon = taker->daemon;

	if (memcmp(begin->boot_id.data, boot_id(), BOOT_ID_SIZE) != 0 ||
	    memcmp(begin->epoch.data, daemon->epoch, sizeof(daemon->epoch)) !=
		    0)
		return -EBADMSG;
	daemon->server->last_id = begin->last_id;
	return 0;
}

static int
on_peer(void *userdata, const Nsexec__Handover__Peer *peer)
{
	struct taker *taker = userdata;
	int fd = taker_find(taker, peer->id);

	/* one that could not travel */
	if (fd < 0)
		return 0;
	if (!is_connection(fd, SOCK_STREAM) ||
	    peer_restore(taker->daemon->server, fd, peer) < 0)
		fd_close(&fd);
	else
		taker->n++;
	return 0;
}

static int
on_channel(void *userdata, const Nsexec__Handover__Channel *channel)
{
	struct taker *taker = userdata;
	int fd = taker_find(taker, channel->id);

	if (fd < 0)
		return 0;
	if (!is_connection(fd, SOCK_SEQPACKET) ||
	    !taker->daemon->server->fdchan)
		fd_close(&fd);
	else
		fdchan_restore(taker->daemon->server->fdchan, fd, channel);
	return 0;
}

static int
take_state(struct taker *taker)
{
	static const struct handover_reader reader = {
		.begin = on_begin,
		.peer = on_peer,
		.channel = on_channel,
	};
	const int need = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
	int seals = fcntl(taker->state_fd, F_GET_SEALS);
	struct stat st;
	void *data;
	int r;

	if (seals < 0 || (seals & need) != need ||
	    fstat(taker->state_fd, &st) < 0 || st.st_size <= 0 ||
	    (size_t)st.st_size > HANDOVER_STATE_MAX)
		return -EBADMSG;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
		    taker->state_fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	r = handover_records_read(data, (size_t)st.st_size, &reader, taker);
	munmap(data, (size_t)st.st_size);
	return r;
}

int
handover_receive(struct daemon *daemon, int fd)
{
	struct taker taker = { .daemon = daemon, .state_fd = -1 };
	int r = is_connection(fd, SOCK_SEQPACKET) ? 0 : -EBADMSG;

	while (r == 0)
		r = take_packet(&taker, fd);
	if (r == 1)
		r = take_state(&taker);
	taker_deinit(&taker);
	return r < 0 ? r : taker.n;
}
