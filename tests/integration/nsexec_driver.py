# SPDX-License-Identifier: Apache-2.0
"""A runc-like parent for nsexec, in Python's standard library.

It shares no code and no table with the project: the attribute numbers, the
layout and the rules below were written from the format's specification, so
that a mistake in the project's tables cannot hide behind itself.

encode() builds a message of any dialect, right or wrong on purpose; Bootstrap
starts a program as runc starts its bootstrap program (socket pair, log pipe,
environment), feeds it, reads the NUL byte, the report, the log, and reaps what
the report names.
"""
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import struct
import subprocess
import time

NEWTIME = 0x00000080
NEWNS = 0x00020000
NEWCGROUP = 0x02000000
NEWUTS = 0x04000000
NEWIPC = 0x08000000
NEWUSER = 0x10000000
NEWPID = 0x20000000
NEWNET = 0x40000000
FLAGS = {"user": NEWUSER, "ipc": NEWIPC, "uts": NEWUTS, "net": NEWNET,
         "pid": NEWPID, "mnt": NEWNS, "cgroup": NEWCGROUP, "time": NEWTIME}

DIALECTS = ("D1", "D2", "M0", "M1", "M2", "M3")
OLD = ("D1", "D2")
JSON_LOG = ("M1", "M2", "M3")
SLOW = float(os.environ.get("NSX_SLOW", "1"))

FIRST = 27281
NAMES_2016 = ("clone", "console", "paths", "uidmap", "gidmap", "setgroup")
NAMES_RC = ("clone", "paths", "uidmap", "gidmap", "setgroup", "oom",
            "rootless", "uidtool", "gidtool")
# runc writes them in this order, which is not that of the numbers.
ORDER = ("clone", "console", "paths", "uidtool", "uidmap", "gidmap", "gidtool",
         "setgroup", "oom", "rootless", "mounts", "offsets")


def number(dialect, name):
    """The attribute's number in this dialect."""
    if dialect in OLD:
        return FIRST + NAMES_2016.index(name)
    if name == "mounts" and dialect == "M2":
        return 27290
    if name == "offsets" and dialect == "M3":
        return 27290
    return FIRST + NAMES_RC.index(name)


def attribute(kind, value, padded=True):
    raw = struct.pack("=HH", 4 + len(value), kind) + value
    return raw + b"\0" * (-len(raw) % 4) if padded else raw


def value_of(dialect, name, value):
    """One attribute, as this dialect lays it out."""
    kind = number(dialect, name)
    if name == "clone":
        return attribute(kind, struct.pack("=I", value))
    if name in ("setgroup", "rootless"):
        if dialect in ("D1", "D2", "M0"):
            return attribute(kind, bytes([bool(value)]), padded=False)
        return attribute(kind, struct.pack("=I", bool(value)))
    if isinstance(value, str):
        value = os.fsencode(value)
    return attribute(kind, value + b"\0")


def header(length, kind=62000, seq=1):
    return struct.pack("=IHHII", length, kind, 1, seq, 0)


def message(body, kind=62000):
    return header(16 + len(body), kind) + body


def encode(dialect, order=ORDER, **values):
    """A whole message; values by the names above, in runc's order."""
    return message(b"".join(value_of(dialect, name, values[name])
                            for name in order if name in values))


def paths(dialect, joins):
    """The value of "paths" for [(type, path)], bare in D1."""
    if dialect == "D1":
        return ",".join(path for _, path in joins)
    return ",".join(f"{kind}:{path}" for kind, path in joins)


def ns_inode(pid, kind):
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino


def read_map(pid, side="uid"):
    with open(f"/proc/{pid}/{side}_map", encoding="ascii") as f:
        return [tuple(int(word) for word in line.split()) for line in f]


