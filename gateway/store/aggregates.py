"""Close: line windows and zone aggregates at revision n+1 when a stored integer differs (semantics 3)."""

from __future__ import annotations

import json
import sqlite3

from gateway.model import Role, Stamp
from gateway.store.line_windows import CORRECTION, LATE, PATIENCE_MS, TILL, LineWindows
from gateway.store.memory import DAY_MS, FAR_MS, GridSpan, Memory, Zone, ZoneMember, ZoneVersion
from gateway.store.outbox import enqueue
from gateway.store.plan import FLAG_ASSUMED, FLAG_CORRECTED, FLAG_PARTIAL, ClosedSummary
from gateway.store.sums import LineWindow, ZoneSum
from gateway.windows import day_of, floor_ms

# ruff: noqa: S608  statements are put together from columns of ours only
SETTLE_MS = 2_000  # a stream of late minutes is restated once
TRUSTED_EVERY_MS = 60_000
RHYTHM = 1.2  # of the longest reporting period: a window waits for its slowest line
SILENT = 3  # periods after which a line is no longer waited for
REASONS = (TILL, LATE, CORRECTION)  # of several reasons for one revision the last one is told

CURRENT_ZONE = (
    "SELECT revision, ins, outs, passersby, sales, returns, amount, watched_ms, base_ms, estimated_ins,"
    " estimated_outs, flags, occupancy, occupancy_raw, quality, zone_version, lines FROM zone_aggregates"
    " WHERE zone_id=? AND size_s=? AND start_ms=? ORDER BY revision DESC LIMIT 1"
)
INSERT_ZONE = "INSERT INTO zone_aggregates VALUES (" + ",".join("?" * 22) + ")"
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
        self.summary = ClosedSummary()

    def close(self, now: Stamp, limit: int) -> ClosedSummary:
        """Restate what is dirty, then close what is due, at most `limit` zone windows."""
        self.now, self.summary = now, ClosedSummary()
        self.lines.begin(now, self.summary)
        restated = self._restate(limit)
        closed = self._close_due(limit)
        drifted = 0 if restated >= limit else self._restate_days(limit)
        self.summary.more = restated >= limit or closed >= limit or drifted >= limit
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
        if start_ms >= self.memory.zone_through.get((zone.id, size_s), 0) or zone.at(start_ms).gone:
            return
        if self._write_zone(zone, size_s, start_ms, why):
            low, high = self.day(start_ms)
            if start_ms + size_s * 1000 < high:
                self.con.execute(
                    "INSERT INTO drift VALUES (?,?,?,?) ON CONFLICT (zone_id, size_s, day_ms)"
                    " DO UPDATE SET since_mono_ms=excluded.since_mono_ms",
                    (zone.id, size_s, low, self.now.mono_ms),
                )

    def _restate_days(self, limit: int) -> int:
        """Occupancy follows late counts once a business day is over, not window by window."""
        rows = self.con.execute(
            "SELECT zone_id, size_s, day_ms FROM drift ORDER BY day_ms LIMIT ?", (limit,)
        ).fetchall()
        done = 0
        for zone_id, size_s, day_ms in rows:
            end_ms, through_ms = self.day(day_ms)[1], self.memory.zone_through.get((zone_id, size_s), 0)
            present = self.memory.zones[zone_id].present_ms(through_ms) is not None
            if (present and through_ms < end_ms) or self._any_dirty(size_s, day_ms, end_ms):
                continue
            self.con.execute(
                "DELETE FROM drift WHERE zone_id=? AND size_s=? AND day_ms=?", (zone_id, size_s, day_ms)
            )
            done += self._restate_occupancy(self.memory.zones[zone_id], size_s, day_ms, end_ms)
        return done

    def _any_dirty(self, size_s: int, low_ms: int, high_ms: int) -> bool:
        row = self.con.execute(
            "SELECT 1 FROM dirty WHERE size_s=? AND start_ms>=? AND start_ms<? LIMIT 1",
            (size_s, low_ms, high_ms),
        ).fetchone()
        return row is not None

    def _restate_occupancy(self, zone: Zone, size_s: int, low_ms: int, high_ms: int) -> int:
        done = 0
        for start_ms in range(low_ms, high_ms, size_s * 1000):
            if self.con.execute(CURRENT_ZONE, (zone.id, size_s, start_ms)).fetchone():
                done += self._write_zone(zone, size_s, start_ms, "late", occupancy=True)
        return done

    # -- zones ---------------------------------------------------------------------------------------------

    def day(self, at_ms: int) -> tuple[int, int]:
        plan = self.memory.plan
        return day_of(at_ms, plan.timezone, plan.day_start_min)

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
        self._write_zone(zone, grid.size_s, start_ms, "closed")
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

    def _write_zone(
        self, zone: Zone, size_s: int, start_ms: int, reason: str, *, occupancy: bool = False
    ) -> bool:
        """Revision n+1 of a zone's window if a stored integer differs. True when one was written."""
        version = zone.at(start_ms)
        total, lines = ZoneSum(), []
        windows: list[tuple[ZoneMember, LineWindow]] = []
        for member in version.members:
            window = self.lines.current(member.line_id, size_s, start_ms)
            total.add(member, window)
            windows.append((member, window))
            lines.append([member.line_id, window.revision, member.sign, member.role.value])
        watched, base, flags = self._watching(zone, size_s, start_ms, windows)
        facts = (*total.sums(), watched, base, total.estimated_ins, total.estimated_outs, flags)
        old = self.con.execute(CURRENT_ZONE, (zone.id, size_s, start_ms)).fetchone()
        clamped, raw = self._occupancy(zone, size_s, start_ms, total)
        if old and old[1:12] == facts and not (occupancy and old[12:14] != (clamped, raw)):
            return False
        revision = old[0] + 1 if old else 1
        self._insert_zone(
            zone, version, (size_s, start_ms, revision), facts, (clamped, raw, total.quality), lines, reason
        )
        enqueue(self.con, zone.id, size_s, start_ms, revision, self.now.wall_ms, reason)
        self.summary.revisions[reason] = self.summary.revisions.get(reason, 0) + 1
        return True

    def _insert_zone(
        self,
        zone: Zone,
        version: ZoneVersion,
        key: tuple[int, int, int],
        facts: tuple[int | None, ...],
        rest: tuple[int, int, int],
        lines: list[list[int | str]],
        reason: str,
    ) -> None:
        clamped, raw, quality = rest
        *sums, flags = facts
        row = (zone.id, *key, version.version, *sums, clamped, raw, flags, quality)
        text = json.dumps(lines, separators=(",", ":"))
        self.con.execute(
            INSERT_ZONE,
            (*row, text, reason, self.now.wall_ms),
        )

    def _occupancy(self, zone: Zone, size_s: int, start_ms: int, total: ZoneSum) -> tuple[int, int]:
        """(clamped, raw) at the window's end, from the window before it in the same business day."""
        previous = None
        if self.day(start_ms)[0] < start_ms:
            previous = self.con.execute(CURRENT_ZONE, (zone.id, size_s, start_ms - size_s * 1000)).fetchone()
        before, raw_before = (previous[12], previous[13]) if previous else (0, 0)
        change = total.ins - total.outs
        return max(0, before + change), raw_before + change

    def _watching(
        self, zone: Zone, size_s: int, start_ms: int, windows: list[tuple[ZoneMember, LineWindow]]
    ) -> tuple[int | None, int | None, int]:
        """(watched, base, flags) of a zone's window: the least watched of its required lines."""
        end_ms = start_ms + size_s * 1000
        opening = zone.openings.at(start_ms)
        base = opening.base_ms(start_ms, end_ms)
        flags = FLAG_PARTIAL if start_ms <= self.memory.generation * 1000 < end_ms else 0
        required = [(member, window) for member, window in windows if member.role is not Role.TILL]
        if any(self.lines.corrected(member.line_id, start_ms, end_ms) for member, _ in required):
            flags |= FLAG_CORRECTED
        watched: list[int | None]
        if base is None or base == end_ms - start_ms:
            watched = [window.watched_ms for _, window in required]
        else:
            spans = opening.spans(start_ms, end_ms)
            watched = [self.lines.watched(member.line_id, spans) for member, _ in required]
        known = [amount for amount in watched if amount is not None]
        if len(known) < len(watched):
            return None, base, flags | FLAG_ASSUMED
        return min(known, default=None), base, flags
