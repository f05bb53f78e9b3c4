# SPDX-License-Identifier: Apache-2.0
"""One connection for each thing that a reload of nsexecd must not break.

usage: reload_talk.py SOCKET CONTAINER FILE
Begins half a request, a stream of events, a wait with a timeout and more
requests than it reads answers to; says "ready", waits for FILE, and then sees
all of them through. Exits with 0 if nothing was lost.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from ttrpc_client import HEADER, REQUEST, Client, RpcError


def main(path, container, flag):
    half, slow, wait, events = (Client(path, timeout=20) for _ in range(4))
    data = half.envelope("Version", {})
    frame = HEADER.pack(len(data), 1, REQUEST, 0) + data
    half.sock.sendall(frame[:len(frame) // 2])
    asked = [slow.send_request("State", {"id": container})
             for _ in range(300)]
    wait.send_request("Wait", {"id": container, "timeout_ms": 8000})
    stream = events.stream("Events", {"from_seq": 1})
    first = next(stream)["seq"]
    print("ready", flush=True)
    end = time.monotonic() + 30
    while not os.path.exists(flag):
        if time.monotonic() > end:
            sys.exit("nobody made " + flag)
        time.sleep(0.02)
    half.sock.sendall(frame[len(frame) // 2:])
    half.recv_response()
    if [slow.recv_response()[0] for _ in asked] != asked:
        sys.exit("answers are missing")
    last = Client(path).call("Version", {})["last_seq"]
    numbers = [first]
    while numbers[-1] < last:
        numbers.append(next(stream)["seq"])
    if numbers != list(range(first, last + 1)):
        sys.exit(f"events are missing or twice: {numbers}")
    try:
        wait.recv_response()
    except RpcError as error:
        if error.detail.get("code") == "DEADLINE":
            return
    sys.exit("the wait did not end with its timeout")


if __name__ == "__main__":
    main(*sys.argv[1:])
