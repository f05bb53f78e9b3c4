/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of NX that are records and lists of records. A cursor walks the value
 * and never leaves it; every number is checked against its range here, what
 * depends on other attributes is checked by bootstrap_check_nx(). See the
 * structs in bootstrap.h for the layout.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "lib/text.h"
#include "proto/bootstrap_table.h"
#include "proto/nsplan.h"

/* RLIMIT_RTTIME, the last of Linux. */
#define RLIMIT_LAST 15

struct cursor {
	const uint8_t *at;
	size_t left;
};

static struct cursor
cursor_of(const struct nlmsg_attr *attr)
{
	return (struct cursor){ .at = attr->value, .left = attr->size };
}

static int
take(struct bootstrap_decoder *decoder, struct cursor *cursor, void *ret,
     size_t size)
{
	if (cursor->left < size)
		return bootstrap_fail(decoder,
				      "ends inside a record, %zu bytes short",
				      size - cursor->left);
	memcpy(ret, cursor->at, size);
	cursor->at += size;
	cursor->left -= size;
	return 0;
}

/* A text of size bytes, NUL counted; 0 = none. */
static int
take_text(struct bootstrap_decoder *decoder, struct cursor *cursor,
	  uint32_t size, const char **ret)
{
	*ret = NULL;
	if (size == 0)
		return 0;
	if (cursor->left < size)
		return bootstrap_fail(decoder,
				      "a text of %u bytes goes beyond the "
				      "value",
				      size);
	if (memchr(cursor->at, '\0', size) != cursor->at + size - 1)
		return bootstrap_fail(decoder,
				      "a text has its NUL elsewhere than at "
				      "its end");
	if (size == 1)
		return bootstrap_fail(decoder, "a text is empty");
	*ret = (const char *)cursor->at;
	cursor->at += size;
	cursor->left -= size;
	return 0;
}

/* A list of equal records: their number, or -errno. */
static int
list_length(struct bootstrap_decoder *decoder, const struct nlmsg_attr *attr,
	    size_t record_size, size_t max)
{
	size_t n = attr->size / record_size;

	if (attr->size % record_size != 0)
		return bootstrap_fail(decoder,
				      "value of %zu bytes, must be a multiple "
				      "of %zu",
				      attr->size, record_size);
	if (n > max)
		return bootstrap_fail_limit(decoder, "%zu entries, at most %zu",
					    n, max);
	return (int)n;
}

int
bootstrap_read_fd_roles(struct bootstrap_decoder *decoder,
			const struct nlmsg_attr *attr)
{
	struct bootstrap *msg = decoder->msg;
	uint32_t seen = 0, role;
	int i, n;

	n = list_length(decoder, attr, sizeof(uint32_t), N_FD_ROLES);
	if (n < 0)
		return n;
	for (i = 0; i < n; i++) {
		memcpy(&role, attr->value + 4 * i, 4);
		if (role == FD_ROLE_NONE || role >= N_FD_ROLES)
			return bootstrap_fail(decoder, "fd %d: no role %u", i,
					      role);
		if (seen & (1u << role))
			return bootstrap_fail(decoder, "fd %d: role %u twice",
					      i, role);
		seen |= 1u << role;
		msg->fd_roles[i] = role;
	}
	msg->n_fd_roles = (size_t)n;
	return 0;
}

int
bootstrap_read_exec_block(struct bootstrap_decoder *decoder,
			  const struct nlmsg_attr *attr)
{
	struct bootstrap_exec_block *block = &decoder->msg->exec_block;

	if (attr->size != sizeof(*block))
		return bootstrap_fail(decoder,
				      "value of %zu bytes, must be %zu",
				      attr->size, sizeof(*block));
	memcpy(block, attr->value, sizeof(*block));
	if (block->argc < 1)
		return bootstrap_fail(decoder, "argc is 0");
	if (block->size > BOOTSTRAP_EXEC_BLOCK_MAX)
		return bootstrap_fail_limit(decoder, "%llu bytes, at most %u",
					    (unsigned long long)block->size,
					    BOOTSTRAP_EXEC_BLOCK_MAX);
	/* Every string has at least its NUL. */
	if ((uint64_t)block->argc + block->envc > block->size)
		return bootstrap_fail(decoder,
				      "%u + %u strings do not fit into %llu "
				      "bytes",
				      block->argc, block->envc,
				      (unsigned long long)block->size);
	return 0;
}

