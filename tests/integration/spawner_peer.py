# SPDX-License-Identifier: Apache-2.0
"""Plays nsexecd before a real nsexec-spawner.

Spawner starts the program in a run directory of its own; Peer is a connection
to spawner.sock that speaks proto/ops.h; Listener makes callers' connections.
Standard library only, and no table shared with the C side: numbers are written
down here a second time.
"""
import array
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

from harness import cgroup2_mount, program, tree, wait_for

WORKER_UID = 61999
HEADER = struct.Struct("=IHHII")
(START, EXEC, OPEN, SIGNAL, KILL_ALL, STATUS, REAP, LIST, PIDFD, CGROUP_REMOVE,
 PING, KEEP, STOP, PROCESSES, WHO, RELOAD, STORE,
 REEXEC) = range(62000, 62018)
DONE, ERROR, CHILD, STATUS_ANSWER, ENTRY, WHO_ANSWER = range(62100, 62106)
REPORT_READY, REPORT_FAILED = 62110, 62111
(CONTAINER, PID, SIGNAL_NUMBER, UID, START_TIME, EXECED, EXITED, WAIT_STATUS,
 RUSAGE, NAMESPACES, PIDS, FAILURE, CODE, RULE, OOM_KILLS,
 WHO_RECORD) = range(28201, 28217)
# proto/errcode.h
(NONE, INVALID_ARGUMENT, MAP_INVALID, NS_TYPE_MISMATCH, NOT_FOUND, GONE,
 CONFLICT, FAILED_PRECONDITION, PERMISSION_DENIED, MAP_DENIED, NS_DENIED,
 NEED_USERNS, CONFINED, CALLER_GONE, QUOTA, RATE, OVERLOADED, NS_LIMIT,
 EXEC_FAILED, STAGE_FAILED, DEADLINE, CANCELLED, ABORTED_RESTART, UNSUPPORTED,
 INTERNAL) = range(25)
# proto/bootstrap.h, dialect NX
CLONE_FLAGS = 27281
B_CONTAINER, B_FD_ROLES, B_ARGV, B_ENV, B_EXEC_BLOCK = range(28001, 28006)
B_STDIO, B_GATE, B_PHASE_TIMEOUT_MS, B_PID = 28025, 28029, 28032, 28033
B_N_CHANNEL_FDS = 28027
ROLE_INIT_CHANNEL, ROLE_CALLER, ROLE_FD_CHANNEL, ROLE_EXEC_BLOCK = 1, 2, 3, 4
GATE_NONE, GATE_CHANNEL, GATE_NAMED = 0, 1, 2
SEALS = 0x1 | 0x2 | 0x4 | 0x8
F_ADD_SEALS = 1033


def attr(number, value):
    """One attribute: int (u32) and str (text) are encoded, bytes go as is."""
    if isinstance(value, int):
        value = struct.pack("=I", value)
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    size = 4 + len(value)
    return struct.pack("=HH", size, number) + value + b"\0" * (-size % 4)


def message(kind, seq, *attrs):
    body = b"".join(attrs)
    return HEADER.pack(16 + len(body), kind, 1, seq, 0) + body


def stdio_null():
    return struct.pack("=III", 1, 0, 0) * 3


def strings(*values):
    return b"".join(v.encode() + b"\0" for v in values)


class Answer:
    """A decoded message: kind, seq, attributes by number, descriptors."""

    def __init__(self, data, fds=()):
        size, self.kind, _, self.seq, _ = HEADER.unpack_from(data)
        assert size == len(data), (size, len(data))
        self.fds = list(fds)
        self.attrs = {}
        at = 16
        while at < size:
            length, number = struct.unpack_from("=HH", data, at)
            self.attrs[number] = data[at + 4:at + length]
            at += (length + 3) & ~3

    def u32(self, number):
        return struct.unpack("=I", self.attrs[number])[0]

    def text(self, number):
        return self.attrs[number].rstrip(b"\0").decode()

    @property
    def code(self):
        return self.u32(CODE) if CODE in self.attrs else None

    @property
    def errno(self):
        return struct.unpack_from("=I", self.attrs[FAILURE], 4)[0] \
            if FAILURE in self.attrs else None

    @property
    def rule(self):
        return self.text(RULE) if RULE in self.attrs else ""

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def __repr__(self):
        return f"Answer({self.kind}, seq {self.seq}, {self.attrs}, {self.fds})"


