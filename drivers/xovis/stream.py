"""Packages on a TCP stream: JSON objects one after the other, with nothing between them."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from gateway.model import Damaged, DamageReason

LONGEST = 1 << 20  # bytes of one object; hardly more is ever held
BLANK = b" \t\r\n\0"
SIGN = re.compile(rb'[{}"\\]')
# How a package begins. Inside another one it means that the other has lost its end.
ROOT = re.compile(rb'\{\s{0,8}"(?:logics_data|live_data|status_data|connection_test)"')
HALF_A_ROOT = re.compile(rb'\{\s{0,8}(?:"[a-z_]{0,15})?')


class Objects:
    """Cuts a stream into objects, the same however it comes; what is none is told as damage."""

    def __init__(self) -> None:
        self._held = b""
        self._noise = 0  # bytes outside objects that are not told yet
        self._begin(0)

    def _begin(self, at: int) -> None:
        """Nothing is open; what stands before `at` is done with."""
        self._from = self._at = at
        self._depth, self._quoted = 0, False

    def reopened(self) -> None:
        """The other end of what is held went down with the connection."""
        self._held, self._noise = b"", 0
        self._begin(0)

    def feed(self, data: bytes) -> list[bytes | Damaged]:
        self._held += data
        found = list(self._found())
        self._held = self._held[self._from :]
        self._at -= self._from
        self._from = 0
        return found

    def _found(self) -> Iterator[bytes | Damaged]:
        while self._depth or (yield from self._skip()):
            cut = self._scan()
            if cut is None:
                return
            begin, (end, fault) = self._from, cut
            self._begin(end)
            yield Damaged(fault, end - begin) if fault else self._held[begin:end]

    def _skip(self) -> Generator[Damaged, None, bool]:
        """To where an object begins; false where none does. Noise is told in one piece."""
        start = self._held.find(b"{", self._from)
        end = len(self._held) if start < 0 else start
        self._noise += len(self._held[self._from : end].translate(None, BLANK))
        self._begin(end)
        while self._noise >= LONGEST or (self._noise and start >= 0):
            told = min(self._noise, LONGEST)
            self._noise -= told
            yield Damaged(DamageReason.SYNTAX, told)
        return start >= 0

    def _scan(self) -> tuple[int, DamageReason | None] | None:
        """Where the open object ends and what is wrong with it; None where more must come."""
        limit = self._from + LONGEST
        while sign := SIGN.search(self._held, self._at, limit):
            at = sign.start()
            if self._undecided(at):
                self._at = at
                return None
            if at > self._from and ROOT.match(self._held, at):
                return at, DamageReason.SYNTAX
            self._at = at + 1
            if self._closes(self._held[at]):
                return self._at, None
        if len(self._held) >= limit:
            return limit, DamageReason.LENGTH
        self._at = len(self._held)
        return None

    def _undecided(self, at: int) -> bool:
        """Does it depend on what comes next what stands here?"""
        if self._held[at] == ord("\\"):
            return at + 1 == len(self._held)
        return at > self._from and bool(HALF_A_ROOT.fullmatch(self._held, at))

    def _closes(self, sign: int) -> bool:
        """Takes one sign; true when it is the object's last."""
        if sign == ord("\\"):
            self._at += self._quoted and self._held[self._at] in b'"\\'  # what is escaped is no sign
        elif sign == ord('"'):
            self._quoted = not self._quoted
        elif not self._quoted:
            self._depth += 1 if sign == ord("{") else -1
        return self._depth == 0 and not self._quoted
