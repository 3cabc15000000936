"""Modbus: what may be asked, and what a reply says. RTU by length and CRC, TCP by its MBAP header.

Only the functions of `Function` can be built: each of them reads.
Sources: MODBUS Application Protocol V1.1b3, MODBUS over Serial Line V1.02, MODBUS Messaging on TCP/IP V1.0b.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TypeAlias

from gateway.model import Damaged, DamageReason

MAX_REPLY_BYTES = 320  # the longest frame and some noise: more is no reply, and nothing of it is kept
MAX_REGISTERS, MAX_BITS = 125, 2000  # of one request
RTU_UNITS = range(1, 248)  # 0 is a broadcast, above is reserved
EXCEPTION = 0x80
EXCEPTION_PDU_BYTES = 2
UNIT_AND_CRC_BYTES = 3
MBAP_BYTES = 7
MAX_TRANSACTION = 0xFFFF

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, not ready",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "no answer from the device behind the gateway",
}
PASSING = frozenset({5, 6, 11})  # exceptions that go away by themselves


class Framing(StrEnum):
    RTU = "rtu"
    TCP = "tcp"


class Function(IntEnum):
    """The allow-list: every function that can ever be sent."""

    COILS = 1
    INPUTS = 2
    HOLDING_REGISTERS = 3
    INPUT_REGISTERS = 4

    @property
    def of_bits(self) -> bool:
        return self in (Function.COILS, Function.INPUTS)


@dataclass(frozen=True, slots=True)
class Question:
    """`count` registers or bits from `address`, as the protocol numbers them (from 0)."""

    unit: int
    function: Function
    address: int
    count: int

    @property
    def value_bytes(self) -> int:
        return (self.count + 7) // 8 if self.function.of_bits else 2 * self.count


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it went out."""

    question: Question
    framing: Framing = Framing.RTU
    transaction: int = 0  # TCP only

    @property
    def payload(self) -> bytes:
        """Its bytes. Raises ValueError for what no device may be asked."""
        question, function = self.question, Function(self.question.function)
        longest = MAX_BITS if function.of_bits else MAX_REGISTERS
        units = RTU_UNITS if self.framing is Framing.RTU else range(256)
        inside = question.address >= 0 and question.address + question.count <= 0x1_0000
        if question.unit not in units or not 1 <= question.count <= longest or not inside:
            raise ValueError(f"no such question: {question}")
        pdu = struct.pack(">BHH", function, question.address, question.count)
        if self.framing is Framing.TCP:
            return struct.pack(">HHHB", self.transaction, 0, len(pdu) + 1, question.unit) + pdu
        return _with_crc(bytes([question.unit]) + pdu)


class NotOurs:
    """A well-formed reply to something else: late, or of another device."""


class Echo:
    """Our own question: the adapter hears itself."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An exception reply."""

    code: int

    @property
    def words(self) -> str:
        return f"refused: {EXCEPTIONS.get(self.code, 'unknown exception')} ({self.code:02})"


Values: TypeAlias = tuple[int, ...]
Reply: TypeAlias = Values | Refused | Damaged | NotOurs | Echo
NOT_OURS, ECHO = NotOurs(), Echo()


def _crc_table() -> tuple[int, ...]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE = _crc_table()


