"""What one record transaction gathers before it is written: the ledger, dirty windows, pulses, heads."""

from __future__ import annotations

import sqlite3
from collections import Counter

from gateway.model import Stamp
from gateway.store.memory import Head, Line, Memory
from gateway.store.plan import NOTHING, Figures, Recorded, negative, persons, plus

RECEIVED, COUNTED, REPLACED, HELD, EXPIRED, CHECK = (
    "received",
    "counted",
    "replaced",
    "held",
    "expired",
    "check",
)
SHOWN = "shown"  # counted, but never lowered by a replacement: what a counter metric may show
REFUSED = "refused:"

LEDGER_ADD = (
    "INSERT INTO ledger VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (line_id, account)"
    " DO UPDATE SET ins=ins+excluded.ins, outs=outs+excluded.outs, passes=passes+excluded.passes,"
    " sales=sales+excluded.sales,"
    " returns=returns+excluded.returns, amount=amount+excluded.amount"
)
DIRTY_ADD = (
    "INSERT INTO dirty (size_s, start_ms, line_id, first_mono_ms, since_mono_ms, why) VALUES (?,?,?,?,?,?)"
    " ON CONFLICT (size_s, start_ms, line_id) DO UPDATE SET since_mono_ms=excluded.since_mono_ms,"
    " why=CASE excluded.why WHEN '' THEN why ELSE excluded.why END"
)
RESETS_ADD = "INSERT INTO resets VALUES (?,?,?) ON CONFLICT (line_id, kind) DO UPDATE SET n=n+excluded.n"


class Batch:
    """One transaction's sums. `now` is the trusted moment things are judged by.

    `why`: the reason that revisions of soiled windows give when it is neither lateness nor a till.
    """

    def __init__(self, con: sqlite3.Connection, memory: Memory, now: Stamp, why: str = "") -> None:
        self.con, self.memory, self.now, self._why = con, memory, now, why
        self.outcome = Recorded()
        self._ledger: dict[tuple[int, str], Figures] = {}
        self._plain: dict[int, Figures] = {}  # received and counted alike: the usual case
        self._dirty: set[tuple[int, int, int]] = set()
        self._resets: Counter[tuple[int, str]] = Counter()
        self.touched: dict[int, Line] = {}
        self.heads: dict[tuple[int, int], Head] = {}

    def count(self, line: Line, figures: Figures) -> None:
        """Received and counted, nothing replaced."""
        before = self._plain.get(line.id)
        self._plain[line.id] = figures if before is None else plus(before, figures)

    def post(self, line: Line, account: str, figures: Figures) -> None:
        key = (line.id, account)
        self._ledger[key] = plus(self._ledger.get(key, NOTHING), figures)

    def shown(self, line: Line, change: Figures) -> None:
        a, b, c, d, e, f = change
        self.post(line, SHOWN, (max(a, 0), max(b, 0), max(c, 0), max(d, 0), max(e, 0), max(f, 0)))

    def replace(self, line: Line, new: Figures, old: Figures) -> None:
        """`new` came and stands where `old` stood."""
        self.post(line, RECEIVED, new)
        self.post(line, REPLACED, old)
        self.recount(line, plus(new, old, -1))

    def recount(self, line: Line, change: Figures) -> None:
        """What is counted changes without anything being received."""
        self.post(line, COUNTED, change)
        self.shown(line, change)

    def refuse(self, line: Line, reason: str, figures: Figures) -> None:
        self.post(line, RECEIVED, figures)
        self.post(line, REFUSED + reason, figures)
        self.note(reason, figures)

    def unrefuse(self, line: Line, reason: str, figures: Figures) -> None:
        """A refusal is judged anew: it is booked elsewhere by the caller, still received."""
        self.post(line, REFUSED + reason, negative(figures))

    def note(self, reason: str, figures: Figures) -> None:
        self.outcome.refused[reason] = self.outcome.refused.get(reason, 0) + persons(figures)

    def reset(self, line: Line, kind: str) -> None:
        self._resets[line.id, kind] += 1

    def soil(self, line: Line, start_ms: int, end_ms: int) -> None:
        """Closed windows that `[start, end)` touches must be recomputed."""
        if start_ms >= line.open_from_ms:
            return
        memory = self.memory
        low = max(start_ms, memory.frozen_ms)
        for size_s, start in memory.windows(low, min(end_ms, line.open_from_ms)):
            if start < memory.through.get((line.id, size_s), 0):
                self._dirty.add((size_s, start, line.id))

    def seen(self, line: Line, end_ms: int, quality: int, side: int) -> None:
        """A reading was stored: keep the line's pulse, and which sides it has."""
        line.sides |= side
        if end_ms > line.newest_ms:
            line.newest_ms = end_ms
            line.quality = quality
        self.touched[line.id] = line

    def flush(self) -> None:
        """Write what was gathered; the readings themselves are already in."""
        rows = [(line_id, account, *figures) for (line_id, account), figures in self._ledger.items()]
        for line_id, figures in self._plain.items():
            rows += [(line_id, account, *figures) for account in (RECEIVED, COUNTED, SHOWN)]
        self.con.executemany(LEDGER_ADD, rows)
        mono = self.now.mono_ms
        self.con.executemany(DIRTY_ADD, [(*key, mono, mono, self._why) for key in self._dirty])
        self.con.executemany(RESETS_ADD, [(*key, n) for key, n in self._resets.items()])
        self.memory.save_pulse(self.touched.values())
        self.memory.save_heads(self.heads.values())
        self._ledger.clear()
        self._plain.clear()
        self._dirty.clear()
        self._resets.clear()
        self.touched.clear()
        self.heads.clear()
