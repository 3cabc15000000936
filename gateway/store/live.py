"""Each zone's business day so far: closed windows, and what is counted but not yet closed."""

from __future__ import annotations

import sqlite3
from typing import Any

from gateway import measures
from gateway.measures.calibrated import Calibrated, Together
from gateway.model import Role, TimeQuality
from gateway.store.calibrated import CalibratedSum
from gateway.store.corrections import window_sums
from gateway.store.exits import kept_days, one_step, whole
from gateway.store.in_force import told, touching
from gateway.store.memory import DAY_MS, Memory, Zone
from gateway.store.plan import FLAG_CORRECTED, FLAG_IMBALANCE, ZoneLive, flag_names
from gateway.store.readings import Sums
from gateway.store.sums import LineWindow, ZoneSum
from gateway.store.teaching import learnt_at
from gateway.windows import business_date, day_of

TODAY = (
    "SELECT ins, outs, passersby, sales, returns, amount, watched_ms, base_ms, estimated_ins, estimated_outs,"
    " quality, occupancy_raw, coalesce(inside, occupancy*1000), flags, calibration, cal_ins, cal_outs,"
    " cal_passersby, cal_ins_ppm, cal_passersby_ppm, staff, max(revision) FROM zone_aggregates"
    " WHERE zone_id=? AND size_s=? AND start_ms>=? AND start_ms<? GROUP BY start_ms ORDER BY start_ms"
)


def live(
    con: sqlite3.Connection, memory: Memory, zone: Zone, now_ms: int, known: dict[tuple[int, int], Sums]
) -> ZoneLive:
    """The day around an instant. `known`: sums that zones which are closed equally far share."""
    plan = memory.plan
    day_ms, _ = day_of(now_ms, plan.timezone, plan.day_start_min)
    size_s = next(grid.size_s for grid in memory.grids if grid.base and grid.from_ms <= day_ms < grid.to_ms)
    through = max(memory.zone_through.get((zone.id, size_s), day_ms), day_ms)
    rows = con.execute(TODAY, (zone.id, size_s, day_ms, through)).fetchall()
    span = (through, max(now_ms, through + 1))
    if span not in known:
        known[span] = window_sums(con, *span, size_s, memory.longest_short_ms(), memory.corrections)
    open_sum, calibrated = _open_sum(con, memory, zone, size_s, span, known[span])
    total = _total(rows)
    total.merge(open_sum)
    raw, inside = (rows[-1][11], rows[-1][12]) if rows else (0, 0)
    ratio = memory.exit_ratio(zone.id, day_ms)
    before = kept_days(con, zone.zone, day_ms - 2 * DAY_MS, day_ms, None)
    members = zone.versions[-1].members
    return ZoneLive(
        zone=zone.zone,
        name=zone.name,
        kind=zone.kind,
        parent=zone.parent,
        business_date=business_date(now_ms, plan.timezone, plan.day_start_min).isoformat(),
        day_start_ms=day_ms,
        closed_through_ms=through,
        ins=total.ins,
        outs=total.outs,
        passersby=total.passersby,
        sales=total.sales,
        returns=total.returns,
        amount_minor=total.amount,
        currency=plan.currency,
        occupancy=whole(one_step(inside, open_sum.step(calibrated), ratio)),
        occupancy_raw=raw + open_sum.ins - open_sum.outs,
        completeness=_completeness(rows),
        estimated_ins=total.estimated_ins,
        estimated_outs=total.estimated_outs,
        quality=list(TimeQuality)[total.quality].value,
        flags=tuple(flag_names(_flags(memory, zone, rows, span, imbalance=ratio.imbalance))),
        calibrated=_together(rows, open_sum, calibrated),
        staff=total.staff,
        size_s=size_s,
        closed=[(_visitors(row), row[3]) for row in rows],
        learnt=learnt_at(con, zone.id, now_ms),
        has_tills=any(member.role is Role.TILL for member in members),
        has_passing=any(member.role is Role.PASSING for member in members),
        exit_ratio=ratio.r,
        residual=before[-1].residual if before else None,
    )


def _total(rows: list[Any]) -> ZoneSum:
    total = ZoneSum()
    for row in rows:
        one = ZoneSum(*row[:6], *row[8:11])
        one.staff = row[20]
        total.merge(one)
    return total


def _visitors(row: Any) -> float:
    """Of one closed window: ins, calibrated where they are, less staff."""
    ins = row[0] if row[14] is None else row[15] / 1000
    return float(max(0, ins - row[20]))


def _flags(memory: Memory, zone: Zone, rows: list[Any], span: tuple[int, int], *, imbalance: bool) -> int:
    """Of the closed windows, and of what is not yet closed."""
    flags = FLAG_IMBALANCE if imbalance else 0
    for row in rows:
        flags |= row[13]
    members = zone.at(span[0]).members
    if any(touching(memory.corrections, member.line_id, *span) for member in members):
        flags |= FLAG_CORRECTED
    return flags


def _together(rows: list[Any], open_sum: ZoneSum, calibrated: Calibrated | None) -> Calibrated | None:
    together = Together()
    for row in rows:
        together.add(Calibrated(*row[14:20]) if row[14] is not None else None, row[:3])
    together.add(calibrated, open_sum.sums()[:3])
    return together.result()


def _open_sum(
    con: sqlite3.Connection, memory: Memory, zone: Zone, size_s: int, span: tuple[int, int], sums: Sums
) -> tuple[ZoneSum, Calibrated | None]:
    """What is counted but not yet closed, and the same calibrated."""
    from_ms = span[0]
    total, calibrated = ZoneSum(), CalibratedSum(memory.factors, from_ms)
    for member in zone.at(from_ms).members:
        row = sums.get(member.line_id)
        if row is None:
            continue
        before = con.execute(
            "SELECT (odd_before+passes)%2 FROM line_windows WHERE line_id=? AND size_s=? AND start_ms<?"
            " ORDER BY start_ms DESC, revision DESC LIMIT 1",
            (member.line_id, size_s, from_ms),
        ).fetchone()
        window = _as_window(row, before[0] if before else 0)
        total.add(member, window)
        calibrated.add(member, window, told(memory.corrections, member.line_id, *span))
    return total, calibrated.result()


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
