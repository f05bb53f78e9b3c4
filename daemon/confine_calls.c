/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of system calls; see confine_calls.h. Made from traces of whole
 * lives of nsexecd, not from what it might need: tests/integration/
 * test_confine.py traces another one and holds it against this table.
 *
 * Why two answers: a call that is merely missing may be the C library's after
 * an update, and it falls back or fails one request. A call of the second
 * table is made by nobody but a subverted nsexecd, and each try is one to get
 * out: it ends there, the kernel's audit and the spawner's log have the line,
 * and a new nsexecd finds all containers again.
 */
#include "daemon/confine_calls.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/sys.h"
#include "lib/util.h"

#define CALL(call, text) .name = #call, .number = SCMP_SYS(call), .why = (text)
#define ALL_BITS UINT32_MAX
#define IF(n, bits, is) \
	.condition = CONFINE_MASKED_EQ, .argument = (n), .mask = (bits), \
	.value = (is)
#define IF_OWN_PID(n) .condition = CONFINE_OWN_PID, .argument = (n)

const struct confine_call confine_allowed[] = {
	/* the loop */
	{ CALL(epoll_create1, "loop, at start") },
	{ CALL(epoll_ctl, "loop") },
	{ CALL(epoll_pwait, "loop") },
	{ CALL(epoll_pwait2, "loop, newer libevent") },
	{ CALL(epoll_wait, "loop") },
	{ CALL(eventfd2, "loop, newer libevent") },
	{ CALL(pipe2, "loop: signals wake it by a pipe") },
	{ CALL(poll, "peer: is there room to write; the C library") },
	{ CALL(ppoll, "poll(3) of the C library where poll(2) is not") },
	{ CALL(timerfd_create, "loop: timers more exact than epoll's") },
	{ CALL(timerfd_settime, "loop") },
	{ CALL(clock_getres, "loop, at start") },
	{ CALL(clock_gettime, "clocks, where the vdso has none") },
	{ CALL(gettimeofday, "clocks, as above") },
	{ CALL(restart_syscall, "a wait that a stop and continue broke") },
	/* connections: unix sockets alone */
	{ CALL(accept, "loop: a listener, older libevent") },
	{ CALL(accept4, "server: callers") },
	{ CALL(connect, "spawner_client") },
	{ CALL(getpeername, "the C library's and systemd's checks") },
	{ CALL(getsockname, "the same") },
	{ CALL(getsockopt, "peer: who is it; the spawner's connection") },
	{ CALL(listen, "server: a listener paused while descriptors are out") },
	{ CALL(recvfrom, "stream and spawner_client") },
	{ CALL(recvmsg, "spawner_client: answers with pidfds") },
	{ CALL(sendmsg, "spawner_client; notify: readiness, journal") },
	{ CALL(sendto, "start: the gate's byte; notify") },
	{ CALL(setsockopt, "spawner_client: room to send") },
	{ CALL(shutdown, "peer: the end of a connection") },
	{ CALL(socket, "spawner_client, notify: never another family"),
	  IF(0, ALL_BITS, AF_UNIX) },
	{ CALL(socketpair, "start: init channels"), IF(0, ALL_BITS, AF_UNIX) },
	/* bytes of what is open */
	{ CALL(close, "everything") },
	{ CALL(dup, "the C library") },
	{ CALL(fcntl, "close-on-exec, non-blocking, the pid file's lock") },
	{ CALL(fstat, "record_store") },
	{ CALL(ftruncate, "record_store, pid file") },
	{ CALL(lseek, "stdio") },
	{ CALL(pread64, "record_store") },
	{ CALL(pwrite64, "pid file") },
	{ CALL(read, "peer; files below") },
	{ CALL(readv, "peer") },
	{ CALL(write, "log; record_store") },
	{ CALL(writev, "peer") },
	/* files: which, Landlock says (confine_files.c) */
	{ CALL(access, "features: kinds of namespaces") },
	{ CALL(faccessat, "the same on machines without access(2)") },
	{ CALL(faccessat2, "the same") },
	{ CALL(fstatfs, "features: is it pidfs") },
	{ CALL(getdents64, "record_store: what there is") },
	{ CALL(mkdirat, "record_store on machines without mkdir(2)") },
	{ CALL(mkdir, "record_store") },
	{ CALL(newfstatat, "record_store") },
	{ CALL(openat, "record_store, proc_stat, features, reserve fd") },
	{ CALL(renameat, "record_store") },
	{ CALL(renameat2, "the same on machines without renameat(2)") },
	{ CALL(statfs, "features: where is cgroup2") },
	{ CALL(statx, "fstat(3) of a newer C library") },
	{ CALL(unlinkat, "record_store") },
	/* memory: never executable */
	{ CALL(brk, "malloc") },
	{ CALL(madvise, "malloc") },
	{ CALL(mmap, "malloc; no code"), IF(2, PROT_EXEC, 0) },
	{ CALL(mprotect, "malloc; no code"), IF(2, PROT_EXEC, 0) },
	{ CALL(mremap, "realloc") },
	{ CALL(munmap, "malloc") },
	{ CALL(futex, "locks of the C library") },
	{ CALL(getrandom, "ids of containers; tables") },
	/* itself */
	{ CALL(exit, "end") },
	{ CALL(exit_group, "end") },
	{ CALL(getegid, "libevent: is it set-user-id") },
	{ CALL(geteuid, "the same") },
	{ CALL(getgid, "the same") },
	{ CALL(getpid, "pid file, features") },
	{ CALL(gettid, "abort(3)") },
	{ CALL(getuid, "libevent") },
	{ CALL(prlimit64, "worker: own limit of descriptors"),
	  IF(0, ALL_BITS, 0) },
	{ CALL(rt_sigaction, "loop: signals") },
	{ CALL(rt_sigprocmask, "abort(3)") },
	{ CALL(rt_sigreturn, "loop: signals") },
	{ CALL(tgkill, "abort(3), of itself"), IF_OWN_PID(0) },
	{ CALL(uname, "libsystemd, features") },
	/* features: each tried on itself */
	{ CALL(ioctl, "exit codes of pidfds"),
	  IF(1, ALL_BITS, SYS_PIDFD_GET_INFO) },
	{ CALL(landlock_create_ruleset, "features: its version alone"),
	  IF(2, ALL_BITS, 1) },
	{ CALL(memfd_create, "features: executable memfds") },
	{ CALL(mount_setattr, "features: is it there; of no path"),
	  IF(1, ALL_BITS, 0) },
	{ CALL(pidfd_open, "features, of itself"), IF_OWN_PID(0) },
#ifdef NSX_SANITIZED
	/* The leak checker stops the program from a child and reads its maps;
	 * reports look for names in files. */
	{ CALL(clone, "sanitizer") },
	{ CALL(getdents, "sanitizer") },
	{ CALL(getppid, "sanitizer") },
	{ CALL(kill, "sanitizer") },
	{ CALL(open, "sanitizer") },
	{ CALL(prctl, "sanitizer") },
	{ CALL(ptrace, "sanitizer") },
	{ CALL(readlink, "sanitizer") },
	{ CALL(readlinkat, "sanitizer") },
	{ CALL(sched_getaffinity, "sanitizer") },
	{ CALL(sched_yield, "sanitizer") },
	{ CALL(sigaltstack, "sanitizer") },
	{ CALL(stat, "sanitizer") },
	{ CALL(wait4, "sanitizer") },
#endif
	{ 0 },
};

