"""What one connection owes its broker: acknowledgements in order, and when the core must hurry for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

DEFAULT_WINDOW = 20  # what an untouched Mosquitto lets fly
QUIET_S = 0.005
PATIENCE_S = 0.05


class Debt:
    """One message the broker waits to hear of. Called once by each source whose share is stored."""

    __slots__ = ("_settled", "left", "mid")

    def __init__(self, mid: int, left: int, settled: Callable[[], None]) -> None:
        self.mid = mid
        self.left = left
        self._settled = settled

    def __call__(self) -> None:
        self.left -= 1
        if not self.left:
            self._settled()


class Debts:
    """The unacknowledged messages of one connection, oldest first.

    `acknowledge` gets the packet ids that may be acknowledged now; `hurry` is called when the broker has
    stopped sending because it waits for us.
    """

    def __init__(
        self, receive_maximum: int, acknowledge: Callable[[list[int]], None], hurry: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._receive_maximum = receive_maximum
        self._acknowledge, self._hurry = acknowledge, hurry
        self._owed: deque[Debt] = deque()
        self._release_due = self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._window = DEFAULT_WINDOW
        self._heard_s = self._hurried_s = 0.0

    def __len__(self) -> int:
        return len(self._owed)

    def owe(self, mid: int, shares: int) -> Debt:
        """A message that is acknowledged when it and all before it were called `shares` times."""
        debt = Debt(mid, shares, self._settled)
        self._owed.append(debt)
        return debt

    def _settled(self) -> None:
        if not self._release_due:
            self._release_due = True
            self._loop.call_soon(self._release)  # once for a whole commit

    def _release(self) -> None:
        self._release_due = False
        owed = self._owed
        mids: list[int] = []
        while owed and not owed[0].left:
            mids.append(owed.popleft().mid)
        if mids:
            self._acknowledge(mids)

    def heard(self) -> None:
        """Messages came: sees to it that the core learns when the broker waits for us."""
        now = self._heard_s = self._loop.time()
        waiting = len(self._owed)
        if not waiting:
            return
        if self._timer is None:
            self._hurried_s = now
            self._timer = self._loop.call_later(QUIET_S, self._tick)
        if waiting >= self._window:
            if waiting > self._window:
                self._window = min(2 * self._window, self._receive_maximum)
            self.hurry()

    def _tick(self) -> None:
        self._timer = None
        if not self._owed or self._closed:
            return
        now = self._loop.time()
        quiet_s = now - self._heard_s
        if quiet_s >= QUIET_S:
            if len(self._owed) > self._window // 2:
                self._window = len(self._owed)  # the broker stopped here: this is what it lets fly
            self.hurry()
        elif now - self._hurried_s >= PATIENCE_S:
            self.hurry()
        self._timer = self._loop.call_later(QUIET_S if quiet_s < PATIENCE_S else PATIENCE_S, self._tick)

    def hurry(self) -> None:
        self._hurried_s = self._loop.time()
        self._hurry()

    def close(self) -> None:
        """Debts settled from now on are still reported to `acknowledge`, which drops them as stale."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
