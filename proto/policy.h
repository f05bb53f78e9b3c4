/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy: who may ask for what. The resolver parses the files and writes
 * one struct policy_table over a private pipe, in host byte order; everybody
 * else only holds this table. It comes from another process: policy_check()
 * before a field is used. Pure: nothing is opened, allocated or remembered.
 *
 * A policy never replaces the kernel's answer. It narrows, or grants one of
 * the named extras: admin, no_new_privs off, further ids for maps, a kind of
 * confinement that is no obstacle. The first rule that matches decides; what it
 * does not set stays what the caller has without a rule, so that a rule for one
 * thing changes no other.
 */
#ifndef NSX_PROTO_POLICY_H
#define NSX_PROTO_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "proto/errcode.h"
#include "proto/idmap.h"

#define POLICY_MAGIC 0x5053584eu /* "NXSP" */
#define POLICY_VERSION 1u
#define POLICY_MAX_FILES 64
#define POLICY_MAX_RULES 128
#define POLICY_MAX_IDS 8      /* ranges of uids, of gids that match */
#define POLICY_MAX_PATTERNS 2 /* labels, units that match */
#define POLICY_MAX_RANGES 4   /* further ids; owners of joined namespaces */
#define POLICY_LABEL_MAX 128  /* these four with their NUL */
#define POLICY_UNIT_MAX 96
#define POLICY_NAME_MAX 40
#define POLICY_SOURCE_MAX 88

/* What a rule allows, bit 1 << n of a mask: methods of nsexec.v1, then what a
 * request may contain, then methods that came later: a bit keeps its meaning
 * while the spawner and nsexecd are of two versions. */
enum policy_verb {
	POLICY_VERB_VERSION,
	POLICY_VERB_CREATE,
	POLICY_VERB_START,
	POLICY_VERB_RUN,
	POLICY_VERB_EXEC,
	POLICY_VERB_STATE,
	POLICY_VERB_LIST,
	POLICY_VERB_WAIT,
	POLICY_VERB_SIGNAL,
	POLICY_VERB_PROCESSES,
	POLICY_VERB_DELETE,
	POLICY_VERB_CANCEL,
	POLICY_VERB_EXPLAIN,
	POLICY_VERB_EVENTS,	       /* Events and NextEvents */
	POLICY_VERB_JOIN,	       /* namespaces by path, pid, fd */
	POLICY_VERB_FOREIGN_JOIN,      /* admins: of an owner other than root */
	POLICY_VERB_FOREIGN_CONTAINER, /* admins: any verb on others' own */
	POLICY_VERB_METRICS,
	N_POLICY_VERBS,
};
#define POLICY_VERB_BIT(verb) (1u << (verb))
#define POLICY_VERBS_ADMIN \
	(POLICY_VERB_BIT(POLICY_VERB_FOREIGN_JOIN) | \
	 POLICY_VERB_BIT(POLICY_VERB_FOREIGN_CONTAINER))
#define POLICY_VERBS_ALL (POLICY_VERB_BIT(N_POLICY_VERBS) - 1)
#define POLICY_VERBS_ORDINARY (POLICY_VERBS_ALL & ~POLICY_VERBS_ADMIN)

/* In what a caller differs from the daemon, bit 1 << n of a mask. */
enum policy_confinement {
	POLICY_CONFINED_USERNS,
	POLICY_CONFINED_MNTNS,
	POLICY_CONFINED_PIDNS,
	POLICY_CONFINED_NETNS,
	POLICY_CONFINED_CGROUP_ROOT, /* cgroup namespace or its root */
	POLICY_CONFINED_CHROOT,
	POLICY_CONFINED_SECCOMP,
	POLICY_CONFINED_NO_NEW_PRIVS,
	POLICY_CONFINED_LABEL, /* another than "unconfined" */
	N_POLICY_CONFINEMENTS,
};
#define POLICY_CONFINED_BIT(kind) (1u << (kind))
#define POLICY_CONFINED_ALL (POLICY_CONFINED_BIT(N_POLICY_CONFINEMENTS) - 1)

/* Bounds per owner. 0 means none at all, never "no bound". */
enum policy_quota {
	POLICY_QUOTA_CONTAINERS, /* alive */
	POLICY_QUOTA_STARTS_IN_FLIGHT,
	POLICY_QUOTA_STARTS_PER_SECOND,
	POLICY_QUOTA_STARTS_BURST,
	POLICY_QUOTA_CONNECTIONS,
	POLICY_QUOTA_REQUESTS_IN_FLIGHT,
	POLICY_QUOTA_QUEUED_BYTES, /* answers and events not yet read */
	POLICY_QUOTA_SUBSCRIBERS,
	POLICY_QUOTA_FDS_PER_REQUEST,
	POLICY_QUOTA_FDS_HELD,
	POLICY_QUOTA_EXECS_PER_CONTAINER,
	POLICY_QUOTA_STUCK_WORKERS,
	POLICY_QUOTA_TASKS,
	POLICY_QUOTA_MEMORY_MIB,
	POLICY_QUOTA_REMEMBERED_KEYS,
	N_POLICY_QUOTAS,
};
/* Of tasks and memory, unless a rule sets them: as user-UID.slice has it, else
 * 4,096 tasks and half of the memory. */
