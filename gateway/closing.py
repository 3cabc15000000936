"""Which windows are due or dirty: close them. Also what else the clock drives: re-stamping, pruning."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import StoreError
from gateway.model import Stamp
from gateway.store import ClosedSummary

log = logging.getLogger("gateway.closing")

LOOK_S = 1.0  # while readings come, they may be late ones
SETTLED_S = 5.0  # after the latest reading, until what it soiled has been restated
DOZE_S = 10.0  # at most, while nothing comes and nothing is due: an idle box must cost nothing
PRUNE_S = 600.0
WINDOWS_AT_ONCE = 100  # in one transaction: recording waits for it, and an acknowledgement must not


class Closer(Protocol):
    """What closing asks of the store."""

    async def close(
        self, now: Stamp, limit: int = WINDOWS_AT_ONCE, offsets_ms: Mapping[str, int] | None = None
    ) -> ClosedSummary: ...
    async def hold_release(self, now: Stamp) -> int: ...
    async def prune(self, now: Stamp) -> object: ...


class Closing:
    """Closes windows while the clock is believed; wakes the pumps when there is something to forward."""

    def __init__(
        self,
        store: Closer,
        clock: Clock,
        closed: Callable[[], None],
        offsets_ms: Mapping[str, int] | None = None,
    ) -> None:
        self._store, self._clock, self._closed = store, clock, closed
        self._offsets_ms = {} if offsets_ms is None else offsets_ms  # of counters' clocks, as they change
        self._prune_at = self._stirred_s = 0.0
        self._stirred = asyncio.Event()
        self._next_ms = 0
        self.revisions: Counter[str] = Counter()  # reason → zone revisions written by this process

    def stir(self, _recorded: object = None) -> None:
        """Readings were recorded: windows may be dirty."""
        self._stirred_s = asyncio.get_running_loop().time()
        self._stirred.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. A store that cannot be written to is waited for; any other error is raised."""
        self.stir()
        stopper = asyncio.create_task(stop.wait())
        stopper.add_done_callback(lambda _: self._stirred.set())
        try:
            while not stop.is_set():
                try:
                    await self.look()
                except StoreError as error:  # a full or failing card: recording says so, closing waits
                    log.debug("closing waits: %s", error)
                    await self._make_room()
                await self._rest(stop)
        finally:
            stopper.cancel()

    async def _rest(self, stop: asyncio.Event) -> None:
        """For LOOK_S while readings come, else until one comes or a window is due."""
        if asyncio.get_running_loop().time() - self._stirred_s < SETTLED_S:
            await _within(LOOK_S, stop)
        elif not stop.is_set():
            self._stirred.clear()
            due_s = (self._next_ms - self._clock.wall_ms()) / 1000
            await _within(min(max(due_s, LOOK_S), DOZE_S), self._stirred)

    async def look(self) -> None:
        """Close all that is due now, a bounded transaction at a time."""
        now = self._clock.stamp()
        self._next_ms = 0
        if not now.trusted:
            return
        if await self._store.hold_release(now):
            self.stir()
        more = True
        while more:
            summary = await self._store.close(now, WINDOWS_AT_ONCE, self._offsets_ms)
            self.revisions.update(summary.revisions)
            more, self._next_ms = summary.more, summary.next_ms
            if summary.revisions:
                self._closed()
        await self._prune_sometimes(now)

    async def _make_room(self) -> None:
        """A full card does not heal by itself."""
        now = self._clock.stamp()
        if now.trusted:
            with suppress(StoreError):
                await self._store.prune(now)

    async def _prune_sometimes(self, now: Stamp) -> None:
        loop_s = asyncio.get_running_loop().time()
        if loop_s >= self._prune_at:
            self._prune_at = loop_s + PRUNE_S
            await self._store.prune(now)


async def _within(seconds: float, event: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
