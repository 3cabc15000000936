"""Was anybody watching? Spans per line, kept as a union; the current one grows in the pulse."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from gateway.model import Interval
from gateway.store.batch import Batch
from gateway.store.memory import Line

UNKNOWN_EXPECT_MS = 900_000  # a register that has not yet shown a rhythm
RHYTHM = 3  # polls apart that still count as watched

TOUCHING = "SELECT start_ms, end_ms FROM coverage WHERE line_id=? AND start_ms<=? AND end_ms>=?"
PUT = (
    "INSERT INTO coverage VALUES (?,?,?) ON CONFLICT (line_id, start_ms) DO UPDATE SET end_ms=excluded.end_ms"
)
WATCHED = (
    "SELECT coalesce(sum(min(end_ms, :hi)-max(start_ms, :lo)), 0) FROM"
    " (SELECT start_ms, end_ms FROM coverage WHERE line_id=:line AND start_ms<:hi AND end_ms>:lo"
    " UNION ALL SELECT watch_start_ms, watch_end_ms FROM pulse"
    " WHERE line_id=:line AND watch_start_ms<:hi AND watch_end_ms>:lo)"
)

SPANS = (
    "SELECT start_ms, end_ms FROM coverage WHERE line_id=:line UNION ALL SELECT watch_start_ms, watch_end_ms"
    " FROM pulse WHERE line_id=:line AND watch_start_ms IS NOT NULL ORDER BY start_ms"
)
# Windows outlive spans. Readings are not searched: their key does not begin with a line.
TILLS_HEARD = (
    "WITH tills AS (SELECT DISTINCT json_extract(j.value, '$[0]') AS line_id FROM zone_aggregates a,"
    " json_each(a.lines) j WHERE a.zone_id=(SELECT id FROM zones WHERE zone=:zone) AND a.size_s IN"
    " (SELECT size_s FROM grids) AND a.start_ms>=:lo AND a.start_ms<:hi"
    " AND json_extract(j.value, '$[3]')='till')"
    " SELECT EXISTS (SELECT 1 FROM pulse WHERE line_id IN tills"
    " AND (watch_start_ms<:hi AND watch_end_ms>:lo OR newest_ms>:lo AND newest_ms<=:hi))"
    " OR EXISTS (SELECT 1 FROM coverage WHERE line_id IN tills AND start_ms<:hi AND end_ms>:lo)"
    " OR EXISTS (SELECT 1 FROM line_windows WHERE line_id IN tills AND size_s IN (SELECT size_s FROM grids)"
    " AND start_ms>=:lo AND start_ms<:hi AND (watched_ms>0 OR sales<>0 OR returns<>0 OR amount<>0))"
)
HEARD_SINCE = "SELECT line_id FROM pulse WHERE max(newest_ms, coalesce(watch_end_ms, 0))>?"
DELTA_LINES = "SELECT id, since_ms FROM lines JOIN pulse ON line_id=id WHERE counter=? AND basis='delta'"
FROZEN = "SELECT CAST(value AS INTEGER) FROM meta WHERE name='frozen_ms'"


def gaps(con: sqlite3.Connection, counter: str, lo_ms: int, hi_ms: int) -> list[Interval]:
    """When in `[lo, hi)` a line of the counter that counts by deltas was not watched, oldest first.

    Only between two times that it was: what the device counted before it was ours is not ours, and what comes
    after the newest reading is not yet missing.
    """
    missed: list[Interval] = []
    (frozen_ms,) = con.execute(FROZEN).fetchone()
    for line_id, since_ms in con.execute(DELTA_LINES, (counter,)).fetchall():
        spans = con.execute(SPANS, {"line": line_id}).fetchall()
        missed += _gaps(spans, max(lo_ms, since_ms, frozen_ms), hi_ms)
    merged: list[Interval] = []
    for one in sorted(missed, key=lambda one: one.start_ms):
        if merged and one.start_ms <= merged[-1].end_ms:
            one = Interval(merged[-1].start_ms, max(one.end_ms, merged.pop().end_ms))
        merged.append(one)
    return merged


def _gaps(spans: list[tuple[int, int]], lo_ms: int, hi_ms: int) -> Iterator[Interval]:
    watched_ms = spans[0][0] if spans else 0
    for start_ms, end_ms in spans:
        low, high = max(watched_ms, lo_ms), min(start_ms, hi_ms)
        if low < high:
            yield Interval(low, high)
        watched_ms = max(watched_ms, end_ms)


def watched_ms(con: sqlite3.Connection, line_id: int, lo_ms: int, hi_ms: int) -> int:
    """Milliseconds of `[lo, hi)` in which the line was watched; what is in memory must be flushed."""
    row = con.execute(WATCHED, {"line": line_id, "lo": lo_ms, "hi": hi_ms}).fetchone()
    return int(row[0])


def tills_heard(con: sqlite3.Connection, zone: str, lo_ms: int, hi_ms: int) -> bool:
    """Whether a till that the zone had in `[lo, hi)` said anything then; that it sold nothing, too."""
    (heard,) = con.execute(TILLS_HEARD, {"zone": zone, "lo": lo_ms, "hi": hi_ms}).fetchone()
    return bool(heard)


def heard_since(con: sqlite3.Connection, from_ms: int) -> set[int]:
    """The lines of which anything is known from then on."""
    return {line_id for (line_id,) in con.execute(HEARD_SINCE, (from_ms,))}


def add_span(batch: Batch, line: Line, start_ms: int, end_ms: int) -> None:
    """The line was watched on `[start, end]`; a zero-length span is an answer that waits for a neighbour."""
    low, high = line.watch_start_ms, line.watch_end_ms
    batch.touched[line.id] = line
    if low is None or high is None:
        line.watch_start_ms, line.watch_end_ms = start_ms, end_ms
    elif low <= start_ms <= high:
        line.watch_end_ms = max(high, end_ms)
        start_ms = high
    elif start_ms > high:
        batch.con.execute(PUT, (line.id, low, high))
        line.watch_start_ms, line.watch_end_ms = start_ms, end_ms
    elif end_ms >= low:
        start_ms = line.watch_start_ms = _swallow(batch, line, start_ms, low)
        line.watch_end_ms = max(high, end_ms)
    elif not _insert(batch, line, start_ms, end_ms):
        return
    if end_ms > start_ms:
        batch.soil(line, start_ms, end_ms)


def _swallow(batch: Batch, line: Line, start_ms: int, end_ms: int) -> int:
    """Take stored spans that touch `[start, end]` into the current one; returns where it now begins."""
    for low, _high in batch.con.execute(TOUCHING, (line.id, end_ms, start_ms)).fetchall():
        batch.con.execute("DELETE FROM coverage WHERE line_id=? AND start_ms=?", (line.id, low))
        start_ms = min(start_ms, low)
    return start_ms


def _insert(batch: Batch, line: Line, start_ms: int, end_ms: int) -> bool:
    """Join a late span with those it touches. False when it was known."""
    touching = batch.con.execute(TOUCHING, (line.id, end_ms, start_ms)).fetchall()
    if any(low <= start_ms and end_ms <= high for low, high in touching):
        return False
    low = min([start_ms, *(low for low, _ in touching)])
    high = max([end_ms, *(high for _, high in touching)])
    for stored, _high in touching:
        batch.con.execute("DELETE FROM coverage WHERE line_id=? AND start_ms=?", (line.id, stored))
    batch.con.execute(PUT, (line.id, low, high))
    return True


def expect_ms(line: Line) -> int:
    """The longest silence between answers that still counts as watched."""
    if line.rule.expect_s is not None:
        return round(line.rule.expect_s * 1000)
    return RHYTHM * line.period_ms if line.period_ms else UNKNOWN_EXPECT_MS


def answer(batch: Batch, line: Line, at_ms: int) -> None:
    """A polled line answered, a register spoke or an event line gave a sign of life."""
    allowed = expect_ms(line)
    low, high = line.watch_start_ms, line.watch_end_ms
    if low is None or high is None:
        add_span(batch, line, at_ms, at_ms)
    elif at_ms > high:
        add_span(batch, line, high if at_ms - high <= allowed else at_ms, at_ms)
    elif at_ms < low:
        _late_answer(batch, line, at_ms, low, allowed)


def _late_answer(batch: Batch, line: Line, at_ms: int, low: int, allowed: int) -> None:
    row = batch.con.execute(
        "SELECT max(end_ms) FROM coverage WHERE line_id=? AND start_ms<=?", (line.id, at_ms)
    ).fetchone()
    before = row[0]
    row = batch.con.execute(
        "SELECT min(start_ms) FROM coverage WHERE line_id=? AND start_ms>=?", (line.id, at_ms)
    ).fetchone()
    after = low if row[0] is None else min(low, row[0])
    start = before if before is not None and at_ms - before <= allowed else at_ms
    end = after if after - at_ms <= allowed else at_ms
    add_span(batch, line, min(start, at_ms), max(end, at_ms))
