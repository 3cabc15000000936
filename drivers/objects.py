"""JSON on a stream: bodies one after the other, with nothing or blanks between them."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from gateway.model import Damaged, DamageReason

LONGEST = 1 << 20  # bytes of one body; hardly more is ever held
BLANK = b" \t\r\n\0,\x1e"  # also what separates them in a list that never ends, and in RFC 7464
OF_OBJECTS = re.compile(rb'[{}"\\]')
OF_LISTS_TOO = re.compile(rb'[{}\[\]"\\]')


@dataclass(frozen=True, slots=True)
class Root:
    """How a maker's objects begin. Inside another one it means that the other has lost its end."""

    whole: re.Pattern[bytes]
    half: re.Pattern[bytes]  # what may become one


class Objects:
    """Cuts a stream into objects and lists, the same however it comes; what is none is told as damage.

    With a `root`, only objects.
    """

    def __init__(self, root: Root | None = None) -> None:
        self._root = root
        self._opening = re.compile(rb"\{" if root else rb"[{\[]")
        self._sign = OF_OBJECTS if root else OF_LISTS_TOO
        self._held = b""
        self._noise = 0  # bytes outside objects that are not told yet
        self._begin(0)

    def _begin(self, at: int) -> None:
        """Nothing is open; what stands before `at` is done with."""
        self._from = self._at = at
        self._open = bytearray()  # the brackets of what is open
        self._quoted = self._mixed = False

    @property
    def pending(self) -> int:
        """Bytes of a body whose end has not come."""
        return len(self._held) if self._open else 0

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
        while self._open or (yield from self._skip()):
            cut = self._scan()
            if cut is None:
                return
            begin, (end, fault) = self._from, cut
            self._begin(end)
            yield Damaged(fault, end - begin) if fault else self._held[begin:end]

    def _skip(self) -> Generator[Damaged, None, bool]:
        """To where an object begins; false where none does. Noise is told in one piece."""
        opening = self._opening.search(self._held, self._from)
        end = opening.start() if opening else len(self._held)
        self._noise += len(self._held[self._from : end].translate(None, BLANK))
        self._begin(end)
        while self._noise >= LONGEST or (self._noise and opening):
            told = min(self._noise, LONGEST)
            self._noise -= told
            yield Damaged(DamageReason.SYNTAX, told)
        return opening is not None

    def _scan(self) -> tuple[int, DamageReason | None] | None:
        """Where the open object ends and what is wrong with it; None where more must come."""
        limit = self._from + LONGEST
        while sign := self._sign.search(self._held, self._at, limit):
            at = sign.start()
            if self._undecided(at):
                self._at = at
                return None
            if self._root and at > self._from and self._root.whole.match(self._held, at):
                return at, DamageReason.SYNTAX
            if self._lost(at):
                return at, DamageReason.SYNTAX
            self._at = at + 1
            if self._closes(self._held[at]):
                return self._at, None
            if self._mixed:
                return self._at, DamageReason.SYNTAX
        if len(self._held) >= limit:
            return limit, DamageReason.LENGTH
        self._at = len(self._held)
        return None

    def _undecided(self, at: int) -> bool:
        """Does it depend on what comes next what stands here?"""
        if self._held[at] == ord("\\"):
            return at + 1 == len(self._held)
        return at > self._from and bool(self._root and self._root.half.fullmatch(self._held, at))

    def _lost(self, at: int) -> bool:
        """Does another body begin here, as none may inside this one, which so has lost its end?"""
        if self._root or self._quoted or not self._open or self._held[at] not in b"{[":
            return False
        before = at - 1
        while self._held[before] in b" \t\r\n":
            before -= 1
        return self._held[before] not in (b":" if self._open[-1] == ord("{") else b"[,")

    def _closes(self, sign: int) -> bool:
        """Takes one sign; true when it is the object's last."""
        if sign == ord("\\"):
            self._at += self._quoted and self._held[self._at] in b'"\\'  # what is escaped is no sign
        elif sign == ord('"'):
            self._quoted = not self._quoted
        elif not self._quoted:
            if sign in b"{[":
                self._open.append(sign)
            else:
                self._mixed = self._open.pop() != sign - 2  # as ASCII has them, for both kinds
        return not self._open and not self._quoted and not self._mixed
