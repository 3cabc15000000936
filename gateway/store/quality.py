"""Feeds what was closed to the detectors of each line, slot by slot, and stores what they find.

It runs in the transaction that closes the windows: each slot teaches once, whenever the power fails. A day is
judged beside the day of the neighbours, so a line goes on to the next one when all have ended theirs; for a
line that is far behind the others do not wait.
"""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache

from gateway.model import Role, Stamp
from gateway.quality import SLOT_S, Cell, Day, DayType, Detectors, Rules, Slot, end_of_day, level_today, step
from gateway.store.alarms import book
from gateway.store.memory import DAY_MS, Line, Memory, Zone
from gateway.store.plan import SIDE_IN, SIDE_OUT, SIDE_PASSES
from gateway.store.readings import Sums
from gateway.windows import Span, business_date, day_of, zone_of

log = logging.getLogger("gateway.store")

PATIENCE_MS = 3 * 3_600_000  # after the end of a day, with lines that are behind
FAR_BEHIND_MS = 2 * DAY_MS  # a line that was away begins again where it came back
LEVELS_MS = 7 * DAY_MS  # how long levels are kept for those that are late
PUT_DETECTORS = (
    "INSERT INTO detectors VALUES (?,?,?) ON CONFLICT (line_id) DO UPDATE SET size_s=excluded.size_s,"
    " state=excluded.state"
)
PUT_CELL = "INSERT INTO cells VALUES (?,?,?) ON CONFLICT (slot, line_id) DO UPDATE SET state=excluded.state"
WEEKEND = {5: DayType.SATURDAY, 6: DayType.SUNDAY}
NOBODY = (0,) * 10
UNASKED = Cell()  # a closed slot is not compared with what is usual, and teaches nothing
SLOTS_OF_A_SIZE = 100  # a day has 96 quarters: slots of another size have cells of their own


