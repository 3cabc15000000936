"""What one connection owes its broker: acknowledgements in order, and when the core must hurry for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

DEFAULT_WINDOW = 20  # what an untouched Mosquitto lets fly
UNKNOWN = 1 << 30
SILENT_S = 0.025  # half of what the core lets an acknowledgement wait
FIRST_TRIAL, LONGEST_TRIAL = 4, 1024


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
    stopped sending because it waits for us. How many it lets fly is seen where it stops: whoever was silent
    until the core committed by itself had stopped. That is believed for some commits, then tried again, each
    time for longer, because a device that speaks seldom looks the same.
    """

    def __init__(self, acknowledge: Callable[[list[int]], None], hurry: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._acknowledge, self.hurry = acknowledge, hurry
        self._owed: deque[Debt] = deque()
        self._release_due = False
        self._window = self._stopped_at = DEFAULT_WINDOW
        self._trial = self._hurries_left = FIRST_TRIAL
        self._heard_s = 0.0

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
        if owed and self._loop.time() - self._heard_s >= SILENT_S:
            self._stopped(len(owed))
        mids: list[int] = []
        while owed and not owed[0].left:
            mids.append(owed.popleft().mid)
        if mids:
            self._acknowledge(mids)

    def _stopped(self, window: int) -> None:
        """The broker is silent with so many in flight."""
        same = window == self._stopped_at
        self._trial = min(2 * self._trial, LONGEST_TRIAL) if same else FIRST_TRIAL
        self._window = self._stopped_at = window
        self._hurries_left = self._trial

    def heard(self) -> None:
        """Messages came: the core hurries if the broker will send no more before we acknowledge."""
        self._heard_s = self._loop.time()
        waiting = len(self._owed)
        if waiting > self._window:
            self._window, self._stopped_at = UNKNOWN, 0  # it lets more fly
        elif waiting == self._window:
            self.hurry()
            self._hurries_left -= 1
            if not self._hurries_left:
                self._window = UNKNOWN
