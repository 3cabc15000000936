"""A line's windows: recomputed from readings, corrections and coverage; written where an integer differs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from gateway.model import Stamp
from gateway.store.corrections import vouched_ms, window_sums
from gateway.store.coverage import watched_ms
from gateway.store.in_force import told, touching
from gateway.store.memory import Memory
from gateway.store.plan import ClosedSummary
from gateway.store.quality import Judge
from gateway.store.readings import Sums, parity_before
from gateway.store.sums import LineWindow

# ruff: noqa: S608  statements are put together from columns of ours only
PATIENCE_MS = 30_000  # how long restating is put off at most
LATE, TILL, CORRECTION = "late", "till", "correction"

COLUMNS = (
    "ins, outs, passes, sales, returns, amount, odd_before, watched_ms,"
    " est_ins, est_outs, est_passes, quality"
)
CURRENT = (
    f"SELECT revision, {COLUMNS} FROM line_windows WHERE line_id=? AND size_s=? AND start_ms=?"
    " ORDER BY revision DESC LIMIT 1"
)
NEXT = (
    "SELECT start_ms, odd_before FROM line_windows WHERE line_id=? AND size_s=? AND start_ms>?"
    " ORDER BY start_ms, revision DESC LIMIT 1"
)
INSERT = f"INSERT INTO line_windows (size_s, start_ms, line_id, revision, {COLUMNS}) VALUES ({'?,' * 15}?)"
SOIL = (
    "INSERT OR IGNORE INTO dirty (size_s, start_ms, line_id, first_mono_ms, since_mono_ms, why)"
    " VALUES (?,?,?,?,?,?)"
)
CLOSED = (
    "INSERT INTO closed VALUES (?,?,?) ON CONFLICT (line_id, size_s)"
    " DO UPDATE SET through_ms=excluded.through_ms"
)


class LineWindows:
    """The lines' part of one closing step; inside its transaction."""

    def __init__(self, con: sqlite3.Connection, memory: Memory) -> None:
        self.con, self.memory = con, memory
        self._sums: dict[tuple[int, int], Sums] = {}
        self._seen_ms: dict[tuple[int, int, int], int] = {}  # (line, from, to) → watched
        self.judge = Judge(con, memory, self.sums, self.watched)
        self.begin(Stamp("", 0, 0), ClosedSummary())

    def begin(self, now: Stamp, summary: ClosedSummary) -> None:
        self.now, self.summary = now, summary
        self.forget()

    def forget(self) -> None:
        """Sums are remembered for the other lines and zones of a window, not beyond; so is who watched."""
        self._sums.clear()
        self._seen_ms.clear()

    def sums(self, size_s: int, start_ms: int) -> Sums:
        """All lines at once."""
        key = (size_s, start_ms)
        if key not in self._sums:
            back, end_ms = self.memory.longest_short_ms(), start_ms + size_s * 1000
            self._sums[key] = window_sums(self.con, start_ms, end_ms, size_s, back, self.memory.corrections)
        return self._sums[key]

    def current(self, line_id: int, size_s: int, start_ms: int) -> LineWindow:
        row = self.con.execute(CURRENT, (line_id, size_s, start_ms)).fetchone()
        return LineWindow(*row) if row else LineWindow()

    def corrected(self, line_id: int, start_ms: int, end_ms: int) -> bool:
        return bool(touching(self.memory.corrections, line_id, start_ms, end_ms))

    def told(self, line_id: int, size_s: int, start_ms: int) -> tuple[int, int, int]:
        """What of a window's ins, outs and passes a person entered."""
        return told(self.memory.corrections, line_id, start_ms, start_ms + size_s * 1000)

    def watched(self, line_id: int, spans: Iterable[tuple[int, int]]) -> int | None:
        """None for a line whose silence says nothing: an event line without heartbeats.

        Where a count was corrected a person vouches for it: that is watched too.
        """
        corrections, assumed = self.memory.corrections, self.memory.by_id[line_id].assumed
        if line_id not in corrections:
            return None if assumed else sum(self._watched(line_id, *span) for span in spans)
        watched = asked = 0
        for low, high in spans:
            asked += high - low
            watched += self._watched(line_id, low, high)
            watched += vouched_ms(self.con, corrections, line_id, low, high)
        return None if assumed and watched < asked else watched

    def _watched(self, line_id: int, low_ms: int, high_ms: int) -> int:
        key = (line_id, low_ms, high_ms)
        if key not in self._seen_ms:
            self._seen_ms[key] = watched_ms(self.con, *key)
        return self._seen_ms[key]

    def write(self, line_id: int, size_s: int, start_ms: int, why: str = LATE) -> str:
        """Revision n+1 when a stored integer differs; '' when none does, else 'till' or the given reason."""
        old = self.current(line_id, size_s, start_ms)
        new = self._fresh(line_id, size_s, start_ms)
        if old.revision and old.facts() == new.facts():
            return ""
        self.con.execute(INSERT, (size_s, start_ms, line_id, old.revision + 1, *new.row()))
        self.summary.line_windows += 1
        if old.odd_before or old.passes or new.odd_before or new.passes:
            self._turn_next(line_id, size_s, start_ms, (new.odd_before + new.passes) % 2, why)
        return TILL if old.revision and old.crossed() == new.crossed() else why

    def close(self, line_id: int, size_s: int, edge_ms: int) -> None:
        """Close a line's windows up to an edge."""
        through_ms = self.memory.through.get((line_id, size_s), edge_ms - size_s * 1000)
        if through_ms >= edge_ms:
            return
        for grid in self.memory.grids:
            if grid.size_s == size_s:
                low_ms, high_ms = max(through_ms, grid.from_ms), min(edge_ms, grid.to_ms)
                for start in range(low_ms, high_ms, size_s * 1000):
                    self.write(line_id, size_s, start)
        self.con.execute(CLOSED, (line_id, size_s, edge_ms))
        self.memory.set_through(line_id, size_s, edge_ms)
        if any(grid.base and grid.size_s == size_s and grid.to_ms >= edge_ms for grid in self.memory.grids):
            self.judge.advance(line_id, size_s, through_ms, edge_ms)

    def _fresh(self, line_id: int, size_s: int, start_ms: int) -> LineWindow:
        """The window recomputed from readings, corrections and coverage."""
        row = self.sums(size_s, start_ms).get(line_id)
        window = LineWindow(quality=self.memory.by_id[line_id].quality)
        if row is not None:
            window.ins, window.outs, window.passes, window.sales, window.returns, window.amount = row[:6]
            window.est_ins, window.est_outs, window.est_passes, window.quality = row[6:10]
        window.odd_before = parity_before(self.con, line_id, size_s, start_ms)
        window.watched_ms = self.watched(line_id, [(start_ms, start_ms + size_s * 1000)])
        return window

    def _turn_next(self, line_id: int, size_s: int, start_ms: int, odd: int, why: str) -> None:
        """Halves are of all passes so far: where the pairs of the next window turn, restate it too."""
        row = self.con.execute(NEXT, (line_id, size_s, start_ms)).fetchone()
        if row is not None and row[1] != odd:
            settled = self.now.mono_ms - PATIENCE_MS
            self.con.execute(SOIL, (size_s, row[0], line_id, settled, settled, "" if why == LATE else why))