static int
check_join(struct bootstrap_decoder *decoder, const struct bootstrap_join *join,
	   int kind)
{
	const char *name = ns_kinds[kind].name;

	switch (join->how) {
	case JOIN_PATH:
		if (!join->path || join->path[0] != '/')
			return bootstrap_fail(decoder,
					      "%s: path is not absolute", name);
		if (join->number || join->start_time || join->inode)
			return bootstrap_fail(decoder,
					      "%s: a path and a process or fd",
					      name);
		return 0;
	case JOIN_PID:
		if (join->number < 1 || join->number > INT_MAX)
			return bootstrap_fail(decoder, "%s: pid %u", name,
					      join->number);
		break;
	case JOIN_FD:
		if (join->start_time || join->inode)
			return bootstrap_fail(decoder,
					      "%s: an fd and a process", name);
		break;
	default:
		return bootstrap_fail(decoder, "%s: no way %u of joining", name,
				      join->how);
	}
	if (join->path)
		return bootstrap_fail(decoder, "%s: a path and a process or fd",
				      name);
	return 0;
}

static int
take_join(struct bootstrap_decoder *decoder, struct cursor *cursor,
	  struct bootstrap_join *ret)
{
	uint32_t head[4];
	uint64_t ids[2];
	int kind, r;

	r = take(decoder, cursor, head, sizeof(head));
	if (r < 0)
		return r;
	r = take(decoder, cursor, ids, sizeof(ids));
	if (r < 0)
		return r;
	*ret = (struct bootstrap_join){
		.how = head[0],
		.clone_flag = head[1],
		.number = head[2],
		.start_time = ids[0],
		.inode = ids[1],
	};
	kind = ns_kind_by_flag(ret->clone_flag);
	if (kind < 0)
		return bootstrap_fail(decoder,
				      "0x%08x is not one namespace kind",
				      ret->clone_flag);
	if (decoder->join_flags & ret->clone_flag)
		return bootstrap_fail(decoder, "joins %s twice",
				      ns_kinds[kind].name);
	decoder->join_flags |= ret->clone_flag;
	r = take_text(decoder, cursor, head[3], &ret->path);
	if (r < 0)
		return r;
	return check_join(decoder, ret, kind);
}

int
bootstrap_read_joins(struct bootstrap_decoder *decoder,
		     const struct nlmsg_attr *attr)
{
	struct bootstrap *msg = decoder->msg;
	struct cursor cursor = cursor_of(attr);
	int r;

	while (cursor.left > 0) {
		if (msg->n_joins == BOOTSTRAP_MAX_JOINS)
			return bootstrap_fail_limit(decoder,
						    "more than %d joins",
						    BOOTSTRAP_MAX_JOINS);
		r = take_join(decoder, &cursor, &msg->joins[msg->n_joins]);
		if (r < 0)
			return r;
		msg->n_joins++;
	}
	return 0;
}

int
bootstrap_read_groups(struct bootstrap_decoder *decoder,
		      const struct nlmsg_attr *attr)
{
	struct bootstrap *msg = decoder->msg;
	int i, n;

	n = list_length(decoder, attr, sizeof(uint32_t), BOOTSTRAP_MAX_GROUPS);
	if (n < 0)
		return n;
	memcpy(msg->groups, attr->value, attr->size);
	for (i = 0; i < n; i++)
		if (msg->groups[i] == UINT32_MAX)
			return bootstrap_fail(decoder,
					      "group %d is 4294967295, which "
					      "is no id",
					      i);
	msg->n_groups = (size_t)n;
	return 0;
}