#define POLICY_QUOTA_INHERIT UINT32_MAX

/* One row per verb, confinement, quota: its word in files and messages. */
struct policy_quota_row {
	const char *name;
	uint32_t initial; /* without a rule */
	uint32_t max;	  /* that a rule may set */
};
extern const char *const policy_verb_names[N_POLICY_VERBS];
extern const char *const policy_confinement_names[N_POLICY_CONFINEMENTS];
extern const struct policy_quota_row policy_quota_rows[N_POLICY_QUOTAS];

/* Which user namespace owners a joined namespace may have. */
struct policy_owners {
	uint32_t self; /* bool: the caller's own uid or his owner's */
	uint32_t n_ranges;
	struct idmap_range ranges[POLICY_MAX_RANGES];
};

/* Every condition that is there must hold; of a list one entry must. */
enum policy_condition {
	POLICY_IF_ANY = 1 << 0, /* alone: everybody */
	POLICY_IF_UID = 1 << 1,
	POLICY_IF_GID = 1 << 2, /* the gid or one of the groups */
	POLICY_IF_LABEL = 1 << 3,
	POLICY_IF_UNIT = 1 << 4,
};
/* What a rule sets; the rest stays as without it. */
enum policy_setting {
	POLICY_SET_ADMIN = 1 << 0,
	POLICY_SET_VERBS = 1 << 1,
	POLICY_SET_CREATE = 1 << 2,
	POLICY_SET_JOIN = 1 << 3,
	POLICY_SET_JOIN_OWNERS = 1 << 4,
	POLICY_SET_UID_RANGES = 1 << 5,
	POLICY_SET_GID_RANGES = 1 << 6,
	POLICY_SET_NO_NEW_PRIVS = 1 << 7,
	POLICY_SET_ALLOW_CONFINED = 1 << 8,
	POLICY_SET_ALL = (1 << 9) - 1,
};

struct policy_rule {
	uint32_t conditions;
	uint32_t n_uids, n_gids, n_labels, n_units;
	struct idmap_range uids[POLICY_MAX_IDS];
	struct idmap_range gids[POLICY_MAX_IDS];
	/* The whole text, or with '*' as its last byte the beginning. */
	char labels[POLICY_MAX_PATTERNS][POLICY_LABEL_MAX];
	char units[POLICY_MAX_PATTERNS][POLICY_UNIT_MAX];

	uint32_t settings;
	uint32_t admin, no_new_privs; /* bools */
	uint32_t verbs;
	uint32_t create_kinds, join_kinds; /* CLONE_NEW* bits */
	uint32_t allow_confined;
	struct policy_owners join_owners;
	uint32_t n_uid_ranges, n_gid_ranges;
	struct idmap_range uid_ranges[POLICY_MAX_RANGES];
	struct idmap_range gid_ranges[POLICY_MAX_RANGES];
	uint32_t quotas_set; /* bit 1 << n: quotas[n] */
	uint32_t quotas[N_POLICY_QUOTAS];

	char name[POLICY_NAME_MAX];	/* as a container's: text_is_id() */
	char source[POLICY_SOURCE_MAX]; /* "policy.d/10-ci.json:12" */
};

struct policy_table {
	uint32_t magic;
	uint32_t version;
	uint32_t size;	   /* sizeof(struct policy_table) */
	uint32_t checksum; /* crc32c() of head and rules, with 0 here */
	uint32_t n_files;  /* read; 0 = there is no policy */
	uint32_t n_rules;  /* those beyond are zero bytes */
	struct policy_rule rules[POLICY_MAX_RULES];
};
_Static_assert(sizeof(struct policy_table) < 128 * 1024, "fits in a message");

/* Who asks. Pointers are borrowed. */
struct policy_subject {
	uint32_t uid;	/* as the kernel says of the connection */
	uint32_t owner; /* whose delegated id that is, else uid (resolve.h) */
	uint32_t gid;
	const uint32_t *groups;
	size_t n_groups;
	const char *label; /* of SO_PEERSEC; NULL: none */
	const char *unit;  /* system unit of its cgroup; NULL: none, unknown */
	uint32_t confined; /* POLICY_CONFINED_BIT()s found */
};

