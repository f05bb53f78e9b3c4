/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining existing namespaces. A set is opened first, completely, and entered
 * afterwards: once in another mount namespace the remaining paths would mean
 * something else.
 *
 * Nothing here decides whether a join is allowed. The process that calls runs
 * with the credentials of whoever asked, so the kernel decides at open() and
 * again at setns(). Never call this with more rights than the asker has.
 *
 * A set owns its descriptors: nsjoin_init() before, nsjoin_deinit() after.
 */
#ifndef NSX_SPAWN_NSJOIN_H
#define NSX_SPAWN_NSJOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

#define NSJOIN_MAX 16
#define NSJOIN_OBJECT_MAX 128

struct nsjoin {
	uint32_t flag; /* CLONE_NEW*; 0 = whatever the descriptor is (D1) */
	int fd;
	bool joined;
	char object[NSJOIN_OBJECT_MAX]; /* for the failure: path, pid, fd */
};

struct nsjoin_set {
	struct nsjoin items[NSJOIN_MAX];
	size_t n;
	enum stage stage; /* named in failures */
	int proc_fd;	  /* root of a procfs, lent; -1 = use /proc */
};

enum nsjoin_order {
	/* all but user (EPERM is put off), user, the rest strictly */
	NSJOIN_THREE_PASSES,
	/* user, then the rest strictly: a caller without capabilities */
	NSJOIN_USER_FIRST,
	/* as they were added, strictly (dialect D1) */
	NSJOIN_AS_GIVEN,
};

/* What to become right after a user namespace was joined. */
enum nsjoin_become {
	NSJOIN_BECOME_ROOT,	      /* setresgid(0), setresuid(0), strictly */
	NSJOIN_BECOME_ROOT_IF_MAPPED, /* an id 0 that is not mapped: stay */
	NSJOIN_BECOME_NOTHING,
};

void nsjoin_init(struct nsjoin_set *set, enum stage stage, int proc_fd);
void nsjoin_deinit(struct nsjoin_set *set);

/*
 * Open one namespace by path: O_PATH first, the file system must be nsfs, then
 * for reading, so that no device or FIFO is ever opened. Checks the kind when
 * flag is not 0. 0, or -errno with *failure: step "join-open-KIND" (open) or
 * "join-check-KIND" (-EINVAL: not a namespace, or of another kind); KIND is
 * "ns" for flag 0.
 */
must_check int nsjoin_add_path(struct nsjoin_set *set, uint32_t flag,
			       const char *path, struct failure *failure);
/*
 * Every item of runc's "type:path,type:path" (bare = false) or D1's
 * "path,path" (bare = true). Empty items are skipped; an unknown type is
 * -EINVAL, step "join-parse".
 */
must_check int nsjoin_add_texts(struct nsjoin_set *set, const char *texts,
				bool bare, struct failure *failure);
/*
 * The namespace of a process, below a descriptor of its /proc/PID directory,
 * which stays ESRCH for ever once that process is gone. pid is for messages.
 */
must_check int nsjoin_add_process(struct nsjoin_set *set, uint32_t flag,
				  int pid_dir_fd, pid_t pid,
				  struct failure *failure);
/* A descriptor that was passed: duplicated (CLOEXEC), the caller keeps its own.
 */
must_check int nsjoin_add_fd(struct nsjoin_set *set, uint32_t flag, int fd,
			     struct failure *failure);

/*
 * Join all of the set. A user namespace that is already one's own counts as
 * joined (setns says EINVAL, user_namespaces(7)). After the user namespace:
 * dumpable 0, then *become*, before anything else is joined or made.
 * 0, or -errno with *failure: step "join-KIND" (setns) or "join-become"
 * (setresgid, setresuid). Some may have been joined by then: give up.
 */
must_check int nsjoin_enter(struct nsjoin_set *set, enum nsjoin_order order,
			    enum nsjoin_become become, struct failure *failure);

/* The flags that were really switched (a skipped user namespace is not). */
uint32_t nsjoin_flags(const struct nsjoin_set *set);

/* setns and what follows for a single process: see relay's EXEC. */
must_check int nsjoin_become_root(enum nsjoin_become become, enum stage stage,
				  struct failure *failure);

#endif
