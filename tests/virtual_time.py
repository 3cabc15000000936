"""An asyncio loop whose clock jumps to the next timer when nothing is ready: a day takes milliseconds."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Deterministic; a wait that nothing can end raises RuntimeError instead of hanging."""

    def __init__(self, limit: int = 2_000_000) -> None:
        super().__init__()
        self._clock_resolution = 1e-6  # at 1e-9 a float of some months never reaches its own timer
        self._now = 0.0
        self._steps_left = limit

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise RuntimeError("livelock?")
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False
            self._timer_cancelled_count -= 1
        if not self._ready and not self._stopping:
            if not self._scheduled:
                raise RuntimeError("deadlock: nothing ready, no timer")
            self._now = max(self._now, self._scheduled[0]._when)
        super()._run_once()  # type: ignore[misc]


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
