"""Corrections in force, as sums need them: by line, with the part of time they speak for."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.windows import share

IN_FORCE = (
    "SELECT line_id, start_ms, end_ms, side, ins, outs, passes, masked_ins, masked_outs, masked_passes"
    " FROM corrections WHERE undone_ms IS NULL AND end_ms>? ORDER BY start_ms"
)


@dataclass(frozen=True, slots=True)
class InForce:
    """A correction that has not been undone. `masked`: of it, in what is frozen: its readings may be gone."""

    line_id: int
    start_ms: int
    end_ms: int
    side: int
    persons: tuple[int, int, int]
    masked: tuple[int, int, int]

    def clip(self, lo_ms: int, hi_ms: int) -> tuple[int, int]:
        """The part of `[lo, hi)` that it speaks for; empty when the second is not above the first."""
        return max(lo_ms, self.start_ms), min(hi_ms, self.end_ms)

    def put(self, lo_ms: int, hi_ms: int) -> tuple[int, ...]:
        """Ins, outs and passes that it puts into `[lo, hi)`."""
        low, high = self.clip(lo_ms, hi_ms)
        return tuple(share(count, self.start_ms, self.end_ms, low, high) for count in self.persons)


ByLine = Mapping[int, Sequence[InForce]]


def in_force(con: sqlite3.Connection, since_ms: int = 0) -> dict[int, list[InForce]]:
    """Corrections in force that end after an instant, by line, oldest first."""
    found: dict[int, list[InForce]] = {}
    for line_id, start_ms, end_ms, side, *counts in con.execute(IN_FORCE, (since_ms,)):
        one = InForce(line_id, start_ms, end_ms, side, tuple(counts[:3]), tuple(counts[3:]))
        found.setdefault(line_id, []).append(one)
    return found


def touching(corrections: ByLine, line_id: int, lo_ms: int, hi_ms: int) -> list[InForce]:
    """Those of a line that speak for a part of `[lo, hi)`."""
    return [one for one in corrections.get(line_id, ()) if one.start_ms < hi_ms and one.end_ms > lo_ms]
