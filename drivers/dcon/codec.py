"""DCON / ADAM ASCII frames: what may be asked, and what an answer says.

`(lead)(AA)(command)[checksum]CR`; the answer to a count carries neither address nor channel. Only the
commands of `Ask` can be built: each of them reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TypeAlias

from gateway.model import Damaged, DamageReason

CR = b"\r"
MAX_REPLY_BYTES = 64  # the longest answer we know has 15
TURNROUND_NOISE = b"\x00\xff"  # what a floating line pair puts before the first character
COUNTER_TYPE = 0x50
FREQUENCY_TYPE = 0x51


class Dialect(StrEnum):
    """How a module writes a number: eight hex digits, or ten decimal ones."""

    ICP = "icp"
    ADAM = "adam"
    DECIMAL = "decimal"


class Ask(Enum):
    """The allow-list: every command that can ever be sent. (lead, text after the address, has a channel)."""

    COUNT = ("#", "", True)
    CONFIG = ("$", "2", False)
    MAXIMUM = ("$", "3", True)
    RUNNING = ("$", "5", True)
    PRESET = ("@", "G", True)


@dataclass(frozen=True, slots=True)
class Question:
    ask: Ask
    address: str  # two upper-case hex digits
    channel: int | None = None


class Refused:
    """`?AA`: the module understood the address and not the command."""


class NotOurs:
    """A well-formed answer to something else: late, or of another module."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`value`: persons for COUNT, MAXIMUM and PRESET; the type code for CONFIG; 0 or 1 for RUNNING."""

    value: int


Reply: TypeAlias = Answer | Damaged | Refused | NotOurs
REFUSED, NOT_OURS = Refused(), NotOurs()

_ADDRESS = re.compile(r"[0-9A-F]{2}")
_QUESTIONS = {
    re.compile(
        re.escape(lead) + r"([0-9A-Fa-f]{2})" + command + ("([01])" if channelled else "()"), re.ASCII
    ): ask
    for ask in Ask
    for lead, command, channelled in (ask.value,)
}
_HEX = re.compile(rb"[0-9A-Fa-f]+")
_DIGITS = re.compile(rb"[0-9]+")


def checksum(text: bytes) -> bytes:
    """The sum of the characters modulo 256 as two upper-case hex digits."""
    return b"%02X" % (sum(text) & 0xFF)


def build(question: Question, *, summed: bool) -> bytes:
    """The bytes of a question. Raises ValueError for what is no address or channel."""
    lead, command, channelled = question.ask.value
    if not _ADDRESS.fullmatch(question.address) or (question.channel in (0, 1)) is not channelled:
        raise ValueError(f"no such question: {question}")
    channel = f"{question.channel}" if channelled else ""
    text = f"{lead}{question.address}{command}{channel}".encode()
    return text + (checksum(text) if summed else b"") + CR


def read_question(request: bytes, *, summed: bool) -> Question | None:
    """The question in these bytes; None if it is none of ours."""
    body = request.removesuffix(CR)
    if summed:
        body, found = body[:-2], body[-2:]
        if found.upper() != checksum(body):
            return None
    text = body.decode("latin-1")
    for pattern, ask in _QUESTIONS.items():
        if match := pattern.fullmatch(text):
            address, channel = match.groups()
            return Question(ask, address.upper(), int(channel) if channel else None)
    return None


def whole(received: bytes) -> bool:
    """Has an answer ended?"""
    return CR in received or len(received) >= MAX_REPLY_BYTES


def read_reply(question: Question, data: bytes, dialect: Dialect, *, summed: bool) -> Reply:
    """What `data`, received after `question`, says."""
    body = data.lstrip(TURNROUND_NOISE)
    if not body.endswith(CR) or CR in body[:-1]:
        return Damaged(DamageReason.SYNTAX if CR in body else DamageReason.LENGTH, len(data))
    body = body[:-1]
    if body[:1] not in (b">", b"!", b"?"):
        return Damaged(DamageReason.SYNTAX, len(data))
    if summed:
        if len(body) < 3:
            return Damaged(DamageReason.LENGTH, len(data))
        body, found = body[:-2], body[-2:]
        if found.upper() != checksum(body):
            return Damaged(DamageReason.CHECKSUM, len(data))
    address = question.address.encode()
    lead, named = body[:1], body[1:3].upper() == address
    if lead == b"?":
        return REFUSED if named and len(body) == 3 else NOT_OURS
    if question.ask is Ask.COUNT:
        return _number(body[1:], dialect, len(data)) if lead == b">" else NOT_OURS
    if lead != b"!" or not named:
        return NOT_OURS
    return _field(question.ask, body[3:], dialect, len(data))


def _field(ask: Ask, field: bytes, dialect: Dialect, size: int) -> Reply:
    if ask is Ask.CONFIG:  # TTCCFF: type, baud code, format
        if len(field) != 6:
            return Damaged(DamageReason.LENGTH, size)
        return Answer(int(field[:2], 16)) if _HEX.fullmatch(field) else Damaged(DamageReason.SYNTAX, size)
    if ask is Ask.RUNNING:
        if len(field) != 1:
            return Damaged(DamageReason.LENGTH, size)
        return Answer(int(field)) if field in b"01" else Damaged(DamageReason.SYNTAX, size)
    return _number(field, dialect, size)


def _number(field: bytes, dialect: Dialect, size: int) -> Reply:
    """The width decides how a number is meant; an unknown width is damage, not a guess."""
    decimal = dialect is Dialect.DECIMAL
    if len(field) != (10 if decimal else 8):
        return Damaged(DamageReason.LENGTH, size)
    if not (_DIGITS if decimal else _HEX).fullmatch(field):
        return Damaged(DamageReason.SYNTAX, size)
    value = int(field, 10 if decimal else 16)
    return Answer(value) if value < 1 << 32 else Damaged(DamageReason.SANITY, size)
