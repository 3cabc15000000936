"""Whole business days out of closed windows: sums of the current revisions, never means of ratios."""

from __future__ import annotations

import sqlite3

from gateway.model import Role
from gateway.store.memory import Memory, Zone
from gateway.store.plan import DaySum
from gateway.windows import Span

# ruff: noqa: S608  statements are put together from parts of this file only
# A window of closed hours has no base: what nobody had to watch is not missing.
CURRENT_ZONE = (
    "SELECT *, max(revision) FROM zone_aggregates WHERE zone_id=:zone AND size_s=:size AND start_ms>=:from"
    " AND start_ms<:to GROUP BY start_ms"
)
WATCHED = (
    "sum(CASE WHEN {base} IS NOT NULL THEN {watched} END), sum({base}),"
    " coalesce(sum({base} IS NOT NULL AND {watched} IS NULL), 0)"
)
ZONE_DAY = (
    "SELECT count(*), sum(ins), sum(outs), sum(passersby), sum(sales), sum(returns), sum(amount), sum(staff),"
    f" {WATCHED.format(base='base_ms', watched='watched_ms')} FROM ({CURRENT_ZONE})"
)
DOOR_DAY = (
    "WITH z AS ("
    + CURRENT_ZONE
    + "), w AS (SELECT *, max(revision) FROM line_windows WHERE line_id=:line AND size_s=:size AND"
    " start_ms>=:from AND start_ms<:to GROUP BY start_ms)"
    " SELECT count(*), sum(w.ins+(w.odd_before+w.passes)/2),"
    " sum(w.outs+w.passes-(w.odd_before+w.passes)/2), 0, 0, 0, 0, 0,"
    f" {WATCHED.format(base='z.base_ms', watched='min(w.watched_ms, z.base_ms)')}"
    " FROM z JOIN w USING (start_ms)"
)


def zone_days(con: sqlite3.Connection, memory: Memory, zone: Zone, days: list[Span]) -> list[DaySum | None]:
    """One zone's sums of each `[start, end)`; None where it is not over, or nothing of it is known."""
    return [_day(con, memory, zone, ZONE_DAY, {}, span) for span in days]


def door_days(
    con: sqlite3.Connection, memory: Memory, zone: Zone, days: list[Span]
) -> dict[str, list[DaySum | None]]:
    """Each entrance of a zone (as it is configured now) by its own sums, in as the zone sees it."""
    doors: dict[str, list[DaySum | None]] = {}
    for member in zone.versions[-1].members:
        if member.role is Role.ENTRANCE:
            binds = {"line": member.line_id}
            sums = [_day(con, memory, zone, DOOR_DAY, binds, span) for span in days]
            turned = [one.turned() if one and member.sign < 0 else one for one in sums]
            doors[memory.by_id[member.line_id].rule.ref] = turned
    return doors


def _day(
    con: sqlite3.Connection, memory: Memory, zone: Zone, statement: str, binds: dict[str, int], span: Span
) -> DaySum | None:
    """By the window size that was the configured one at the day's start.

    Time of which there is no window, as in a history that was told afterwards, was open and not watched.
    """
    start_ms, end_ms = span
    size_s = memory.size_s_at(start_ms)
    if not size_s or memory.closed_through(zone.id) < end_ms:
        return None
    about = {"zone": zone.id, "size": size_s, "from": start_ms, "to": end_ms}
    row = con.execute(statement, {**binds, **about}).fetchone()
    n, *sums, watched, base, unknown = row
    if not n:
        return None
    if n < (end_ms - start_ms) // (size_s * 1000):
        base = max(base or 0, zone.openings.base_ms(start_ms, end_ms)) or None
    ins, outs, passersby, sales, returns, amount, staff = (value or 0 for value in sums)
    counts = (ins, outs, passersby, sales, returns, amount, staff)
    return DaySum(start_ms, end_ms, *counts, None if unknown else watched, base)
