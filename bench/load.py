"""MQTT QoS 1 load from prebuilt packets: the generator must never be what limits the run.

Message i is counter i % counters, an event with its own id and time. Prints one JSON object when every
message was acknowledged by the broker.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import time
from datetime import UTC, datetime

CHUNK = 200


def remaining_length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (128 if size else 0))
        if not size:
            return bytes(out)


def connect(port: int, client: str = "load") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = client.encode()
    variable = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(name).to_bytes(2, "big") + name
    sock.sendall(b"\x10" + remaining_length(len(variable)) + variable)
    answer = sock.recv(4)
    if answer[:1] != b"\x20" or answer[3]:
        raise SystemExit(f"the broker refused: {answer.hex()}")
    return sock


def packet(i: int, counters: int, at: str) -> bytes:
    """PUBLISH of message i. Persons: 1 in, and 1 out every other message."""
    counter = f"door-{i % counters:02d}"
    topic = f"counters/bench/{counter}".encode()
    body = f'{{"sensor":"{counter}","line":1,"seq":{i},"ts":"{at}","in":1,"out":{i & 1}}}'.encode()
    rest = len(topic).to_bytes(2, "big") + topic + (i % 65535 + 1).to_bytes(2, "big") + body
    return b"\x32" + remaining_length(len(rest)) + rest


def now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0, help="messages a second; 0 = as fast as accepted")
    parser.add_argument("--counters", type=int, default=50)
    parser.add_argument("--window", type=int, default=2000, help="unacknowledged messages at most")
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    sock = connect(given.port)
    selector = selectors.DefaultSelector()
    selector.register(sock, selectors.EVENT_READ)
    sent = acknowledged = 0
    rest = b""
    began = time.monotonic()
    began_wall = time.time()
    while acknowledged < given.count:
        room = given.window - (sent - acknowledged)
        due = given.count if not given.rate else int((time.monotonic() - began) * given.rate) + 1
        n = min(CHUNK, room, given.count - sent, due - sent)
        if n > 0:
            at = now_text()
            sock.sendall(b"".join(packet(given.first + i, given.counters, at) for i in range(sent, sent + n)))
            sent += n
        if selector.select(0 if n > 0 and room > n else 0.001):
            rest += sock.recv(65536)
            whole = len(rest) // 4
            acknowledged += whole
            rest = rest[whole * 4 :]
    seconds = time.monotonic() - began
    print(json.dumps({"accepted": acknowledged, "seconds": round(seconds, 3), "began": began_wall}))


if __name__ == "__main__":
    main()
