"""Bytes to lines of text, or to single signs where a board ends no lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.model import Damaged, DamageReason, Ignored

LONGEST_LINE = 2048  # bytes; also all that is ever held
PAUSE_MS = 2000  # a line that pauses longer in its middle was two: the port was lost between them
AGES_AGO_MS = -PAUSE_MS
END = re.compile(rb"[\r\n]")
TEXT = Ignored("text between the signs")


class LineCutter:
    """A line ends with CR or LF. What is too long, or was torn apart by a pause, is damage up to its end."""

    def __init__(self) -> None:
        self._held = b""
        self._endless = b""  # the beginning of a line whose end was lost with the port
        self._torn = False
        self._heard_ms: int | None = None

    def reopened(self) -> None:
        self._endless, self._held = self._endless or self._held, b""

    def feed(self, data: bytes, at_ms: int) -> Iterator[bytes | Damaged]:
        """Whole lines that are not blank, without their ends."""
        if self._endless:
            yield Damaged(DamageReason.LENGTH, len(self._endless))
            self._endless, self._torn = b"", False
        if self._held and _paused(self._heard_ms, at_ms):
            yield Damaged(DamageReason.LENGTH, len(self._held))
            self._held, self._torn = b"", bool(printable(self._held))  # no line begins with noise
        self._heard_ms = at_ms
        *ended, rest = END.split(data)
        for piece in ended:
            yield from self._add(piece)
            yield from self._end()
        yield from self._add(rest)

    def _add(self, piece: bytes) -> Iterator[Damaged]:
        self._held += piece
        for _ in range((len(self._held) - 1) // LONGEST_LINE):
            yield Damaged(DamageReason.LENGTH, LONGEST_LINE)
            self._torn = True
        if len(self._held) > LONGEST_LINE:
            self._held = self._held[-((len(self._held) - 1) % LONGEST_LINE + 1) :]

    def _end(self) -> Iterator[bytes | Damaged]:
        line, self._held = self._held, b""
        if self._torn:
            self._torn = False
            yield Damaged(DamageReason.LENGTH, len(line))
        elif line.strip():
            yield line


class SignCutter:
    """Each sign is a telegram of its own. Printed text is passed over up to its line's end, or a pause."""

    def __init__(self, signs: str) -> None:
        self._signs = signs
        self._text = 0  # characters of the text so far; 0: none
        self._signs_in_text = 0
        self._heard_ms: int | None = None

    def reopened(self) -> None:
        """Text that was cut off is over."""
        self._heard_ms = AGES_AGO_MS

    def feed(self, data: bytes, at_ms: int) -> Iterator[str | Damaged | Ignored]:
        if self._text and _paused(self._heard_ms, at_ms):
            yield self._end_text()
        self._heard_ms = at_ms
        for character in data.decode("latin-1"):
            if self._text:
                yield from self._pass_over(character)
            elif character in self._signs:
                yield character
            elif character.isascii() and character.isprintable() and character != " ":
                self._text = 1
            elif character not in " \t\r\n\0":
                yield Damaged(DamageReason.SYNTAX, 1)

    def _pass_over(self, character: str) -> Iterator[Damaged | Ignored]:
        if character in "\r\n":
            yield self._end_text()
            return
        self._text += 1
        self._signs_in_text += character in self._signs
        if self._text > LONGEST_LINE:
            yield Damaged(DamageReason.LENGTH, LONGEST_LINE)
            self._text = 1

    def _end_text(self) -> Damaged | Ignored:
        """Text in which a sign stands may have swallowed a person: that is damage, not news."""
        length, swallowed = self._text, self._signs_in_text
        self._text = self._signs_in_text = 0
        return Damaged(DamageReason.SYNTAX, length) if swallowed else TEXT


def _paused(heard_ms: int | None, at_ms: int) -> bool:
    return heard_ms is not None and not 0 <= at_ms - heard_ms <= PAUSE_MS


def printable(line: bytes) -> str | None:
    """The line as text, or None for noise."""
    try:
        text = line.decode().replace("\t", " ").strip()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
