/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a connection is: what the spawner answers to WHO. It reads the kernel
 * (credentials, confinement), asks the resolver (account, delegated ids) and
 * matches the policy; nsexecd keeps this one record with the connection and
 * decides everything by it. Fixed size, host byte order, between two programs
 * of one machine; the version changes with the layout.
 *
 * The spawner decides again, by its own copy, whatever it is asked to do for
 * that connection: nsexecd's copy is for early and clear answers.
 */
#ifndef NSX_PROTO_WHO_H
#define NSX_PROTO_WHO_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "proto/policy.h"
#include "proto/resolve.h"

#define WHO_MAGIC 0x5753584eu /* "NXSW" */
#define WHO_VERSION 2u
#define WHO_NO_LOGINUID UINT32_MAX /* never logged in, or not known */

/* Controllers that the spawner's cgroup has. */
#define WHO_BOUND_TASKS (1u << 0)
#define WHO_BOUND_MEMORY (1u << 1)

struct who {
	uint32_t magic;
	uint32_t version;
	uint32_t size;	     /* sizeof(struct who) */
	uint32_t uid, gid;   /* SO_PEERCRED of the connection */
	uint32_t pid;	     /* in the spawner's pid namespace; 0: not there */
	uint32_t loginuid;   /* /proc/PID/loginuid, or WHO_NO_LOGINUID */
	uint32_t confined;   /* POLICY_CONFINED_BIT()s found, allowed or not */
	uint32_t bounds;     /* WHO_BOUND_*: quotas that hold an owner here */
	uint64_t start_time; /* field 22 of /proc/PID/stat; 0: no */
	char label[POLICY_LABEL_MAX];  /* SO_PEERSEC, cut; "": none */
	char unit[POLICY_UNIT_MAX];    /* policy_unit_of_cgroup(); "": none */
	struct policy_rights rights;   /* rights.confined != 0: CONFINED */
	struct resolved_user resolved; /* .owner: whose quotas and objects */
};
_Static_assert(sizeof(struct who) < 8 * 1024, "fits in an attribute");

/*
 * Copy a record out of bytes. 0, or -EBADMSG: another size, magic or version, a
 * bool that is none, a count over its bound, a text without end, or a resolved
 * user that is not of this uid (resolve_check()).
 */
must_check int who_decode(const void *data, size_t size, struct who *ret);

#endif
