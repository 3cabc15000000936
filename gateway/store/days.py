"""Business days that are over: what the door lost or invented is known, and occupancy is restated once."""

from __future__ import annotations

import sqlite3

from gateway.model import Role
from gateway.store.exits import closed_day, whole
from gateway.store.memory import Memory, Zone
from gateway.store.outbox import enqueue
from gateway.store.plan import FLAG_IMBALANCE
from gateway.store.zone_windows import CALIBRATED, COUNTED, KEY, REST, ZoneWindows

# ruff: noqa: S608  statements are put together from columns of ours only
WHY = "retrospective"
SOIL = (
    "INSERT INTO drift VALUES (?,?,?,?) ON CONFLICT (zone_id, size_s, day_ms)"
    " DO UPDATE SET since_mono_ms=excluded.since_mono_ms"
)
UNSETTLED = (
    "SELECT 1 FROM dirty WHERE size_s=:size AND start_ms>=:low AND start_ms<:high UNION ALL"
    " SELECT 1 FROM recalibrate WHERE zone_id=:zone AND size_s=:size AND next_ms<:high LIMIT 1"
)
WINDOWS = (
    "SELECT start_ms, max(revision), ins, outs, coalesce(cal_ins, ins*1000), coalesce(cal_outs, outs*1000),"
    " occupancy, occupancy_raw, flags, watched_ms, base_ms FROM zone_aggregates WHERE zone_id=? AND size_s=?"
    " AND start_ms>=? AND start_ms<? GROUP BY start_ms ORDER BY start_ms"
)
AGAIN = (
    f"INSERT INTO zone_aggregates ({KEY}, {COUNTED}, flags, {CALIBRATED}, {REST})"
    f" SELECT zone_id, size_s, start_ms, revision+1, zone_version, {COUNTED}, :flags, {CALIBRATED},"
    " :occupancy, :raw, :inside, quality, lines, :why, :now FROM zone_aggregates"
    " WHERE zone_id=:zone AND size_s=:size AND start_ms=:start AND revision=:revision"
)
DAY = (
    "SELECT revision, ins, outs, residual, watched_ms, base_ms, imbalance FROM zone_days"
    " WHERE zone_id=? AND day_ms=? ORDER BY revision DESC LIMIT 1"
)
KEEP = "INSERT INTO zone_days VALUES (?,?,?,?,?,?,?,?,?,?)"
Row = tuple[int, ...]


