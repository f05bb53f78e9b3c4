/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call behind a start: a repeated key is answered, descriptors are awaited
 * (2 s), quota is checked, then the start begins. A refusal answers the call
 * and leaves nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/identity.h"
#include "daemon/lease.h"
#include "daemon/quota.h"
#include "daemon/start_part.h"
#include "lib/fd.h"

#define FD_WAIT_MS 2000

static void launch_on_fds(struct daemon *daemon, uint64_t call_id);

static void
launch_free(struct daemon *daemon, struct launch *launch)
{
	spec_give(&daemon->core->specs, launch->spec);
	free(launch);
}

static void
fail_call(struct daemon *daemon, uint64_t call_id, const struct error *error)
{
	(void)rpc_fail(daemon->server, call_id, error);
}

static int
parcel_open(struct daemon *daemon, const struct launch *launch,
	    struct parcel *parcel, struct error *error)
{
	parcel->caller_fd =
		rpc_connection_fd(daemon->server, launch->caller.peer_id);
	if (parcel->caller_fd < 0)
		return error_set(error, ERRCODE_CALLER_GONE, "start",
				 "connection", "the caller is gone",
				 "connect again");
	return 0;
}

/* The fd connection, if one is due. -EAGAIN: called again when it is there. */
static int
take_channel(struct daemon *daemon, const struct launch *launch, bool again,
	     struct parcel *parcel, struct error *error)
{
	int fd;

	parcel->channel_fd = -1;
	if (!launch->spec->has_fd_token)
		return 0;
	fd = fdchan_take(daemon->server, &launch->caller,
			 launch->spec->fd_token);
	if (fd >= 0) {
		parcel->channel_fd = fd;
		return 0;
	}
	if (fd == -EAGAIN && again &&
	    fdchan_wait(daemon->server, launch->spec->fd_token, launch->call_id,
			FD_WAIT_MS, launch_on_fds) == 0)
		return -EAGAIN;
	if (fd == -EACCES)
		return error_set(error, ERRCODE_PERMISSION_DENIED,
				 "take-descriptors", "fd_token",
				 "this token was sent by another user",
				 "make a random token for each request");
	return error_set(error, ERRCODE_DEADLINE, "take-descriptors",
			 "fd_token",
			 "no connection on the fd socket sent this token "
			 "within 2 s",
			 "send the token and the descriptors first");
}

/*
 * Takes launch unless it has to wait (-EAGAIN). The parcel is on the stack: in
 * the heap its 24 KiB, freed behind each container that stays, would leave
 * holes which small things fill, until there is no place for the next.
 */
static int
launch_go(struct daemon *daemon, struct launch *launch, bool again)
{
	struct parcel parcel;
	struct error error;
	int r;

	parcel.plan.exec_block = -1;
	r = take_channel(daemon, launch, again, &parcel, &error);
	if (r == -EAGAIN)
		return r;
	if (r == 0)
		r = parcel_open(daemon, launch, &parcel, &error);
	if (r == 0)
		r = quota_check_start(
			daemon, &launch->caller,
			&(struct quota_start){
				launch->kind != PARK_EXEC,
				launch->spec->boot.n_channel_fds },
			&error);
	if (r == 0)
		r = launch->kind == PARK_EXEC
			    ? start_exec(daemon, launch, &parcel, &error)
			    : start_container(daemon, launch, &parcel, &error);
	if (r < 0)
		fail_call(daemon, launch->call_id, &error);
	plan_deinit(&parcel.plan);
	fd_close(&parcel.channel_fd);
	launch_free(daemon, launch);
	return 0;
}

static void
launch_on_fds(struct daemon *daemon, uint64_t call_id)
{
	struct launch *launch = table_remove(&daemon->core->launches, call_id);

	if (launch)
		(void)launch_go(daemon, launch, false);
}

void
start_gone(struct daemon *daemon, uint64_t call_id)
{
	struct launch *launch = table_remove(&daemon->core->launches, call_id);

	if (launch)
		launch_free(daemon, launch);
	else
		park_gone(daemon, call_id);
}

void
start_deinit(struct daemon *daemon)
{
	struct launch *launch;
	uint64_t call_id;

	while ((launch = table_any(&daemon->core->launches, &call_id))) {
		table_remove(&daemon->core->launches, call_id);
		launch_free(daemon, launch);
	}
	table_deinit(&daemon->core->launches);
}

/* Nobody takes these: who sent them shall not wait for an answer there. */
static void
drop_channel(struct daemon *daemon, const struct launch *launch)
{
	fd_auto int fd = -1;

	if (launch->spec->has_fd_token)
		fd = fdchan_take(daemon->server, &launch->caller,
				 launch->spec->fd_token);
}

/* true: the key is known and the call is answered or parked. */
static bool
repeated(struct daemon *daemon, const struct launch *launch)
{
	uint64_t hash = 0;
	const char *id;
	struct container *container;
	struct error error;

	if (!launch->spec->has_key)
		return false;
	id = key_find(daemon->containers, launch->caller.owner,
		      launch->spec->key, &hash);
	if (!id)
		return false;
	container =
		container_find_id(daemon->containers, launch->caller.owner, id);
	if (container)
		container->init.trace.wanted |= launch->spec->trace;
	if (hash != launch->spec->hash)
		(void)error_set(&error, ERRCODE_CONFLICT, "start", "key",
				"this key was used with another request",
				"make a new key for a new request");
	else if (!container)
		(void)error_set(&error, ERRCODE_GONE, "start", "key",
				"the container of this key was deleted",
				"make a new key to start it again");
	else if (container->init.failure)
		error = *container->init.failure;
	else if (launch->spec->has_lease &&
		 lease_change(container, launch->spec->lease,
			      launch->caller.peer_id) < 0)
		(void)start_out_of_memory(&error);
	else
		return park_late(&container->init, launch->kind,
				 launch->call_id);
	fail_call(daemon, launch->call_id, &error);
	return true;
}

void
start_take(struct daemon *daemon, const struct start_call *call,
	   struct spec *spec)
{
	struct launch *launch = calloc(1, sizeof(*launch));
	struct error error;

	if (!launch) {
		spec_give(&daemon->core->specs, spec);
		(void)start_out_of_memory(&error);
		fail_call(daemon, call->call_id, &error);
		return;
	}
	launch->call_id = call->call_id;
	launch->caller = *call->caller;
	launch->kind = call->kind;
	launch->spec = spec;
	snprintf(launch->target, sizeof(launch->target), "%s",
		 call->target ? call->target : "");
	if (identity_check_spec(&launch->caller, spec, &error) < 0) {
		fail_call(daemon, launch->call_id, &error);
		launch_free(daemon, launch);
		return;
	}
	if (repeated(daemon, launch)) {
		drop_channel(daemon, launch);
		launch_free(daemon, launch);
		return;
	}
	if (launch_go(daemon, launch, true) != -EAGAIN)
		return;
	if (table_add(&daemon->core->launches, call->call_id, launch) < 0) {
		launch_free(daemon, launch);
		(void)start_out_of_memory(&error);
		fail_call(daemon, call->call_id, &error);
	}
}
