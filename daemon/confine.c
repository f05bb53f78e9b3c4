/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confinement of the unprivileged nsexecd; see confine.h. Under systemd the
 * unit does more (nsexecd.service); this is what holds without it, too. Rights
 * first, then files, then calls: each step takes away what the one before
 * needed.
 */
#include "daemon/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/confine_calls.h"
#include "daemon/confine_files.h"
#include "daemon/log.h"
#include "lib/util.h"

static int
drop_capabilities(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2] = { 0 };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_capset, &header, data) < 0)
		return -errno;
	return 0;
}

static int
check_no_capabilities(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	if (data[0].permitted || data[1].permitted || data[0].inheritable ||
	    data[1].inheritable)
		return -EPERM;
	return 0;
}

int
confine_drop(uid_t uid, gid_t gid)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;
	int r;

	if (uid == 0 || gid == 0)
		return -EINVAL;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -errno;
	r = drop_capabilities();
	if (r < 0)
		return r;
	if (getresuid(&ruid, &euid, &suid) < 0 ||
	    getresgid(&rgid, &egid, &sgid) < 0)
		return -errno;
	if (ruid != uid || euid != uid || suid != uid || rgid != gid ||
	    egid != gid || sgid != gid)
		return -EPERM;
	return 0;
}

int
confine_self(const char *records_dir)
{
	int r;

	if (getuid() == 0 || geteuid() == 0)
		return -EPERM;
	/* Under systemd there are none left, and capset(2) is refused. */
	r = check_no_capabilities();
	if (r == -EPERM) {
		r = drop_capabilities();
		if (r == 0)
			r = check_no_capabilities();
	}
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* Every credential change sets it again; this is after the last. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	r = confine_files(records_dir);
	if (r == -EOPNOTSUPP)
		log_warning("the kernel has no Landlock, or it is off: what "
			    "nsexecd may open is left to the modes of files");
	else if (r < 0)
		return r;
	return confine_calls();
}