const struct confine_call confine_fatal[] = {
	/* nsexecd executes nothing and has neither child nor thread */
	{ CALL(execve, "another program") },
	{ CALL(execveat, "another program") },
#ifndef NSX_SANITIZED
	{ CALL(clone, "a child") },
	{ CALL(ptrace, "another process's memory") },
#endif
	{ CALL(clone3, "a child") },
	{ CALL(fork, "a child") },
	{ CALL(vfork, "a child") },
	/* another process's memory, descriptors, secrets */
	{ CALL(kcmp, "another process's descriptors") },
	{ CALL(pidfd_getfd, "another process's descriptors") },
	{ CALL(process_madvise, "another process's memory") },
	{ CALL(process_vm_readv, "another process's memory") },
	{ CALL(process_vm_writev, "another process's memory") },
	/* a fresh user namespace gives capabilities, a mount hides files */
	{ CALL(chroot, "another root directory") },
	{ CALL(fsconfig, "mounts") },
	{ CALL(fsmount, "mounts") },
	{ CALL(fsopen, "mounts") },
	{ CALL(fspick, "mounts") },
	{ CALL(mount, "mounts") },
	{ CALL(move_mount, "mounts") },
	{ CALL(name_to_handle_at, "files by number") },
	{ CALL(open_by_handle_at, "files by number") },
	{ CALL(open_tree, "mounts") },
	{ CALL(pivot_root, "another root directory") },
	{ CALL(setns, "another namespace") },
	{ CALL(umount2, "mounts") },
	{ CALL(unshare, "another namespace") },
	/* another user */
	{ CALL(capset, "rights") },
	{ CALL(setgid, "another user") },
	{ CALL(setgroups, "another user") },
	{ CALL(setregid, "another user") },
	{ CALL(setresgid, "another user") },
	{ CALL(setresuid, "another user") },
	{ CALL(setreuid, "another user") },
	{ CALL(setuid, "another user") },
	/* parts of the kernel where the next hole is likely */
	{ CALL(add_key, "keyrings") },
	{ CALL(bpf, "code in the kernel") },
	{ CALL(io_uring_enter, "calls that no filter sees") },
	{ CALL(io_uring_register, "calls that no filter sees") },
	{ CALL(io_uring_setup, "calls that no filter sees") },
	{ CALL(keyctl, "keyrings") },
	{ CALL(perf_event_open, "measuring others") },
	{ CALL(request_key, "keyrings") },
	{ CALL(userfaultfd, "stopping the kernel in the middle") },
	/* the machine */
	{ CALL(acct, "the machine") },
	{ CALL(delete_module, "code in the kernel") },
	{ CALL(finit_module, "code in the kernel") },
	{ CALL(init_module, "code in the kernel") },
	{ CALL(kexec_file_load, "code in the kernel") },
	{ CALL(kexec_load, "code in the kernel") },
	{ CALL(reboot, "the machine") },
	{ CALL(swapoff, "the machine") },
	{ CALL(swapon, "the machine") },
	{ 0 },
};

