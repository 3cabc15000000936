"""What counters remember of times that we missed: which of it to ask for next."""

from __future__ import annotations

import asyncio
import heapq
import logging
from dataclasses import dataclass, field
from typing import Protocol

from gateway.driver import Recall
from gateway.links.turns import Source
from gateway.model import Interval

DAY_MS = 86_400_000
SHORTEST_MS = 60_000  # a shorter gap is not worth a question
TRIES = 3  # of a piece that is not answered

log = logging.getLogger(__name__)


class Coverage(Protocol):
    """The store, asked when a counter was not watched."""

    def gaps(self, counter: str, from_ms: int, to_ms: int) -> list[Interval]:
        """Oldest first; reads a file."""


@dataclass(order=True, slots=True)
class Piece:
    """At most a day of one counter's memory."""

    start_ms: int
    end_ms: int
    number: int  # among equals the first come
    source: Source = field(compare=False)
    driver: Recall = field(compare=False)
    tries: int = field(default=0, compare=False)


class Backfill:
    """Bounded by `days` for each counter; a counter is looked at anew when it has been away."""

    def __init__(self, coverage: Coverage | None, days: int) -> None:
        self._coverage, self._days = coverage, days
        self._pieces: list[Piece] = []
        self._number = 0

    def remembers(self, source: Source) -> bool:
        return self._coverage is not None and self._days > 0 and hasattr(source.driver, "recall")

    @property
    def next(self) -> Piece | None:
        """The oldest piece that is missing."""
        return self._pieces[0] if self._pieces else None

    async def look(self, source: Source, driver: Recall, to_ms: int, now_ms: int) -> None:
        """The gaps of a counter that answers again, up to where its newest answer begins to watch."""
        if self._coverage is None:
            return
        self._pieces = [piece for piece in self._pieces if piece.source is not source]
        from_ms = now_ms - self._days * DAY_MS
        for counter in source.counters:
            for gap in await asyncio.to_thread(self._coverage.gaps, counter, from_ms, to_ms):
                if gap.end_ms - gap.start_ms >= SHORTEST_MS:
                    self._add(source, driver, gap)
        heapq.heapify(self._pieces)

    def _add(self, source: Source, driver: Recall, gap: Interval) -> None:
        hours = (gap.end_ms - gap.start_ms) / 3_600_000
        log.info("%s: asking its memory for %.1f h that were missed", ", ".join(source.counters), hours)
        for start_ms in range(gap.start_ms, gap.end_ms, DAY_MS):
            self._number += 1
            end_ms = min(start_ms + DAY_MS, gap.end_ms)
            self._pieces.append(Piece(start_ms, end_ms, self._number, source, driver))

    def settle(self, piece: Piece, *, answered: bool) -> None:
        """`next` was asked for."""
        piece.tries += 1
        if answered or piece.tries >= TRIES:
            self._pieces.remove(piece)
            heapq.heapify(self._pieces)
