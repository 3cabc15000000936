"""Which windows are due or dirty: close them. Also what else the clock drives: re-stamping, pruning."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import StoreError
from gateway.model import Stamp
from gateway.store import ClosedSummary

log = logging.getLogger("gateway.closing")

LOOK_S = 1.0  # how often to look for due windows: an idle box must cost nothing
PRUNE_S = 600.0
WINDOWS_AT_ONCE = 100  # in one transaction: recording waits for it, and an acknowledgement must not


class Closer(Protocol):
    """What closing asks of the store."""

    async def close(self, now: Stamp, limit: int = WINDOWS_AT_ONCE) -> ClosedSummary: ...
    async def hold_release(self, now: Stamp) -> int: ...
    async def prune(self, now: Stamp) -> object: ...


class Closing:
    """Closes windows while the clock is believed; wakes the pumps when there is something to forward."""

    def __init__(self, store: Closer, clock: Clock, closed: Callable[[], None]) -> None:
        self._store, self._clock, self._closed = store, clock, closed
        self._prune_at = 0.0
        self.revisions: Counter[str] = Counter()  # reason → zone revisions written by this process

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.look()
            except StoreError as error:  # a full or failing card: recording says so, closing waits
                log.debug("closing waits: %s", error)
            try:
                await asyncio.wait_for(stop.wait(), LOOK_S)
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Close all that is due now, a bounded transaction at a time."""
        now = self._clock.stamp()
        if not now.trusted:
            return
        await self._store.hold_release(now)
        more = True
        while more:
            summary = await self._store.close(now, WINDOWS_AT_ONCE)
            self.revisions.update(summary.revisions)
            more = summary.more
            if summary.revisions:
                self._closed()
        await self._prune_sometimes(now)

    async def _prune_sometimes(self, now: Stamp) -> None:
        loop_s = asyncio.get_running_loop().time()
        if loop_s >= self._prune_at:
            self._prune_at = loop_s + PRUNE_S
            await self._store.prune(now)