def status_field(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith(name + ":"):
                return line.split(":", 1)[1].strip()
    return None


def state_of(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        with open(f"/proc/{pid}/stat", "rb") as f:
            return f.read().rpartition(b") ")[2][:1].decode()
    return None


def own_children():
    with open(f"/proc/self/task/{os.getpid()}/children",
              encoding="ascii") as f:
        return [int(word) for word in f.read().split()]


class Bootstrap:
    """One run of a bootstrap program. Use as a context manager.

    After run(): nul (the byte before the report or b""), report (bytes),
    code (stage-0's), log (parsed records), stderr (text), pid (stage-2's).
    """

    def __init__(self, program, dialect, argv=("sleep", "60"), env=None,
                 user=None, extra_fds=None, prelude=None, cwd=None,
                 logpipe=True, stdin=subprocess.DEVNULL):
        self.before = set(own_children())
        self.dialect = dialect
        self.nul = self.report = b""
        self.raw_log = b""
        self.code = self.pid = self.stage1 = None
        self.parent, child = socket.socketpair()
        self.parent.settimeout(15 * SLOW)
        self.log_fd, log_child = os.pipe()
        fds = [child.fileno()]
        environ = dict(os.environ, NSEXEC_DIALECT=dialect,
                       _LIBCONTAINER_INITPIPE=str(child.fileno()),
                       _LIBCONTAINER_INITTYPE="standard")
        if logpipe and dialect in JSON_LOG:
            environ["_LIBCONTAINER_LOGPIPE"] = str(log_child)
            fds.append(log_child)
        for name, fd in (extra_fds or {}).items():
            if name:
                environ[name] = str(fd)
            fds.append(fd)
        for name, text in (env or {}).items():
            environ.pop(name, None)
            if text is not None:
                environ[name] = text
        self.init_number, self.log_number = child.fileno(), log_child
        self.stderr_file = os.memfd_create("stderr")
        ids = {} if user is None else \
            {"user": user, "group": user, "extra_groups": []}
        self.process = subprocess.Popen(
            [program, *argv], env=environ, pass_fds=fds, stdin=stdin,
            stdout=subprocess.DEVNULL, stderr=self.stderr_file, cwd=cwd,
            preexec_fn=prelude, **ids)
        child.close()
        os.close(log_child)

    def send(self, data, pieces=None):
        """Whole, or cut into pieces of so many bytes."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if not pieces:
                self.parent.sendall(data)
                return
            for at in range(0, len(data), pieces):
                self.parent.sendall(data[at:at + pieces])
                time.sleep(0.002)

    def read_nul(self):
        if self.dialect in ("M1", "M2"):
            self.nul = self._recv(1)

    def _recv(self, size):
        try:
            return self.parent.recv(size)
        except ConnectionResetError:
            return b""

    def read_report(self):
        """One line, byte by byte, so that nothing behind it is taken."""
        while not self.report.endswith(b"\n"):
            byte = self._recv(1)
            if not byte:
                return
            self.report += byte
        found = json.loads(self.report)
        self.pid = found.get("stage2_pid", found.get("pid"))
        self.stage1 = found.get("stage1_pid", found.get("pid_first"))

    def finish(self):
        """Stage-0's exit status and all log records; reaps stage-1."""
        self.code = self.process.wait(20 * SLOW)
        if self.stage1:
            os.waitpid(self.stage1, 0)
            self.stage1 = None
        return self

    def run(self, data, pieces=None, byte=None, close=False):
        """A whole start. byte: what M1's cgroup namespace waits for."""
        self.read_nul()
        self.send(data, pieces)
        if close:
            self.parent.shutdown(socket.SHUT_WR)
        self.read_report()
        if byte is not None:
            self.send(byte)
        return self.finish()

    def wait_program(self):
        """Until stage-2 is the program: no comm of runc's any more."""
        end = time.monotonic() + 10 * SLOW
        while status_field(self.pid, "Name").startswith("runc:["):
            if time.monotonic() > end:
                raise AssertionError("stage-2 did not execute its program")
            time.sleep(0.002)
        return self.pid

    def run_foreign(self, data):
        """run() where a tracer, not we, is the parent of the stages."""
        self.read_nul()
        self.send(data)
        self.read_report()
        self.stage1 = self.pid = None
        self.code = self.process.wait(20 * SLOW)
        return self

    def drain_log(self, timeout=0.0):
        """What came on the log pipe so far."""
        while select.select([self.log_fd], [], [], timeout)[0]:
            piece = os.read(self.log_fd, 65536)
            if not piece:
                break
            self.raw_log += piece
        return self.raw_log

    @property
    def log(self):
        return [json.loads(line) for line in
                self.drain_log().decode().splitlines()]

    @property
    def stderr(self):
        size = os.lseek(self.stderr_file, 0, os.SEEK_END)
        return os.pread(self.stderr_file, size, 0).decode()

    def fatal(self):
        """The texts of the fatal records, wherever this era has them."""
        if self.dialect in JSON_LOG:
            return [record["msg"] for record in self.log
                    if record["level"] == "fatal"]
        return [line for line in self.stderr.splitlines() if line]

    def strays(self):
        """Our children of this run that no report named, as {pid: state}."""
        return {pid: state_of(pid) for pid in own_children()
                if pid not in self.before and
                pid not in (self.process.pid, self.stage1, self.pid)}

    def end(self):
        """Kill and reap whatever is left, close everything."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pid in (self.stage1, self.pid, *self.strays()):
            if not pid:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self.stage1 = self.pid = None
        self.parent.close()
        for fd in (self.log_fd, self.stderr_file):
            with contextlib.suppress(OSError):
                os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.end()


class Holder:
    """A process in namespaces of its own, made without the project.

    For joins: ns(kind) is a path. Made by unshare(2) through ctypes in a forked
    child, which waits until it is ended.
    """

    def __init__(self, flags, uid_map=None, gid_map=None):
        ready_r, ready_w = os.pipe()
        self.go_r, self.go_w = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._child(flags, ready_w)
        os.close(ready_w)
        if os.read(ready_r, 1) != b"1":
            raise OSError("the holder could not unshare")
        os.close(ready_r)
        os.close(self.go_r)
        for side, text in (("uid", uid_map), ("gid", gid_map)):
            if text:
                with open(f"/proc/{self.pid}/{side}_map", "w",
                          encoding="ascii") as f:
                    f.write(text)

    def _child(self, flags, ready_w):
        code = 1
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            os.close(self.go_w)
            if libc.unshare(ctypes.c_int(flags & 0x7fffffff)) == 0:
                # Pid and time namespaces exist once they have a member.
                member = os.fork() if flags & (NEWPID | NEWTIME) else None
                if member == 0:
                    libc.prctl(1, 9)
                    signal.pause()
                    os._exit(0)
                os.write(ready_w, b"1")
                os.read(self.go_r, 1)
                if member:
                    os.kill(member, signal.SIGKILL)
                    os.waitpid(member, 0)
                code = 0
        finally:
            os._exit(code)

    def ns(self, kind):
        name = kind + "_for_children" if kind in ("pid", "time") else kind
        return f"/proc/{self.pid}/ns/{name}"

    def end(self):
        if self.pid:
            os.close(self.go_w)
            os.waitpid(self.pid, 0)
            self.pid = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.end()
