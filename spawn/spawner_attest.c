/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks. What SO_PEERCRED says holds for a connection that was passed on,
 * and for a caller that is dead: so a hung up connection and a dead peer are
 * refused. On the connecting side it names the *listener's* owner, though: a
 * subverted nsexecd could connect to any service of root and present that
 * socket as root's request. So only the accepted side of a listener counts
 * that root bound in the file system: the kernel gives an accepted socket its
 * listener's inode (SIOCUNIXFILE, 4.11), and nobody but root makes one of
 * root's.
 */
#include "spawn/spawner_attest.h"

#include <errno.h>
#include <linux/un.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"
#include "spawn/spawner_proc.h"

/* linux/un.h has a struct sockaddr_un of its own; nothing here needs one. */

static int
attest_refuse(struct attest_refusal *refusal, enum errcode code, int error,
	      const char *rule)
{
	refusal->code = code;
	refusal->error = error;
	refusal->rule = rule;
	return -EPERM;
}

static int
attest_int_option(int fd, int option)
{
	socklen_t size = sizeof(int);
	int value = -1;

	if (getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0)
		return -errno;
	return value;
}

static int
attest_socket(int fd, int type, struct attest_refusal *refusal)
{
	fd_auto int bound = -1;
	struct stat st;

	if (attest_int_option(fd, SO_DOMAIN) != AF_UNIX ||
	    attest_int_option(fd, SO_TYPE) != type ||
	    attest_int_option(fd, SO_ACCEPTCONN) != 0)
		return attest_refuse(refusal, ERRCODE_PERMISSION_DENIED, 0,
				     "not a unix connection of its kind");
	/* Asking takes CAP_NET_ADMIN. Without root, whoever could show us a
	 * connection of his own making is our user, whom we serve anyway. */
	if (geteuid() != 0)
		return 0;
	bound = ioctl(fd, SIOCUNIXFILE);
	if (bound < 0)
		return attest_refuse(refusal, ERRCODE_PERMISSION_DENIED, errno,
				     "not accepted from a bound listener");
	if (fstat(bound, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != 0)
		return attest_refuse(refusal, ERRCODE_PERMISSION_DENIED, 0,
				     "not accepted from a listener of root");
	return 0;
}

/*
 * The pidfd of the peer: the kernel's own (6.5), else one by its number. That
 * number may be another process's by now: it is taken for the caller if it is
 * of the same uid, whose processes may do to each other what they like
 * (ptrace(2)), so none gains by the other's limits.
 */
static int
attest_pidfd(int fd, int proc_fd, const struct ucred *cred)
{
	socklen_t size = sizeof(int);
	fd_auto int pidfd = -1;
	uid_t uid;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
		return fd_steal(&pidfd);
	pidfd = -1;
	if (errno != ENOPROTOOPT)
		return -errno;
	pidfd = sys_pidfd_open(cred->pid);
	if (pidfd < 0)
		return pidfd;
	if (proc_uid_read(proc_fd, cred->pid, &uid) < 0 || uid != cred->uid)
		return -ESRCH;
	return fd_steal(&pidfd);
}

/* What a connection has to be. */
struct attest_kind {
	int type;	 /* SOCK_* */
	short no_events; /* POLL* */
	bool known;	 /* ATTEST_KNOWN */
	bool ours; /* accepted by ourselves: from which listener we know */
};

static int
attest_whole(int fd, const struct attest_kind *kind,
	     struct attest_refusal *refusal)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDHUP };

	if (poll(&p, 1, 0) < 0 || (p.revents & kind->no_events))
		return attest_refuse(refusal, ERRCODE_CALLER_GONE, 0,
				     "the caller's connection is hung up");
	return 0;
}

/* The peer process lives. Its pidfd is kept. */
static int
attest_alive(int fd, int proc_fd, const struct ucred *cred, struct caller *ret,
	     struct attest_refusal *refusal)
{
	struct pollfd p = { .events = POLLIN };
	fd_auto int pidfd = -1;