class Judge:
    """One step of closing; `sums` and `watched` are the closer's."""

    def __init__(
        self,
        con: sqlite3.Connection,
        memory: Memory,
        sums: Callable[[int, int], Sums],
        watched: Callable[[int, Iterable[Span]], int | None],
    ) -> None:
        self.con, self.memory = con, memory
        self._sums, self._watched = sums, watched
        self.begin(Stamp("", 0, 0), {})

    def begin(self, now: Stamp, offsets_ms: Mapping[str, int]) -> None:
        """A transaction at this moment; `offsets_ms`: counter → its clock less ours, where it tells one.

        Only a clock that is ahead gives itself away: one that is behind looks like a reading that came late.
        """
        self._now_ms, self._offsets_ms = self.memory.moment_ms(now), offsets_ms
        self._open: dict[tuple[int, int], bool] = {}
        self._entrances: dict[int, dict[int, list[Zone]]] = {}
        self._moments: dict[tuple[int, int], tuple[int, DayType]] = {}
        self._lines = {line.id for line in self.memory.lines.values() if not line.rule.till}

    def advance(self, line_id: int, size_s: int, low_ms: int, edge_ms: int) -> None:
        """The line's windows of `[low, edge)` were closed: judge the slots that are whole now."""
        if line_id not in self._lines:
            return
        slot_s = max(SLOT_S, size_s)
        slot_ms = slot_s * 1000
        line = self.memory.by_id[line_id]
        before = self._recall(line, slot_s)
        detectors = before or _anew(low_ms + -low_ms % slot_ms)
        if edge_ms - detectors.through_ms > FAR_BEHIND_MS:
            detectors = detectors.away(max(low_ms, edge_ms - FAR_BEHIND_MS) // slot_ms * slot_ms)
        for at_ms in range(detectors.through_ms, edge_ms - slot_ms + 1, slot_ms):
            ready = self._day_before(line, detectors, at_ms)
            if ready is None:
                break
            detectors = self._judge(line, ready, at_ms, slot_s)
            self._note_level(line, detectors)
        if detectors is not before:
            self.con.execute(PUT_DETECTORS, (line_id, slot_s, _packed(detectors.encode())))

    def _recall(self, line: Line, slot_s: int) -> Detectors | None:
        """What is remembered of the line; None at first, of other slots, and when it cannot be read."""
        row = self.con.execute("SELECT size_s, state FROM detectors WHERE line_id=?", (line.id,)).fetchone()
        if row is None:
            return None
        if row[0] != slot_s:
            log.info("line %s is judged by slots of %d s now: it is learned anew", line.rule.ref, slot_s)
            return None
        try:
            return Detectors.decode(_unpacked(row[1]))
        except ValueError as error:
            log.warning("what is known of line %s cannot be read (%s): learned anew", line.rule.ref, error)
            return None

    # -- a slot --------------------------------------------------------------------------------------------

    def _judge(self, line: Line, detectors: Detectors, at_ms: int, slot_s: int) -> Detectors:
        slot = self._slot(line, at_ms, slot_s)
        number = slot_s // SLOT_S * SLOTS_OF_A_SIZE + slot.index
        cell = UNASKED if slot.open is False else self._cell(line, number)
        try:
            done = step(detectors, cell, slot, _limited(line.rule.max_per_s))
        except (ArithmeticError, ValueError):  # damage that could be decoded: never a reason not to count
            log.exception("line %s cannot be judged: learned anew", line.rule.ref)
            return _anew(slot.end_ms)
        if done.cell is not cell:
            self.con.execute(PUT_CELL, (number, line.id, _packed(done.cell.encode())))
        for alarm in done.changes:
            book(self.con, self.memory, line.id, alarm, self._now_ms)
        return done.detectors

    def _cell(self, line: Line, number: int) -> Cell:
        row = self.con.execute(
            "SELECT state FROM cells WHERE slot=? AND line_id=?", (number, line.id)
        ).fetchone()
        try:
            return Cell.decode(_unpacked(row[0])) if row else Cell()
        except ValueError as error:
            log.warning("a cell of line %s cannot be read (%s): learned anew", line.rule.ref, error)
            return Cell()

    def _slot(self, line: Line, at_ms: int, slot_s: int) -> Slot:
        slot_ms = slot_s * 1000
        figures = self._sums(slot_s, at_ms).get(line.id, NOBODY)
        ins, outs, passes = _present(line, figures)
        counted, estimated = sum(figures[:3]), sum(figures[6:9])
        watched_ms = self._watched(line.id, [(at_ms, at_ms + slot_ms)])
        index, day = self._moment(at_ms, slot_s)
        offset_ms = self._offsets_ms.get(line.rule.counter)
        return Slot(
            line=line.rule.ref,
            start_ms=at_ms,
            size_s=slot_s,
            index=index,
            day=day,
            open=self._is_open(line, at_ms, at_ms + slot_ms),
            ins=ins,
            outs=outs,
            passes=passes,
            watched=None if watched_ms is None else watched_ms / slot_ms,
            estimated=estimated / counted if counted else 0.0,
            clock_offset_s=None if offset_ms is None else max(offset_ms, 0) / 1000,
        )

    def _moment(self, at_ms: int, slot_s: int) -> tuple[int, DayType]:
        """Which slot of the local day it is, and what kind of business day."""
        key = (at_ms, slot_s)
        if key not in self._moments:
            plan = self.memory.plan
            local = datetime.fromtimestamp(at_ms / 1000, zone_of(plan.timezone))
            weekday = business_date(at_ms, plan.timezone, plan.day_start_min).weekday()
            index = (local.hour * 60 + local.minute) * 60 // slot_s
            self._moments[key] = index, WEEKEND.get(weekday, DayType.WEEKDAY)
        return self._moments[key]

    def _is_open(self, line: Line, low_ms: int, high_ms: int) -> bool | None:
        """Open where any zone entered by it is; None when one of them has no hours, or there is none."""
        said = [self._zone_open(zone, low_ms, high_ms) for zone in self._entered(line, low_ms)]
        return None if None in said or not said else any(said)

    def _entered(self, line: Line, at_ms: int) -> list[Zone]:
        """The zones that are entered by this line: who only passes by does so at any hour."""
        if at_ms not in self._entrances:
            entrances: dict[int, list[Zone]] = {}
            for zone in self.memory.zones.values():
                for member in zone.at(at_ms).members:
                    if member.role is Role.ENTRANCE:
                        entrances.setdefault(member.line_id, []).append(zone)
            self._entrances[at_ms] = entrances
        return self._entrances[at_ms].get(line.id, [])

    def _zone_open(self, zone: Zone, low_ms: int, high_ms: int) -> bool | None:
        opening = zone.openings.at(low_ms)
        if opening.hours is None:
            return None
        key = (id(opening), low_ms)  # most zones share theirs
        if key not in self._open:
            self._open[key] = opening.base_ms(low_ms, high_ms) is not None
        return self._open[key]

    # -- a day ---------------------------------------------------------------------------------------------

    def _day_before(self, line: Line, detectors: Detectors, at_ms: int) -> Detectors | None:
        """Ready for the slot at `at_ms`: the day before it is ended. None: its neighbours' is not yet."""
        low_ms, high_ms = self._unfinished(detectors)
        if at_ms < high_ms or detectors.ended_ms >= high_ms:
            return detectors
        rows = self.con.execute("SELECT line_id, level FROM day_levels WHERE day_ms=?", (high_ms,)).fetchall()
        if self._now_ms < high_ms + PATIENCE_MS and self._lines - {line_id for line_id, _ in rows}:
            return None
        levels = [level for line_id, level in rows if line_id != line.id and level is not None]
        try:
            end = end_of_day(
                detectors, Day(line.rule.ref, low_ms, high_ms), levels, _limited(line.rule.max_per_s)
            )
        except (ArithmeticError, ValueError):
            log.exception("the day of line %s cannot be judged: learned anew", line.rule.ref)
            return _anew(at_ms)
        for alarm in end.changes:
            book(self.con, self.memory, line.id, alarm, self._now_ms)
        if end.broken is not None:
            self.con.execute(
                "INSERT OR IGNORE INTO breaks VALUES (?,?,?,?,NULL)",
                (line.id, end.broken.since_ms, end.broken.factor, self._now_ms),
            )
        return end.detectors

    def _note_level(self, line: Line, detectors: Detectors) -> None:
        """The last slot of a day was fed: the neighbours may know how it was."""
        _low_ms, high_ms = self._unfinished(detectors)
        if detectors.through_ms < high_ms:
            return
        level = level_today(detectors, _limited(line.rule.max_per_s))
        self.con.execute("INSERT OR IGNORE INTO day_levels VALUES (?,?,?)", (high_ms, line.id, level))
        self.con.execute("DELETE FROM day_levels WHERE day_ms<?", (high_ms - LEVELS_MS,))

    def _unfinished(self, detectors: Detectors) -> Span:
        """The business day of the last slot fed."""
        plan = self.memory.plan
        return day_of(detectors.through_ms - 1, plan.timezone, plan.day_start_min)


def _present(line: Line, figures: tuple[int, ...]) -> tuple[int | None, int | None, int | None]:
    """In, out and passes; None for what the line has never given."""
    if line.sides == SIDE_PASSES:
        return None, None, figures[2]
    ever = line.sides or SIDE_IN | SIDE_OUT
    return figures[0] if ever & SIDE_IN else None, figures[1] if ever & SIDE_OUT else None, None


def _anew(start_ms: int) -> Detectors:
    """Nothing is known, and no day before this instant is waiting to be judged."""
    return Detectors(through_ms=start_ms, ended_ms=start_ms)


def _packed(state: bytes) -> bytes:
    """Most of it is zero most of the time: a quarter of an hour writes half the pages."""
    return zlib.compress(state, 1)


def _unpacked(state: bytes) -> bytes:
    """Raises ValueError."""
    try:
        return zlib.decompress(state)
    except zlib.error:
        raise ValueError("not as it was written") from None


@lru_cache(maxsize=64)  # most doors share theirs
def _limited(max_per_s: float) -> Rules:
    return Rules(max_per_s=max_per_s)
