"""The text of contacts, and when a contact that moves is a pulse.

One line for each thing seen: `CONTACT WHAT MS`. WHAT is `1` or `0` for an edge (closed, open), `=1` or `=0`
for a level that was looked up, `!N` for N edges that were lost, `!0` when nobody watched until now. MS is a
clock in milliseconds that only goes forward.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

LINE = re.compile(rb"([A-Za-z0-9_.:/-]{1,32}) ([=!]?)(\d{1,9}) (\d{1,15})", re.ASCII)


class What(Enum):
    EDGE = ""
    LEVEL = "="
    LOST = "!"


@dataclass(frozen=True, slots=True)
class Sight:
    """One line. `figure`: 0 or 1 for an edge or a level, edges for LOST."""

    contact: str
    what: What
    figure: int
    at_ms: int


def read_line(line: bytes) -> Sight | None:
    """What the line says; None if nothing."""
    found = LINE.fullmatch(line.strip())
    if found is None:
        return None
    what, figure = What(found[2].decode()), int(found[3])
    if what is not What.LOST and figure > 1:
        return None
    return Sight(found[1].decode(), what, figure, int(found[4]))


@dataclass(slots=True)
class Contact:
    """One contact. It has moved only when it has stayed for `debounce_ms`; until then `active` is as before.

    `lost`: edges that nobody saw since the start.
    """

    debounce_ms: int
    rising: bool  # a pulse counts when it begins, otherwise when it ends
    active: bool | None = None
    since_ms: int = 0  # of `active`
    lost: int = 0
    lost_ms: int | None = None  # when edges were last lost
    _seen: bool | None = None
    _seen_ms: int = 0

    def forget(self) -> None:
        """Nobody watched: whatever it is next, it was before."""
        self.active = self._seen = None

    def lose(self, edges: int, at_ms: int) -> None:
        self.lost += edges
        self.lost_ms = at_ms

    def edge(self, active: bool, at_ms: int) -> bool:
        """It moved. True when this completes a pulse."""
        if self.active is None:
            self._believe(not active, at_ms)
        pulse = self.settle(at_ms)
        if active == self._seen and at_ms - self._seen_ms >= self.debounce_ms:
            self.lose(1, at_ms)  # the edge between these two was never told
        self._seen, self._seen_ms = active, at_ms
        return pulse | self.settle(at_ms)

    def level(self, active: bool, at_ms: int) -> bool:
        """It was looked at. True when this completes a pulse."""
        if self.active is None:
            self._believe(active, at_ms)
            return False
        pulse = self.settle(at_ms)
        if active != self._seen:
            self.lose(1, at_ms)
            self._seen, self._seen_ms = active, at_ms
        return pulse

    def settle(self, at_ms: int) -> bool:
        """Has it stayed long enough where it was last seen?"""
        if self._seen is None or self._seen == self.active or at_ms - self._seen_ms < self.debounce_ms:
            return False
        self.active, self.since_ms = self._seen, self._seen_ms
        return self.active is self.rising

    def _believe(self, active: bool, at_ms: int) -> None:
        self.active = self._seen = active
        self.since_ms = self._seen_ms = at_ms