	pidfd = attest_pidfd(fd, proc_fd, cred);
	if (pidfd < 0)
		return attest_refuse(refusal, ERRCODE_CALLER_GONE, -pidfd,
				     "the caller's process has ended");
	p.fd = pidfd;
	if (poll(&p, 1, 0) != 0)
		return attest_refuse(refusal, ERRCODE_CALLER_GONE, 0,
				     "the caller's process has ended");
	ret->pidfd = fd_steal(&pidfd);
	return 0;
}

static int
attest_groups(int fd, struct caller *caller, struct attest_refusal *refusal)
{
	socklen_t size = 0;

	/* Asked with no room it says how much it needs. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 &&
	    size == 0)
		return 0;
	if (size == 0 || size > STAGE_MAX_GROUPS * sizeof(gid_t))
		return attest_refuse(refusal, ERRCODE_PERMISSION_DENIED, errno,
				     "the caller's groups cannot be read");
	caller->groups = malloc(size);
	if (!caller->groups)
		return attest_refuse(refusal, ERRCODE_OVERLOADED, ENOMEM,
				     "no memory for the caller's groups");
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, caller->groups, &size) <
	    0)
		return attest_refuse(refusal, ERRCODE_PERMISSION_DENIED, errno,
				     "the caller's groups cannot be read");
	caller->n_groups = size / sizeof(gid_t);
	return 0;
}

/*
 * In a user namespace that does not map every id, uid 65534 may be anybody
 * (user_namespaces(7): the overflow id). Nobody is nobody then.
 */
static bool
attest_maps_all_ids(int proc_fd)
{
	char path[32], text[64];
	unsigned int first, parent, count;
	ssize_t n;

	snprintf(path, sizeof(path), "%d/uid_map", getpid());
	n = fd_read_file(proc_fd, path, text, sizeof(text));
	return n > 0 &&
	       sscanf(text, "%u %u %u", &first, &parent, &count) == 3 &&
	       first == 0 && count == UINT32_MAX;
}

/*
 * Root inside a container may have the host's uid 0 as well, and none of its
 * rights: that is no admin, and would become one by us. Looked at before
 * attest_alive(), which then says that the pid was the caller's all along.
 */
static int
attest_root(int proc_fd, pid_t pid, struct attest_refusal *refusal)
{
	int r = proc_shares_id_map(proc_fd, pid);

	/* Only of root of such a namespace is more read here: spawner_look.h.
	 */
	if (r > 0)
		r = proc_shares_user_namespace(proc_fd, pid);

	if (r < 0)
		return attest_refuse(refusal, ERRCODE_CALLER_GONE, -r,
				     "the caller's process has ended");
	if (r == 0)
		return attest_refuse(refusal, ERRCODE_CONFINED, 0,
				     "root of another user namespace is no "
				     "admin here");
	return 0;
}

static const char rootless_rule[] =
	"a rootless instance serves its own user alone, with the group and "
	"groups that it was started with";

static int
compare_gids(const void *a, const void *b)
{
	const gid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/*
 * Without root a stage cannot take other ids or groups than ours: a caller
 * that has others, more or fewer, would get what it has not.
 */
static int
attest_is_self(const struct caller *caller, struct attest_refusal *refusal)
{
	free_auto gid_t *own = NULL;
	free_auto gid_t *theirs = NULL;
	int n = getgroups(0, NULL);
	bool same = false;

	own = calloc((size_t)(n > 0 ? n : 0) + 1, sizeof(*own));
	theirs = calloc(caller->n_groups + 1, sizeof(*theirs));
	if (!own || !theirs || n < 0 || getgroups(n, own) != n)
		return attest_refuse(refusal, ERRCODE_OVERLOADED, ENOMEM,
				     "no memory for the caller's groups");
	if (caller->uid == geteuid() && caller->gid == getegid() &&
	    caller->n_groups == (size_t)n) {
		if (n > 0)
			memcpy(theirs, caller->groups,
			       caller->n_groups * sizeof(gid_t));
		qsort(own, (size_t)n, sizeof(gid_t), compare_gids);
		qsort(theirs, (size_t)n, sizeof(gid_t), compare_gids);
		same = memcmp(own, theirs, (size_t)n * sizeof(gid_t)) == 0;
	}
	if (same)
		return 0;
	return attest_refuse(refusal, ERRCODE_PERMISSION_DENIED, 0,
			     rootless_rule);
}

static int
attest_read(int fd, const struct attest_kind *kind, int proc_fd,
	    struct caller *ret, struct attest_refusal *refusal)
{
	socklen_t size = sizeof(struct ucred);
	struct ucred cred;
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->pidfd = -1;
	r = kind->ours ? 0 : attest_socket(fd, kind->type, refusal);
	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0 ||
	    size != sizeof(cred) || cred.uid == (uid_t)-1 ||
	    cred.gid == (gid_t)-1)
		return attest_refuse(refusal, ERRCODE_PERMISSION_DENIED, 0,
				     "the connection names no caller");
	if (geteuid() != 0 && cred.uid != geteuid())
		return attest_refuse(refusal, ERRCODE_PERMISSION_DENIED, 0,
				     rootless_rule);
	if (cred.uid == 65534 && !attest_maps_all_ids(proc_fd))
		return attest_refuse(refusal, ERRCODE_PERMISSION_DENIED, 0,
				     "the caller's uid has no number here");
	if (cred.uid == 0 && !kind->known) {
		r = attest_root(proc_fd, cred.pid, refusal);
		if (r < 0)
			return r;
	}
	r = attest_whole(fd, kind, refusal);
	if (r < 0)
		return r;
	r = attest_alive(fd, proc_fd, &cred, ret, refusal);
	if (r < 0)
		return r;
	ret->uid = cred.uid;
	ret->gid = cred.gid;
	ret->pid = cred.pid;
	ret->owner = cred.uid;
	ret->rootless = geteuid() != 0;
	r = attest_groups(fd, ret, refusal);
	if (r == 0 && ret->rootless)
		r = attest_is_self(ret, refusal);
	return r;
}

int
attest_caller(int connection, int proc_fd, unsigned int flags,
	      struct caller *ret, struct attest_refusal *refusal)
{
	const struct attest_kind kind = {
		.type = SOCK_STREAM,
		.no_events = (short)(POLLHUP | POLLERR | POLLNVAL |
				     (flags & ATTEST_TELL ? 0 : POLLRDHUP)),
		.known = flags & ATTEST_KNOWN,
	};

	return attest_read(connection, &kind, proc_fd, ret, refusal);
}

#define ATTEST_GONE (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL)

int
attest_asker(int connection, int proc_fd, struct caller *ret,
	     struct attest_refusal *refusal)
{
	static const struct attest_kind kind = { .type = SOCK_SEQPACKET,
						 .no_events = ATTEST_GONE,
						 .ours = true };

	return attest_read(connection, &kind, proc_fd, ret, refusal);
}

int
attest_channel(int connection, int proc_fd, const struct caller *caller,
	       struct attest_refusal *refusal)
{
	static const struct attest_kind kind = { .type = SOCK_SEQPACKET,
						 .no_events = ATTEST_GONE };
	struct caller other;
	bool same;
	int r;

	r = attest_read(connection, &kind, proc_fd, &other, refusal);
	same = r == 0 && other.uid == caller->uid && other.gid == caller->gid &&
	       other.n_groups == caller->n_groups &&
	       (other.n_groups == 0 ||
		memcmp(other.groups, caller->groups,
		       other.n_groups * sizeof(gid_t)) == 0);
	caller_deinit(&other);
	if (r < 0)
		return r;
	if (!same)
		return attest_refuse(refusal, ERRCODE_PERMISSION_DENIED, 0,
				     "the fd channel is another caller's");
	return 0;
}

void
caller_deinit(struct caller *caller)
{
	fd_close(&caller->pidfd);
	free(caller->groups);
	caller->groups = NULL;
	caller->n_groups = 0;
}
