"""RFC 2217's telnet layer, byte by byte. Codes as RFC 854, 856, 858 and 2217 list them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.links.rfc2217 import Rfc2217

WILLING = bytes.fromhex("fffd2c")  # IAC DO COM-PORT-OPTION
SETTINGS = bytes.fromhex("fffa2c0100002580fff0 fffa2c0208fff0 fffa2c0301fff0 fffa2c0401fff0 fffa2c0501fff0")
CONFIRMED = bytes.fromhex("fffa2c6500002580fff0 fffa2c6608fff0 fffa2c6701fff0 fffa2c6801fff0")


@dataclass(frozen=True)
class Framing:
    baudrate: int = 9600
    bytesize: int = 8
    parity: str = "N"
    stopbits: float = 1.0


def test_what_is_asked_for() -> None:
    assert Rfc2217(Framing()).greeting() == bytes.fromhex("fffb00 fffb03 fffb2c fffd00 fffd03")


def test_a_willing_server_gets_the_settings_once() -> None:
    port = Rfc2217(Framing())
    assert port.unwrap(WILLING) == (b"", SETTINGS)
    assert port.unwrap(WILLING) == (b"", b"")
    assert not port.agreed
    assert port.unwrap(CONFIRMED) == (b"", b"")
    assert port.agreed
    assert port.error == ""


@given(st.lists(st.integers(0, len(WILLING + CONFIRMED) + 8), max_size=8))
def test_it_may_be_cut_anywhere(cuts: list[int]) -> None:
    stream = b"a\xff\xffb" + WILLING + b"c" + CONFIRMED + b"\xff\xffd"
    port, plain, answer = Rfc2217(Framing()), b"", b""
    edges = [0, *sorted(cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        ours, theirs = port.unwrap(stream[start:end])
        plain, answer = plain + ours, answer + theirs
    assert (plain, answer, port.agreed) == (b"a\xffbc\xffd", SETTINGS, True)


@pytest.mark.parametrize(
    ("said", "answered"), [("fffb01", "fffe01"), ("fffd18", "fffc18"), ("fffb03", ""), ("fffd00", "")]
)
def test_other_options_are_refused_and_ours_not_repeated(said: str, answered: str) -> None:
    assert Rfc2217(Framing()).unwrap(bytes.fromhex(said)) == (b"", bytes.fromhex(answered))


def test_a_refusal_and_another_speed_are_told() -> None:
    refused, slower = Rfc2217(Framing()), Rfc2217(Framing())
    refused.unwrap(bytes.fromhex("fffe2c"))
    assert refused.error == "the server knows no RFC 2217"
    slower.unwrap(bytes.fromhex("fffa2c65000012c0fff0"))
    assert slower.error == "the server does not set our baud rate: it says 4800"


def test_a_speed_with_255_in_it_is_doubled_both_ways() -> None:
    port = Rfc2217(Framing(baudrate=0xFF00))
    _, asked = port.unwrap(WILLING)
    assert asked.startswith(bytes.fromhex("fffa2c01 0000ffff00 fff0"))
    port.unwrap(bytes.fromhex("fffa2c65 0000ffff00 fff0") + CONFIRMED[10:])
    assert port.agreed
    assert port.wrap(b"\x00\xff\xff") == b"\x00\xff\xff\xff\xff"


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_raise_or_pile_up(pieces: list[bytes]) -> None:
    port = Rfc2217(Framing())
    for piece in pieces:
        port.unwrap(piece)
        port.unwrap(b"\xff\xfa" + piece)
    assert len(port._rest) < 1000