static int
rule_add(scmp_filter_ctx filter, uint32_t action,
	 const struct confine_call *call)
{
	struct scmp_arg_cmp compare = {
		.arg = call->argument,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = call->mask,
		.datum_b = call->value,
	};

	if (call->condition == CONFINE_ANY)
		return seccomp_rule_add(filter, action, call->number, 0);
	if (call->condition == CONFINE_OWN_PID) {
		/* an int: what the upper half of its register holds is noise */
		compare.datum_a = ALL_BITS;
		compare.datum_b = (uint32_t)getpid();
	}
	return seccomp_rule_add_array(filter, action, call->number, 1,
				      &compare);
}

static int
table_add(scmp_filter_ctx filter, uint32_t action,
	  const struct confine_call *table)
{
	const struct confine_call *call;
	int r;

	for (call = table; call->name; call++) {
		r = rule_add(filter, action, call);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * libseccomp 2.5 loops for ever where it gets no memory while it makes the
 * filter. What takes milliseconds of processor time may have seconds of it;
 * then SIGVTALRM ends us, and another nsexecd is started. One that comes later
 * is ignored: after the filter there is no taking it back.
 */
#define FILTER_CPU_S 3

static int
filter_load(scmp_filter_ctx filter)
{
	const struct itimerval bound = { .it_value = { FILTER_CPU_S, 0 } };
	int r;

	if (signal(SIGVTALRM, SIG_DFL) == SIG_ERR ||
	    setitimer(ITIMER_VIRTUAL, &bound, NULL) < 0)
		return -errno;
	r = seccomp_load(filter);
	if (r == 0 && signal(SIGVTALRM, SIG_IGN) == SIG_ERR)
		r = -errno;
	return r;
}

int
confine_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!filter)
		return -ENOMEM;
	/* Numbers of another machine (i386, x32) are the same calls by another
	 * name. */
	r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
			     SCMP_ACT_KILL_PROCESS);
	/* A tree: seven comparisons instead of seventy. */
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = table_add(filter, SCMP_ACT_ALLOW, confine_allowed);
	if (r == 0)
		r = table_add(filter, SCMP_ACT_KILL_PROCESS, confine_fatal);
	if (r == 0)
		r = filter_load(filter);
	seccomp_release(filter);
	return r;
}
