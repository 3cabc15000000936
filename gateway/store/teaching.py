"""What closed days teach a zone with doors: once a business day, kept with its moment (decision 017)."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta

from gateway.learning import DAYS, Day, Learnt, Window, teach
from gateway.measures import completeness
from gateway.model import Role, Stamp
from gateway.store.memory import Memory, Zone
from gateway.windows import business_date, day_bounds, day_of, local_hour

AT_ONCE = 4  # zones in one step of closing: each reads four weeks of windows
ONE = timedelta(days=1)
WINDOWS = (
    "SELECT start_ms, ins, outs, staff, sales, watched_ms, base_ms, cal_ins, cal_outs,"
    " calibration IS NOT NULL, max(revision) FROM zone_aggregates"
    " WHERE zone_id=? AND size_s=? AND start_ms>=? AND start_ms<? GROUP BY start_ms ORDER BY start_ms"
)
# of a row `a` of zone_aggregates: what its zone knew when that revision was closed
KNOWN_THEN = (
    "(SELECT content FROM learnt l WHERE l.zone_id=a.zone_id AND l.from_ms<=a.closed_ms"
    " ORDER BY l.from_ms DESC LIMIT 1) AS learnt"
)
IN_FORCE = "SELECT content FROM learnt WHERE zone_id=? AND from_ms<=? ORDER BY from_ms DESC LIMIT 1"
FORGET = (
    "DELETE FROM learnt WHERE from_ms<? AND EXISTS (SELECT 1 FROM learnt n WHERE n.zone_id=learnt.zone_id"
    " AND n.from_ms>learnt.from_ms AND n.from_ms<=?)"
)


def learnt_at(con: sqlite3.Connection, zone_id: int, at_ms: int) -> Learnt:
    """What the zone knew at that moment."""
    row = con.execute(IN_FORCE, (zone_id, at_ms)).fetchone()
    return Learnt.of(row[0] if row else None)


def learn(con: sqlite3.Connection, memory: Memory, now: Stamp) -> int:
    """Teach zones whose business day is over, a few at a time; returns how many."""
    taught, from_ms = 0, memory.moment_ms(now)
    for zone in memory.zones.values():
        if taught >= AT_ONCE:
            break
        if zone.active and _has(zone, Role.ENTRANCE):
            taught += _learn(con, memory, zone, from_ms)
    if taught:
        memory.tell(from_ms)
    return taught


def forget(con: sqlite3.Connection, edge_ms: int) -> None:
    """What no window after the edge was closed by."""
    con.execute(FORGET, (edge_ms, edge_ms))


def _has(zone: Zone, role: Role) -> bool:
    return any(member.role is role for member in zone.versions[-1].members)


def _learn(con: sqlite3.Connection, memory: Memory, zone: Zone, from_ms: int) -> bool:
    through_ms = memory.closed_through(zone.id)
    today_ms = day_of(through_ms, memory.plan.timezone, memory.plan.day_start_min)[0]
    if memory.taught.get(zone.id, 0) >= today_ms:
        return False
    last = business_date(today_ms - 1, memory.plan.timezone, memory.plan.day_start_min)
    past = DAYS if _has(zone, Role.TILL) else 1  # without tills the last day says all: how long people stay
    days = [day for n in range(past, 0, -1) if (day := _day(con, memory, zone, last - (n - 1) * ONE))]
    memory.taught[zone.id] = today_ms
    if not days:
        return False
    row = (zone.id, from_ms, today_ms, teach(days).to_text())
    con.execute("INSERT OR REPLACE INTO learnt VALUES (?,?,?,?)", row)
    return True


def _day(con: sqlite3.Connection, memory: Memory, zone: Zone, day: date) -> Day | None:
    """A closed business day by the window size of its time; None when there is nothing of it."""
    plan = memory.plan
    low_ms, high_ms = day_bounds(day, plan.timezone, plan.day_start_min)
    size_s = memory.size_s_at(low_ms)
    rows = con.execute(WINDOWS, (zone.id, size_s, low_ms, high_ms)).fetchall()
    if not rows:
        return None
    windows = [
        Window(
            local_hour(start_ms, plan.timezone),
            round(cal[0] / 1000) if calibrated else ins,
            round(cal[1] / 1000) if calibrated else outs,
            staff,
            sales,
        )
        for start_ms, ins, outs, staff, sales, _watched, _base, *cal, calibrated, _revision in rows
    ]
    whole = len(rows) == (high_ms - low_ms) // (size_s * 1000)
    return Day(day.weekday(), size_s, _watched(rows) if whole else None, windows)


def _watched(rows: list[tuple[int | None, ...]]) -> float | None:
    """Share of the open time that was watched; None where nobody can say."""
    opened = [(row[5], row[6]) for row in rows if row[6] is not None]
    if any(watched is None for watched, _base in opened):
        return None
    return completeness(sum(watched or 0 for watched, _ in opened), sum(base or 0 for _, base in opened))
