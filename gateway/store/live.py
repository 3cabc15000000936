"""Each zone's business day so far: closed windows, and what is counted but not yet closed."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from gateway import measures
from gateway.learning import Learnt
from gateway.measures.calibrated import Calibrated, Together
from gateway.model import Role, TimeQuality
from gateway.store.calibrated import CalibratedSum
from gateway.store.corrections import window_sums
from gateway.store.coverage import heard_since
from gateway.store.exits import ExitRatio, last_residual, one_step, whole
from gateway.store.exits import learnt as learnt_exits
from gateway.store.in_force import told, touching
from gateway.store.memory import FAR_MS, Memory, Zone
from gateway.store.plan import FLAG_CORRECTED, FLAG_IMBALANCE, ZoneLive, flag_names
from gateway.store.readings import Sums, parity_before
from gateway.store.sums import LineWindow, ZoneSum
from gateway.store.teaching import learnt_at
from gateway.windows import Span, business_date, day_of

TRUSTED = "SELECT CAST(value AS INTEGER) FROM meta WHERE name='trusted_ms'"
TODAY = (
    "SELECT ins, outs, passersby, sales, returns, amount, watched_ms, base_ms, estimated_ins, estimated_outs,"
    " quality, occupancy_raw, coalesce(inside, occupancy*1000), flags, calibration, cal_ins, cal_outs,"
    " cal_passersby, cal_ins_ppm, cal_passersby_ppm, staff, max(revision) FROM zone_aggregates"
    " WHERE zone_id=? AND size_s=? AND start_ms>=? AND start_ms<? GROUP BY start_ms ORDER BY start_ms"
)


@dataclass(frozen=True, slots=True)
class Closed:
    """What a zone's closed windows of a day come to; the same until something is closed or restated."""

    through_ms: int
    size_s: int
    total: ZoneSum
    raw: int
    inside: int  # thousandths of persons
    flags: int
    together: Together
    completeness: float | None
    windows: Sequence[tuple[float, int]]  # (visitors, sales)
    lagged: Sequence[float]  # of whom a receipt can be expected in each
    crossed: Sequence[tuple[float, float]]  # (ins, outs)
    residual: int | None
    ratio: ExitRatio
    learnt: Learnt


@dataclass(frozen=True, slots=True)
class Look:
    """What all zones share. `back_ms`: of the longest reading; `heard`: lines, since the day began."""

    day_ms: int
    back_ms: int
    heard: Collection[int]


class Today:
    """Everybody's day, of one state of the closed windows: they are read once, what is open each time."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._closed: dict[tuple[int, int], Closed] = {}

    def live(self, con: sqlite3.Connection, now_ms: int) -> list[ZoneLive]:
        """Each active zone's business day around an instant."""
        memory, plan = self.memory, self.memory.plan
        # a clock that has gone back must not make all that was closed since into today
        (trusted_ms,) = con.execute(TRUSTED).fetchone()
        now_ms = max(now_ms, trusted_ms, *map(memory.closed_through, memory.zones))
        (back_ms,) = con.execute("SELECT coalesce(max(longest_ms), 1) FROM pulse").fetchone()
        day_ms, _ = day_of(now_ms, plan.timezone, plan.day_start_min)
        look = Look(day_ms, back_ms, heard_since(con, day_ms))
        sums: dict[int, Sums] = {}
        found = []
        for zone in memory.zones.values():
            if zone.active:
                closed = self._of(con, zone, day_ms)
                span = (closed.through_ms, max(now_ms, closed.through_ms + 1))
                if span[0] not in sums:  # zones that are closed equally far share a look at the readings
                    sums[span[0]] = window_sums(con, *span, closed.size_s, back_ms, memory.corrections)
                found.append(_live(con, memory, zone, closed, span, sums[span[0]], look))
        return found

    def _of(self, con: sqlite3.Connection, zone: Zone, day_ms: int) -> Closed:
        key = (zone.id, day_ms)
        if key not in self._closed:
            self._closed[key] = _closed(con, self.memory, zone, day_ms)
        return self._closed[key]


def _closed(con: sqlite3.Connection, memory: Memory, zone: Zone, day_ms: int) -> Closed:
    size_s = memory.size_s_at(day_ms)
    through = max(memory.zone_through.get((zone.id, size_s), day_ms), day_ms)
    rows = con.execute(TODAY, (zone.id, size_s, day_ms, through)).fetchall()
    raw, inside = (rows[-1][11], rows[-1][12]) if rows else (0, 0)
    flags = 0
    for row in rows:
        flags |= row[13]
    learnt, visitors = learnt_at(con, zone.id, FAR_MS), [_visitors(row) for row in rows]
    return Closed(
        through_ms=through,
        size_s=size_s,
        total=_total(rows),
        raw=raw,
        inside=inside,
        flags=flags,
        together=_together(rows),
        completeness=_completeness(rows),
        windows=[(came, row[3]) for came, row in zip(visitors, rows, strict=True)],
        lagged=learnt.lagged(visitors, size_s),
        crossed=[_crossed(row) for row in rows],
        residual=last_residual(con, zone.id, day_ms),
        ratio=learnt_exits(con, zone.id, day_ms),
        learnt=learnt,
    )


