"""One pump per upstream: take, send, settle. Live windows first, the backlog at a measured pace.

Nothing here is needed to be correct: what was sent and not settled is sent again, and the key makes that
harmless. Back-off, pace and the latest fault live in memory only.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from gateway.errors import StoreError
from gateway.model import Event, Receipt
from gateway.upstreams import Upstream

log = logging.getLogger(__name__)

BATCH = 500
SMALLEST_BATCH = 16  # while answers fail to come: a thin line must be able to finish one within the time-out
LIVE_S = 2 * 3600  # windows that began longer ago than this are backlog; the longest window is an hour
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
FIRST_SLOW_S, LAST_SLOW_S = 60.0, 300.0  # while the operator must act
LOOK_S = 60.0  # an idle pump looks by itself, should a wake ever be missed
CLOSE_ENOUGH_S = 0.001  # what rounding leaves of a wait is none
GRACE_S = 3.0  # for an answer that is on its way when we stop


class Outbox(Protocol):
    """What the pump needs of the store."""

    async def take(self, upstream: str, limit: int, *, live: bool, live_from_ms: int) -> Sequence[Event]: ...

    async def settle(
        self, upstream: str, events: Sequence[Event], receipt: Receipt, now_ms: int
    ) -> object: ...


class WallClock(Protocol):
    def wall_ms(self) -> int: ...


class Result(StrEnum):
    """`footfall_deliveries_total{result}`: events, once for each time they were sent."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    KEPT = "kept"
    MISCONFIGURED = "misconfigured"


@dataclass(slots=True)
class PumpState:
    """What health reads. `why` is "" while all is well; instants are wall time."""

    name: str
    results: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Result, 0))
    last_ok_ms: int | None = None
    failures: int = 0  # in a row
    why: str = ""
    misconfigured: bool = False
    retry_at_ms: int | None = None