class Peer:
    """A connection to spawner.sock."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(20)
        self.sock.connect(path)
        self.seq = 0

    def send(self, data, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                    array.array("i", fds))] if fds else []
        self.sock.sendmsg([data], control)

    def recv(self):
        """The next answer, None at the end."""
        data, fds, _, _ = socket.recv_fds(self.sock, 131072, 40)
        return Answer(data, fds) if data else None

    def request(self, kind, *attrs, fds=()):
        """Send; the seq."""
        self.seq += 1
        self.send(message(kind, self.seq, *attrs), fds)
        return self.seq

    def call(self, kind, *attrs, fds=()):
        """Send and take the answer of the same seq."""
        seq = self.request(kind, *attrs, fds=fds)
        answer = self.recv()
        assert answer is not None, "connection ended"
        assert answer.seq == seq, (answer, seq)
        return answer

    def close(self):
        self.sock.close()


class Listener:
    """A listening socket of root in the file system, and its connections."""

    def __init__(self, path, kind=socket.SOCK_STREAM):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, kind)
        self.sock.bind(path)
        os.chmod(path, 0o666)
        self.sock.listen(64)
        self.kind = kind
        self.clients = []

    def connect(self):
        """(client end, accepted end), of this process."""
        client = socket.socket(socket.AF_UNIX, self.kind)
        client.connect(self.path)
        accepted, _ = self.sock.accept()
        self.clients.append((client, accepted))
        return client, accepted

    def connect_as(self, uid, gid=None, groups=()):
        """(Popen, accepted end) of a process of that uid; it reads stdin."""
        code = ("import socket,sys;s=socket.socket(socket.AF_UNIX,"
                f"{int(self.kind)});s.connect(sys.argv[1]);"
                "sys.stdin.buffer.read()")
        child = subprocess.Popen(
            ["/usr/bin/python3", "-I", "-c", code, self.path], cwd="/",
            stdin=subprocess.PIPE, user=uid, group=gid or uid,
            extra_groups=list(groups))
        accepted, _ = self.sock.accept()
        return child, accepted

    def close(self):
        for pair in self.clients:
            for sock in pair:
                sock.close()
        self.sock.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


class Spawner:
    """A running nsexec-spawner with an empty cgroup root."""
    PROGRAM = "nsexec-spawner"

    def __init__(self, *options):
        self.base = tempfile.mkdtemp(prefix="nsxspawner-")
        os.chmod(self.base, 0o755)
        self.dir = os.path.join(self.base, "run")
        os.mkdir(self.dir, 0o755)
        self.cgroup = os.path.join(cgroup2_mount(),
                                   os.path.basename(self.base))
        self.options = list(options)
        if "--default-cgroup-root" in options:
            self.options.remove("--default-cgroup-root")
            self.cgroup = None
        else:
            self.options += ["--cgroup-root", self.cgroup]
        if "--resolver" not in options:
            self.options += ["--resolver", program("nsexec-resolver")]
        self.log_path = os.path.join(self.base, "log")
        self.process = None
        self.start()

    def start(self):
        ready, theirs = os.pipe()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [program(self.PROGRAM), "--run-dir", self.dir,
                 "--user-uid", str(WORKER_UID), "--user-gid",
                 str(WORKER_UID), "--ready-fd", str(theirs), *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[theirs])
        os.close(theirs)
        with os.fdopen(ready, "rb") as pipe:
            assert pipe.read(1) == b"R", self.log()
        if not self.cgroup:
            self.cgroup = next(n for n in self.open_files()
                               if "/nsexecd-" in n)

    @property
    def pid(self):
        return self.process.pid

    def open_files(self):
        """Where its descriptors lead; it may close one meanwhile."""
        for n in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                yield os.readlink(f"/proc/{self.pid}/fd/{n}")

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def connect(self):
        return Peer(os.path.join(self.dir, "spawner.sock"))

    def connect_closing(self):
        return contextlib.closing(self.connect())

    def stop_process(self):
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def listener(self, name="caller.sock", kind=socket.SOCK_STREAM):
        return Listener(os.path.join(self.base, name), kind)

    def n_fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def alive(self):
        return self.process.poll() is None

    def leaf(self, name, uid=0):
        return os.path.join(self.cgroup, f"u{uid}", name)

    def containers(self):
        return [n for n in tree(self.cgroup)
                if "/" in n and os.path.isdir(os.path.join(self.cgroup, n))]

    def stop(self):
        """End it; what it left behind, as texts."""
        left = []
        for name in self.containers():
            with contextlib.suppress(OSError), \
                    open(os.path.join(self.cgroup, name, "cgroup.kill"), "w",
                         encoding="ascii") as f:
                f.write("1")
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                left.append("the spawner did not end on SIGTERM")
                self.process.kill()
                self.process.wait()
        for name in reversed(tree(self.cgroup)):
            path = os.path.join(self.cgroup, name)
            if os.path.isdir(path):
                left.append(f"cgroup {name}")
                wait_for(lambda p=path: _rmdir(p), 5, path)
        if os.path.isdir(self.cgroup):
            left.append("the cgroup root")
            os.rmdir(self.cgroup)
        left += [n for n in os.listdir(self.dir)
                 if n not in ("gates", "records")]
        shutil.rmtree(self.base, ignore_errors=True)
        return left


def _rmdir(path):
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


class Start:
    """A START or EXEC request with descriptors of its own."""

    def __init__(self, caller, container="web1", argv=("/bin/true",),
                 gate=GATE_NONE, clone_flags=0, extra=(), env=("A=b",)):
        self.ours, self.theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.settimeout(20)
        self.caller = caller
        self.container = container
        self.attrs = [attr(B_CONTAINER, container),
                      attr(B_ARGV, strings(*argv)),
                      attr(B_ENV, strings(*env)),
                      attr(B_STDIO, stdio_null()),
                      attr(B_GATE, gate)]
        if clone_flags:
            self.attrs.append(attr(CLONE_FLAGS, clone_flags))
        self.attrs += extra
        self.roles = [ROLE_INIT_CHANNEL, ROLE_CALLER]
        self.fds = [self.theirs.fileno(), caller.fileno()]

    def body(self):
        roles = struct.pack(f"={len(self.roles)}I", *self.roles)
        return [attr(B_FD_ROLES, roles), *self.attrs]

    def send(self, peer, kind=START):
        """Send it and close the other end of the init channel; the seq."""
        seq = peer.request(kind, *self.body(), fds=self.fds)
        self.theirs.close()
        return seq

    def call(self, peer, kind=START):
        answer = peer.call(kind, *self.body(), fds=self.fds)
        self.theirs.close()
        return answer

    def report(self):
        """Init's READY or FAILED; None at the end of the channel."""
        data = self.ours.recv(4096)
        return Answer(data) if data else None

    def open_gate(self):
        self.ours.send(b"G")

    def wait_eof(self):
        """Until every copy of the other end is closed."""
        try:
            while self.ours.recv(4096):
                pass
        except ConnectionResetError:
            pass

    def close(self):
        self.ours.close()
        self.theirs.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def memfd(data, seal=True, name="nsxtest"):
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    if seal:
        fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    return fd
