"""How often closing looks: each second while readings come, when a window is due, else hardly ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from gateway.clock import Clock
from gateway.closing import DOZE_S, LOOK_S, SETTLED_S, Closing
from gateway.errors import StoreError
from gateway.model import Stamp
from gateway.store import ClosedSummary
from tests.virtual_time import run_virtually

EVERY_MS = 37_300


class LoopClock:
    """Wall time is the loop's; never doubted unless told."""

    def __init__(self) -> None:
        self.trusted = True

    def wall_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)

    def stamp(self) -> Stamp:
        return Stamp("boot", self.wall_ms(), self.wall_ms(), self.trusted)


class Windows:
    """A store in which a window is due every EVERY_MS."""

    def __init__(self) -> None:
        self.looks: list[float] = []
        self.closed: list[tuple[float, float]] = []  # due, done
        self.full = self.prunable = False
        self._next_ms = EVERY_MS

    async def close(self, now: Stamp, _limit: int = 0, _offsets_ms: object = None) -> ClosedSummary:
        self.looks.append(now.wall_ms / 1000)
        if self.full:
            raise StoreError("full")
        summary = ClosedSummary()
        while self._next_ms <= now.wall_ms:
            self.closed.append((self._next_ms / 1000, now.wall_ms / 1000))
            self._next_ms += EVERY_MS
            summary.revisions["closed"] = 1
        summary.next_ms = self._next_ms
        return summary

    async def hold_release(self, _now: Stamp) -> int:
        return 0

    async def prune(self, _now: Stamp) -> None:
        if self.full and not self.prunable:
            raise StoreError("too full to prune")
        self.full = False


def closing(work: Callable[[Closing, Windows, LoopClock], Awaitable[None]]) -> Windows:
    windows = Windows()

    async def run() -> None:
        clock = LoopClock()
        closing = Closing(windows, cast("Clock", clock), lambda: None)
        stop = asyncio.Event()
        running = asyncio.create_task(closing.run(stop))
        await work(closing, windows, clock)
        stop.set()
        asked_s = asyncio.get_running_loop().time()
        await running
        assert asyncio.get_running_loop().time() - asked_s < 0.1, "stopping waited for a look"

    run_virtually(run())
    return windows


def test_an_idle_hour_costs_few_looks_and_every_window_is_closed_in_time() -> None:
    async def idle(_closing: Closing, _windows: Windows, _clock: LoopClock) -> None:
        await asyncio.sleep(3600)

    windows = closing(idle)
    assert len(windows.closed) == 3_600_000 // EVERY_MS
    assert max(done - due for due, done in windows.closed) <= LOOK_S
    assert len(windows.looks) <= 3600 / DOZE_S * 1.5


def test_a_reading_is_looked_after_within_a_second_until_it_has_settled() -> None:
    async def one_reading(closing: Closing, windows: Windows, _clock: LoopClock) -> None:
        await asyncio.sleep(100.5)
        before = len(windows.looks)
        closing.stir()
        await asyncio.sleep(SETTLED_S)
        assert len(windows.looks) - before >= SETTLED_S / LOOK_S

    closing(one_reading)


def test_many_readings_are_not_looked_after_more_than_once_a_second() -> None:
    async def busy(closing: Closing, windows: Windows, _clock: LoopClock) -> None:
        for _ in range(2000):
            closing.stir()
            await asyncio.sleep(0.05)
        assert 95 <= len(windows.looks) <= 105

    closing(busy)


def test_a_full_card_or_a_doubted_clock_is_asked_again_each_second() -> None:
    async def trouble(_closing: Closing, windows: Windows, clock: LoopClock) -> None:
        windows.full = True
        await asyncio.sleep(2 * EVERY_MS / 1000)
        windows.full, clock.trusted = False, False
        await asyncio.sleep(20)
        assert not windows.closed
        clock.trusted = True
        await asyncio.sleep(2 * LOOK_S)
        assert len(windows.closed) == 2

    closing(trouble)


def test_a_full_card_is_pruned_at_once_and_closing_goes_on() -> None:
    async def fill(closing: Closing, windows: Windows, _clock: LoopClock) -> None:
        await asyncio.sleep(60)
        windows.full = True
        closing.stir()
        await asyncio.sleep(60)
        assert windows.full
        windows.prunable = True
        await asyncio.sleep(DOZE_S + 1)
        assert not windows.full

    assert closing(fill).closed
