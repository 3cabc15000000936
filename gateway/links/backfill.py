"""What counters remember of times that we missed: which of it to ask for next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from gateway.driver import Recall
from gateway.links.turns import Source
from gateway.model import Interval

DAY_MS = 86_400_000
SHORTEST_MS = 60_000  # a shorter gap is not worth a question
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 3600.0  # before a piece that was not answered is asked for again
MAX_ASKED = 4096  # gaps that a memory has answered for, filled or not

log = logging.getLogger(__name__)


class Coverage(Protocol):
    """The store, asked when a counter was not watched."""

    def gaps(self, counter: str, from_ms: int, to_ms: int) -> list[Interval]:
        """Between two times that it was watched, oldest first; reads a file."""


@dataclass(eq=False, slots=True)
class Piece:
    """At most a day of one counter's memory."""

    source: Source
    start_ms: int
    end_ms: int
    due_at: float = 0.0  # loop time
    pause_s: float = FIRST_PAUSE_S

    @property
    def driver(self) -> Recall:
        return cast("Recall", self.source.driver)


def _told_ms(source: Source, end_ms: int) -> int:
    """When a gap that ends at `end_ms` may be asked for: a piece of memory is told when it is over."""
    told_at: Callable[[int], int] | None = getattr(source.driver, "told_at", None)
    return told_at(end_ms) if told_at else end_ms


class Backfill:
    """The gaps of those sources that have a memory, at most `days` old; each is asked for once."""

    def __init__(self, sources: Sequence[Source], coverage: Coverage | None, days: int) -> None:
        able = days > 0 and coverage is not None
        self._sources = [source for source in sources if able and hasattr(source.driver, "recall")]
        self._coverage, self._days = coverage, days
        self._pieces: list[Piece] = []
        self._asked: dict[tuple[str, int], None] = {}  # counter and end of a gap; its start moves with time

    def next(self, now: float) -> Piece | None:
        """The oldest piece that is missing and may be asked for."""
        return next((piece for piece in self._pieces if piece.due_at <= now), None)

    async def look(self, now_ms: int) -> None:
        """Finds gaps that are new; forgets what has become too old."""
        found = await asyncio.to_thread(self._gaps, now_ms) if self._sources else []
        for source, counter, gap in found:
            if (counter, gap.end_ms) not in self._asked:
                self._asked[counter, gap.end_ms] = None
                self._add(source, counter, gap)
        while len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]
        oldest_ms = now_ms - self._days * DAY_MS
        self._pieces = [piece for piece in self._pieces if piece.end_ms > oldest_ms]
        self._pieces.sort(key=lambda piece: piece.start_ms)

    def _gaps(self, now_ms: int) -> list[tuple[Source, str, Interval]]:
        coverage, from_ms = self._coverage, now_ms - self._days * DAY_MS
        return [
            (source, counter, gap)
            for source in self._sources
            for counter in source.counters
            for gap in (coverage.gaps(counter, from_ms, now_ms) if coverage else ())
            if gap.end_ms - gap.start_ms >= SHORTEST_MS and _told_ms(source, gap.end_ms) <= now_ms
        ]

    def _add(self, source: Source, counter: str, gap: Interval) -> None:
        hours = (gap.end_ms - gap.start_ms) / 3_600_000
        log.info("%s: its memory is asked for %.1f h that were missed", counter, hours)
        self._pieces += [
            Piece(source, start_ms, min(start_ms + DAY_MS, gap.end_ms))
            for start_ms in range(gap.start_ms, gap.end_ms, DAY_MS)
        ]

    def settle(self, piece: Piece, now: float, *, answered: bool) -> None:
        """It was asked for."""
        if answered:
            self._pieces.remove(piece)
        else:
            piece.due_at = now + piece.pause_s
            piece.pause_s = min(LONGEST_PAUSE_S, 2 * piece.pause_s)
