"""What past business days say of a zone's exits: entries for each exit, learnt from days well watched."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.measures import completeness
from gateway.measures.presence import (
    RATIO_LIMITS,
    Drift,
    after_day,
    live_ratio,
    occupancy_live,
    retrospective,
)

LEARNT_DAYS = 60  # the weight of older ones is below a thousandth
LEARNT = (
    "SELECT ins, outs, watched_ms, base_ms, max(revision) FROM zone_days WHERE zone_id=? AND day_ms<?"
    " GROUP BY day_ms ORDER BY day_ms DESC LIMIT ?"
)
KEPT = (
    "SELECT z.zone, d.day_ms, d.ins, d.outs, d.residual, d.watched_ms, d.base_ms, d.imbalance, d.made_ms,"
    " max(d.revision) FROM zones z CROSS JOIN zone_days d ON d.zone_id=z.id AND d.day_ms>=:from"
    " AND d.day_ms<:to WHERE (:zone IS NULL OR z.zone=:zone) AND (:as_of IS NULL OR d.made_ms<=:as_of)"
    " GROUP BY d.zone_id, d.day_ms ORDER BY d.day_ms, z.zone"
)
RESIDUAL = (
    "SELECT residual FROM zone_days WHERE zone_id=? AND day_ms<? ORDER BY day_ms DESC, revision DESC LIMIT 1"
)
Step = tuple[int, int]  # ins and outs of a window, in thousandths of persons


@dataclass(frozen=True, slots=True)
class ExitRatio:
    """Exits count `r` times; `imbalance`: what was learnt lies outside what a door can be trusted with."""

    r: float
    imbalance: bool


@dataclass(frozen=True, slots=True)
class ZoneDay:
    """A business day that is over. `residual`: persons the plain sum says were left inside when it was reset.

    `ins` and `outs`: thousandths of persons, calibrated where they are.
    """

    zone: str
    day_ms: int
    ins: int
    outs: int
    residual: int
    watched_ms: int | None
    base_ms: int | None
    imbalance: int
    made_ms: int

    @property
    def completeness(self) -> float | None:
        return completeness(self.watched_ms, self.base_ms)


def learnt(con: sqlite3.Connection, zone_id: int, day_ms: int) -> ExitRatio:
    """From the days before the one that begins at `day_ms`."""
    drift = Drift()
    days = con.execute(LEARNT, (zone_id, day_ms, LEARNT_DAYS)).fetchall()
    for ins, outs, watched_ms, base_ms, _revision in reversed(days):
        drift = after_day(drift, ins, outs, completeness(watched_ms, base_ms))
    r, flags = live_ratio(drift)
    return ExitRatio(r, bool(flags))


def kept_days(
    con: sqlite3.Connection, zone: str | None, from_ms: int, to_ms: int, as_of_ms: int | None
) -> list[ZoneDay]:
    """Days that begin in `[from, to)`, as they were known at an instant."""
    binds = {"zone": zone, "from": from_ms, "to": to_ms, "as_of": as_of_ms}
    return [ZoneDay(*row[:-1]) for row in con.execute(KEPT, binds)]


def last_residual(con: sqlite3.Connection, zone_id: int, day_ms: int) -> int | None:
    """Of the last day that was over before the one that begins at `day_ms`."""
    row = con.execute(RESIDUAL, (zone_id, day_ms)).fetchone()
    return None if row is None else int(row[0])


def one_step(before: int, step: Step, ratio: ExitRatio) -> int:
    """Thousandths of persons inside after a window: the live rule, rounded only to a thousandth."""
    return round(occupancy_live(before, *step, ratio.r))


def closed_day(steps: Sequence[Step], ratio: ExitRatio) -> tuple[list[int], bool]:
    """(thousandths inside after each window, imbalance) of a day that is over.

    Exits count as often as makes the day end empty. Where ins and outs differ by more than can be corrected,
    the day keeps what earlier days say, and is flagged.
    """
    low, high = RATIO_LIMITS
    ins, outs = sum(step[0] for step in steps), sum(step[1] for step in steps)
    if ins == outs == 0 or (outs and low <= ins / outs <= high):
        return [max(0, round(inside)) for inside in retrospective(steps)], False
    return list(_live(steps, ratio)), True


def _live(steps: Iterable[Step], ratio: ExitRatio) -> Iterable[int]:
    inside = 0
    for step in steps:
        inside = one_step(inside, step, ratio)
        yield inside


def whole(thousandths: int) -> int:
    """Persons as they are shown."""
    return round(thousandths / 1000)
