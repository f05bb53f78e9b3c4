/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ttrpc server as a whole: its listener, the connections' owners and
 * bounds, the flush at the end of each turn, and the drain. See server.h.
 *
 * Accept: at once, so that nobody's backlog blocks another's. A connection over
 * a bound is told so in answer to its first request and closed, or closed at
 * once if too many are being told; the last twentieth of all places is kept
 * for admins. Out of descriptors: a reserve one is given up to accept and close
 * the caller that waits, then the listener rests for 100 ms, because a listener
 * that stays readable would spin.
 */
#include "daemon/server.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/fdchan.h"
#include "daemon/log.h"
#include "daemon/park.h"
#include "daemon/peer.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/text.h"

#define ACCEPT_PER_TURN 16
#define ACCEPT_PAUSE_MS 100
#define SHED_TELL_MS 10000

struct owner *
owner_get(struct server *server, uid_t uid)
{
	struct owner *owner;

	LIST_FOREACH(owner, &server->owners, link)
	if (owner->uid == uid)
		return owner;
	owner = calloc(1, sizeof(*owner));
	if (!owner)
		return NULL;
	owner->uid = uid;
	TAILQ_INIT(&owner->waiting);
	LIST_INSERT_HEAD(&server->owners, owner, link);
	return owner;
}

void
owner_put(struct owner *owner)
{
	if (owner->n_peers > 0 || owner->n_held > 0 || owner->n_surplus > 0 ||
	    owner->n_fdchans > 0 || owner->n_calls > 0)
		return;
	LIST_REMOVE(owner, link);
	free(owner);
}

int
server_peer_credentials(const struct server *server, int fd,
			struct rpc_caller *ret)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	/* The overflow uid stands for everyone who has no number here. */
	if (cred.uid == (uid_t)-1 || cred.gid == (gid_t)-1 ||
	    cred.uid == server->overflow_uid)
		return -EPERM;
	*ret = (struct rpc_caller){ .uid = cred.uid,
				    .gid = cred.gid,
				    .pid = cred.pid,
				    .owner = cred.uid };
	return 0;
}

/*
 * In the first user namespace every uid has a number and 65534 is an ordinary
 * one; in any other 65534 is what a caller without a number looks like.
 */
static uid_t
find_overflow_uid(void)
{
	char map[128], uid[16];
	uint32_t value = 65534;
	ssize_t n;

	n = fd_read_file(AT_FDCWD, "/proc/self/uid_map", map, sizeof(map));
	if (n > 0 && strstr(map, " 4294967295\n"))
		return (uid_t)-1;
	n = fd_read_file(AT_FDCWD, "/proc/sys/kernel/overflowuid", uid,
			 sizeof(uid));
	if (n > 1) {
		uid[n - 1] = '\0';
		if (text_parse_u32(uid, &value) < 0)
			value = 65534;
	}
	return value;
}

/*
 * Its place until it is known who it is: bounds that hold whatever the answer
 * will be, so that nobody's unanswered connections take all places.
 */
static enum peer_place
server_first_place(const struct server *server, const struct rpc_caller *caller)
{
	unsigned int max = server->config.max_connections;

	if (caller->uid != 0)
		max -= max / 20;
	return server->n_peers < max ? PEER_WITHIN : PEER_OVER_ALL;
}

/* Takes fd. */
static void
server_take_connection(struct server *server, int fd)
{
	fd_auto int connection = fd;
	struct rpc_caller caller;
	enum peer_place place;
	struct owner *owner;

	if (server_peer_credentials(server, fd, &caller) < 0)
		return;
	owner = owner_get(server, caller.owner);
	if (!owner)
		return;
	place = server_first_place(server, &caller);
	if ((place != PEER_WITHIN &&
	     !server_has_surplus_place(server, owner)) ||
	    (caller.uid != 0 && owner->n_held >= SERVER_HELD_OWNER_MAX)) {
		log_debug("connection of uid %u: closed: too many", caller.uid);
		owner_put(owner);
		return;
	}
	if (peer_new(server, connection, &caller, place) == 0)
		fd_steal(&connection);
}

static void
server_on_accept_pause(void *userdata)
{
	struct server *server = userdata;

	if (!server->draining && !server->quiet &&
	    watch_set_events(server->accept_watch, LOOP_READ) < 0)
		log_error("listener: cannot watch: out of memory");
}