def crc16(data: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first as on the line."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def _with_crc(frame: bytes) -> bytes:
    return frame + crc16(frame)


def _sound(frame: bytes) -> bool:
    return len(frame) >= UNIT_AND_CRC_BYTES + 1 and crc16(frame[:-2]) == frame[-2:]


def read_question(request: bytes, framing: Framing) -> Asked | None:
    """The question in these bytes; None if it is none of ours."""
    if framing is Framing.TCP:
        if len(request) != MBAP_BYTES + 5:
            return None
        transaction, _, _, unit = struct.unpack_from(">HHHB", request)
        pdu = request[MBAP_BYTES:]
    else:
        if len(request) != UNIT_AND_CRC_BYTES + 5:
            return None
        transaction, unit, pdu = 0, request[0], request[1:6]
    function, address, count = struct.unpack(">BHH", pdu)
    with suppress(ValueError):
        asked = Asked(Question(unit, Function(function), address, count), framing, transaction)
        if asked.payload == request:
            return asked
    return None


def whole(asked: Asked, received: bytes) -> bool:
    """Has the reply ended? What answers something else is waited past, until the time is out."""
    if len(received) > MAX_REPLY_BYTES or _pdu_in(asked, received) is not None:
        return True
    if asked.framing is Framing.TCP:
        return _tcp_frames(received) is None
    return received.startswith(asked.payload) or len(received) >= _spoilt_bytes(asked, received)


def read_reply(asked: Asked, data: bytes) -> Reply:
    """What `data`, received after the question, says."""
    if len(data) > MAX_REPLY_BYTES:
        return Damaged(DamageReason.LENGTH, len(data))
    pdu = _pdu_in(asked, data)
    if pdu is not None:
        return _read_pdu(asked.question, pdu, len(data))
    return _unreadable_tcp(data) if asked.framing is Framing.TCP else _unreadable_rtu(asked, data)


def _pdu_in(asked: Asked, data: bytes) -> bytes | None:
    """The reply's function code and data, whatever stands before it; None if there is none (yet)."""
    question = asked.question
    if asked.framing is Framing.TCP:
        frames = _tcp_frames(data) or []
        return next((f[7:] for f in frames if _tcp_head(f) == (asked.transaction, question.unit)), None)
    for at in range(len(data) - 1):
        if data[at] != question.unit:
            continue
        size = _rtu_bytes(question, data[at + 1])
        if size and len(data) >= at + size and _sound(data[at : at + size]):
            return data[at + 1 : at + size - 2]
    return None


def _rtu_bytes(question: Question, function: int) -> int:
    """The length of a frame that begins with our unit and this function; 0 if it is no answer to it."""
    if function == question.function:
        return UNIT_AND_CRC_BYTES + 2 + question.value_bytes
    if function == question.function | EXCEPTION:
        return UNIT_AND_CRC_BYTES + EXCEPTION_PDU_BYTES
    return 0


def _spoilt_bytes(asked: Asked, received: bytes) -> float:
    """From this length on, bytes that begin like our reply and are not sound will not become so."""
    if len(received) < 2 or received[0] != asked.question.unit:
        return float("inf")
    return _rtu_bytes(asked.question, received[1]) or float("inf")


def _unreadable_rtu(asked: Asked, data: bytes) -> Reply:
    if data.startswith(asked.payload):
        return ECHO
    if len(data) <= UNIT_AND_CRC_BYTES + 1:
        return Damaged(DamageReason.LENGTH, len(data))
    ours = data[0] == asked.question.unit and _rtu_bytes(asked.question, data[1])
    if _sound(data):
        return Damaged(DamageReason.LENGTH, len(data)) if ours else NOT_OURS
    if not ours:
        return Damaged(DamageReason.SYNTAX, len(data))
    return Damaged(DamageReason.CHECKSUM if len(data) >= ours else DamageReason.LENGTH, len(data))


def _tcp_frames(data: bytes) -> list[bytes] | None:
    """The whole frames in `data`; None when a header cannot be one: the rest is lost with it."""
    frames = []
    while len(data) >= MBAP_BYTES:
        _, protocol, size = struct.unpack_from(">HHH", data)
        if protocol or not EXCEPTION_PDU_BYTES < size <= 254:
            return None
        if len(data) < 6 + size:
            break
        frames.append(data[: 6 + size])
        data = data[6 + size :]
    return frames


def _tcp_head(frame: bytes) -> tuple[int, int]:
    """Transaction and unit."""
    return int.from_bytes(frame[:2], "big"), frame[6]


def _unreadable_tcp(data: bytes) -> Reply:
    frames = _tcp_frames(data)
    if frames is None:
        return Damaged(DamageReason.SYNTAX, len(data))
    return NOT_OURS if frames else Damaged(DamageReason.LENGTH, len(data))


def _read_pdu(question: Question, pdu: bytes, size: int) -> Reply:
    if pdu[0] == question.function | EXCEPTION:
        if len(pdu) != EXCEPTION_PDU_BYTES:
            return Damaged(DamageReason.LENGTH, size)
        return Refused(pdu[1])
    if pdu[0] != question.function:
        return NOT_OURS
    if len(pdu) != 2 + question.value_bytes or pdu[1] != question.value_bytes:
        return Damaged(DamageReason.LENGTH, size)
    if question.function.of_bits:
        return tuple(pdu[2 + bit // 8] >> bit % 8 & 1 for bit in range(question.count))
    return struct.unpack(f">{question.count}H", pdu[2:])
