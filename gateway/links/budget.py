"""How often may we ask: requests of the last hour, and pauses that the other side wants."""

from __future__ import annotations

from collections import deque

HOUR_S = 3600.0


class Budget:
    """One for everything that is asked at one address. Instants are loop time; `per_h` 0: no limit."""

    def __init__(self, per_h: int) -> None:
        self._per_h = per_h
        self._spent: deque[float] = deque()
        self._rest_until = 0.0

    def wait_s(self, now: float) -> float:
        """How long until the next request may go out."""
        while self._spent and self._spent[0] <= now - HOUR_S:
            self._spent.popleft()
        free_at = self._spent[0] + HOUR_S if self._per_h and len(self._spent) >= self._per_h else now
        return max(0.0, free_at - now, self._rest_until - now)

    def spend(self, now: float) -> None:
        if self._per_h:
            self._spent.append(now)

    def rest(self, now: float, seconds: float) -> None:
        """The other side wants to be left alone so long."""
        self._rest_until = max(self._rest_until, now + seconds)
