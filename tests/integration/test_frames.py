#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile frames and requests against a real daemon.

Every row of tests/data/hostile_frames.py on a connection of its own: the
answers are exactly those of the row, nothing else comes, and the daemon and
the connection (unless it had to be closed) serve on. Then what a row cannot
say: descriptors on the RPC socket, the fd socket, many at once.
"""
import os
import signal
import socket
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, "..", "data"))
from harness import SLOW, TestCase, fd_kinds, main, wait_for  # noqa: E402
from hostile_frames import (CLOSE, DATA, EOF, RESPONSE, ROWS,  # noqa: E402
                            call, frame, header)
from ttrpc_client import HEADER, API, TTRPC, DETAIL_URL  # noqa: E402

FENCE = 0x7ffffff1


def connect(path, kind=socket.SOCK_STREAM):
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.settimeout(20 * SLOW)
    sock.connect(path)
    return sock


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        try:
            part = sock.recv(min(size - len(data), 1 << 20))
        except ConnectionResetError:
            part = b""
        if not part:
            return None
        data += part
    return data


def read_frame(sock):
    """(stream, type, flags, data), or None at end of file."""
    head = read_exactly(sock, HEADER.size)
    if head is None:
        return None
    size, stream, kind, flags = HEADER.unpack(head)
    return stream, kind, flags, read_exactly(sock, size)


def send(sock, step):
    """Send one step; the daemon may have closed before its end."""
    try:
        if step == EOF:
            sock.shutdown(socket.SHUT_WR)
        else:
            sock.sendall(step)
    except (BrokenPipeError, ConnectionResetError, OSError):
        pass


class Frames(TestCase):
    def check_answer(self, got, want, where):
        """One Response with the code, the text and a whole ErrorDetail."""
        stream, code, text = want
        self.assertIsNotNone(got, f"{where}: closed, wanted {want}")
        self.assertEqual((got[0], got[1], got[2]), (stream, RESPONSE, 0),
                         where)
        status = TTRPC.decode("Response", got[3]).get("status", {})
        self.assertEqual(status.get("code", 0), code, f"{where}: {status}")
        if code == 0:
            return
        self.assertIn(text, status["message"], where)
        self.assertEqual(len(status["details"]), 1, where)
        detail = status["details"][0]
        self.assertEqual(detail["type_url"], DETAIL_URL, where)
        detail = API.decode("ErrorDetail", detail["value"])
        for key in ("code", "stage", "step", "rule", "hint", "message"):
            self.assertTrue(detail.get(key), f"{where}: no {key}: {detail}")

    def check_row(self, name, steps, expected):
        sock = connect(self.nsx.socket_path)
        try:
            for step in steps:
                send(sock, step)
            for want in expected:
                got = read_frame(sock)
                if want == CLOSE:
                    self.assertIsNone(got, f"{name}: {got}")
                    return
                self.check_answer(got, want, name)
            send(sock, call(b"Version", stream=FENCE))
            got = read_frame(sock)
            self.check_answer(got, (FENCE, 0, ""), name + ": afterwards")
        finally:
            sock.close()

    def test_there_are_at_least_80_distinct_classes(self):
        self.assertGreaterEqual(len({row[0] for row in ROWS}), 80)
        self.assertEqual(len({row[0] for row in ROWS}), len(ROWS))
        self.assertEqual(len({b"".join(
            step.encode() if isinstance(step, str) else step
            for step in row[1]) for row in ROWS}), len(ROWS))

    def test_every_hostile_row_gets_its_answer_and_the_daemon_lives(self):
        pid = self.nsx.nsexecd_pid()
        for name, steps, expected in ROWS:
            with self.subTest(name):
                self.check_row(name, steps, expected)
        self.assertEqual(self.nsx.nsexecd_pid(), pid)
        self.assertEqual(self.nsx.ctl("list", "-q").out, "")

    def test_every_row_may_come_cut_in_two_anywhere(self):
        """Short rows, cut at each byte, with the rest in another write."""
        rows = [row for row in ROWS if len(row[1]) == 1 and
                len(row[1][0]) <= 60 and CLOSE not in row[2]]
        self.assertGreater(len(rows), 30)
        for name, steps, expected in rows:
            for cut in range(1, len(steps[0]), 7):
                with self.subTest(name, cut=cut):
                    self.check_row(name, [steps[0][:cut], steps[0][cut:]],
                                   expected)

    def test_descriptors_on_the_rpc_socket_are_dropped_unread(self):
        worker = self.nsx.nsexecd_pid()
        sock = connect(self.nsx.socket_path)
        read, write = os.pipe()
        try:
            send(sock, call(b"Version"))
            read_frame(sock)
            before = fd_kinds(worker)
            for stream in range(3, 43, 2):
                socket.send_fds(sock, [call(b"Version", stream=stream)],
                                [write] * 10)
                self.check_answer(read_frame(sock), (stream, 0, ""), "fds")
            self.assertEqual(fd_kinds(worker), before)
            os.close(write)
            write = -1
            # No copy of the writing end is left anywhere.
            self.assertEqual(os.read(read, 1), b"")
        finally:
            sock.close()
            os.close(read)
            if write >= 0:
                os.close(write)

    def test_fd_socket_closes_on_anything_but_a_token(self):
        path = os.path.join(self.nsx.dir, "fd.sock")
        for size in (0, 1, 15, 17, 65536):
            with self.subTest(size=size):
                sock = connect(path, socket.SOCK_SEQPACKET)
                send(sock, b"t" * size)
                self.assertIsNone(read_exactly(sock, 1))
                sock.close()

    def test_fd_socket_gives_two_seconds_for_the_token(self):
        sock = connect(os.path.join(self.nsx.dir, "fd.sock"),
                       socket.SOCK_SEQPACKET)
        self.assertIsNone(read_exactly(sock, 1))
        sock.close()

    def test_a_token_that_never_comes_is_a_deadline(self):
        request = API.encode("RunRequest", {
            "spec": {"process": {"args": [b"/bin/true"]}},
            "fd_token": b"no such token...", "n_fds": 1})
        sock = connect(self.nsx.socket_path)
        send(sock, call(b"Run", request))
        got = read_frame(sock)
        status = TTRPC.decode("Response", got[3])["status"]
        self.assertEqual(status["code"], 4, status)
        sock.close()

    def test_a_thousand_half_frames_disturb_nobody(self):
        """Connections of ten users that never finish their frame."""
        worker = self.nsx.nsexecd_pid()
        socks = []
        try:
            for i in range(300):
                sock = connect(self.nsx.socket_path)
                sock.sendall(header(4 << 20, 1, 1) + b"\0" * (i % 50))
                socks.append(sock)
            with open(f"/proc/{worker}/status", encoding="ascii") as f:
                rss = [line for line in f if line.startswith("VmRSS")][0]
            # The buffer grows with what came, not with what was promised.
            self.assertLess(int(rss.split()[1]), 64 << 10)
            self.assertEqual(self.nsx.ctl("version").code, 0)
        finally:
            for sock in socks:
                sock.close()
        wait_for(lambda: fd_kinds(worker)["socket:"] < 50, 5,
                 "closed connections are let go")

    def test_answers_wait_for_a_caller_that_ended_its_sending_side(self):
        sock = connect(self.nsx.socket_path)
        request = API.encode("NextEventsRequest", {"timeout_ms": 300})
        send(sock, call(b"NextEvents", request) + call(b"Version", stream=3))
        send(sock, EOF)
        self.check_answer(read_frame(sock), (3, 0, ""), "half-closed")
        self.check_answer(read_frame(sock), (1, 0, ""), "half-closed")
        self.assertIsNone(read_frame(sock))
        sock.close()

    def test_a_start_of_a_caller_that_has_hung_up_is_refused(self):
        sock = connect(self.nsx.socket_path)
        request = API.encode("RunRequest", {
            "spec": {"process": {"args": [b"/bin/true"]}}})
        worker = self.nsx.nsexecd_pid()
        os.kill(worker, signal.SIGSTOP)
        try:
            send(sock, call(b"Run", request))
            send(sock, EOF)
        finally:
            os.kill(worker, signal.SIGCONT)
        # Who asks is read from the connection: it must be alive then.
        self.check_answer(read_frame(sock), (1, 7, "hung up"), "half-closed")
        sock.close()
        for name in self.nsx.ctl("list", "-q").lines():
            self.nsx.ctl("delete", name)

    def test_a_stream_that_is_refused_ends_there(self):
        sock = connect(self.nsx.socket_path)
        send(sock, call(b"Events", flags=1) + frame(1, DATA, 0, b"x"))
        self.check_answer(read_frame(sock), (1, 3, "stream closed"), "")
        self.nsx.ctl("run", "--", "/bin/true")
        send(sock, call(b"Version", stream=3))
        self.assertEqual(read_frame(sock)[0], 3)
        sock.close()


if __name__ == "__main__":
    main()
