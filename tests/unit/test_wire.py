"""The wire cuts PUBLISH packets out of a stream: the same however it was cut, keeping no more than it may."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import MQTTErrorCode

from gateway.links.wire import Publish, Wire

# MQTT 5.0, 3.3: QoS 1, topic "a/b", packet id 10, no properties, payload "hi"
HELLO = bytes.fromhex("32 0a 00 03 61 2f 62 00 0a 00 68 69")
# MQTT 3.1.1, 3.3: the same without the length of properties; then as a retained QoS 0 message
HELLO_311 = bytes.fromhex("32 09 00 03 61 2f 62 00 0a 68 69")
RETAINED_311 = bytes.fromhex("31 07 00 03 61 2f 62 68 69")
# QoS 1, DUP, content type "x" (property 03) in front of the payload
DUP_WITH_PROPERTY = bytes.fromhex("3a 0e 00 03 61 2f 62 00 0b 04 03 00 01 78 68 69")
PINGRESP = bytes.fromhex("d0 00")


@contextmanager
def wired(version: str = "5", largest: int = 1000) -> Iterator[tuple[Wire, socket.socket]]:
    """A wire in mid-connection and the broker's end of its socket."""
    ours, theirs = socket.socketpair()
    wire = Wire("test", version, largest_bytes=largest)
    ours.setblocking(False)
    wire._sock = ours
    try:
        yield wire, theirs
    finally:
        wire.abandon()
        theirs.close()


def heard(wire: Wire, theirs: socket.socket, *chunks: bytes) -> list[Publish]:
    found: list[Publish] = []
    for chunk in chunks:
        theirs.sendall(chunk)
        while wire.socket() is not None and wire.receive():
            found += wire.take(100)
    return found


def test_a_publish_of_mqtt_5() -> None:
    with wired() as (wire, theirs):
        assert heard(wire, theirs, HELLO, DUP_WITH_PROPERTY) == [
            (b"a/b", b"hi", 10, 0x32),
            (b"a/b", b"hi", 11, 0x3A),
        ]


def test_a_publish_of_mqtt_3_1_1() -> None:
    with wired("3.1.1") as (wire, theirs):
        assert heard(wire, theirs, HELLO_311, RETAINED_311) == [
            (b"a/b", b"hi", 10, 0x32),
            (b"a/b", b"hi", 0, 0x31),
        ]


def publish(mid: int, payload: bytes) -> bytes:
    body = b"\x00\x01t" + struct.pack("!H", mid) + b"\x00" + payload
    length, rest = b"", len(body)
    while rest >= 128:
        length += bytes([rest % 128 | 128])
        rest //= 128
    return b"\x32" + length + bytes([rest]) + body


@given(
    sizes=st.lists(st.integers(0, 400), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 200), min_size=1),
)
def test_the_same_messages_however_the_stream_is_cut(sizes: list[int], cuts: list[int]) -> None:
    """Payloads above the limit pass by as None; pings between them go to paho."""
    stream = b"".join(publish(n + 1, bytes([n]) * size) + PINGRESP for n, size in enumerate(sizes))
    expected = [
        (b"t", bytes([n]) * size if size < 300 else None, n + 1, 0x32) for n, size in enumerate(sizes)
    ]
    chunks, at = [], 0
    while at < len(stream):
        step = cuts[len(chunks) % len(cuts)]
        chunks.append(stream[at : at + step])
        at += step
    with wired(largest=300) as (wire, theirs):
        assert heard(wire, theirs, *chunks) == expected


def test_an_oversized_message_is_never_kept() -> None:
    with wired(largest=1000) as (wire, theirs):
        packet = publish(7, b"x" * 3_000_000)
        found: list[Publish] = []
        for at in range(0, len(packet), 30_000):
            theirs.sendall(packet[at : at + 30_000])
            assert wire.receive()
            found += wire.take(10)
            assert len(wire._inbox) <= 65_536
        assert found == [(b"t", None, 7, 0x32)]
        assert heard(wire, theirs, HELLO) == [(b"a/b", b"hi", 10, 0x32)]


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param("32 ff ff ff ff 7f", id="length of five bytes"),
        pytest.param("32 05 00 09 61 62 63", id="topic beyond the packet"),
        pytest.param("32 07 00 01 74 00 01 7f 00", id="properties beyond the packet"),
        pytest.param("00 00", id="packet type 0"),
    ],
)
def test_malformed_packets_end_the_connection(noise: str) -> None:
    with wired() as (wire, theirs):
        lost: list[object] = []
        wire.on_disconnect = lambda *about: lost.append(about[3])
        found = heard(wire, theirs, bytes.fromhex(noise))
        theirs.close()
        while wire.socket() is not None and wire.receive():
            found += wire.take(10)
        assert found == []
        assert lost, "nobody was told"
        assert wire.socket() is None


@given(st.binary(max_size=300))
def test_no_bytes_raise(noise: bytes) -> None:
    with wired() as (wire, theirs):
        theirs.sendall(HELLO + noise)
        theirs.close()
        for _ in range(400):
            if wire.socket() is None:
                break
            wire.receive()
            wire.take(10)
        assert wire.socket() is None


def test_acknowledgements_leave_in_one_piece_and_in_order() -> None:
    with wired() as (wire, theirs):
        wire.acknowledge([3, 1, 65535])
        assert theirs.recv(100) == bytes.fromhex("40 02 00 03 40 02 00 01 40 02 ff ff")


def test_the_end_of_the_stream_is_told_with_its_reason() -> None:
    with wired() as (wire, theirs):
        theirs.sendall(HELLO[:5])
        theirs.close()
        while wire.socket() is not None:
            assert wire.receive()
            assert wire.take(10) == []
        assert str(wire.ended) == "closed by the broker"
        assert wire.loop_read() == MQTTErrorCode.MQTT_ERR_NO_CONN


def test_bytes_prove_life_while_the_answer_to_a_ping_stands_behind_them() -> None:
    with wired() as (wire, theirs):
        wire._keepalive = 30
        wire._last_bytes_received = wire._last_msg_out = time.monotonic()
        wire._ping_t = time.monotonic() - 31
        assert len(heard(wire, theirs, HELLO)) == 1
        wire.loop_misc()
        assert wire.socket() is not None
