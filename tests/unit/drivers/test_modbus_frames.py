"""Modbus frames: those of the documents, what can be asked, and what is no reply."""

from __future__ import annotations

import json
import struct
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus import codec
from drivers.modbus.codec import Asked, Framing, Function, Question, Refused
from gateway.model import Damaged, DamageReason
from simulators.modbus import crc

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/serial-modbus-counters.json").read_text())
BY_ID = {vector["id"]: vector for vector in VECTORS["vectors"]}
OF_SPEC = [vector for name, vector in BY_ID.items() if name.startswith("spec-")]
LOT = Asked(Question(1, Function.HOLDING_REGISTERS, 0x44, 4))
LOT_REPLY = bytes.fromhex(BY_ID["lot-reply"]["hex"])


@pytest.mark.parametrize("vector", OF_SPEC, ids=lambda vector: vector["id"])
def test_the_examples_of_the_specification_are_asked_and_read(vector: dict[str, Any]) -> None:
    request, reply = bytes.fromhex(vector["request_hex"]), bytes.fromhex(vector["reply_hex"])
    asked = codec.read_question(request, Framing.RTU)
    assert asked is not None
    assert asked.payload == request
    meant = vector["decoded"]
    expected = {
        "bits": lambda: tuple(int(bit) for bit in meant["bits"]),
        "registers": lambda: tuple(meant["registers"]),
        "exception": lambda: Refused(meant["exception"]),
    }[next(iter(meant))]()
    assert codec.read_reply(asked, reply) == expected


def test_the_recorded_relay_board_is_read() -> None:
    asked = Asked(Question(1, Function.COILS, 0, 8))
    assert codec.read_reply(asked, bytes.fromhex(BY_ID["relay-board-reply"]["hex"])) == (
        1,
        0,
        0,
        0,
        0,
        0,
        1,
        0,
    )


def test_nothing_that_writes_can_be_built() -> None:
    """Codes 5, 6, 15, 16, 22 and 23 write; the enumeration that a question needs ends at 4."""
    assert {int(function) for function in Function} == {1, 2, 3, 4}
    for function, unit, framing in product(Function, (1, 247), Framing):
        payload = Asked(Question(unit, function, 0, 1), framing).payload
        assert payload[1 if framing is Framing.RTU else 7] in (1, 2, 3, 4)
    for function in (*range(5, 256), 0):
        with pytest.raises(ValueError, match=f"{function}"):
            _ = Asked(Question(1, function, 0, 1)).payload  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "question",
    [
        Question(0, Function.COILS, 0, 1),
        Question(248, Function.COILS, 0, 1),
        Question(1, Function.COILS, 0, 0),
        Question(1, Function.COILS, 0, 2001),
        Question(1, Function.HOLDING_REGISTERS, 0, 126),
        Question(1, Function.HOLDING_REGISTERS, 0xFFFF, 2),
        Question(1, Function.HOLDING_REGISTERS, -1, 2),
    ],
)
def test_what_no_device_may_be_asked_is_not_sent(question: Question) -> None:
    with pytest.raises(ValueError, match="no such question"):
        _ = Asked(question).payload


def test_a_reply_is_whole_with_its_last_byte_however_it_is_cut() -> None:
    ends = [codec.whole(LOT, LOT_REPLY[:size]) for size in range(len(LOT_REPLY) + 1)]
    assert ends == [False] * len(LOT_REPLY) + [True]


@pytest.mark.parametrize(
    "before", [b"\x00", b"\xff\x00", b"\x01", b"\x01\x03", bytes.fromhex("0203020001 3d84")]
)
def test_stray_bytes_and_frames_of_others_before_a_reply_are_passed_over(before: bytes) -> None:
    assert codec.read_reply(LOT, before + LOT_REPLY) == (5, 1, 0xFFFF, 0)
    assert not codec.whole(LOT, before + LOT_REPLY[:4])


def test_of_two_replies_glued_together_the_first_is_taken() -> None:
    assert codec.read_reply(LOT, LOT_REPLY * 2) == (5, 1, 0xFFFF, 0)
    assert codec.read_reply(LOT, LOT_REPLY + b"\x00") == (5, 1, 0xFFFF, 0)


def test_the_echo_of_a_question_is_told_from_a_reply() -> None:
    assert codec.whole(LOT, LOT.payload)
    assert codec.read_reply(LOT, LOT.payload) is codec.ECHO
    assert codec.read_reply(LOT, LOT.payload + LOT_REPLY) == (5, 1, 0xFFFF, 0)


