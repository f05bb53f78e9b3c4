/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nsexecd and nsexec-spawner say to each other: one nlmsg per datagram on
 * a seqpacket socket, nlmsg_seq = request. Every answer repeats the seq of its
 * request. A connection is trusted as far as its uid: see spawner_ops.c.
 */
#ifndef NSX_PROTO_OPS_H
#define NSX_PROTO_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "proto/nlmsg.h"

/*
 * Numbers of nsexecd's requests (type):
 *
 *   START 62000  bootstrap message NX; fds by FD_ROLES: INIT_CHANNEL, CALLER,
 *                FD_CHANNEL (N_CHANNEL_FDS or SEND_PIDFD), EXEC_BLOCK (if so)
 *                -> CHILD (init exists; a relay may be at work) | ERROR
 *   EXEC  62001  the same, CONTAINER + PID of its init; joins by the spawner
 *   OPEN  62002  CONTAINER; fd: the caller's connection -> DONE | ERROR
 *   SIGNAL 62003 CONTAINER, PID, SIGNAL; fd: caller (absent: nsexecd's own
 *                deadline, SIGKILL only) -> DONE | ERROR
 *   KILL_ALL 62004 CONTAINER, SIGNAL; fd as SIGNAL: every process of the cgroup
 *   STATUS 62005 PID -> STATUS answer | ERROR ECHILD; with CONTAINER, UID also
 *                of what an earlier spawner has left in its cgroup: PID, EXECED
 *   REAP  62006  PID -> DONE | ERROR ECHILD, EBUSY (still runs)
 *   LIST  62007  -> ENTRY ... then DONE; an ENTRY says what STATUS does, and
 *                CONTAINER and UID, and brings the pidfd if one could be made
 *   PIDFD 62008  PID -> DONE with one fd | ERROR ECHILD; with CONTAINER, UID
 *                also of what an earlier spawner has left in its cgroup, and
 *                of what was there when this one began and has ended since
 *                -> STATUS (PID, EXECED) with one fd
 *   CGROUP_REMOVE 62009 CONTAINER, UID = owner -> DONE | ERROR EBUSY ENOENT
 *   PING  62010  -> DONE
 *   KEEP  62011  (uid 0 only; a private instance's launcher) start nsexecd if
 *                it is not running and keep it running; fds: memfd of nsexecd,
 *                memfd of its further arguments (NUL-ended; may be missing)
 *                -> DONE when nsexecd said it is ready | ERROR; after DONE,
 *                a second DONE and the end when nsexecd has ended for good
 *   STOP  62012  (uid 0 only) end nsexecd for good -> DONE when it is gone
 *   PROCESSES 62013 CONTAINER, UID = owner -> DONE with PIDS
 *   WHO   62014  fd: a caller's connection -> WHO answer | ERROR (it is gone,
 *                has no number here, ...); may wait for the resolver
 *   RELOAD 62015 (uid 0 only) read the policy anew -> DONE when it is in force
 *                | ERROR, RULE = why not: the old one stays
 *   STORE 62016  (a kept nsexecd only) CONTAINER = a name; fd: keep this socket
 *                or memfd under it for the next nsexecd, instead of the one
 *                before; no fd: keep none -> DONE | ERROR
 *   REEXEC 62017 (uid 0 only, unconfined) become the program that is installed
 *                where the spawner was started from, or the one of a sealed
 *                memfd; tried first. Same process, children, connections
 *                -> DONE of the new program | ERROR, RULE = why not: the old
 *                one goes on
 *
 * OPEN, SIGNAL and KILL_ALL may carry UID, the container's owner; else it is
 * the caller, and for uid 0 or without a caller the one owner that has this id.
 * The caller's connection is one accepted from a listener that root bound in
 * the file system; anything else is refused.
 *
 * Answers: DONE 62100, ERROR 62101 (QUOTA: a bound of cgroups), CHILD 62102
 * (one fd: the pidfd of init), STATUS 62103, ENTRY 62104, WHO 62105 (WHO:
 * struct who, proto/who.h). Unasked, seq 0: POLICY 62106, another policy is in
 * force, and WHO may say other things. On the init channel, from a stage to
 * nsexecd: READY 62110, FAILED 62111.
 */
enum op {
	OP_START = 62000,
	OP_EXEC,
	OP_OPEN,
	OP_SIGNAL,
	OP_KILL_ALL,
	OP_STATUS,
	OP_REAP,
	OP_LIST,
	OP_PIDFD,
	OP_CGROUP_REMOVE,
	OP_PING,
	OP_KEEP,
	OP_STOP,
	OP_PROCESSES,
	OP_WHO,
	OP_RELOAD,
	OP_STORE,
	OP_REEXEC,
	OP_END, /* one past the last */

