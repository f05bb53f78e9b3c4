# SPDX-License-Identifier: Apache-2.0
"""A FUSE server that never answers FLUSH, by /dev/fuse alone.

usage: fuse_stuck.py MOUNTPOINT (an existing directory; runs as root)
One file, "stuck". Says "ready" when it is mounted and "flush" when the first
FLUSH has come, and goes on answering everything else. When it ends, the kernel
aborts the connection and whoever waits is let go.
"""
import ctypes
import os
import struct
import sys

IN = struct.Struct("=IIQQIIIHH")  # len opcode unique nodeid uid gid pid ext pad
OUT = struct.Struct("=IiQ")
(LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, OPENDIR, INTERRUPT,
 BATCH_FORGET) = (1, 2, 3, 14, 15, 18, 25, 26, 27, 36, 42)
ENOENT, ENOSYS = 2, 38


def attributes(node):
    """struct fuse_attr: the root directory, or the file that all may read."""
    mode = 0o40755 if node == 1 else 0o100644
    return struct.pack("=6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0,
                       0, 4096, 0)


def answer(opcode, node, body):
    """(errno, data), or None for what gets no answer."""
    if opcode == INIT:
        return 0, struct.pack("=4I2HI2H8I", 7, 31, 0, 0, 1, 1, 4096, 1, 1, 0,
                              *[0] * 7)
    if opcode == GETATTR:
        return 0, struct.pack("=QII", 60, 0, 0) + attributes(node)
    if opcode == LOOKUP:
        if body.rstrip(b"\0") != b"stuck":
            return ENOENT, b""
        return 0, struct.pack("=4Q2I", 2, 1, 60, 60, 0, 0) + attributes(2)
    if opcode in (OPEN, OPENDIR):
        return 0, struct.pack("=QII", 1, 0, 0)
    if opcode in (READ, RELEASE):
        return 0, b""
    if opcode in (FLUSH, FORGET, BATCH_FORGET, INTERRUPT):
        return None
    return ENOSYS, b""


def serve(fuse):
    flushed = False
    while True:
        request = os.read(fuse, 1 << 17)
        _, opcode, unique, node, *_ = IN.unpack_from(request)
        got = answer(opcode, node, request[IN.size:])
        if opcode == FLUSH and not flushed:
            flushed = True
            print("flush", flush=True)
        if got is not None:
            os.write(fuse, OUT.pack(OUT.size + len(got[1]), -got[0], unique) +
                     got[1])


def main():
    libc = ctypes.CDLL(None, use_errno=True)
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other"
    if libc.mount(b"stuck", sys.argv[1].encode(), b"fuse", 6,
                  options.encode()) < 0:
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    print("ready", flush=True)
    serve(fuse)


if __name__ == "__main__":
    main()