def framed(text: str) -> bytes:
    frame = bytes.fromhex(text)
    return frame + crc(frame)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"", Damaged(DamageReason.LENGTH, 0)),
        (LOT_REPLY[:-1], Damaged(DamageReason.LENGTH, 12)),
        (LOT_REPLY[:-1] + b"\x34", Damaged(DamageReason.CHECKSUM, 13)),
        (LOT_REPLY[:4] + b"\x01" + LOT_REPLY[5:], Damaged(DamageReason.CHECKSUM, 13)),
        (framed("01 03 04 00 05 00 01"), Damaged(DamageReason.LENGTH, 9)),
        (framed("01 03 0a 00 05 00 01 ff ff 00 00 00 00"), Damaged(DamageReason.LENGTH, 15)),
        (b"hello, world", Damaged(DamageReason.SYNTAX, 12)),
        (framed("02 03 08 00 05 00 01 ff ff 00 00"), codec.NOT_OURS),
        (framed("01 04 08 00 05 00 01 ff ff 00 00"), codec.NOT_OURS),
        (framed("01 83 02"), Refused(2)),
        (bytes(600), Damaged(DamageReason.LENGTH, 600)),
    ],
)
def test_what_is_no_reply_to_the_question_is_never_a_guess(reply: bytes, expected: codec.Reply) -> None:
    assert codec.read_reply(LOT, reply) == expected


def test_a_late_reply_of_another_device_is_waited_past() -> None:
    late = framed("02 03 08 00 05 00 01 ff ff 00 00")
    assert not codec.whole(LOT, late)
    assert codec.whole(LOT, late + LOT_REPLY)
    assert codec.read_reply(LOT, late + LOT_REPLY) == (5, 1, 0xFFFF, 0)


def over_tcp(transaction: int, unit: int, pdu: str, protocol: int = 0) -> bytes:
    data = bytes.fromhex(pdu)
    return struct.pack(">HHHB", transaction, protocol, len(data) + 1, unit) + data


CUT = (Damaged(DamageReason.LENGTH, 4), Damaged(DamageReason.LENGTH, 16))
PDU = "03 08 00 05 00 01 ff ff 00 00"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (over_tcp(7, 1, PDU), (5, 1, 0xFFFF, 0)),
        (over_tcp(6, 1, "03 08" + "00" * 8) + over_tcp(7, 1, PDU), (5, 1, 0xFFFF, 0)),
        (over_tcp(6, 1, PDU), codec.NOT_OURS),
        (over_tcp(7, 2, PDU), codec.NOT_OURS),
        (over_tcp(7, 1, "04" + PDU[2:]), codec.NOT_OURS),
        (over_tcp(7, 1, PDU, protocol=1), Damaged(DamageReason.SYNTAX, 17)),
        (over_tcp(7, 1, PDU)[:-1], Damaged(DamageReason.LENGTH, 16)),
        (over_tcp(7, 1, "03 06 00 05 00 01 ff ff"), Damaged(DamageReason.LENGTH, 15)),
        (over_tcp(7, 1, "83 0b"), Refused(11)),
        (over_tcp(7, 1, "83"), Damaged(DamageReason.SYNTAX, 8)),
        (bytes(4), Damaged(DamageReason.LENGTH, 4)),
    ],
)
def test_over_tcp_transaction_and_unit_must_be_those_of_the_question(
    reply: bytes, expected: codec.Reply
) -> None:
    asked = Asked(LOT.question, Framing.TCP, 7)
    assert codec.read_reply(asked, reply) == expected
    waited_for = expected is codec.NOT_OURS and reply[7:8] == b"\x03"
    assert codec.whole(asked, reply) is not (waited_for or expected in CUT)


noise = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda head, body: framed((head + body).hex()),
        st.sampled_from([b"\x01\x03", b"\x01\x03\x08", b"\x01\x83", b"\x02\x03", b"\x01\x04"]),
        st.binary(max_size=12),
    ),
)


@given(before=noise, after=noise)
def test_no_bytes_make_a_reply_fail_and_a_sound_one_is_found_among_them(before: bytes, after: bytes) -> None:
    codec.whole(LOT, before)
    codec.read_reply(LOT, before)
    if codec._pdu_in(LOT, before) is None and not before.endswith((b"\x01", b"\x01\x03", b"\x01\x83")):
        found = codec.read_reply(LOT, before + LOT_REPLY + after)
        assert found == (5, 1, 0xFFFF, 0)


@given(data=st.binary(max_size=80))
def test_no_bytes_make_a_reply_over_tcp_fail(data: bytes) -> None:
    asked = Asked(LOT.question, Framing.TCP, 7)
    assert codec.whole(asked, data) in (True, False)
    assert not isinstance(codec.read_reply(asked, data), tuple) or over_tcp(7, 1, PDU)[:7] in data
