"""Windows that a calibration reaches back to, restated a few at a time; what is left to do is in the file."""

from __future__ import annotations

import sqlite3

from gateway.store.days import Days
from gateway.store.memory import Memory
from gateway.store.zone_windows import ZoneWindows

WHY = "calibration"
QUEUE = (
    "INSERT INTO recalibrate VALUES (?,?,?) ON CONFLICT (zone_id, size_s)"
    " DO UPDATE SET next_ms=min(next_ms, excluded.next_ms)"
)
CLOSED = (
    "SELECT DISTINCT start_ms FROM zone_aggregates WHERE zone_id=? AND size_s=? AND start_ms>=?"
    " ORDER BY start_ms LIMIT ?"
)


def queue(con: sqlite3.Connection, memory: Memory, line_id: int, from_ms: int) -> None:
    """Windows from an instant on of all zones that the line has ever been a part of."""
    for zone_id in memory.zones_of.get(line_id, ()):
        for (zone, size_s), through_ms in memory.zone_through.items():
            if zone == zone_id and from_ms < through_ms:
                con.execute(QUEUE, (zone_id, size_s, from_ms))


def recalibrate(con: sqlite3.Connection, memory: Memory, zones: ZoneWindows, days: Days, limit: int) -> int:
    """Look at no more than `limit` windows; returns how many. Only those that differ get a revision."""
    done = 0
    rows = con.execute("SELECT zone_id, size_s, next_ms FROM recalibrate ORDER BY next_ms").fetchall()
    for zone_id, size_s, next_ms in rows:
        if done >= limit:
            break
        starts = con.execute(CLOSED, (zone_id, size_s, next_ms, limit - done)).fetchall()
        for (start_ms,) in starts:
            zone = memory.zones[zone_id]
            if zones.write(zone, size_s, start_ms, WHY):
                days.soil(zone, size_s, start_ms)
        done += len(starts)
        _move_on(con, zone_id, size_s, starts[-1][0] + 1 if done >= limit else None)
    return done


def _move_on(con: sqlite3.Connection, zone_id: int, size_s: int, next_ms: int | None) -> None:
    """Where the next step begins; None: this zone is through."""
    if next_ms is None:
        con.execute("DELETE FROM recalibrate WHERE zone_id=? AND size_s=?", (zone_id, size_s))
    else:
        con.execute(
            "UPDATE recalibrate SET next_ms=? WHERE zone_id=? AND size_s=?", (next_ms, zone_id, size_s)
        )
