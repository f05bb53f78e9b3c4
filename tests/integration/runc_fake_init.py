# SPDX-License-Identifier: Apache-2.0
"""What runc's Go half does after the bootstrap program, as little of it as
runc 1.1 as a parent asks for: read the configuration, say procHooks and
procReady, wait at the fifo, execute. Run by nsexec as its program; the setup of
the root file system and all else is left out.
"""
import json
import os
import socket


class Channel:
    """JSON objects behind each other on the init socket."""

    def __init__(self, fd):
        self.sock = socket.socket(fileno=fd)
        self.text = ""

    def read(self):
        while True:
            self.text = self.text.lstrip()
            try:
                found, end = json.JSONDecoder().raw_decode(self.text)
            except ValueError:
                piece = self.sock.recv(65536)
                if not piece:
                    raise SystemExit("runc closed the init socket") from None
                self.text += piece.decode()
                continue
            self.text = self.text[end:]
            return found

    def exchange(self, word, answer):
        self.sock.sendall(json.dumps({"type": word, "fd": -1}).encode())
        found = self.read()
        if found["type"] != answer:
            raise SystemExit(f"{word} was answered by {found}")


def main():
    channel = Channel(int(os.environ["_LIBCONTAINER_INITPIPE"]))
    config = channel.read()
    if os.environ["_LIBCONTAINER_INITTYPE"] == "standard":
        channel.exchange("procHooks", "procResume")
        channel.exchange("procReady", "procRun")
    channel.sock.close()
    if os.environ.get("_LIBCONTAINER_LOGPIPE"):
        os.close(int(os.environ["_LIBCONTAINER_LOGPIPE"]))
    if os.environ.get("_LIBCONTAINER_FIFOFD"):
        number = os.environ["_LIBCONTAINER_FIFOFD"]
        fifo = os.open(f"/proc/self/fd/{number}", os.O_WRONLY)
        os.write(fifo, b"0")
        os.close(fifo)
    os.execvpe(config["args"][0], config["args"],
               dict(word.split("=", 1) for word in config["env"]))


main()