int
bootstrap_read_caps(struct bootstrap_decoder *decoder,
		    const struct nlmsg_attr *attr)
{
	struct bootstrap_caps *caps = &decoder->msg->caps;

	if (attr->size != sizeof(*caps))
		return bootstrap_fail(decoder,
				      "value of %zu bytes, must be %zu",
				      attr->size, sizeof(*caps));
	memcpy(caps, attr->value, sizeof(*caps));
	if (caps->present & ~31u)
		return bootstrap_fail(decoder, "0x%x names no capability set",
				      caps->present & ~31u);
	if (caps->reserved != 0)
		return bootstrap_fail(decoder, "reserved field is not 0");
	return 0;
}

int
bootstrap_read_rlimits(struct bootstrap_decoder *decoder,
		       const struct nlmsg_attr *attr)
{
	struct bootstrap *msg = decoder->msg;
	uint32_t seen = 0;
	int i, n;

	n = list_length(decoder, attr, sizeof(struct bootstrap_rlimit),
			BOOTSTRAP_MAX_RLIMITS);
	if (n < 0)
		return n;
	memcpy(msg->rlimits, attr->value, attr->size);
	for (i = 0; i < n; i++) {
		const struct bootstrap_rlimit *limit = &msg->rlimits[i];

		if (limit->resource > RLIMIT_LAST)
			return bootstrap_fail(decoder,
					      "entry %d: no resource %u, at "
					      "most %d",
					      i, limit->resource, RLIMIT_LAST);
		if (seen & (1u << limit->resource))
			return bootstrap_fail(decoder,
					      "entry %d: resource %u twice", i,
					      limit->resource);
		seen |= 1u << limit->resource;
		if (limit->reserved != 0)
			return bootstrap_fail(decoder,
					      "entry %d: reserved field is "
					      "not 0",
					      i);
		if (limit->soft > limit->hard)
			return bootstrap_fail(decoder,
					      "entry %d: soft limit above hard "
					      "limit",
					      i);
	}
	msg->n_rlimits = (size_t)n;
	return 0;
}

int
bootstrap_read_nice(struct bootstrap_decoder *decoder,
		    const struct nlmsg_attr *attr)
{
	uint32_t value;
	int32_t nice;

	if (nlmsg_attr_u32(attr, &value) < 0)
		return bootstrap_fail(decoder, "value of %zu bytes, must be 4",
				      attr->size);
	memcpy(&nice, &value, sizeof(nice));
	if (nice < -20 || nice > 19)
		return bootstrap_fail(decoder, "%d is out of range -20..19",
				      nice);
	decoder->msg->nice = nice;
	return 0;
}

static bool
has_dotdot(const char *path)
{
	size_t size;

	for (; *path; path += size) {
		path += strspn(path, "/");
		size = strcspn(path, "/");
		if (size == 2 && memcmp(path, "..", 2) == 0)
			return true;
	}
	return false;
}

static int
check_mount(struct bootstrap_decoder *decoder,
	    const struct bootstrap_mount *mount, size_t i)
{
	bool bind = mount->kind == BOOTSTRAP_MOUNT_KIND_BIND;

	if (mount->kind < BOOTSTRAP_MOUNT_KIND_BIND ||
	    mount->kind > BOOTSTRAP_MOUNT_KIND_CGROUP2)
		return bootstrap_fail(decoder, "mount %zu: no kind %u", i,
				      mount->kind);
	if (mount->flags & ~31u)
		return bootstrap_fail(decoder, "mount %zu: unknown flags 0x%x",
				      i, mount->flags & ~31u);
	if (bind && (!mount->source || mount->source[0] != '/'))
		return bootstrap_fail(decoder,
				      "mount %zu: source of a bind is not "
				      "absolute",
				      i);
	if (!bind && mount->source)
		return bootstrap_fail(decoder,
				      "mount %zu: only a bind has a source", i);
	if (!mount->destination || mount->destination[0] != '/')
		return bootstrap_fail(
			decoder, "mount %zu: destination is not absolute", i);
	if (has_dotdot(mount->destination))
		return bootstrap_fail(
			decoder, "mount %zu: \"..\" in the destination", i);
	return 0;
}

static int
take_mount(struct bootstrap_decoder *decoder, struct cursor *cursor, size_t i,
	   struct bootstrap_mount *ret)
{
	uint32_t head[5];
	int r;

