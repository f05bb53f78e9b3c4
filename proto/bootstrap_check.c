/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What binds attributes of NX to each other: what a START or EXEC must have,
 * what excludes what, and that every descriptor index names a descriptor that
 * was announced. The stages rely on it: they never look at an index again. See
 * bootstrap_table.h.
 */
#include <errno.h>
#include <stddef.h>

#include "proto/bootstrap_table.h"
#include "proto/nsplan.h"
#include "proto/ops.h"

/* Errors that follow name this attribute. */
static void
point_at(struct bootstrap_decoder *decoder, enum bootstrap_attr attr)
{
	decoder->attr = attr;
	decoder->offset = 0;
}

static int
missing(struct bootstrap_decoder *decoder, enum bootstrap_attr attr)
{
	point_at(decoder, attr);
	return bootstrap_fail(decoder, "is missing");
}

static bool
has_role(const struct bootstrap *msg, enum fd_role role)
{
	size_t i;

	for (i = 0; i < msg->n_fd_roles; i++)
		if (msg->fd_roles[i] == role)
			return true;
	return false;
}

static int
check_present(struct bootstrap_decoder *decoder)
{
	const struct bootstrap *msg = decoder->msg;
	bool argv = bootstrap_has(msg, BOOTSTRAP_ARGV);
	bool block = bootstrap_has(msg, BOOTSTRAP_EXEC_BLOCK);

	if (!bootstrap_has(msg, BOOTSTRAP_CONTAINER))
		return missing(decoder, BOOTSTRAP_CONTAINER);
	if (!argv && !block)
		return missing(decoder, BOOTSTRAP_ARGV);
	point_at(decoder, BOOTSTRAP_EXEC_BLOCK);
	if (block && argv)
		return bootstrap_fail(decoder, "stands beside argv");
	if (block && bootstrap_has(msg, BOOTSTRAP_ENV))
		return bootstrap_fail(decoder, "stands beside env");
	if (block != has_role(msg, FD_ROLE_EXEC_BLOCK))
		return bootstrap_fail(decoder,
				      block ? "no fd has its role"
					    : "an fd has its role, but it is "
					      "missing");
	if (msg->type == OP_EXEC && !bootstrap_has(msg, BOOTSTRAP_PID))
		return missing(decoder, BOOTSTRAP_PID);
	point_at(decoder, BOOTSTRAP_PID);
	if (msg->type != OP_EXEC && bootstrap_has(msg, BOOTSTRAP_PID))
		return bootstrap_fail(decoder, "is for EXEC only");
	return 0;
}

static int
check_index(struct bootstrap_decoder *decoder, enum bootstrap_attr attr,
	    uint32_t index)
{
	uint32_t n = decoder->msg->n_channel_fds;

	if (index < n)
		return 0;
	point_at(decoder, attr);
	return bootstrap_fail(decoder, "fd index %u, but %u fds are announced",
			      index, n);
}

static int
check_indexes(struct bootstrap_decoder *decoder)
{
	const struct bootstrap *msg = decoder->msg;
	size_t i;
	int r = 0;

	for (i = 0; i < msg->n_joins && r == 0; i++)
		if (msg->joins[i].how == JOIN_FD)
			r = check_index(decoder, BOOTSTRAP_JOINS,
					msg->joins[i].number);
	for (i = 0; i < 3 && r == 0; i++)
		if (msg->stdio[i].kind == BOOTSTRAP_STDIO_FD)
			r = check_index(decoder, BOOTSTRAP_STDIO,
					msg->stdio[i].fd_index);
	for (i = 0; i < msg->n_passed_fds && r == 0; i++)
		r = check_index(decoder, BOOTSTRAP_PASSED_FDS,
				msg->passed_fds[i].fd_index);
	return r;
}

int
bootstrap_check_nx(struct bootstrap_decoder *decoder)
{
	const struct bootstrap *msg = decoder->msg;
	uint32_t both = decoder->join_flags & msg->clone_flags;
	size_t i;
	int r;

	r = check_present(decoder);
	if (r < 0)
		return r;
	point_at(decoder, BOOTSTRAP_CLONE_FLAGS);
	for (i = 0; i < N_NS_KINDS; i++)
		if (both & ns_kinds[i].clone_flag)
			return bootstrap_fail(decoder,
					      "%s is both created and joined",
					      ns_kinds[i].name);
	point_at(decoder, BOOTSTRAP_N_CHANNEL_FDS);
	if ((msg->n_channel_fds > 0 || msg->send_pidfd) &&
	    !has_role(msg, FD_ROLE_FD_CHANNEL))
		return bootstrap_fail(decoder,
				      "fds or a pidfd are announced, but no "
				      "fd has the role of the fd channel");
	return check_indexes(decoder);
}
