"""CCSP frames: `#!#LLL#message#LRC` CR; LLL is the whole frame's length, LRC the XOR of all before it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import reduce
from operator import xor
from typing import TypeAlias

from drivers.bodies import Noise
from drivers.journal import SignedReceipt
from gateway.model import Damaged, DamageReason

START = b"#!#"
FRAME_BYTES = 11  # of a frame around its message, the CR included
REQUESTS = frozenset({"IQ", "RH", "RR", "SIQ", "SQ", "SQX", "ST"})
REGISTER, HEADER, SIGN = "RR", "RH", "SQ"
STATUS_ANSWERS = frozenset({"SIR", "SRX"})
IDENTITY_ANSWER = "IR"
REFUSED = "NAK"
REFUSALS = {
    "001": "wrong LRC",
    "002": "unknown message",
    "003": "wrong parameter",
    "004": "wrong sequence",
    "006": "not operational",
    "007": "wrong POS ID",
    "008": "internal error",
    "009": "license exceeded",
    "010": "storage full",
    "011": "wrong sequence number",
}

Message: TypeAlias = tuple[str, ...]  # type first, then its fields

_LENGTH = re.compile(rb"[0-9A-Fa-f]{3}")


def read_line(line: bytes) -> Iterator[Message | Damaged]:
    """A line without its CR. Noise before a frame does not spoil the frame."""
    at = line.rfind(START)
    if at < 0:
        yield Damaged(DamageReason.SYNTAX, len(line))
        return
    if line[:at].strip():
        yield Damaged(DamageReason.SYNTAX, at)
    frame = line[at:]
    damage = _damage(frame)
    yield Damaged(damage, len(frame)) if damage else tuple(frame[7:-3].decode("latin-1").split("#"))


def _damage(frame: bytes) -> DamageReason | None:
    if not _LENGTH.fullmatch(frame[3:6]):
        return DamageReason.SYNTAX
    if len(frame) < FRAME_BYTES or int(frame[3:6], 16) != len(frame) + 1:
        return DamageReason.LENGTH
    if frame[6:7] != b"#" or frame[-3:-2] != b"#":
        return DamageReason.SYNTAX
    if frame[-2:].upper() != b"%02X" % reduce(xor, frame[:-2]):
        return DamageReason.CHECKSUM
    return None


def register(message: Message) -> SignedReceipt:
    """The receipt of an RR; its fields in the order of the names below. Raises Noise."""
    if len(message) < 9:
        raise Noise(DamageReason.SYNTAX)
    _, _, minute, number, till, organisation, total, returned, kind = message[:9]
    return SignedReceipt.read(minute, organisation, till, number, kind, returned, total)


def header(message: Message) -> SignedReceipt:
    """The receipt of an RH, which has two blank fields and no sequence number. Raises Noise."""
    if len(message) < 10:
        raise Noise(DamageReason.SYNTAX)
    _, minute, number, till, _, _, organisation, total, returned, kind = message[:10]
    return SignedReceipt.read(minute, organisation, till, number, kind, returned, total)


def refusal(message: Message) -> str:
    """Why the unit says no, in words; empty when it does not."""
    if message[0] != REFUSED:
        return ""
    return REFUSALS.get(message[1] if len(message) > 1 else "", "unknown code")