	r = take(decoder, cursor, head, sizeof(head));
	if (r < 0)
		return r;
	ret->kind = head[0];
	ret->flags = head[1];
	r = take_text(decoder, cursor, head[2], &ret->source);
	if (r < 0)
		return r;
	r = take_text(decoder, cursor, head[3], &ret->destination);
	if (r < 0)
		return r;
	r = take_text(decoder, cursor, head[4], &ret->data);
	if (r < 0)
		return r;
	return check_mount(decoder, ret, i);
}

int
bootstrap_read_mounts(struct bootstrap_decoder *decoder,
		      const struct nlmsg_attr *attr)
{
	struct bootstrap *msg = decoder->msg;
	struct cursor cursor = cursor_of(attr);
	int r;

	while (cursor.left > 0) {
		if (msg->n_mounts == BOOTSTRAP_MAX_MOUNTS)
			return bootstrap_fail_limit(decoder,
						    "more than %d mounts",
						    BOOTSTRAP_MAX_MOUNTS);
		r = take_mount(decoder, &cursor, msg->n_mounts,
			       &msg->mounts[msg->n_mounts]);
		if (r < 0)
			return r;
		msg->n_mounts++;
	}
	return 0;
}

static int
check_stdio(struct bootstrap_decoder *decoder,
	    const struct bootstrap_stdio *stdio, int i)
{
	bool is_fd = stdio->kind == BOOTSTRAP_STDIO_FD;
	bool is_path = stdio->kind == BOOTSTRAP_STDIO_PATH;

	if (stdio->kind < BOOTSTRAP_STDIO_NULL ||
	    stdio->kind > BOOTSTRAP_STDIO_PATH)
		return bootstrap_fail(decoder, "fd %d: no kind %u", i,
				      stdio->kind);
	if (is_path && (!stdio->path || stdio->path[0] != '/'))
		return bootstrap_fail(decoder, "fd %d: path is not absolute",
				      i);
	if (!is_path && stdio->path)
		return bootstrap_fail(decoder, "fd %d: a path, but kind %u", i,
				      stdio->kind);
	if (!is_fd && stdio->fd_index != 0)
		return bootstrap_fail(decoder,
				      "fd %d: an fd index, but kind %u", i,
				      stdio->kind);
	return 0;
}

int
bootstrap_read_stdio(struct bootstrap_decoder *decoder,
		     const struct nlmsg_attr *attr)
{
	struct cursor cursor = cursor_of(attr);
	int i, r;

	for (i = 0; i < 3; i++) {
		struct bootstrap_stdio *stdio = &decoder->msg->stdio[i];
		uint32_t head[3];

		r = take(decoder, &cursor, head, sizeof(head));
		if (r < 0)
			return r;
		stdio->kind = head[0];
		stdio->fd_index = head[1];
		r = take_text(decoder, &cursor, head[2], &stdio->path);
		if (r < 0)
			return r;
		r = check_stdio(decoder, stdio, i);
		if (r < 0)
			return r;
	}
	if (cursor.left > 0)
		return bootstrap_fail(decoder,
				      "%zu bytes after its three "
				      "records",
				      cursor.left);
	return 0;
}

int
bootstrap_read_passed_fds(struct bootstrap_decoder *decoder,
			  const struct nlmsg_attr *attr)
{
	struct bootstrap *msg = decoder->msg;
	int i, k, n;

	n = list_length(decoder, attr, sizeof(struct bootstrap_passed_fd),
			BOOTSTRAP_MAX_CHANNEL_FDS);
	if (n < 0)
		return n;
	memcpy(msg->passed_fds, attr->value, attr->size);
	for (i = 0; i < n; i++) {
		uint32_t number = msg->passed_fds[i].number;

		if (number < 3 || number > 1023)
			return bootstrap_fail(decoder,
					      "entry %d: number %u is out of "
					      "range 3..1023",
					      i, number);
		for (k = 0; k < i; k++)
			if (msg->passed_fds[k].number == number)
				return bootstrap_fail(decoder,
						      "entry %d: number %u "
						      "twice",
						      i, number);
	}
	msg->n_passed_fds = (size_t)n;
	return 0;
}
