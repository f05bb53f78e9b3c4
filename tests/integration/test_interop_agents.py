# SPDX-License-Identifier: Apache-2.0
"""The Go and the Rust agent of examples/, built offline from Debian's packages
and run against a private instance: stock ttrpc, no streams, long-poll."""
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import BUILD, TOP, TestCase, main  # noqa: E402

OUTPUT = re.compile(
    r"daemon \S+ api nsexec\.v1\n"
    r"started (?P<id>\S+) pid (?P<pid>\d+)\n"
    r"exit code (?P<code>\d+) signal (?P<signal>\d+)\n"
    r"(?P<events>(event \d+ EVENT_\w+ pid \d+\n)+)$")


def build(language, program):
    """Build an example below the build tree; the path of its program."""
    out = os.path.join(BUILD, "examples", language)
    done = subprocess.run(
        [os.path.join(TOP, "examples", language, "build.sh"), out],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False)
    if done.returncode == 77:
        raise unittest.SkipTest("needs the packages of trixie")
    if done.returncode:
        raise AssertionError(f"{language}: {done.stdout.decode()}")
    return os.path.join(out, program)


class Agent:
    """The promises that both agents hold; see the two classes below."""

    @classmethod
    def setUpClass(cls):
        cls.program = build(cls.LANGUAGE, "agent-" + cls.LANGUAGE)
        super().setUpClass()

    def run_agent(self, *args, socket=None):
        done = subprocess.run(
            [self.program, *self.OPTIONS, socket or self.nsx.socket_path,
             *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=60, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_it_starts_a_process_and_waits_for_its_exit(self):
        code, out, err = self.run_agent("sh", "-c", "sleep 0.2; exit 42")
        self.assertEqual(code, 0, (out, err, self.nsx.log()))
        found = OUTPUT.match(out)
        self.assertTrue(found, out)
        self.assertEqual((found["code"], found["signal"]), ("42", "0"))
        events = re.findall(r"event (\d+) EVENT_(\w+) pid (\d+)",
                            found["events"])
        self.assertEqual([event[1] for event in events],
                         ["CREATED", "STARTED", "EXITED"])
        self.assertEqual({event[2] for event in events}, {found["pid"]})

    def test_it_tells_a_death_by_signal_from_an_exit(self):
        # The first process of a pid namespace ignores its own signals: a
        # child of it is what dies here, and the shell says so.
        code, out, err = self.run_agent("sh", "-c", "sh -c 'kill -9 $$'")
        self.assertEqual(code, 0, (out, err))
        self.assertEqual(OUTPUT.match(out)["code"], "137")

    def test_it_shows_the_daemons_own_words_about_a_refusal(self):
        code, out, err = self.run_agent("/nonexistent/program")
        self.assertEqual(code, 1, out)
        self.assertIn("EXEC_FAILED", err)
        self.assertIn("/nonexistent/program", err)

    def test_it_fails_cleanly_without_a_daemon(self):
        code, _, err = self.run_agent(socket="/nonexistent/socket")
        self.assertEqual(code, 1)
        self.assertIn("agent:", err)


class Go(Agent, TestCase):
    LANGUAGE, OPTIONS = "go", ("-socket",)


class Rust(Agent, TestCase):
    LANGUAGE, OPTIONS = "rust", ()


class GoStream(TestCase):
    """Streams, by the newest ttrpc that Debian 13 packages."""

    @classmethod
    def setUpClass(cls):
        cls.program = build("go-stream", "client-go-stream")
        super().setUpClass()

    def test_stream_brings_every_event_in_order(self):
        done = subprocess.run(
            [self.program, "-socket", self.nsx.socket_path, "-count", "20"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        self.assertIn(b"20 containers, 80 events, no hole", done.stdout)


if __name__ == "__main__":
    main()
