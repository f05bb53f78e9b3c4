/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespace arithmetic as pure functions: kinds, clone flags, the order of
 * joins, which call creates what. Used by the stages that do it and by Explain
 * that only says it.
 */
#ifndef NSX_PROTO_NSPLAN_H
#define NSX_PROTO_NSPLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

#define N_NS_KINDS 8
#define NSPLAN_ALL_FLAGS 0x7e020080u

/* One row per kind, in runc's order user ipc uts net pid mnt cgroup time;
 * index = nsexec.v1.NamespaceKind - 1. */
struct ns_kind {
	const char *name;      /* "user", as in /proc/PID/ns and in messages */
	const char *proc_name; /* what a joiner opens: "ns/user" */
	uint32_t clone_flag;   /* CLONE_NEW* */
};
extern const struct ns_kind ns_kinds[N_NS_KINDS];

/* Index of a kind by name or by clone flag (exactly one bit), or -1. */
int ns_kind_by_name(const char *name, size_t size);
int ns_kind_by_flag(uint32_t clone_flag);

/* A step of the plan. */
enum nsplan_pass {
	NSPLAN_JOIN_EARLY = 1, /* all but user; EPERM puts it off */
	NSPLAN_JOIN_USER,      /* then setresgid(0), setresuid(0) */
	NSPLAN_JOIN_LATE,      /* what was put off; strict */
	NSPLAN_CLONE,	       /* flags of the clone that makes init */
	NSPLAN_MAP,	       /* id maps and setgroups, from outside */
	NSPLAN_BECOME,	       /* setresgid, setresuid in the new user ns */
	NSPLAN_UNSHARE,	       /* flags of init's unshare */
	NSPLAN_OFFSETS,	       /* timens_offsets, from outside */
};
struct nsplan_step {
	enum nsplan_pass pass;
	uint32_t flags;
};
#define NSPLAN_MAX_STEPS 24

/*
 * Which steps create create_flags after joining join_flags (bit sets of
 * CLONE_NEW*). user_first: join the user namespace before everything (a caller
 * without capabilities outside it). 0 and *ret_n_steps, or -EINVAL if a kind is
 * both, or a bit is no namespace.
 */
must_check int nsplan_build(uint32_t join_flags, uint32_t create_flags,
			    bool user_first, bool offsets,
			    struct nsplan_step *steps, size_t *ret_n_steps);

/* Flags for the clone that makes init (user, pid) and for its own unshare. */
uint32_t nsplan_clone_flags(uint32_t create_flags);
uint32_t nsplan_unshare_flags(uint32_t create_flags);

#endif