class Days:
    """The part of one closing step that looks at whole days; inside its transaction."""

    def __init__(self, con: sqlite3.Connection, memory: Memory, zones: ZoneWindows) -> None:
        self.con, self.memory, self.zones = con, memory, zones

    def over(self, zone: Zone, size_s: int, start_ms: int) -> None:
        """A window was closed for the first time: with the last of a day the day is over."""
        ends = start_ms + size_s * 1000 >= self.zones.day(start_ms)[1]
        if ends and any(member.role is Role.ENTRANCE for member in zone.at(start_ms).members):
            self.soil(zone, size_s, start_ms)

    def soil(self, zone: Zone, size_s: int, start_ms: int) -> None:
        """A window was restated: its day follows once it is over."""
        low_ms, _ = self.zones.day(start_ms)
        self.con.execute(SOIL, (zone.id, size_s, low_ms, self.zones.now.mono_ms))

    def restate(self, limit: int) -> int:
        """Days that are over and clean, one after the other until `limit` windows are reached."""
        if limit <= 0:
            return 0
        rows = self.con.execute(
            "SELECT zone_id, size_s, day_ms FROM drift ORDER BY day_ms LIMIT ?", (limit,)
        ).fetchall()
        done = 0
        for zone_id, size_s, day_ms in rows:
            end_ms = self.zones.day(day_ms)[1]
            if not self._over(zone_id, size_s, end_ms) or self._unsettled(zone_id, size_s, day_ms, end_ms):
                continue
            self.con.execute(
                "DELETE FROM drift WHERE zone_id=? AND size_s=? AND day_ms=?", (zone_id, size_s, day_ms)
            )
            done += self._restate(zone_id, size_s, day_ms, end_ms)
            if done >= limit:
                break
        return done

    def _over(self, zone_id: int, size_s: int, end_ms: int) -> bool:
        """Nothing more of the day is to be closed: all of it is, or the zone or the window size has ended."""
        through_ms = self.memory.zone_through.get((zone_id, size_s), 0)
        ends_ms = max(grid.to_ms for grid in self.memory.grids if grid.size_s == size_s)
        present = self.memory.zones[zone_id].present_ms(through_ms) is not None
        return not present or through_ms >= min(end_ms, ends_ms)

    def _unsettled(self, zone_id: int, size_s: int, low_ms: int, high_ms: int) -> bool:
        """Counts that came late, or a calibration, are still to be worked in."""
        binds = {"zone": zone_id, "size": size_s, "low": low_ms, "high": high_ms}
        return self.con.execute(UNSETTLED, binds).fetchone() is not None

    def _restate(self, zone_id: int, size_s: int, day_ms: int, end_ms: int) -> int:
        """Occupancy of the whole day anew; returns revisions written."""
        rows = self.con.execute(WINDOWS, (zone_id, size_s, day_ms, end_ms)).fetchall()
        steps = [(row[4], row[5]) for row in rows]
        inside, imbalance = closed_day(steps, self.memory.exit_ratio(zone_id, day_ms))
        if rows and self._is_base(size_s, day_ms):
            self._keep(zone_id, day_ms, rows, imbalance)
        raw = done = 0
        for row, thousandths in zip(rows, inside, strict=True):
            raw += row[2] - row[3]
            flags = row[8] & ~FLAG_IMBALANCE | (FLAG_IMBALANCE if imbalance else 0)
            differs = (whole(thousandths), raw, flags) != (row[6], row[7], row[8])
            if differs and row[0] >= self.memory.frozen_ms:
                self._again(zone_id, size_s, row, (thousandths, raw, flags))
                done += 1
        return done

    def _is_base(self, size_s: int, at_ms: int) -> bool:
        """Whether that is the configured size of its time: each day is kept once."""
        grids = self.memory.grids
        return any(one.base and one.size_s == size_s and one.from_ms <= at_ms < one.to_ms for one in grids)

    def _again(self, zone_id: int, size_s: int, row: Row, occupancy: tuple[int, int, int]) -> None:
        """The next revision of a window, with another occupancy and else the same facts."""
        start_ms, revision, now_ms = row[0], row[1], self.zones.closed_ms
        inside, raw, flags = occupancy
        binds = {"zone": zone_id, "size": size_s, "start": start_ms, "revision": revision, "flags": flags}
        told = {"occupancy": whole(inside), "raw": raw, "inside": inside, "why": WHY, "now": now_ms}
        self.con.execute(AGAIN, {**binds, **told})
        enqueue(self.con, zone_id, size_s, start_ms, revision + 1, now_ms, WHY)
        revisions = self.zones.summary.revisions
        revisions[WHY] = revisions.get(WHY, 0) + 1

    def _keep(self, zone_id: int, day_ms: int, rows: list[Row], imbalance: bool) -> None:
        """What the day says of the zone's doors, at the next revision if it differs."""
        ins, outs = sum(row[4] for row in rows), sum(row[5] for row in rows)
        residual = sum(row[2] - row[3] for row in rows)
        expected = [row for row in rows if row[10] is not None]
        watched = None if any(row[9] is None for row in expected) else sum(row[9] for row in expected)
        told = (ins, outs, residual, watched, sum(row[10] for row in expected), int(imbalance))
        old = self.con.execute(DAY, (zone_id, day_ms)).fetchone()
        if old is None or old[1:] != told:
            revision = old[0] + 1 if old else 1
            self.con.execute(KEEP, (zone_id, day_ms, revision, *told, self.zones.closed_ms))
            self.memory.tell(self.zones.closed_ms)
            self.memory.forget_exit_ratios()
            self.memory.stir()  # perhaps no window differs
