"""Which acknowledgements a broker must have by now: it answers pings in the order of what it hears.

A message without time or id is remembered until then (semantics 8): no longer, because its packet id will be
given to another that looks the same; no shorter, because an acknowledgement may be lost on its way.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Rounds:
    """The rounds of one connection; each ends with an answered ping. Older connections count as round 0.

    Before its first answer a broker that kept the session has sent again what it has no acknowledgement of.
    """

    number: int = 0  # of the round that messages come in now
    named_in: int = 0  # the last round in which something came that must be remembered
    forgotten: int = 0  # rounds before this one are
    _began: int = 0  # messages received before this round
    _ping: int = 0
    _settles: int | None = None  # what the ping on its way will prove

    def wants_ping(self, received: int, unacknowledged: int) -> bool:
        """Is there something to learn from a ping sent now? The caller sends it and says so."""
        if self._settles is not None or self.forgotten > self.named_in:
            return False
        settled = received - unacknowledged >= self._began
        self._settles = self.number if settled else self.forgotten
        return True

    def sent(self, ping: int) -> None:
        """`ping`: how many were sent on this connection."""
        self._ping = ping

    def answered(self, pings: int, received: int) -> int | None:
        """`pings` are answered. The first round that must still be remembered, when that has changed."""
        if self._settles is None or pings < self._ping:
            return None
        settled, self._settles = self._settles, None
        self.number += 1
        self._began = received
        if settled <= self.forgotten:
            return None
        self.forgotten = settled
        return settled