/* Out of descriptors: turn one caller away rather than let it wait. */
static void
server_shed(struct server *server)
{
	int fd;

	fd_close(&server->reserve_fd);
	fd = accept4(server->config.rpc_listener, NULL, NULL,
		     SOCK_CLOEXEC | SOCK_NONBLOCK);
	fd_close(&fd);
	server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (watch_set_events(server->accept_watch, 0) == 0)
		watch_timer_set(server->accept_pause, ACCEPT_PAUSE_MS);
	/* It may go on for long: one line in ten seconds is enough. */
	if (server->shed_told_ms &&
	    clock_boottime_ms() < server->shed_told_ms + SHED_TELL_MS)
		return;
	server->shed_told_ms = clock_boottime_ms();
	log_warning("listener: out of file descriptors with %u connections: "
		    "new ones are turned away",
		    server->n_peers);
}

static void
server_on_accept(void *userdata, int listener, unsigned int events)
{
	struct server *server = userdata;
	int fd, i;

	for (i = 0; i < ACCEPT_PER_TURN; i++) {
		fd = accept4(listener, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			server_take_connection(server, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			server_shed(server);
		else if (errno == EINTR || errno == ECONNABORTED)
			continue;
		return;
	}
}

static void
server_on_flush(void *userdata)
{
	struct server *server = userdata;
	struct peer *peer;

	while ((peer = TAILQ_FIRST(&server->dirty))) {
		TAILQ_REMOVE(&server->dirty, peer, dirty_link);
		peer->dirty = false;
		peer_flush(peer);
	}
	while ((peer = TAILQ_FIRST(&server->dead)))
		peer_free_dead(peer);
}

/* Turns */

static unsigned int
turn_share(struct server *server, const struct peer *peer)
{
	return server->config.limits(server->daemon, &peer->caller)
		       ? SERVER_TURN_FRAMES
		       : SERVER_TURN_FRAMES_ADMIN;
}

static bool
owner_has_turn(const struct server *server, const struct owner *owner)
{
	return owner->round != server->round || owner->turn_left > 0;
}

static void
server_wait_turn(struct server *server, struct peer *peer)
{
	struct owner *owner = peer->owner;

	assert(!peer->waiting);
	if (TAILQ_EMPTY(&owner->waiting))
		TAILQ_INSERT_TAIL(&server->waiting, owner, turn_link);
	TAILQ_INSERT_TAIL(&owner->waiting, peer, wait_link);
	peer->waiting = true;
	server->n_waiting++;
	watch_timer_set(server->turn_watch, 0);
	peer_mark_dirty(peer);
}

void
server_leave_turns(struct server *server, struct peer *peer)
{
	struct owner *owner = peer->owner;

	if (!peer->waiting)
		return;
	peer->waiting = false;
	server->n_waiting--;
	TAILQ_REMOVE(&owner->waiting, peer, wait_link);
	if (TAILQ_EMPTY(&owner->waiting))
		TAILQ_REMOVE(&server->waiting, owner, turn_link);
}

bool
server_take_turn(struct server *server, struct peer *peer, size_t length)
{
	struct owner *owner = peer->owner;
	size_t cost = 1 + length / SERVER_TURN_BYTES;

	if (owner->round != server->round) {
		owner->round = server->round;
		owner->turn_left = turn_share(server, peer);
	}
	if (owner->turn_left == 0) {
		server_wait_turn(server, peer);
		return false;
	}
	owner->turn_left -=
		cost < owner->turn_left ? (unsigned int)cost : owner->turn_left;
	return true;
}

/* Owners in turn, and the peers of each in turn, each peer once at most. */
static void
server_on_turn(void *userdata)
{
	struct server *server = userdata;
	unsigned int n = server->n_waiting;
	struct owner *owner;
	struct peer *peer;

	if (server->quiet)
		return;
	server->round++;
	for (; n > 0 && (owner = TAILQ_FIRST(&server->waiting)); n--) {
		TAILQ_REMOVE(&server->waiting, owner, turn_link);
		TAILQ_INSERT_TAIL(&server->waiting, owner, turn_link);
		if (!owner_has_turn(server, owner))
			continue;
		peer = TAILQ_FIRST(&owner->waiting);
		server_leave_turns(server, peer);
		/* this may close the peer and forget the owner */
		peer_resume(peer);
	}
	if (server->n_waiting > 0)
		watch_timer_set(server->turn_watch, 0);
}

void
server_wake(struct server *server)
{
	watch_timer_set(server->flush_watch, 0);
}

static int
server_init(struct server *server)
{
	int r;

	server->scratch = malloc(SERVER_READ_LARGE);
	server->pool = aligned_alloc(16, SERVER_POOL_SIZE);
	if (!server->scratch || !server->pool)
		return -ENOMEM;
	server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	r = watch_new_timer(server->loop, server_on_flush, server,
			    &server->flush_watch);
	if (r < 0)
		return r;
	r = watch_new_timer(server->loop, server_on_turn, server,
			    &server->turn_watch);
	if (r < 0)
		return r;
	r = watch_new_timer(server->loop, server_on_accept_pause, server,
			    &server->accept_pause);
	if (r < 0)
		return r;
	r = watch_new_fd(server->loop, server->config.rpc_listener, LOOP_READ,
			 server_on_accept, server, &server->accept_watch);
	if (r < 0)
		return r;
	if (server->config.fd_listener < 0)
		return 0;
	return fdchan_new(server, server->config.fd_listener, &server->fdchan);
}

int
server_new(struct loop *loop, struct daemon *daemon,
	   const struct server_config *config, struct server **ret)
{
	struct server *server;
	int r;

	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->loop = loop;
	server->daemon = daemon;
	server->config = *config;
	server->reserve_fd = -1;
	server->round = 1;
	server->overflow_uid = find_overflow_uid();
	LIST_INIT(&server->owners);
	LIST_INIT(&server->all);
	TAILQ_INIT(&server->dirty);
	TAILQ_INIT(&server->dead);
	TAILQ_INIT(&server->waiting);
	r = server_init(server);
	if (r < 0) {
		/* On an error the listeners stay the caller's. */
		server->config.rpc_listener = -1;
		server->config.fd_listener = -1;
		server_free(server);
		return r;
	}
	*ret = server;
	return 0;
}

struct server *
server_free(struct server *server)
{
	struct peer *peer;

	if (!server)
		return NULL;
	server->draining = true; /* it is we who close them */
	while ((peer = LIST_FIRST(&server->all)))
		peer_close(peer);
	while ((peer = TAILQ_FIRST(&server->dead)))
		peer_free_dead(peer);
	server->fdchan = fdchan_free(server->fdchan);
	watch_free(server->accept_watch);
	watch_free(server->accept_pause);
	watch_free(server->flush_watch);
	watch_free(server->turn_watch);
	fd_close(&server->config.rpc_listener);
	fd_close(&server->config.fd_listener);
	fd_close(&server->reserve_fd);
	table_deinit(&server->peers);
	table_deinit(&server->calls);
	free(server->scratch);
	free(server->pool);
	free(server);
	return NULL;
}

void
server_hush(struct server *server)
{
	struct peer *peer;

	server->quiet = true;
	if (watch_set_events(server->accept_watch, 0) < 0)
		log_error("listener: cannot stop watching: out of memory");
	LIST_FOREACH(peer, &server->all, all_link)
	peer_mark_dirty(peer);
}

void
server_go_on(struct server *server)
{
	struct peer *peer, *next;

	server->quiet = false;
	if (watch_set_events(server->accept_watch, LOOP_READ) < 0)
		log_error("listener: cannot watch: out of memory");
	if (server->n_waiting > 0)
		watch_timer_set(server->turn_watch, 0);
	for (peer = LIST_FIRST(&server->all); peer; peer = next) {
		next = LIST_NEXT(peer, all_link);
		if (!peer->waiting && !peer->held)
			peer_resume(peer);
		else
			peer_mark_dirty(peer);
	}
}

static bool
peer_is_calm(const struct peer *peer)
{
	const struct call *call;

	LIST_FOREACH(call, &peer->calls, link)
	{
		if (!call->answered && !call->method->streaming &&
		    !call->method->parked &&
		    !park_is_calm(peer->server->daemon, call->id))
			return false;
	}
	return true;
}

bool
server_is_calm(const struct server *server)
{
	const struct peer *peer;

	LIST_FOREACH(peer, &server->all, all_link)
	if (!peer_is_calm(peer))
		return false;
	return true;
}

static struct call *
find_parked(const struct peer *peer)
{
	struct call *call;

	LIST_FOREACH(call, &peer->calls, link)
	if (!call->answered &&
	    (call->method->parked || call->method->streaming))
		return call;
	return NULL;
}

/* Calls that would wait for long are told to come again. */
static void
server_refuse_parked(struct peer *peer)
{
	struct call *call;
	struct error error;

	error_set(&error, ERRCODE_ABORTED_RESTART, "drain", "",
		  "nsexecd is shutting down",
		  "connect again and repeat the call");
	while ((call = find_parked(peer)))
		call_refuse(call, &error, NULL);
}

void
server_drain(struct server *server)
{
	struct peer *peer;

	if (server->draining)
		return;
	server->draining = true;
	if (watch_set_events(server->accept_watch, 0) < 0)
		log_error("listener: cannot stop watching: out of memory");
	if (server->fdchan)
		fdchan_drain(server->fdchan);
	LIST_FOREACH(peer, &server->all, all_link)
	{
		server_refuse_parked(peer);
		peer_mark_dirty(peer);
	}
}

bool
server_idle(const struct server *server)
{
	const struct peer *peer;

	if (server->n_calls > 0)
		return false;
	LIST_FOREACH(peer, &server->all, all_link)
	if (peer_has_output(peer))
		return false;
	return true;
}
