/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a connection is. The spawner is asked when it is accepted, so that the
 * question is under way while its first request is still to come; until the
 * answer is there nothing is read from it, and what it sends waits in the
 * kernel. Only then is it known whose connections it counts among and whether
 * it is an admin's: its place is decided anew.
 *
 * Whom the spawner refuses, or cannot name in time, is answered with that
 * error, whatever he asks. Asked again (a new spawner connection, another
 * policy), what was known holds until the new answer; one that names another
 * owner ends the connection, since what it has under way is counted with the
 * old one, and so does one that takes away a right which that may stand on.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/config.h"
#include "daemon/identity.h"
#include "daemon/log.h"
#include "daemon/peer.h"

void
peer_forget_identity(struct peer *peer)
{
	peer->caller.identity = NULL;
	free(peer->identity);
	peer->identity = NULL;
	free(peer->refusal);
	peer->refusal = NULL;
}

enum peer_place
server_find_place(const struct server *server, const struct rpc_caller *caller,
		  const struct owner *owner)
{
	const struct owner_limits *limits =
		server->config.limits(server->daemon, caller);
	unsigned int max = server->config.max_connections;

	if (limits) {
		max -= max / 20;
		if (owner->n_peers >= limits->connections)
			return PEER_OVER_OWNER;
	}
	return server->n_peers < max ? PEER_WITHIN : PEER_OVER_ALL;
}

bool
server_owner_of(const struct server *server, uid_t uid, uid_t *ret)
{
	const struct peer *peer;

	if (uid == 0) {
		*ret = 0;
		return true;
	}
	LIST_FOREACH(peer, &server->all, all_link)
	{
		if (peer->caller.uid != uid || !peer->identity)
			continue;
		*ret = peer->caller.owner;
		return true;
	}
	return false;
}

bool
server_has_surplus_place(const struct server *server, const struct owner *owner)
{
	return owner->n_surplus < SERVER_SURPLUS_OWNER_MAX &&
	       server->n_surplus < SERVER_SURPLUS_MAX;
}

/* It is held no longer: its place is among its owner's. May close it. */
static void
peer_release(struct peer *peer)
{
	struct server *server = peer->server;
	struct owner *owner;

	if (!peer->held)
		return;
	owner = owner_get(server, peer->caller.owner);
	if (!owner) {
		peer_close(peer);
		return;
	}
	peer_count(peer, (unsigned int)-1);
	if (peer->owner != owner)
		owner_put(peer->owner);
	peer->owner = owner;
	peer->held = false;
	peer->place = server_find_place(server, &peer->caller, owner);
	if (peer->place != PEER_WITHIN &&
	    !server_has_surplus_place(server, owner)) {
		peer_count(peer, 1);
		log_debug("connection of uid %u: closed: too many",
			  peer->caller.uid);
		peer_close(peer);
		return;
	}
	peer_count(peer, 1);
	watch_timer_set(peer->frame_timer, peer->place == PEER_WITHIN
						   ? -1
						   : PEER_SURPLUS_TIMEOUT_MS);
	peer_go_on(peer);
}

static void
peer_refuse(struct peer *peer, const struct error *refusal)
{
	if (!peer->refusal)
		peer->refusal = malloc(sizeof(*peer->refusal));
	if (!peer->refusal) {
		peer_close(peer);
		return;
	}
	*peer->refusal = *refusal;
	peer_release(peer);
}

static void
peer_refuse_overloaded(struct peer *peer, const char *rule)
{
	struct error error;

	(void)error_set(&error, ERRCODE_OVERLOADED, "identify", "connection",
			rule, "try again in a moment");
	peer_refuse(peer, &error);
}

void
peer_ask_is_late(struct peer *peer)
{
	peer_refuse_overloaded(peer, "the spawner did not say in time whose "
				     "connection it is");
}

void
peer_ask(struct peer *peer)
{
	struct server *server = peer->server;
	int r;

	r = server->config.ask(server->daemon, peer->caller.peer_id, peer->fd);
	/* without a spawner: asked when there is one */
	if (r < 0 && r != -ENOTCONN && !peer->identity)
		peer_refuse_overloaded(peer, "too many questions to the "
					     "spawner are under way");
}

/* May not go on as it is. */
static bool
is_another(const struct peer *peer, const struct who *who)
{
	const struct policy_rights *was = &peer->identity->who.rights;

	return peer->caller.owner != who->resolved.owner ||
	       (was->admin && !who->rights.admin) ||
	       (was->verbs & ~who->rights.verbs) != 0;
}

void
server_identify(struct server *server, uint64_t peer_id, const struct who *who,
		const struct error *refusal)
{
	struct peer *peer = table_find(&server->peers, peer_id);
	bool known;

	if (!peer)
		return;
	if (!who) {
		peer_refuse(peer, refusal);
		return;
	}
	known = peer->identity != NULL;
	if (known && is_another(peer, who)) {
		peer_close(peer);
		return;
	}
	if (!known)
		peer->identity = malloc(sizeof(*peer->identity));
	if (!peer->identity) {
		peer_close(peer);
		return;
	}
	free(peer->refusal);
	peer->refusal = NULL;
	identity_fill(peer->identity, who, server->config.initial_limits);
	identity_attach(peer->identity, &peer->caller);
	peer_release(peer);
}

void
server_ask_again(struct server *server)
{
	struct peer *peer, *next;

	for (peer = LIST_FIRST(&server->all); peer; peer = next) {
		next = LIST_NEXT(peer, all_link);
		peer_ask(peer);
	}
}
