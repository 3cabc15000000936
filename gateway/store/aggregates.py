"""Close: line windows and zone aggregates at revision n+1 when a stored integer differs (semantics 3)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from gateway.model import Stamp
from gateway.store.days import Days
from gateway.store.line_windows import CORRECTION, LATE, PATIENCE_MS, TILL, LineWindows
from gateway.store.memory import DAY_MS, FAR_MS, GridSpan, Memory, Zone, ZoneVersion
from gateway.store.plan import ClosedSummary
from gateway.store.recalibrating import recalibrate
from gateway.store.teaching import AT_ONCE, learn
from gateway.store.zone_windows import ZoneWindows
from gateway.windows import floor_ms

SETTLE_MS = 2_000  # a stream of late minutes is restated once
TRUSTED_EVERY_MS = 60_000
RHYTHM = 1.2  # of the longest reporting period: a window waits for its slowest line
SILENT = 3  # periods after which a line is no longer waited for
REASONS = (TILL, LATE, CORRECTION)  # of several reasons for one revision the last one is told

DUE_DIRTY = (
    "SELECT size_s, start_ms, line_id, why FROM dirty WHERE since_mono_ms<=:settled OR since_mono_ms>:mono"
    " OR first_mono_ms<=:patience ORDER BY size_s, start_ms LIMIT :limit"
)


class Closer:
    """One bounded step of closing; runs on the writer thread inside a transaction."""

    def __init__(self, con: sqlite3.Connection, memory: Memory) -> None:
        self.con, self.memory = con, memory
        self.now = Stamp("", 0, 0)
        self.lines = LineWindows(con, memory)
        self.zones = ZoneWindows(con, memory, self.lines)
        self.days = Days(con, memory, self.zones)
        self.summary = ClosedSummary()

    def close(self, now: Stamp, limit: int, offsets_ms: Mapping[str, int]) -> ClosedSummary:
        """Restate what is dirty, then close what is due, at most `limit` zone windows.

        `offsets_ms`: counter → its clock less ours, where it tells one.
        """
        self.now, self.summary = now, ClosedSummary()
        self.lines.begin(now, self.summary)
        self.lines.judge.begin(now, offsets_ms)
        self.zones.begin(now, self.summary)
        done = [self._restate(limit), self._close_due(limit)]
        done.append(recalibrate(self.con, self.memory, self.zones, self.days, limit - done[0]))
        done.append(self.days.restate(limit - done[0]))
        if self.summary.revisions:
            self.memory.tell(self.zones.closed_ms)
        taught = learn(self.con, self.memory, now)
        self.summary.more = max(*done, done[0] + done[2], done[0] + done[3]) >= limit or taught == AT_ONCE
        if self.summary.revisions or self.summary.line_windows or taught:
            self.memory.stir()
        self._remember_trusted()
        return self.summary

    def _remember_trusted(self) -> None:
        """The last moment the clock was believed: the lower bound for a boot that never knows the time."""
        memory = self.memory
        if self.now.wall_ms - memory.trusted_ms >= TRUSTED_EVERY_MS:
            self.con.execute("UPDATE meta SET value=? WHERE name='trusted_ms'", (str(self.now.wall_ms),))
            memory.trusted_ms = self.now.wall_ms

    # -- restating -----------------------------------------------------------------------------------------

    def _restate(self, limit: int) -> int:
        """Recompute dirty windows, and those an odd change soils on the way; then the zones they touch."""
        touched: dict[tuple[int, int, int], str] = {}
        done = 0
        while done < limit and (rows := self._due_dirty(limit - done)):
            for size_s, start_ms, line_id, asked in rows:
                self._restate_line((size_s, start_ms, line_id), asked, touched)
            done += len(rows)
        for (zone_id, size_s, start_ms), why in sorted(touched.items()):
            self._restate_zone(self.memory.zones[zone_id], size_s, start_ms, why)
        self.lines.forget()
        return done

    def _due_dirty(self, limit: int) -> list[tuple[int, int, int, str]]:
        mono = self.now.mono_ms
        binds = {"settled": mono - SETTLE_MS, "mono": mono, "patience": mono - PATIENCE_MS, "limit": limit}
        return self.con.execute(DUE_DIRTY, binds).fetchall()

    def _restate_line(
        self, where: tuple[int, int, int], asked: str, touched: dict[tuple[int, int, int], str]
    ) -> None:
        size_s, start_ms, line_id = where
        self.con.execute("DELETE FROM dirty WHERE size_s=? AND start_ms=? AND line_id=?", where)
        why = self.lines.write(line_id, size_s, start_ms, asked or LATE)
        if asked:  # a correction to the same figures still makes the window a corrected one
            why = asked
        for zone_id in self.memory.zones_of.get(line_id, ()) if why else ():
            key = (zone_id, size_s, start_ms)
            touched[key] = max(why, touched.get(key, why), key=REASONS.index)

    def _restate_zone(self, zone: Zone, size_s: int, start_ms: int, why: str) -> None:
        """Not a window of before the zone began that another zone still keeps open for one of its lines."""
        version, through = zone.at(start_ms), self.memory.through
        edges = [self.memory.zone_through.get((zone.id, size_s), 0)]
        edges += [through.get((member.line_id, size_s), 0) for member in version.members]
        if version.gone or min(edges) < start_ms + size_s * 1000:
            return
        if self.zones.write(zone, size_s, start_ms, why):
            self.days.soil(zone, size_s, start_ms)

    # -- zones ---------------------------------------------------------------------------------------------

    def _close_due(self, limit: int) -> int:
        """First closes, oldest windows first over all zones, so that each window's sums are read once."""
        closed = 0
        while closed < limit:
            due = self._due()
            if due is None:
                break
            grid, start_ms, zones = due
            for zone in zones[: limit - closed]:
                self._close_zone(zone, grid, start_ms)
                closed += 1
            self.lines.forget()
        return closed + self._close_orphans(limit)

    def _due(self) -> tuple[GridSpan, int, list[Zone]] | None:
        """The oldest window that some zones may close now."""
        best: tuple[int, int] | None = None
        found: list[Zone] = []
        grid_of: dict[int, GridSpan] = {}
        self.summary.next_ms = FAR_MS
        for zone in self.memory.zones.values():
            for grid in self.memory.grids:
                start_ms = zone.present_ms(
                    max(self.memory.zone_through.get((zone.id, grid.size_s), FAR_MS), grid.from_ms)
                )
                if start_ms is None or start_ms >= grid.to_ms:
                    continue
                due_ms = start_ms + grid.size_s * 1000 + self._delay_ms(zone.at(start_ms))
                if due_ms > self.now.wall_ms:
                    self.summary.next_ms = min(self.summary.next_ms, due_ms)
                    continue
                rank = (start_ms, grid.size_s)
                if best is None or rank < best:
                    best, found = rank, []
                if rank == best:
                    found.append(zone)
                    grid_of[grid.size_s] = grid
        return None if best is None else (grid_of[best[1]], best[0], found)

    def _delay_ms(self, version: ZoneVersion) -> int:
        """How long after its end a window waits: for late telegrams, and for the slowest line still alive."""
        wall_ms = self.now.wall_ms
        longest = 0
        for member in version.members:
            line = self.memory.by_id[member.line_id]
            if line.period_ms and wall_ms - line.last_ms <= SILENT * line.period_ms:
                longest = max(longest, line.period_ms)
        return max(round(self.memory.plan.allowed_lateness_s * 1000), round(RHYTHM * longest))

    def _close_zone(self, zone: Zone, grid: GridSpan, start_ms: int) -> None:
        edge_ms = start_ms + grid.size_s * 1000
        for member in zone.at(start_ms).members:
            self.lines.close(member.line_id, grid.size_s, edge_ms)
        self.zones.write(zone, grid.size_s, start_ms, "closed")
        self.days.over(zone, grid.size_s, start_ms)
        self.con.execute(
            "UPDATE zone_closed SET through_ms=? WHERE zone_id=? AND size_s=?",
            (edge_ms, zone.id, grid.size_s),
        )
        self.memory.zone_through[zone.id, grid.size_s] = edge_ms

    def _close_orphans(self, limit: int) -> int:
        """Lines that no zone encloses (any more) are closed by the clock alone, for the books."""
        enclosed = {
            member.line_id for zone in self.memory.zones.values() for member in zone.versions[-1].members
        }
        lateness = round(self.memory.plan.allowed_lateness_s * 1000)
        done = 0
        for (line_id, size_s), through in list(self.memory.through.items()):
            edge_ms = floor_ms(self.now.wall_ms - lateness - DAY_MS // 24, size_s)
            windows = min((edge_ms - through) // (size_s * 1000), limit - done)
            if line_id not in enclosed and windows > 0:
                self.lines.close(line_id, size_s, through + windows * size_s * 1000)
                done += windows
        self.lines.forget()
        return done
