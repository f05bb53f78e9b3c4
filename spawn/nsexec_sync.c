/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the stages wait for each other: fixed packets of two integers over one
 * socket pair per peer (runc once had one for two, and took the one's answer
 * for the other's). Every wait has a deadline, and ends at once when the peer
 * dies, because nobody else holds its end.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "spawn/nsexec_program.h"

struct sync_packet {
	int32_t value;
	int32_t argument;
};

void
nsexec_sync_open(struct nsexec *self)
{
	int type = SOCK_SEQPACKET | SOCK_CLOEXEC;

	if (socketpair(AF_UNIX, type, 0, self->stage1_sock) < 0 ||
	    socketpair(AF_UNIX, type, 0, self->stage2_sock) < 0)
		die(self, errno, "failed to make the sync sockets");
}

void
nsexec_sync_send(struct nsexec *self, int sock, enum nsexec_sync value,
		 int32_t argument)
{
	struct sync_packet packet = { .value = (int32_t)value,
				      .argument = argument };

	if (send(sock, &packet, sizeof(packet), MSG_NOSIGNAL) < 0)
		die(self, errno, "failed to sync: send 0x%x", value);
}

/* A packet's size, 0 = end of file, -errno. */
static ssize_t
packet_recv(int sock, struct sync_packet *packet, int timeout_ms)
{
	int64_t deadline_ms = clock_boottime_ms() + timeout_ms;
	struct pollfd pfd = { .fd = sock, .events = POLLIN };
	int64_t left;
	ssize_t n;
	int r;

	do {
		left = deadline_ms - clock_boottime_ms();
		r = poll(&pfd, 1, left > 0 ? (int)left : 0);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	n = recv(sock, packet, sizeof(*packet), MSG_DONTWAIT);
	if (n < 0 && errno == ECONNRESET)
		return 0;
	return n < 0 ? -errno : n;
}

enum nsexec_sync
nsexec_sync_recv(struct nsexec *self, int sock, const char *peer,
		 int timeout_ms, int32_t *ret_argument)
{
	struct sync_packet packet = { 0 };
	ssize_t n = packet_recv(sock, &packet, timeout_ms);

	if (n < 0)
		die(self, (int)-n, "failed to sync with %s: next state", peer);
	if ((size_t)n < sizeof(packet))
		die(self, 0,
		    "failed to sync with %s: next state (got %zd of "
		    "%zu bytes)",
		    peer, n, sizeof(packet));
	if (packet.value == SYNC_ERR)
		die_quietly(self);
	*ret_argument = packet.argument;
	return (enum nsexec_sync)packet.value;
}

void
nsexec_sync_expect(struct nsexec *self, int sock, const char *peer,
		   enum nsexec_sync value)
{
	int32_t argument;
	enum nsexec_sync got = nsexec_sync_recv(
		self, sock, peer, NSEXEC_STAGE_TIMEOUT_MS, &argument);

	if (got != value)
		die(self, 0, "failed to sync with %s: got 0x%x, not 0x%x", peer,
		    got, value);
}

void
nsexec_sync_expect_close(struct nsexec *self, int sock, const char *peer)
{
	struct sync_packet packet = { 0 };
	ssize_t n = packet_recv(sock, &packet, NSEXEC_STAGE_TIMEOUT_MS);

	if (n < 0)
		die(self, (int)-n, "failed to sync with %s: exec", peer);
	if (n > 0)
		die_quietly(self);
}
