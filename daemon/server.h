/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the ttrpc server, shared by server.c (listeners, owners, drain),
 * peer.c (bytes in), peer_out.c (bytes out), dispatch.c (frames to methods),
 * stream.c (calls) and fdchan.c. The rest of the daemon sees daemon/rpc.h.
 *
 *	server owns peers; a peer owns its calls; a call owns its queue.
 *
 * Nothing is freed in the middle of a callback: peer_close() ends a peer at
 * once (fd, calls) and the server frees the memory later in the same turn.
 * No function of rpc.h closes a peer: it dooms it, and the flush closes.
 */
#ifndef NSX_DAEMON_SERVER_H
#define NSX_DAEMON_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/loop.h"
#include "daemon/rpc.h"
#include "lib/table.h"

struct fdchan;
struct peer;

/* How a connection stands to the bounds on connections. */
enum peer_place {
	PEER_WITHIN,
	PEER_OVER_OWNER, /* its first request is refused with QUOTA, */
	PEER_OVER_ALL,	 /* or OVERLOADED; then it is closed */
};

TAILQ_HEAD(peer_list, peer);

/*
 * One owner with connections or waiting fd channels. A connection counts with
 * its uid until it is known whose delegated id that is.
 */
struct owner {
	LIST_ENTRY(owner) link;
	TAILQ_ENTRY(owner) turn_link; /* while waiting is not empty */
	struct peer_list waiting;     /* peers whose frames wait for a turn */
	uint64_t round;		      /* that turn_left is of */
	unsigned int turn_left;
	uid_t uid;
	unsigned int n_peers;
	unsigned int n_surplus; /* over the bound, told so and then closed */
	unsigned int n_held;	/* whose they are is being asked */
	unsigned int n_fdchans;
	unsigned int n_calls; /* in flight, parked ones not */
	size_t large;	      /* bytes of large frames under way */
	size_t queued;	      /* bytes that wait to be written to him */
	bool choked;	      /* more than he may have: nothing is read */
};
LIST_HEAD(owner_list, owner);
TAILQ_HEAD(owner_turns, owner);
LIST_HEAD(peer_all, peer);

/* Read at most this in one turn; more while a longer frame is under way. */
#define SERVER_READ_SIZE ((size_t)16 << 10)
#define SERVER_READ_LARGE ((size_t)64 << 10)
/*
 * Frames of one owner that are looked at in one turn of the loop; large ones
 * count for several. Whoever sends more waits for the next turn, behind the
 * others: a flood costs the others one such share a turn.
 */
#define SERVER_TURN_FRAMES 8u
#define SERVER_TURN_FRAMES_ADMIN 32u
#define SERVER_TURN_BYTES ((size_t)16 << 10)
/* Connections over a bound that are kept to be told so. */
#define SERVER_SURPLUS_MAX 64u
#define SERVER_SURPLUS_OWNER_MAX 4u
/* Connections of one uid whose owner is not known yet; root's may be more. */
#define SERVER_HELD_OWNER_MAX 64u
/* Decoding memory that needs no heap. */
#define SERVER_POOL_SIZE ((size_t)32 << 10)

struct server {
	struct loop *loop;
	struct daemon *daemon;
	struct server_config config;
	struct watch *accept_watch;
	struct watch *accept_pause; /* EMFILE: 100 ms */
	struct watch *flush_watch;
	struct watch *turn_watch;
	uint64_t round; /* of turns */
	int reserve_fd;
	int64_t shed_told_ms; /* when that was logged last */
	uid_t overflow_uid;   /* refused; -1 in the first user ns */
	uint64_t last_id;     /* of peers and calls */
	struct table peers;
	struct table calls;
	struct owner_list owners;
	struct peer_all all;
	struct peer_list dirty; /* to be flushed in this turn */
	struct peer_list dead;	/* to be freed in this turn */
	struct owner_turns waiting;
	unsigned int n_waiting; /* peers of those */
	unsigned int n_peers;
	unsigned int n_surplus; /* not in n_peers */
	unsigned int n_calls;	/* parked ones not */
	size_t large;		/* bytes of large frames under way */
	struct fdchan *fdchan;
	uint8_t *scratch; /* SERVER_READ_LARGE */
	uint8_t *pool;	  /* SERVER_POOL_SIZE */
	bool draining;
	bool quiet; /* a reload: nothing is read, nobody accepted */
};

/* Have the dirty peers flushed at the end of this turn. */
void server_wake(struct server *server);
/* The place of one more connection of this caller; peer_who.c. */
enum peer_place server_find_place(const struct server *server,
				  const struct rpc_caller *caller,
				  const struct owner *owner);
bool server_has_surplus_place(const struct server *server,
			      const struct owner *owner);
/* Find or make; NULL: no memory. */
/* Whose uid this is, as its connections tell; peer_who.c. false: it has none
 * that is known, and *ret stays. */
bool server_owner_of(const struct server *server, uid_t uid, uid_t *ret);
struct owner *owner_get(struct server *server, uid_t uid);
/* Forget an owner that has nothing left. */
void owner_put(struct owner *owner);
/* May this peer's owner have a frame of this length looked at in this turn?
 * If not, the peer waits for the next one. */
bool server_take_turn(struct server *server, struct peer *peer, size_t length);
/* It waits no longer. */
void server_leave_turns(struct server *server, struct peer *peer);
/* SO_PEERCRED of a connection. -errno, -EPERM for an id that is none. */
must_check int server_peer_credentials(const struct server *server, int fd,
				       struct rpc_caller *ret);

#endif