	ANSWER_DONE = 62100,
	ANSWER_ERROR,
	ANSWER_CHILD,
	ANSWER_STATUS,
	ANSWER_ENTRY,
	ANSWER_WHO,
	ANSWER_POLICY,

	REPORT_READY = 62110,
	REPORT_FAILED,
};

/* Attributes of requests other than START/EXEC, answers and reports. */
enum op_attr {
	OP_ATTR_CONTAINER = 28201, /* text */
	OP_ATTR_PID,		   /* u32 */
	OP_ATTR_SIGNAL,		   /* u32 */
	OP_ATTR_UID,		   /* u32: owner */
	OP_ATTR_START_TIME,	   /* u64: field 22 of /proc/PID/stat */
	OP_ATTR_EXECED,		   /* u32 bool: PF_FORKNOEXEC is clear */
	OP_ATTR_EXITED,		   /* u32 bool: it is a zombie */
	OP_ATTR_WAIT_STATUS,	   /* u32: as wait(2) gives it */
	OP_ATTR_RUSAGE,		   /* struct op_rusage */
	OP_ATTR_NAMESPACES, /* u64[8]: inodes, in the order of NamespaceKind */
	OP_ATTR_PIDS,	    /* u32[] */
	OP_ATTR_FAILURE,    /* struct failure as below */
	OP_ATTR_CODE,	    /* u32: enum errcode (proto/errcode.h) */
	OP_ATTR_RULE,	    /* text: which rule was broken */
	OP_ATTR_OOM_KILLS,  /* u64: of its cgroup until now; absent: unknown */
	OP_ATTR_WHO,	    /* struct who: who_decode() */
	OP_ATTR_QUOTA,	    /* struct op_quota: which bound refused it */
	OP_ATTR_JOINS,	    /* struct op_joins: in READY, for the audit log */
	OP_ATTR_PROGRAM,    /* struct op_program: the same */
};

struct op_rusage {
	uint64_t user_us;
	uint64_t system_us;
	uint64_t max_rss_kib;
};

/* Which namespaces were joined, and who owns their user namespaces. */
struct op_joins {
	uint32_t kinds;	    /* CLONE_NEW* */
	uint32_t owners[8]; /* uid, UINT32_MAX: not told; as NAMESPACES */
};

/* The file that the program's name leads to. */
struct op_program {
	uint32_t major, minor;
	uint64_t inode;
};

/* A bound of the owner's cgroup that a start does not fit under. */
struct op_quota {
	uint32_t quota; /* enum policy_quota: _TASKS or _MEMORY_MIB */
	uint32_t reserved;
	uint64_t limit, used;
};

/*
 * A failure on the wire: u32 stage, u32 error, then step, syscall and object as
 * NUL-ended texts. FAILED and ERROR carry it; READY does not.
 */
void op_put_failure(struct nlmsg_builder *builder,
		    const struct failure *failure);
/* 0 or -EBADMSG; texts are cut to the struct's sizes, stage checked. */
must_check int op_failure_decode(const struct nlmsg_attr *attr,
				 struct failure *ret);

/* Every attribute an answer, report or small request may hold. */
struct op_message {
	struct nlmsg_header header;
	uint32_t present;      /* bit n = OP_ATTR_CONTAINER + n */
	const char *container; /* borrowed from the message */
	uint32_t pid, signal, uid, wait_status, code;
	uint64_t start_time, oom_kills;
	bool execed, exited;
	struct op_rusage rusage;
	struct op_quota quota;
	struct op_joins joins;
	struct op_program program;
	uint64_t namespaces[8];
	const uint8_t *pids; /* unaligned u32[n_pids], borrowed */
	size_t n_pids;
	const uint8_t *who; /* unaligned, borrowed, not yet checked */
	size_t n_who;
	struct failure failure;
	const char *rule; /* borrowed */
};
static inline bool
op_has(const struct op_message *msg, enum op_attr attr)
{
	return (msg->present >> (attr - OP_ATTR_CONTAINER)) & 1;
}
/* Strict: unknown or repeated attributes, wrong sizes -> -EBADMSG. */
must_check int op_decode(const void *data, size_t size, struct op_message *ret,
			 struct nlmsg_error *ret_error);

#endif
