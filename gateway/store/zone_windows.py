"""A zone's windows: summed over its lines at the revisions it names; written where an integer differs."""

from __future__ import annotations

import json
import sqlite3

from gateway.measures.calibrated import Calibrated
from gateway.model import Role, Stamp
from gateway.store.calibrated import CalibratedSum
from gateway.store.exits import one_step, whole
from gateway.store.line_windows import LineWindows
from gateway.store.memory import Memory, Zone, ZoneMember, ZoneVersion
from gateway.store.outbox import enqueue
from gateway.store.plan import FLAG_ASSUMED, FLAG_CORRECTED, FLAG_IMBALANCE, FLAG_PARTIAL, ClosedSummary
from gateway.store.sums import LineWindow, ZoneSum
from gateway.windows import business_date, day_of, open_share

# ruff: noqa: S608  statements are put together from columns of ours only
COUNTED = (
    "ins, outs, passersby, sales, returns, amount, staff, watched_ms, base_ms, estimated_ins, estimated_outs"
)
CALIBRATED = "calibration, cal_ins, cal_outs, cal_passersby, cal_ins_ppm, cal_passersby_ppm"
KEY = "zone_id, size_s, start_ms, revision, zone_version"
REST = "occupancy, occupancy_raw, inside, quality, lines, reason, closed_ms"
CURRENT = (
    f"SELECT revision, occupancy, occupancy_raw, inside, {COUNTED}, flags, {CALIBRATED} FROM zone_aggregates"
    " WHERE zone_id=? AND size_s=? AND start_ms=? ORDER BY revision DESC LIMIT 1"
)
INSERT = f"INSERT INTO zone_aggregates ({KEY}, {COUNTED}, flags, {CALIBRATED}, {REST}) VALUES ({'?,' * 29}?)"
VERDICT = "SELECT imbalance FROM zone_days WHERE zone_id=? AND day_ms=? ORDER BY revision DESC LIMIT 1"
Row = tuple[int | None, ...]
NOT_CALIBRATED: Row = (None,) * 6


class ZoneWindows:
    """The zones' part of one closing step; inside its transaction."""

    def __init__(self, con: sqlite3.Connection, memory: Memory, lines: LineWindows) -> None:
        self.con, self.memory, self.lines = con, memory, lines
        self.begin(Stamp("", 0, 0), ClosedSummary())

    def begin(self, now: Stamp, summary: ClosedSummary) -> None:
        self.now, self.summary = now, summary
        self.closed_ms = self.memory.moment_ms(now)

    def day(self, at_ms: int) -> tuple[int, int]:
        plan = self.memory.plan
        return day_of(at_ms, plan.timezone, plan.day_start_min)

    def current(self, zone: Zone, size_s: int, start_ms: int) -> Row | None:
        """Revision, occupancy, raw occupancy, the facts, what is calibrated."""
        row: Row | None = self.con.execute(CURRENT, (zone.id, size_s, start_ms)).fetchone()
        return row

    def write(self, zone: Zone, size_s: int, start_ms: int, reason: str) -> bool:
        """Revision n+1 of a zone's window if a stored integer differs. True when one was written."""
        version = zone.at(start_ms)
        windows = [
            (member, self.lines.current(member.line_id, size_s, start_ms)) for member in version.members
        ]
        total, sums = ZoneSum(), CalibratedSum(self.memory.factors, start_ms)
        for member, window in windows:
            total.add(member, window)
            sums.add(member, window, self.lines.told(member.line_id, size_s, start_ms))
        calibrated = sums.result()
        old = self.current(zone, size_s, start_ms)
        verdict = self._verdict(zone, start_ms) if old else None
        watched, base, flags = self._watching(zone, size_s, start_ms, windows)
        if self._imbalance(zone, start_ms) if verdict is None else verdict:
            flags |= FLAG_IMBALANCE
        estimated = total.estimated_ins, total.estimated_outs
        staff = total.staff + self._on_roster(zone, size_s, start_ms)
        facts: Row = (*total.sums(), staff, watched, base, *estimated, flags, *calibrated_row(calibrated))
        if old and old[4:] == facts:
            return False
        key = (size_s, start_ms, (old[0] or 0) + 1 if old else 1)
        inside: Row = self._occupancy(zone, size_s, start_ms, total, calibrated)
        if old and verdict is not None:  # the whole day is restated once it is clean
            inside = old[1:4]
        lines = [[one.line_id, window.revision, one.sign, one.role.value] for one, window in windows]
        self._insert(zone, version, key, facts, (*inside, total.quality), lines, reason)
        return True

    def _on_roster(self, zone: Zone, size_s: int, start_ms: int) -> int:
        """Entries of staff in the window where no line tells them: the day's, spread over its open time."""
        opening = zone.openings.at(start_ms)
        if not opening.staff_a_day:
            return 0
        plan, (low_ms, high_ms) = self.memory.plan, self.day(start_ms)
        weekday = business_date(low_ms, plan.timezone, plan.day_start_min).weekday()
        opened = opening.spans(low_ms, high_ms)
        return open_share(opening.staff_a_day[weekday], opened, start_ms, start_ms + size_s * 1000)

    def _verdict(self, zone: Zone, start_ms: int) -> bool | None:
        """Whether a day that is over was out of balance; None: it is not over."""
        row = self.con.execute(VERDICT, (zone.id, self.day(start_ms)[0])).fetchone()
        return None if row is None else bool(row[0])

    def _imbalance(self, zone: Zone, start_ms: int) -> bool:
        return self.memory.exit_ratio(zone.id, self.day(start_ms)[0]).imbalance

    def _insert(
        self,
        zone: Zone,
        version: ZoneVersion,
        key: tuple[int, int, int],
        facts: Row,
        rest: Row,
        lines: list[list[int | str]],
        reason: str,
    ) -> None:
        text = json.dumps(lines, separators=(",", ":"))
        row = (zone.id, *key, version.version, *facts, *rest, text, reason, self.closed_ms)
        self.con.execute(INSERT, row)
        enqueue(self.con, zone.id, *key, self.closed_ms, reason)
        self.summary.revisions[reason] = self.summary.revisions.get(reason, 0) + 1

    def _occupancy(
        self, zone: Zone, size_s: int, start_ms: int, total: ZoneSum, calibrated: Calibrated | None
    ) -> tuple[int, int, int]:
        """(shown, raw, thousandths) at the window's end, from the window before it in its business day."""
        previous, day_ms = None, self.day(start_ms)[0]
        if day_ms < start_ms:
            previous = self.current(zone, size_s, start_ms - size_s * 1000)
        occupancy, raw, thousandths = (previous or (0, 0, 0, 0))[1:4]
        before = (occupancy or 0) * 1000 if thousandths is None else thousandths
        inside = one_step(before, total.step(calibrated), self.memory.exit_ratio(zone.id, day_ms))
        return whole(inside), (raw or 0) + total.ins - total.outs, inside

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


def calibrated_row(calibrated: Calibrated | None) -> Row:
    """The columns `CALIBRATED`."""
    if calibrated is None:
        return NOT_CALIBRATED
    one = calibrated
    return one.version, one.ins, one.outs, one.passersby, one.ins_ppm, one.passersby_ppm