/* What the policy says of a subject. Copyable, without pointers. */
struct policy_rights {
	bool admin;
	bool no_new_privs; /* forced upon every start */
	uint32_t verbs;
	uint32_t create_kinds, join_kinds; /* CLONE_NEW* bits */
	uint32_t confined; /* found and not allowed: not 0 = CONFINED */
	uint32_t allow_confined;
	bool any_join_owner; /* join_owners does not narrow */
	struct policy_owners join_owners;
	/* Ids for maps beyond the delegated ones. */
	uint32_t n_uid_ranges, n_gid_ranges;
	struct idmap_range uid_ranges[POLICY_MAX_RANGES];
	struct idmap_range gid_ranges[POLICY_MAX_RANGES];
	uint32_t quotas_set; /* by the rule; else policy_quota_rows' */
	uint32_t quotas[N_POLICY_QUOTAS];
	int rule; /* index in the table; -1: no rule, the defaults */
	char name[POLICY_NAME_MAX];	/* "default" without a rule */
	char source[POLICY_SOURCE_MAX]; /* "built-in" without a rule */
};

/* An empty table: what the absence of files means. */
void policy_table_init(struct policy_table *table);
/* Size and checksum, when the last rule is in. */
void policy_table_seal(struct policy_table *table);

/*
 * Is every field one that can be, and does the checksum hold? 0, or -EBADMSG
 * with *ret_why a static text. Refused as well are rules that would be unsafe
 * whoever wrote them: admin, no_new_privs off or further ids for callers that
 * are named by neither uid nor gid (a label can be taken on, a unit is known
 * from a cgroup that can be left), host uid or gid 0 as a further id.
 */
must_check int policy_check(const struct policy_table *table,
			    const char **ret_why);
/* The same for one rule, without checksum. */
must_check int policy_rule_check(const struct policy_rule *rule,
				 const char **ret_why);

/*
 * The rights of a subject under a checked table, or with NULL those without any
 * policy (uid 0 that is not confined is an admin, everybody else is not).
 *
 * A uid condition holds for the subject's uid and for its owner: a delegated id
 * is bound by the rules of whom it belongs to. But it gets no extra from them:
 * admin, no_new_privs off and further ids are for whoever is named by his own
 * uid, or is nobody's delegated id. uid 0 is freed of a confinement only by a
 * rule with uid 0 in its list, and with a confinement is an admin only by a
 * rule that says so.
 */
void policy_match(const struct policy_table *table,
		  const struct policy_subject *subject,
		  struct policy_rights *ret);

/* What a request needs. */
struct policy_request {
	uint32_t verbs;	       /* all of these */
	uint32_t create_kinds; /* CLONE_NEW* bits */
	uint32_t join_kinds;   /* not 0 needs POLICY_VERB_JOIN too */
	bool new_privs;	       /* asks for no_new_privs off */
};
/* Why not: what the daemon answers and explain prints. */
struct policy_refusal {
	enum errcode code;
	char object[32]; /* "exec", "net", "seccomp" */
	char rule[192];	 /* with the rule's name and source */
	char hint[192];
};
/*
 * 0, or -EPERM with *ret: CONFINED, PERMISSION_DENIED, or NEED_USERNS (new
 * namespaces without a new or joined user namespace, not admin). Joins' owners
 * are not known here: policy_join_owner_check().
 */
must_check int policy_request_check(const struct policy_rights *rights,
				    const struct policy_request *request,
				    struct policy_refusal *ret);
/*
 * May a namespace be joined whose user namespace's owner, as NS_GET_OWNER_UID
 * says, is ns_owner? 0, or -EPERM with *ret. Narrows only: the join itself is
 * the kernel's decision. A caller in a delegated id counts as its owner too.
 */
must_check int policy_join_owner_check(const struct policy_rights *rights,
				       const struct policy_subject *subject,
				       uint32_t ns_owner,
				       struct policy_refusal *ret);

/* Can that check say no at all? */
static inline bool
policy_narrows_owners(const struct policy_rights *rights)
{
	return !rights->any_join_owner ||
	       (rights->admin &&
		!(rights->verbs & POLICY_VERB_BIT(POLICY_VERB_FOREIGN_JOIN)));
}

/* Index of a word in the tables above, or -1. */
int policy_verb_find(const char *name);
int policy_confinement_find(const char *name);
int policy_quota_find(const char *name);

/*
 * The system unit in a cgroup path as /proc/PID/cgroup has it: the first
 * component that is a unit (.service, .scope, .socket, .mount, .swap) below
 * slices; units of a user's own manager are below user@UID.service and never
 * looked at. 0, or -ENOENT.
 */
must_check int policy_unit_of_cgroup(const char *path, char *buf, size_t size);

#endif
