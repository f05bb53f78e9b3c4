/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that glibc 2.36 lacks, and kernel constants newer than Debian
 * 12's headers. Thin: each returns what the kernel returns, as 0/positive or
 * -errno.
 */
#ifndef NSX_LIB_SYS_H
#define NSX_LIB_SYS_H

#include <errno.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5, asm-generic/socket.h */
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef NS_GET_NSTYPE
#define NS_GET_NSTYPE 0xb703 /* _IO(0xb7, 3), linux/nsfs.h */
#endif
/* ioctl(pidfd, PIDFD_GET_INFO), Linux 6.13; exit code since 6.15. */
struct sys_pidfd_info {
	uint64_t mask;
	uint64_t cgroupid;
	uint32_t pid, tgid, ppid;
	uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
};
#define SYS_PIDFD_GET_INFO 0xc040ff0b
#define SYS_PIDFD_INFO_EXIT 8u
/* Field 9 of /proc/PID/stat: forked but not yet exec'd (linux/sched.h). */
#define SYS_PF_FORKNOEXEC 0x40u

/* clone3(2) in the manner of fork: 0 in the child. exit_signal as given. */
static inline pid_t
sys_clone3(struct clone_args *args)
{
	long r = syscall(SYS_clone3, args, sizeof(*args));

	return r < 0 ? -errno : (pid_t)r;
}

static inline int
sys_pidfd_open(pid_t pid)
{
	long r = syscall(SYS_pidfd_open, pid, 0u);

	return r < 0 ? -errno : (int)r;
}

static inline int
sys_pidfd_send_signal(int pidfd, int sig)
{
	long r = syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0u);

	return r < 0 ? -errno : 0;
}

static inline int
sys_openat2(int dir_fd, const char *path, uint64_t flags, uint64_t mode,
	    uint64_t resolve)
{
	struct open_how how = { .flags = flags,
				.mode = mode,
				.resolve = resolve };
	long r = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));

	return r < 0 ? -errno : (int)r;
}

/*
 * The default for a signal, of those too that the C library keeps for itself
 * (32, 33) and refuses to touch: ignored ones are inherited. KILL and STOP are
 * -EINVAL.
 */
static inline int
sys_signal_default(int number)
{
	/* struct sigaction as the kernel has it: handler, flags, restorer and
	 * 64 bits of mask; SIG_DFL is 0. */
	static const uint64_t none[4];
	long r = syscall(SYS_rt_sigaction, number, none, NULL, (size_t)8);

	return r < 0 ? -errno : 0;
}

static inline int
sys_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
	long r = syscall(SYS_close_range, first, last, flags);

	return r < 0 ? -errno : 0;
}

#endif
