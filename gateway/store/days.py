"""Business days that are over: occupancy follows what came late, once a day, not window by window."""

from __future__ import annotations

import sqlite3

from gateway.store.memory import Memory, Zone
from gateway.store.zone_windows import ZoneWindows

SOIL = (
    "INSERT INTO drift VALUES (?,?,?,?) ON CONFLICT (zone_id, size_s, day_ms)"
    " DO UPDATE SET since_mono_ms=excluded.since_mono_ms"
)
UNSETTLED = (
    "SELECT 1 FROM dirty WHERE size_s=:size AND start_ms>=:low AND start_ms<:high UNION ALL"
    " SELECT 1 FROM recalibrate WHERE zone_id=:zone AND size_s=:size AND next_ms<:high LIMIT 1"
)


class Days:
    """The part of one closing step that looks at whole days; inside its transaction."""

    def __init__(self, con: sqlite3.Connection, memory: Memory, zones: ZoneWindows) -> None:
        self.con, self.memory, self.zones = con, memory, zones

    def soil(self, zone: Zone, size_s: int, start_ms: int) -> None:
        """A window was restated: those after it in its day follow once the day is over."""
        low_ms, high_ms = self.zones.day(start_ms)
        if start_ms + size_s * 1000 < high_ms:
            self.con.execute(SOIL, (zone.id, size_s, low_ms, self.zones.now.mono_ms))

    def restate(self, limit: int) -> int:
        """Days that are over and clean."""
        if limit <= 0:
            return 0
        rows = self.con.execute(
            "SELECT zone_id, size_s, day_ms FROM drift ORDER BY day_ms LIMIT ?", (limit,)
        ).fetchall()
        done = 0
        for zone_id, size_s, day_ms in rows:
            end_ms, through_ms = self.zones.day(day_ms)[1], self.memory.zone_through.get((zone_id, size_s), 0)
            present = self.memory.zones[zone_id].present_ms(through_ms) is not None
            if (present and through_ms < end_ms) or self._unsettled(zone_id, size_s, day_ms, end_ms):
                continue
            self.con.execute(
                "DELETE FROM drift WHERE zone_id=? AND size_s=? AND day_ms=?", (zone_id, size_s, day_ms)
            )
            done += self._restate(self.memory.zones[zone_id], size_s, day_ms, end_ms)
        return done

    def _unsettled(self, zone_id: int, size_s: int, low_ms: int, high_ms: int) -> bool:
        """Counts that came late, or a calibration, are still to be worked in."""
        binds = {"zone": zone_id, "size": size_s, "low": low_ms, "high": high_ms}
        return self.con.execute(UNSETTLED, binds).fetchone() is not None

    def _restate(self, zone: Zone, size_s: int, low_ms: int, high_ms: int) -> int:
        done = 0
        for start_ms in range(low_ms, high_ms, size_s * 1000):
            if self.zones.current(zone, size_s, start_ms):
                done += self.zones.write(zone, size_s, start_ms, "late", occupancy=True)
        return done
