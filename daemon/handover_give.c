/* SPDX-License-Identifier: Apache-2.0 */
/* The end that goes: connections, then the state; see handover.h. */
#include "daemon/handover_part.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>

#include "daemon/boot.h"
#include "daemon/fdchan.h"
#include "daemon/handover_record.h"
#include "daemon/log.h"
#include "daemon/peer.h"

struct giver {
	struct daemon *daemon;
	int fd;	      /* where it goes */
	int state_fd; /* memfd */
	int fds[FD_MSG_MAX];
	struct handover_packet packet;
	size_t n;
	uint32_t n_peers, n_channels;
};

static int
send_range(struct giver *giver, size_t from, size_t n)
{
	struct handover_packet packet = { .magic = HANDOVER_PACKET_MAGIC,
					  .what = HANDOVER_FDS };

	for (size_t i = 0; i < n; i++)
		packet.ids[i] = giver->packet.ids[from + i];
	return fd_send(giver->fd, &packet, HANDOVER_PACKET_SIZE(n),
		       giver->fds + from, n);
}

/*
 * Until Linux 6.10 a socket in whose queue lie sockets within sockets could not
 * travel (ETOOMANYREFS), and what lies in his connection's queue is the
 * caller's choice: such a one is left behind, alone.
 */
static int
send_halves(struct giver *giver, size_t from, size_t n)
{
	int r = send_range(giver, from, n);

	if (r != -ETOOMANYREFS)
		return r;
	if (n == 1) {
		log_warning("a connection cannot be handed over: too many "
			    "descriptors are in flight in it");
		return 0;
	}
	r = send_halves(giver, from, n / 2);
	return r < 0 ? r : send_halves(giver, from + n / 2, n - n / 2);
}

static int
give_flush(struct giver *giver)
{
	int r = giver->n ? send_halves(giver, 0, giver->n) : 0;

	giver->n = 0;
	return r;
}

static int
give_fd(struct giver *giver, uint64_t id, int fd)
{
	giver->fds[giver->n] = fd;
	giver->packet.ids[giver->n++] = id;
	return giver->n == FD_MSG_MAX ? give_flush(giver) : 0;
}

static int
give_peers(struct giver *giver)
{
	struct peer *peer;
	int r;

	LIST_FOREACH(peer, &giver->daemon->server->all, all_link)
	{
		r = peer_save(peer, giver->state_fd);
		if (r == 1)
			continue;
		if (r == 0)
			r = give_fd(giver, peer->caller.peer_id, peer->fd);
		if (r < 0)
			return r;
		giver->n_peers++;
	}
	return 0;
}

static int
give_channel(void *userdata, int fd, const Nsexec__Handover__Channel *message)
{
	struct giver *giver = userdata;
	int r;

	r = handover_record_write(giver->state_fd, HANDOVER_CHANNEL,
				  &message->base);
	giver->n_channels++;
	return r < 0 ? r : give_fd(giver, message->id, fd);
}

static int
give_begin(struct giver *giver)
{
	Nsexec__Handover__Begin begin = NSEXEC__HANDOVER__BEGIN__INIT;

	begin.has_boot_id = begin.has_epoch = begin.has_last_id = true;
	begin.boot_id.data = (uint8_t *)boot_id();
	begin.boot_id.len = BOOT_ID_SIZE;
	begin.epoch.data = giver->daemon->epoch;
	begin.epoch.len = sizeof(giver->daemon->epoch);
	begin.last_id = giver->daemon->server->last_id;
	return handover_record_write(giver->state_fd, HANDOVER_BEGIN,
				     &begin.base);
}

/* The last record and the last packet: without it there is no state. */
static int
give_end(struct giver *giver)
{
	const struct handover_packet packet = { .magic = HANDOVER_PACKET_MAGIC,
						.what = HANDOVER_STATE };
	Nsexec__Handover__End end = NSEXEC__HANDOVER__END__INIT;
	int r;

	end.has_n_peers = end.has_n_channels = true;
	end.n_peers = giver->n_peers;
	end.n_channels = giver->n_channels;
	r = handover_record_write(giver->state_fd, HANDOVER_END, &end.base);
	if (r < 0)
		return r;
	if (fcntl(giver->state_fd, F_ADD_SEALS,
		  F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	return fd_send(giver->fd, &packet, HANDOVER_PACKET_SIZE(0),
		       &giver->state_fd, 1);
}

int
handover_give(struct daemon *daemon, int fd)
{
	struct giver giver = { .daemon = daemon, .fd = fd };
	fd_auto int state_fd = memfd_create("nsexecd-handover",
					    MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (state_fd < 0)
		return -errno;
	giver.state_fd = state_fd;
	r = give_begin(&giver);
	if (r == 0)
		r = give_peers(&giver);
	if (r == 0 && daemon->server->fdchan)
		r = fdchan_save(daemon->server->fdchan, give_channel, &giver);
	if (r == 0)
		r = give_flush(&giver);
	return r < 0 ? r : give_end(&giver);
}
