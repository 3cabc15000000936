"""What people said and is in force, as sums need it: corrections by line, factors by line and side."""

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


FACTORS = (
    "SELECT line_id, side, version, from_ms, to_ms, factor_ppm, error_ppm FROM calibrations"
    " WHERE to_ms IS NULL OR to_ms>from_ms ORDER BY version DESC"
)

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


def told(corrections: ByLine, line_id: int, lo_ms: int, hi_ms: int) -> tuple[int, int, int]:
    """Ins, outs and passes of a line in `[lo, hi)` that a person entered."""
    parts = [one.put(lo_ms, hi_ms) for one in touching(corrections, line_id, lo_ms, hi_ms)]
    return sum(one[0] for one in parts), sum(one[1] for one in parts), sum(one[2] for one in parts)


@dataclass(frozen=True, slots=True)
class Factor:
    """Of one side of a line; millionths."""

    version: int
    from_ms: int
    to_ms: int | None
    ppm: int
    error_ppm: int


Factors = Mapping[tuple[int, int], Sequence[Factor]]  # (line, side) → newest version first


def load_factors(con: sqlite3.Connection) -> dict[tuple[int, int], list[Factor]]:
    """All that ever held; one that was ended where it began never did."""
    found: dict[tuple[int, int], list[Factor]] = {}
    for line_id, side, *rest in con.execute(FACTORS):
        found.setdefault((line_id, side), []).append(Factor(*rest))
    return found


def factor_at(factors: Factors, line_id: int, side: int, at_ms: int) -> Factor | None:
    """The newest version that has begun decides; once that is ended nothing is calibrated."""
    for factor in factors.get((line_id, side), ()):
        if factor.from_ms <= at_ms:
            return factor if factor.to_ms is None or at_ms < factor.to_ms else None
    return None
