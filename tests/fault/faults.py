# SPDX-License-Identifier: Apache-2.0
"""How each system call may fail: the errnos of its manual page that a healthy
program meets on a machine that is short of something, interrupted or broken.

A call that is not listed cannot fail, or only by a mistake of its caller's;
brk(2) does not report by errno (the C library compares addresses).
"""
import errno
import re

HEADER = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
DESCRIPTOR = ("EMFILE", "ENFILE", "ENOMEM")
_ROWS = (
    ("read pread64 readv", ("EINTR", "EIO", "ENOMEM")),
    ("write pwrite64 writev", ("EINTR", "ENOSPC", "EIO")),
    ("recvfrom recvmsg", ("EINTR", "EAGAIN", "ENOMEM")),
    ("sendto sendmsg", ("EINTR", "EAGAIN", "ENOMEM", "ENOBUFS")),
    ("accept accept4", ("EINTR", "EAGAIN", "ECONNABORTED") + DESCRIPTOR),
    ("connect", ("EINTR", "EAGAIN", "ECONNREFUSED")),
    ("open openat openat2 open_tree", ("EINTR", "EACCES", "EIO") +
     DESCRIPTOR),
    ("socket socketpair pipe pipe2 eventfd2 epoll_create1 memfd_create "
     "timerfd_create signalfd4 inotify_init1 pidfd_open fsopen fsmount "
     "userfaultfd dup dup2 dup3 landlock_create_ruleset",
     DESCRIPTOR),
    ("fcntl", ("EMFILE", "ENOMEM")),
    ("clone clone3 fork vfork", ("EAGAIN", "ENOMEM")),
    ("execve execveat", ("ENOMEM", "EIO", "EACCES", "EAGAIN")),
    ("mmap mprotect mremap madvise", ("ENOMEM",)),
    ("mkdir mkdirat mknodat symlinkat linkat",
     ("ENOSPC", "ENOMEM", "EIO", "EPERM")),
    ("unlink unlinkat rmdir", ("EIO", "ENOMEM", "EBUSY")),
    ("rename renameat renameat2", ("ENOSPC", "EIO", "ENOMEM")),
    ("ftruncate fallocate", ("EINTR", "EIO", "ENOSPC")),
    ("chmod fchmod fchmodat chown fchown fchownat utimensat",
     ("EIO", "EPERM", "ENOMEM")),
    ("stat fstat newfstatat statx fstatfs statfs readlink readlinkat access "
     "faccessat faccessat2 getdents64 lseek", ("EIO", "ENOMEM", "EACCES")),
    ("mount umount2 move_mount mount_setattr fsconfig pivot_root chroot "
     "chdir fchdir", ("EPERM", "ENOMEM", "EBUSY", "EIO")),
    ("setns unshare", ("EPERM", "ENOMEM", "ENOSPC")),
    ("setresuid setresgid setuid setgid setfsuid setfsgid",
     ("EPERM", "EAGAIN", "ENOMEM")),
    ("setgroups", ("EPERM", "ENOMEM")),
    ("capset capget", ("EPERM",)),
    ("prctl", ("EPERM", "ENOMEM")),
    ("seccomp landlock_add_rule landlock_restrict_self",
     ("EPERM", "ENOMEM", "EACCES")),
    ("setsid setpriority sched_setscheduler sched_setattr "
     "sched_setaffinity ioprio_set ioprio_get sched_getaffinity "
     "sched_getattr getpriority", ("EPERM", "ESRCH")),
    ("setrlimit prlimit64", ("EPERM", "ESRCH")),
    ("sethostname setdomainname", ("EPERM", "EFAULT")),
    ("keyctl add_key", ("EDQUOT", "ENOMEM", "EPERM")),
    ("wait4 waitid", ("EINTR",)),
    ("kill tgkill pidfd_send_signal", ("ESRCH", "EPERM", "EAGAIN")),
    ("pidfd_getfd", ("ESRCH", "EPERM", "EMFILE")),
    ("epoll_wait epoll_pwait", ("EINTR",)),
    ("poll ppoll", ("EINTR", "ENOMEM")),
    ("epoll_ctl", ("ENOMEM", "ENOSPC")),
    ("timerfd_settime", ("ENOMEM",)),
    ("ioctl", ("EINTR", "ENOMEM", "EPERM")),
    ("bind listen", ("ENOMEM", "EACCES", "EADDRINUSE")),
    ("getsockopt setsockopt getsockname getpeername",
     ("ENOMEM", "ENOBUFS")),
    ("nanosleep clock_nanosleep", ("EINTR",)),
    ("getrandom", ("EINTR", "EAGAIN")),
    ("name_to_handle_at open_by_handle_at", ("EIO", "ENOMEM", "ESTALE")),
    ("flock", ("EINTR", "EWOULDBLOCK", "ENOLCK")),
)


def _numbers():
    with open(HEADER, encoding="ascii") as f:
        return {name: int(number) for name, number in
                re.findall(r"#define __NR_(\w+) (\d+)", f.read())}


NUMBERS = _numbers()
NAMES = {number: name for name, number in NUMBERS.items()}
FAULTS = {NUMBERS[name]: tuple(getattr(errno, word) for word in words)
          for names, words in _ROWS for name in names.split()}


def call_name(number):
    return NAMES.get(number, f"call {number}")


def points(calls):
    """[(call, which of them, errno)] of the calls that were counted."""
    seen, found = {}, []
    for call in calls:
        seen[call] = seen.get(call, 0) + 1
        found += [(call, seen[call], fault)
                  for fault in FAULTS.get(call, ())]
    return found