class Pace:
    """A token bucket of one second's worth: `rate` events a second."""

    def __init__(self, rate: float, now_s: float) -> None:
        self._rate = rate
        self._most = max(rate, 1.0)
        self._tokens = self._most
        self._at_s = now_s

    def fit(self, wanted: int) -> int:
        """The batch that the bucket can ever hold."""
        return min(wanted, int(self._most))

    def wait_s(self, events: int, now_s: float) -> float:
        """Seconds until `events` may go."""
        self._tokens = min(self._most, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        wait_s = (events - self._tokens) / self._rate
        return wait_s if wait_s > CLOSE_ENOUGH_S else 0.0

    def spend(self, events: int) -> None:
        self._tokens -= events


class Pump:
    """Carries one upstream's outbox to it until told to stop."""

    def __init__(
        self,
        name: str,
        upstream: Upstream,
        store: Outbox,
        clock: WallClock,
        replay_per_s: float = 50.0,
        batch: int = BATCH,
        *,
        rng: random.Random | None = None,
    ) -> None:
        self.state = PumpState(name)
        self._upstream = upstream
        self._store = store
        self._clock = clock
        self._rate = replay_per_s
        self._batch = batch
        self._size = batch
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._woken = asyncio.Event()
        self._backlog_next = False
        self._pace: Pace | None = None
        self._look_s = LOOK_S

    def wake(self) -> None:
        """Windows were closed: look now. Does not cut short a back-off."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then an answer on its way has GRACE_S to arrive, and the upstream is closed."""
        work = asyncio.create_task(self._work(stop))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({work}, timeout=GRACE_S)
        finally:
            stopping.cancel()
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
            await self._upstream.close()

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._woken.clear()
            try:
                wait_s = await self.step()
            except StoreError as error:  # a full or failing card: what was not settled is sent again
                wait_s = self._failed(Receipt(why_kept=str(error)), 0)
            await self._pause(stop, wait_s)

    async def step(self) -> float:
        """Send one batch if one may go. Seconds until the next look; negative: or until woken."""
        self._look_s = LOOK_S
        order = (False, True) if self._backlog_next else (True, False)
        self._backlog_next = False
        for live in order:
            batch = await (self._take(self._size, live=True) if live else self._take_backlog())
            if batch:
                return await self._deliver(batch, live=live)
        return -self._look_s

    async def _take_backlog(self) -> Sequence[Event]:
        now_s = asyncio.get_running_loop().time()
        self._pace = self._pace or Pace(self._rate, now_s)
        limit = self._pace.fit(self._size)
        wait_s = self._pace.wait_s(limit, now_s)
        if wait_s > 0:
            self._look_s = wait_s
            return []
        backlog = await self._take(limit, live=False)
        self._pace.spend(len(backlog))
        return [event if event.replayed else replace(event, replayed=True) for event in backlog]

    async def _take(self, limit: int, *, live: bool) -> Sequence[Event]:
        live_from_ms = self._clock.wall_ms() - LIVE_S * 1000
        return await self._store.take(self.state.name, limit, live=live, live_from_ms=live_from_ms)

    async def _deliver(self, batch: Sequence[Event], *, live: bool) -> float:
        receipt = await self._send(batch)
        if receipt.accepted or receipt.rejected:
            await self._store.settle(self.state.name, batch, receipt, self._clock.wall_ms())
        kept = self._count(batch, receipt)
        if not kept:
            self._recovered()
            return 0.0
        # Refused by a receiver that lives: other events must not wait for these, and may bear witness.
        self._backlog_next = live and bool(receipt.suspects)
        wait_s = self._failed(receipt, kept)
        return -wait_s if receipt.suspects else wait_s

    async def _send(self, batch: Sequence[Event]) -> Receipt:
        try:
            return await self._upstream.send(batch)
        except Exception as error:
            log.exception("upstream %s: unforeseen fault", self.state.name)
            return Receipt(why_kept=f"unforeseen fault: {type(error).__name__}: {error}")

    def _count(self, batch: Sequence[Event], receipt: Receipt) -> int:
        """Book the results; the number of events kept."""
        state = self.state
        settled = sum(event.id in receipt.accepted or event.id in receipt.rejected for event in batch)
        kept = len(batch) - settled
        state.results[Result.DELIVERED] += len(receipt.accepted)
        state.results[Result.REJECTED] += len(receipt.rejected)
        state.results[Result.MISCONFIGURED if receipt.misconfigured else Result.KEPT] += kept
        if receipt.accepted:
            state.last_ok_ms = self._clock.wall_ms()
        if settled:
            state.failures = 0
            self._size = min(self._batch, self._size * 2)
        if receipt.rejected:
            id_, why = next(iter(receipt.rejected.items()))
            log.warning(
                "upstream %s rejected %d events, e.g. %s: %s", state.name, len(receipt.rejected), id_, why
            )
        return kept

    def _recovered(self) -> None:
        state = self.state
        if state.why:
            log.info("upstream %s takes events again", state.name)
        state.why, state.misconfigured, state.retry_at_ms, state.failures = "", False, None, 0

    def _failed(self, receipt: Receipt, kept: int) -> float:
        state = self.state
        why = receipt.why_kept or "not answered for"
        known = bool(state.why) and state.misconfigured == receipt.misconfigured
        state.failures += 1
        state.why, state.misconfigured = why, receipt.misconfigured
        answered = receipt.misconfigured or receipt.suspects or receipt.accepted
        self._size = self._batch if answered else max(min(SMALLEST_BATCH, self._batch), self._size // 2)
        wait_s = self._retry_s(receipt)
        state.retry_at_ms = self._clock.wall_ms() + int(wait_s * 1000)
        level = logging.DEBUG if known else logging.WARNING
        log.log(level, "upstream %s: %d events wait, next try in %.0f s: %s", state.name, kept, wait_s, why)
        return wait_s

    def _retry_s(self, receipt: Receipt) -> float:
        """Full jitter, or ten thousand boxes come back in the same second; Retry-After is the least."""
        doublings = min(self.state.failures - 1, 16)
        if receipt.misconfigured:
            return self._rng.uniform(FIRST_SLOW_S, min(LAST_SLOW_S, 2 * FIRST_SLOW_S * 2**doublings))
        spread = self._rng.uniform(0, min(LAST_RETRY_S, FIRST_RETRY_S * 2**doublings))
        return (receipt.retry_after_s or 0.0) + spread

    async def _pause(self, stop: asyncio.Event, wait_s: float) -> None:
        """Wait; a negative time ends early when woken."""
        if wait_s == 0:
            await asyncio.sleep(0)
            return
        events = [stop] if wait_s > 0 else [stop, self._woken]
        waits = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, timeout=abs(wait_s), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
