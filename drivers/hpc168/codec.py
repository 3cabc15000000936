"""HPC168 frames: the two questions that read, and what an answer says.

`STX ID4 CMD2 LEN2 DATA CHK2 ETX`, all of it hexadecimal text between STX and ETX. LEN counts decoded bytes,
CHK is the sum of the decoded bytes from ID to DATA modulo 256, an answer's CMD is the question's plus 80.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from gateway.model import Damaged, DamageReason

MAX_RECEIVED_BYTES = 160  # an answer to a count has 44; others' frames may come before it
ANSWER = 0x80
COUNT_BYTES = 16  # in, out (32 bit each), eight reserved
DOOR_BYTES = 6
OPEN = b"\x01" * DOOR_BYTES


class Ask(IntEnum):
    """The allow-list: every command that can ever be sent. Both read."""

    COUNTS = 0x13
    DOOR = 0x66


@dataclass(frozen=True, slots=True)
class Question:
    ask: Ask
    address: str  # four decimal digits


@dataclass(frozen=True, slots=True)
class Counts:
    """Cumulative persons, 32 bit each."""

    address: str
    ins: int
    outs: int


@dataclass(frozen=True, slots=True)
class Door:
    address: str
    open: bool


class NotOurs:
    """An intact frame of another device, another master, or in answer to something else."""


Reply: TypeAlias = Counts | Door | Damaged | NotOurs
NOT_OURS = NotOurs()

_ADDRESS = re.compile(r"[0-9]{4}", re.ASCII)
_FRAME = re.compile(rb"\x02([^\x02\x03]*)\x03")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+")


def build(question: Question) -> bytes:
    """The bytes of a question. Raises ValueError for what is no address."""
    if not _ADDRESS.fullmatch(question.address):
        raise ValueError(f"no such question: {question}")
    body = bytes.fromhex(question.address) + bytes((Ask(question.ask), 0))
    return b"\x02" + (body + _sum(body)).hex().upper().encode() + b"\x03"


def read_question(request: bytes) -> Question | None:
    """The question in these bytes; None if it is none of ours."""
    found = _FRAME.fullmatch(request)
    body = _intact(found[1]) if found else None
    if not isinstance(body, bytes) or len(body) != 4 or body[2] not in tuple(Ask):
        return None
    address = body[:2].hex()
    return Question(Ask(body[2]), address) if _ADDRESS.fullmatch(address) else None


def whole(question: Question, received: bytes) -> bool:
    """Has our answer ended, be it damaged? Frames of others are waited past."""
    if len(received) >= MAX_RECEIVED_BYTES:
        return True
    return any(not isinstance(_read(question, found[1]), NotOurs) for found in _FRAME.finditer(received))


def read_reply(question: Question | None, data: bytes) -> Reply:
    """What `data` says to this question (None: by itself). The last answer of ours counts."""
    replies = [_read(question, found[1]) for found in _FRAME.finditer(data)]
    if not replies:
        cut = b"\x02" in data
        return Damaged(DamageReason.LENGTH if cut else DamageReason.SYNTAX, len(data))
    ours = [reply for reply in replies if isinstance(reply, Counts | Door)]
    damaged = [reply for reply in replies if isinstance(reply, Damaged)]
    return (ours or damaged or replies)[-1]


def _sum(body: bytes) -> bytes:
    return bytes((sum(body) & 0xFF,))


def _intact(text: bytes) -> bytes | Damaged:
    """The decoded bytes from ID to DATA."""
    size = len(text) + 2
    if not _HEX.fullmatch(text):
        return Damaged(DamageReason.SYNTAX, size)
    decoded = bytes.fromhex(text.decode("ascii"))
    if len(decoded) < 5 or len(decoded) != 5 + decoded[3]:
        return Damaged(DamageReason.LENGTH, size)
    body = decoded[:-1]
    return body if _sum(body) == decoded[-1:] else Damaged(DamageReason.CHECKSUM, size)


def _read(question: Question | None, text: bytes) -> Reply:
    body = _intact(text)
    if isinstance(body, Damaged):
        return body
    address, command, data = body[:2].hex(), body[2], body[4:]
    if question and (address, command) != (question.address, question.ask | ANSWER):
        return NOT_OURS
    if command == Ask.COUNTS | ANSWER:
        if len(data) != COUNT_BYTES:
            return Damaged(DamageReason.LENGTH, len(text) + 2)
        return Counts(address, int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big"))
    if command == Ask.DOOR | ANSWER:
        if len(data) != DOOR_BYTES:
            return Damaged(DamageReason.LENGTH, len(text) + 2)
        return Door(address, data == OPEN)
    return NOT_OURS
