/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which namespaces are joined and made.
 *
 * Joins come before the own user namespace: once inside one, nothing that the
 * host owns can be entered. User and pid are made by the clone of init, the
 * rest by init itself after it was mapped and became 0: what is created with
 * an unmapped fsuid (the root of /dev/mqueue) belongs to 65534 for ever. Time
 * must be unshared, not cloned: clone3 freezes the offsets at once. See
 * nsplan.h.
 */
#include "proto/nsplan.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/sys.h"
#include "lib/util.h"

const struct ns_kind ns_kinds[N_NS_KINDS] = {
	{ "user", "ns/user", CLONE_NEWUSER },
	{ "ipc", "ns/ipc", CLONE_NEWIPC },
	{ "uts", "ns/uts", CLONE_NEWUTS },
	{ "net", "ns/net", CLONE_NEWNET },
	{ "pid", "ns/pid", CLONE_NEWPID },
	{ "mnt", "ns/mnt", CLONE_NEWNS },
	{ "cgroup", "ns/cgroup", CLONE_NEWCGROUP },
	{ "time", "ns/time", CLONE_NEWTIME },
};

int
ns_kind_by_name(const char *name, size_t size)
{
	int i;

	for (i = 0; i < N_NS_KINDS; i++)
		if (strlen(ns_kinds[i].name) == size &&
		    memcmp(ns_kinds[i].name, name, size) == 0)
			return i;
	return -1;
}

int
ns_kind_by_flag(uint32_t clone_flag)
{
	int i;

	for (i = 0; i < N_NS_KINDS; i++)
		if (ns_kinds[i].clone_flag == clone_flag)
			return i;
	return -1;
}

uint32_t
nsplan_clone_flags(uint32_t create_flags)
{
	return create_flags & (CLONE_NEWUSER | CLONE_NEWPID);
}

uint32_t
nsplan_unshare_flags(uint32_t create_flags)
{
	return create_flags & NSPLAN_ALL_FLAGS &
	       ~(uint32_t)(CLONE_NEWUSER | CLONE_NEWPID);
}

static size_t
add_step(struct nsplan_step *steps, size_t n, enum nsplan_pass pass,
	 uint32_t flags)
{
	assert(n < NSPLAN_MAX_STEPS);
	steps[n] = (struct nsplan_step){ .pass = pass, .flags = flags };
	return n + 1;
}

/* One step a kind, in the order of ns_kinds. */
static size_t
add_joins(struct nsplan_step *steps, size_t n, enum nsplan_pass pass,
	  uint32_t flags)
{
	size_t i;

	for (i = 0; i < N_NS_KINDS; i++)
		if (flags & ns_kinds[i].clone_flag)
			n = add_step(steps, n, pass, ns_kinds[i].clone_flag);
	return n;
}

int
nsplan_build(uint32_t join_flags, uint32_t create_flags, bool user_first,
	     bool offsets, struct nsplan_step *steps, size_t *ret_n_steps)
{
	uint32_t join_user = join_flags & (uint32_t)CLONE_NEWUSER;
	uint32_t join_rest = join_flags & ~(uint32_t)CLONE_NEWUSER;
	size_t n = 0;

	if ((join_flags | create_flags) & ~NSPLAN_ALL_FLAGS)
		return -EINVAL;
	if (join_flags & create_flags)
		return -EINVAL;
	if (offsets && !(create_flags & CLONE_NEWTIME))
		return -EINVAL;

	if (user_first)
		n = add_joins(steps, n, NSPLAN_JOIN_USER, join_user);
	n = add_joins(steps, n, NSPLAN_JOIN_EARLY, join_rest);
	if (!user_first)
		n = add_joins(steps, n, NSPLAN_JOIN_USER, join_user);
	n = add_joins(steps, n, NSPLAN_JOIN_LATE, join_rest);

	n = add_step(steps, n, NSPLAN_CLONE, nsplan_clone_flags(create_flags));
	if (create_flags & CLONE_NEWUSER) {
		n = add_step(steps, n, NSPLAN_MAP, CLONE_NEWUSER);
		n = add_step(steps, n, NSPLAN_BECOME, CLONE_NEWUSER);
	}
	if (nsplan_unshare_flags(create_flags))
		n = add_step(steps, n, NSPLAN_UNSHARE,
			     nsplan_unshare_flags(create_flags));
	if (offsets)
		n = add_step(steps, n, NSPLAN_OFFSETS, CLONE_NEWTIME);
	*ret_n_steps = n;
	return 0;
}
