"""How recorded telegrams are written down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands import telegrams
from gateway.commands.telegrams import Said
from gateway.driver import Side


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (r"#010\r", b"#010\r"),
        (r"\x02A\x03\n\t\0", b"\x02A\x03\n\t\x00"),
        (r"a\\b", b"a\\b"),
        (r"\q\x1", b"\\q\\x1"),
        ("å", "å".encode()),
    ],
)
def test_escapes_are_those_of_c(text: str, data: bytes) -> None:
    assert telegrams.unescape(text) == data


@pytest.mark.parametrize(
    ("recorded", "way", "payloads"),
    [
        (b"3E 30\n0D", "hex", [b">0\r"]),
        (b"0x3E,0x30", "hex", [b">0"]),
        (b"PjA=\n", "base64", [b">0"]),
        (b"PjA", "base64", [b">0"]),
        (b'{"a":1}\n\n{"a":2}\r\n', "jsonl", [b'{"a":1}', b'{"a":2}']),
        (b"", "bytes", [b""]),
    ],
)
def test_every_way_of_writing_gives_the_bytes(recorded: bytes, way: str, payloads: list[bytes]) -> None:
    assert telegrams.payloads(recorded, way) == payloads


@pytest.mark.parametrize(("recorded", "way"), [(b"3", "hex"), (b"zz", "hex"), (b"!!!!", "base64")])
def test_a_recording_that_is_not_what_it_says_is_refused(recorded: bytes, way: str) -> None:
    with pytest.raises(ValueError, match="not "):
        telegrams.payloads(recorded, way)


def test_a_transcript_has_sides_and_comments() -> None:
    recorded = b"; module 01\nTX #010\\r\nRX >0000001E\\r\n\nrx more"
    assert telegrams.transcript(recorded) == [
        Said(Side.HOST, b"#010\r"),
        Said(Side.DEVICE, b">0000001E\r"),
        Said(Side.DEVICE, b"more"),
    ]


def test_questions_are_paired_with_what_came_before_the_next() -> None:
    said = telegrams.transcript(b"RX late\nTX a\nTX b\nRX 1\nRX 2\nTX c")
    assert list(telegrams.pairs(said)) == [(b"", b"late"), (b"a", None), (b"b", b"12"), (b"c", None)]


@given(st.binary(max_size=200))
def test_any_bytes_are_some_transcript(recorded: bytes) -> None:
    assert all(isinstance(said.data, bytes) for said in telegrams.transcript(recorded))