def _live(
    con: sqlite3.Connection,
    memory: Memory,
    zone: Zone,
    closed: Closed,
    span: Span,
    sums: Sums,
    look: Look,
) -> ZoneLive:
    plan = memory.plan
    open_sum, calibrated = _open_sum(con, memory, zone, closed.size_s, span, sums, look.back_ms)
    total = copy(closed.total)
    total.merge(open_sum)
    together = copy(closed.together)
    together.add(calibrated, open_sum.sums()[:3])
    inside = one_step(closed.inside, open_sum.step(calibrated), closed.ratio)
    roles = {member.role for member in zone.versions[-1].members}
    return ZoneLive(
        zone=zone.zone,
        name=zone.name,
        kind=zone.kind,
        parent=zone.parent,
        business_date=business_date(look.day_ms, plan.timezone, plan.day_start_min).isoformat(),
        day_start_ms=look.day_ms,
        closed_through_ms=closed.through_ms,
        ins=total.ins,
        outs=total.outs,
        passersby=total.passersby,
        sales=total.sales,
        returns=total.returns,
        amount_minor=total.amount,
        currency=plan.currency,
        occupancy=whole(inside),
        occupancy_raw=closed.raw + open_sum.ins - open_sum.outs,
        completeness=closed.completeness,
        estimated_ins=total.estimated_ins,
        estimated_outs=total.estimated_outs,
        quality=list(TimeQuality)[total.quality].value,
        flags=tuple(flag_names(_flags(memory, zone, closed, span))),
        calibrated=together.result(),
        has_doors=Role.ENTRANCE in roles,
        has_tills=Role.TILL in roles,
        has_passing=Role.PASSING in roles,
        tills_heard=_tills_heard(zone, total, look.heard),
        exit_ratio=closed.ratio.r,
        residual=closed.residual,
        staff=total.staff,
        size_s=closed.size_s,
        closed=closed.windows,
        lagged=closed.lagged,
        learnt=closed.learnt,
        crossed=closed.crossed,
    )


def _tills_heard(zone: Zone, total: ZoneSum, heard: Collection[int]) -> bool:
    tills = {member.line_id for member in zone.versions[-1].members if member.role is Role.TILL}
    return bool(total.sales or total.returns or total.amount) or not tills.isdisjoint(heard)


def _total(rows: list[Any]) -> ZoneSum:
    total = ZoneSum()
    for row in rows:
        one = ZoneSum(*row[:6], *row[8:11])
        one.staff = row[20]
        total.merge(one)
    return total


def _crossed(row: Any) -> tuple[float, float]:
    """Ins and outs of one closed window, calibrated where they are."""
    return row[:2] if row[14] is None else (row[15] / 1000, row[16] / 1000)


def _visitors(row: Any) -> float:
    """Of one closed window: ins less staff."""
    return float(max(0, _crossed(row)[0] - row[20]))


def _flags(memory: Memory, zone: Zone, closed: Closed, span: Span) -> int:
    """Of the closed windows, and of what is not yet closed."""
    flags = closed.flags | (FLAG_IMBALANCE if closed.ratio.imbalance else 0)
    members = zone.at(span[0]).members
    if any(touching(memory.corrections, member.line_id, *span) for member in members):
        flags |= FLAG_CORRECTED
    return flags


def _together(rows: list[Any]) -> Together:
    together = Together()
    for row in rows:
        together.add(Calibrated(*row[14:20]) if row[14] is not None else None, row[:3])
    return together


def _open_sum(
    con: sqlite3.Connection, memory: Memory, zone: Zone, size_s: int, span: Span, sums: Sums, back_ms: int
) -> tuple[ZoneSum, Calibrated | None]:
    """What is counted but not yet closed, and the same calibrated."""
    from_ms = span[0]
    total, calibrated = ZoneSum(), CalibratedSum(memory.factors, from_ms)
    for member in zone.at(from_ms).members:
        row = sums.get(member.line_id)
        if row is None:
            continue
        odd = _odd_before(con, memory, member.line_id, size_s, from_ms, back_ms) if row[2] else 0
        window = _as_window(row, odd)
        total.add(member, window)
        calibrated.add(member, window, told(memory.corrections, member.line_id, *span))
    return total, calibrated.result()


def _odd_before(
    con: sqlite3.Connection, memory: Memory, line_id: int, size_s: int, start_ms: int, back_ms: int
) -> int:
    """Of all passes before an instant, also of windows that the line has yet to close: yesterday's last."""
    odd = parity_before(con, line_id, size_s, start_ms)
    through_ms = memory.through.get((line_id, size_s), start_ms)
    for grid in memory.grids:
        low_ms, high_ms = max(through_ms, grid.from_ms), min(start_ms, grid.to_ms)
        if grid.size_s == size_s and low_ms < high_ms:
            sums = window_sums(con, low_ms, high_ms, size_s, back_ms, memory.corrections)
            odd += sums[line_id][2] if line_id in sums else 0
    return odd % 2


def _as_window(row: tuple[int, ...], odd: int) -> LineWindow:
    ins, outs, passes, sales, returns, amount, est_ins, est_outs, est_passes, quality = row
    crossed = (ins, outs, passes, sales, returns, amount)
    return LineWindow(1, *crossed, odd, None, est_ins, est_outs, est_passes, quality)


def _completeness(rows: list[Any]) -> float | None:
    """Over the closed windows of the day."""
    if any(row[6] is None and row[7] is not None for row in rows):
        return None
    watched = sum(row[6] for row in rows if row[7] is not None)
    return measures.completeness(watched, sum(row[7] for row in rows if row[7] is not None))
