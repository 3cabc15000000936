"""Recorded telegrams: how bytes from a file, a log or a manual are written down. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.driver import Side

PAIRS = re.compile(r"0x([0-9A-Fa-f]{2})+|[0-9A-Fa-f]{2}( [0-9A-Fa-f]{2})+")  # 01 03 00 44
ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|[rnt0\\\"'abfve])")
PLAIN = {"r": 13, "n": 10, "t": 9, "0": 0, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27}
WAYS = ("bytes", "hex", "base64", "jsonl", "transcript")


@dataclass(frozen=True, slots=True)
class Said:
    """One telegram of a transcript: who said it."""

    side: Side
    data: bytes


def unescape(text: str) -> bytes:
    r"""`#010\r` with C-like escapes as bytes; what is no escape stands for itself."""
    out = bytearray()
    position = 0
    for found in ESCAPE.finditer(text):
        out += text[position : found.start()].encode("utf-8", "surrogateescape")
        word = found[1]
        out.append(int(word[1:], 16) if len(word) == 3 else PLAIN.get(word, ord(word)))
        position = found.end()
    return bytes(out + text[position:].encode("utf-8", "surrogateescape"))


def telegram(text: str) -> bytes:
    r"""One telegram as people write it: hexadecimal pairs, or text with escapes as in `#010\r`."""
    if PAIRS.fullmatch(text):
        return bytes.fromhex(text.removeprefix("0x"))
    return unescape(text)


def payloads(recorded: bytes, way: str) -> list[bytes]:
    """The payloads of a recording. Raises ValueError in words: the recording, not the device, is wrong."""
    if way == "hex":
        return [_hex(recorded)]
    if way == "base64":
        return [_base64(recorded)]
    if way == "jsonl":
        return [line for line in recorded.splitlines() if line.strip()]
    return [recorded]


def _hex(recorded: bytes) -> bytes:
    text = re.sub(rb"0[xX]|[\s,:-]", b"", recorded)
    try:
        return binascii.unhexlify(text)
    except binascii.Error as error:
        raise ValueError(f"not hexadecimal: {error}") from None


def _base64(recorded: bytes) -> bytes:
    text = b"".join(recorded.split()).translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None


def transcript(recorded: bytes) -> list[Said]:
    """Lines `TX …` (ours, or a tap's host side) and `RX …` (the device's); others are comments.

    A blank at the end of a telegram is written as an escape.
    """
    said = []
    for line in recorded.decode("utf-8", "surrogateescape").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.upper() in ("TX", "RX"):
            side = Side.HOST if word.upper() == "TX" else Side.DEVICE
            said.append(Said(side, telegram(rest.strip(" "))))
    return said


def pairs(said: list[Said]) -> Iterator[tuple[bytes, bytes | None]]:
    """(request, answer) of an asked-and-answered device; None where it stayed silent."""
    request, answer = b"", b""
    for telegram in said:
        if telegram.side is Side.DEVICE:
            answer += telegram.data
            continue
        if request or answer:
            yield request, answer or None
        request, answer = telegram.data, b""
    if request or answer:
        yield request, answer or None
