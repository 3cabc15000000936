"""Lines of words with their CRC: `kd … 0xXXXX` CR LF from the till, `0 … 0xXXXX` CR from the unit.

CRC-16 with polynomial 1021, start 0, over the text and the blank before it.
"""

from __future__ import annotations

import re
from binascii import crc_hqx
from collections.abc import Iterator
from typing import TypeAlias

from drivers.bodies import Noise
from drivers.journal import SignedReceipt
from gateway.model import Damaged, DamageReason

RECEIPT = "kd"
RECEIPT_WORDS = 12
REFUSALS = {
    -3: "unknown command",
    -2: "CRC error",
    -1: "wrong length",
    1: "wrong number of arguments",
    2: "wrong date",
    3: "wrong organisation number",
    4: "wrong cash register ID",
    5: "wrong receipt number",
    6: "unknown receipt type",
    7: "unknown receipt type",
    14: "no more cash registers",
    20: "power failed",
    21: "amounts contradict each other",
    23: "counters full",
    24: "log full",
    25: "clock error",
}
Words: TypeAlias = tuple[str, ...]

_TAIL = re.compile(rb"(.* )0x([0-9A-Fa-f]{4})", re.DOTALL)
_CODE = re.compile(r"-?[0-9]{1,2}", re.ASCII)


def read_line(line: bytes) -> Iterator[Words | Damaged]:
    """A line without its end. Noise before it is told, and does not spoil it where its start can be seen."""
    found = _TAIL.fullmatch(line)
    if not found:
        yield Damaged(DamageReason.SYNTAX, len(line))
        return
    text, crc = found[1], int(found[2], 16)
    for start in _starts(text):
        if crc_hqx(text[start:], 0) == crc and (words := text[start:].decode("ascii").split()):
            if start:
                yield Damaged(DamageReason.SYNTAX, start)
            yield tuple(words)
            return
    yield Damaged(DamageReason.CHECKSUM, len(line))


def _starts(text: bytes) -> tuple[int, ...]:
    """Where the line may begin: after the last byte that is no text, or where a receipt is said."""
    clean = max((at + 1 for at in range(len(text)) if not 32 <= text[at] < 127), default=0)
    return (clean, at) if (at := text.rfind(RECEIPT.encode() + b" ")) > clean else (clean,)


def receipt(words: Words) -> SignedReceipt:
    """Minute, organisation, till, number, type, returned, total and four VAT fields. Raises Noise."""
    if len(words) != RECEIPT_WORDS:
        raise Noise(DamageReason.SYNTAX)
    return SignedReceipt.read(*words[1:8])


def return_code(words: Words) -> int | None:
    """The first word of an answer; None for what a till says."""
    return int(words[0]) if _CODE.fullmatch(words[0]) else None


def refusal(code: int) -> str:
    """Why the unit says no, in words; empty for yes."""
    if code == 0:
        return ""
    if 8 <= code <= 13:
        return "wrong amount"
    return REFUSALS.get(code, "internal error" if 15 <= code <= 19 else "unknown code")
