/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kept nsexecd leaves for its successor: the ring of events, and at a
 * planned reload its connections. Descriptors under a name, which the next
 * nsexecd gets as systemd would give them (LISTEN_FDNAMES). Nothing is read of
 * them here.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/fd.h"
#include "spawn/spawner.h"
#include "spawn/spawner_ops.h"

void
keeper_store_init(struct keeper *keeper)
{
	size_t i;

	for (i = 0; i < KEEPER_STORE_MAX; i++) {
		keeper->stored[i].name[0] = '\0';
		keeper->stored[i].fd = -1;
	}
}

void
keeper_store_clear(struct keeper *keeper)
{
	size_t i;

	for (i = 0; i < KEEPER_STORE_MAX; i++)
		fd_close(&keeper->stored[i].fd);
	keeper_store_init(keeper);
}

/* The place of this name, or a free one; NULL: none. */
static struct keeper_stored *
store_place(struct keeper *keeper, const char *name)
{
	struct keeper_stored *stored, *found = NULL;
	size_t i;

	for (i = 0; i < KEEPER_STORE_MAX; i++) {
		stored = &keeper->stored[i];
		if (strcmp(stored->name, name) == 0)
			return stored;
		if (!stored->name[0] && !found)
			found = stored;
	}
	return found;
}

/* Only a memfd and the like have seals to ask for. */
static bool
store_may_hold(int fd)
{
	struct stat st;

	return fcntl(fd, F_GET_SEALS) >= 0 ||
	       (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode));
}

void
op_store(struct spawner *spawner, const struct request *request,
	 const struct op_message *msg)
{
	struct keeper *keeper = &spawner->keeper;
	struct keeper_stored *stored;
	int fd;

	if (!keeper_is_worker(keeper, request->conn->pid)) {
		ops_refuse(spawner, request, ERRCODE_PERMISSION_DENIED,
			   "only a kept nsexecd may leave something");
		return;
	}
	stored = store_place(keeper, msg->container);
	if (!stored || strlen(msg->container) >= sizeof(stored->name)) {
		ops_refuse(spawner, request, ERRCODE_QUOTA,
			   "at most 4 descriptors, with names of 32 bytes");
		return;
	}
	if (request->n_fds > 0 && !store_may_hold(request->fds[0])) {
		ops_refuse(spawner, request, ERRCODE_INVALID_ARGUMENT,
			   "only sockets and memfds are kept");
		return;
	}
	fd = request->n_fds == 0 ? -1
				 : fcntl(request->fds[0], F_DUPFD_CLOEXEC, 3);
	if (request->n_fds > 0 && fd < 0) {
		ops_refuse(spawner, request, ERRCODE_OVERLOADED,
			   "no descriptor is free");
		return;
	}
	fd_close(&stored->fd);
	stored->fd = fd;
	if (fd >= 0)
		snprintf(stored->name, sizeof(stored->name), "%s",
			 msg->container);
	else
		stored->name[0] = '\0';
	answer_done(spawner, request->conn_id, request->seq);
}
