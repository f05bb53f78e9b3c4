/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and comparing. See spawner_confine.h. */
#include "spawn/spawner_confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000u
#endif

/* Other kinds (uts, ipc, time) confine nobody. */
static const struct {
	uint32_t clone_flag;
	enum policy_confinement kind;
} kinds[] = {
	{ CLONE_NEWUSER, POLICY_CONFINED_USERNS },
	{ CLONE_NEWNS, POLICY_CONFINED_MNTNS },
	{ CLONE_NEWPID, POLICY_CONFINED_PIDNS },
	{ CLONE_NEWNET, POLICY_CONFINED_NETNS },
	{ CLONE_NEWCGROUP, POLICY_CONFINED_CGROUP_ROOT },
};

static int
status_field(const char *text, const char *name, uint32_t *ret)
{
	const char *line = strstr(text, name);
	unsigned int value;

	if (!line || sscanf(line + strlen(name), "%u", &value) != 1)
		return -EBADMSG;
	*ret = value;
	return 0;
}

int
confinement_parse_status(const char *text, struct confinement *ret)
{
	uint32_t no_new_privs;
	int r;

	/* The name, which is the process's own choice, is escaped by the
	 * kernel: no line feed of it begins a line (proc(5)). */
	r = status_field(text, "\nNoNewPrivs:", &no_new_privs);
	if (r < 0)
		return r;
	ret->no_new_privs = no_new_privs != 0;
	/* Absent in a kernel without seccomp; the count came with 5.9. */
	if (status_field(text, "\nSeccomp:", &ret->seccomp) < 0)
		ret->seccomp = 0;
	if (status_field(text, "\nSeccomp_filters:", &ret->n_filters) < 0)
		ret->n_filters = 0;
	return 0;
}

static int
read_namespaces(int proc_fd, const char *pid, struct confinement *ret)
{
	char path[64];
	struct stat st;
	size_t i;

	for (i = 0; i < N_NS_KINDS; i++) {
		snprintf(path, sizeof(path), "%s/%s", pid,
			 ns_kinds[i].proc_name);
		if (fstatat(proc_fd, path, &st, 0) == 0)
			ret->namespaces[i] = st.st_ino;
		else if (errno != ENOENT || i == 0)
			return -errno;
	}
	return 0;
}

/* Without asking a file system that may be a FUSE server of the caller's. */
static int
read_root(int proc_fd, const char *pid, struct confinement *ret)
{
	struct statx stx = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "%s/root", pid);
	if (statx(proc_fd, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
		  STATX_INO | STATX_MNT_ID, &stx) < 0)
		return -errno;
	ret->root_dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	ret->root_inode = stx.stx_ino;
	ret->root_mount = stx.stx_mask & STATX_MNT_ID ? stx.stx_mnt_id : 0;
	return 0;
}

int
confinement_read(int proc_fd, const char *pid, struct confinement *ret)
{
	char path[64], text[8192];
	ssize_t n;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = read_namespaces(proc_fd, pid, ret);
	if (r == 0)
		r = read_root(proc_fd, pid, ret);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/status", pid);
	n = fd_read_file(proc_fd, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	return confinement_parse_status(text, ret);
}

static bool
label_confines(const char *own, const char *label)
{
	return label[0] && strcmp(label, "unconfined") != 0 &&
	       !strstr(label, ":unconfined_t:") && strcmp(label, own) != 0;
}

uint32_t
confinement_compare(const struct confinement *own,
		    const struct confinement *other)
{
	uint32_t found = 0;
	size_t i, j;

	for (i = 0; i < N_NS_KINDS; i++)
		for (j = 0; j < ARRAY_SIZE(kinds); j++)
			if (ns_kinds[i].clone_flag == kinds[j].clone_flag &&
			    own->namespaces[i] != other->namespaces[i])
				found |= POLICY_CONFINED_BIT(kinds[j].kind);
	if (own->root_dev != other->root_dev ||
	    own->root_inode != other->root_inode)
		found |= POLICY_CONFINED_BIT(POLICY_CONFINED_CHROOT);
	/* A bind mount of the same directory; every mount of another mount
	 * namespace is another one. */
	if (!(found & POLICY_CONFINED_BIT(POLICY_CONFINED_MNTNS)) &&
	    own->root_mount != other->root_mount)
		found |= POLICY_CONFINED_BIT(POLICY_CONFINED_CHROOT);
	if (own->seccomp != other->seccomp || other->n_filters > own->n_filters)
		found |= POLICY_CONFINED_BIT(POLICY_CONFINED_SECCOMP);
	if (other->no_new_privs && !own->no_new_privs)
		found |= POLICY_CONFINED_BIT(POLICY_CONFINED_NO_NEW_PRIVS);
	if (label_confines(own->label, other->label))
		found |= POLICY_CONFINED_BIT(POLICY_CONFINED_LABEL);
	return found;
}

/* Labels end in a line feed, a NUL, both or neither, by module. */
static void
label_trim(char *label)
{
	label[strcspn(label, "\n")] = '\0';
}

int
confinement_read_own(int proc_fd, struct confinement *ret)
{
	char pid[16];
	ssize_t n;
	int r;

	snprintf(pid, sizeof(pid), "%d", getpid());
	r = confinement_read(proc_fd, pid, ret);
	if (r < 0)
		return r;
	n = fd_read_file(proc_fd, "self/attr/current", ret->label,
			 sizeof(ret->label));
	if (n < 0)
		ret->label[0] = '\0';
	label_trim(ret->label);
	return 0;
}

void
confinement_peer_label(int connection, char label[POLICY_LABEL_MAX])
{
	char text[1024];
	socklen_t size = sizeof(text) - 1;

	memset(label, 0, POLICY_LABEL_MAX);
	memset(text, 0, sizeof(text));
	if (getsockopt(connection, SOL_SOCKET, SO_PEERSEC, text, &size) < 0) {
		/* Too long for us is none that we know. */
		if (errno == ERANGE)
			snprintf(label, POLICY_LABEL_MAX, "unreadable");
		return;
	}
	label_trim(text);
	snprintf(label, POLICY_LABEL_MAX, "%.*s", POLICY_LABEL_MAX - 1, text);
}
