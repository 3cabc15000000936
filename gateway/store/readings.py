"""Deltas and events: the identity rules of semantics 1, and the sums that windows are made of."""

from __future__ import annotations

import sqlite3

from gateway.model import MAX_INTERVAL_MS
from gateway.store.batch import Batch
from gateway.store.memory import HOUR_MS, Line
from gateway.store.plan import NOTHING, Figures, plus
from gateway.windows import SHARE_SQL

Stored = tuple[int, int, int, int, int, Figures]  # long, start, end, side, key, figures

INSERT = "INSERT INTO readings VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
# ruff: noqa: S608  statements are put together from parts of this file only
KEY = "long=? AND start_ms=? AND line_id=? AND end_ms=? AND side=? AND key=?"
SAME = f"SELECT ins, outs, passes, sales, returns, amount FROM readings WHERE {KEY}"
REPLACE = f"UPDATE readings SET ins=?, outs=?, passes=?, sales=?, returns=?, amount=?, quality=? WHERE {KEY}"
DELETE = f"DELETE FROM readings WHERE {KEY}"
# Stored deltas of a line that share time with [start, end); a reading's key is its time first, so the search
# begins one longest reading before.
NEIGHBOURS = (
    "SELECT long, start_ms, end_ms, side, key, ins, outs, passes, sales, returns, amount FROM readings"
    " WHERE long=? AND start_ms>? AND start_ms<? AND line_id=? AND end_ms>? AND key=0 AND total IS NULL"
    " AND side&?<>0"
)

PARITY_BEFORE = (
    "SELECT (odd_before+passes)%2 FROM line_windows WHERE line_id=? AND size_s=? AND start_ms<?"
    " ORDER BY start_ms DESC, revision DESC LIMIT 1"
)


def parity_before(con: sqlite3.Connection, line_id: int, size_s: int, start_ms: int) -> int:
    """Of all passes of a line before a window: 1 where one of a pair still waits for the other."""
    row = con.execute(PARITY_BEFORE, (line_id, size_s, start_ms)).fetchone()
    return row[0] if row else 0


def is_long(start_ms: int, end_ms: int) -> int:
    return 1 if end_ms - start_ms > HOUR_MS else 0


def stretch(line: Line, start_ms: int, end_ms: int) -> None:
    """Remember how long a short reading of this line can be: searches look back that far."""
    length = end_ms - start_ms
    if line.longest_ms < length <= HOUR_MS:
        line.longest_ms = length


def insert(
    batch: Batch,
    line: Line,
    start_ms: int,
    end_ms: int,
    side: int,
    key: int,
    figures: Figures,
    quality: int,
    total: int | None = None,
) -> bool:
    """Store one reading; False when an event's key is taken. Counting what is not stored would be a lie."""
    row = (is_long(start_ms, end_ms), start_ms, line.id, end_ms, side, key, *figures, total, quality)
    stored = batch.con.execute(INSERT, row).rowcount > 0
    if not stored and not key:
        raise ValueError(f"line {line.id} has a reading at {start_ms} to {end_ms} already")
    return stored


def book_event(
    batch: Batch, line: Line, start_ms: int, end_ms: int, side: int, key: int, figures: Figures, quality: int
) -> bool:
    """Identity is the key. The same again: repeated; other content: replaces. True when it was written."""
    stretch(line, start_ms, end_ms)
    if insert(batch, line, start_ms, end_ms, side, key, figures, quality):
        batch.count(line, figures)
    else:
        where = (is_long(start_ms, end_ms), start_ms, line.id, end_ms, side, key)
        old: Figures = batch.con.execute(SAME, where).fetchone()
        if old == figures:
            batch.outcome.repeated += 1
            return False
        batch.con.execute(REPLACE, (*figures, quality, *where))
        batch.replace(line, figures, old)
    batch.soil(line, start_ms, end_ms)
    batch.seen(line, end_ms, quality, side)
    return True


def book_delta(
    batch: Batch, line: Line, start_ms: int, end_ms: int, side: int, figures: Figures, quality: int
) -> bool:
    """Identity is (line, start, end); stored intervals of a line and side never overlap.

    True when it was written.
    """
    stretch(line, start_ms, end_ms)
    line.period_ms = min(end_ms - start_ms, 24 * HOUR_MS)
    if start_ms >= line.newest_ms:
        insert(batch, line, start_ms, end_ms, side, 0, figures, quality)
        batch.count(line, figures)
    elif not _book_among(batch, line, start_ms, end_ms, side, figures, quality):
        return False
    batch.soil(line, start_ms, end_ms)
    batch.seen(line, end_ms, quality, side)
    return True


def neighbours(con: sqlite3.Connection, line: Line, start_ms: int, end_ms: int, side: int) -> list[Stored]:
    found: list[Stored] = []
    for long, back in ((0, line.longest_ms), (1, MAX_INTERVAL_MS)):
        rows = con.execute(NEIGHBOURS, (long, start_ms - back, end_ms, line.id, start_ms, side))
        found += [(row[0], row[1], row[2], row[3], row[4], row[5:]) for row in rows]
    return found


def _book_among(
    batch: Batch, line: Line, start_ms: int, end_ms: int, side: int, figures: Figures, quality: int
) -> bool:
    """Book a delta that is not the newest. True when something was written."""
    others = neighbours(batch.con, line, start_ms, end_ms, side)
    for _long, start, end, held, _key, old in others:
        if (start, end, held) == (start_ms, end_ms, side) and old == figures:
            batch.outcome.repeated += 1
            return False
        inside = start_ms <= start and end <= end_ms and held & side == held
        if not inside:
            covered = start <= start_ms and end_ms <= end and held & side == side
            batch.refuse(line, "covered" if covered else "overlap", figures)
            return False
    replaced = NOTHING
    for long, start, end, held, key, old in others:
        batch.con.execute(DELETE, (long, start, line.id, end, held, key))
        replaced = plus(replaced, old)
    insert(batch, line, start_ms, end_ms, side, 0, figures, quality)
    if others:
        batch.replace(line, figures, replaced)
    else:
        batch.count(line, figures)
    return True


def _summed(column: str, condition: str = "") -> str:
    shared = SHARE_SQL.format(c=column)
    inside = f"CASE WHEN start_ms>=:lo AND end_ms<=:hi THEN {column} ELSE {shared} END"
    return f"sum(CASE WHEN {condition} THEN {inside} ELSE 0 END)" if condition else f"sum({inside})"


def sums_sql(one_line: bool = False) -> str:
    """Per line: the six figures, the estimated parts and the worst quality of `[lo, hi)`.

    `:back` and `:far` say how far before the window a short and a long reading may begin.
    """
    estimated = "end_ms-start_ms>:estimated OR quality=3"
    parts = [_summed(column) for column in ("ins", "outs", "passes", "sales", "returns", "amount")]
    parts += [_summed(column, estimated) for column in ("ins", "outs", "passes")]
    where = " AND line_id=:line" if one_line else ""
    ranges = " UNION ALL ".join(
        f"SELECT * FROM readings WHERE long={long} AND start_ms>:lo-{back} AND start_ms<:hi AND"
        f" end_ms>:lo{where}"
        for long, back in ((0, ":back"), (1, ":far"))
    )
    return f"SELECT line_id, {', '.join(parts)}, max(quality) FROM ({ranges}) GROUP BY line_id"


SUMS, SUMS_OF_ONE = sums_sql(), sums_sql(one_line=True)
Sums = dict[int, tuple[int, ...]]  # line → 6 figures, 3 estimated, quality


def raw_sums(
    con: sqlite3.Connection, lo_ms: int, hi_ms: int, size_s: int, back_ms: int, line_id: int | None = None
) -> Sums:
    """What every line, or one, counted in `[lo, hi)`, shared out exactly (semantics 2)."""
    binds = {
        "lo": lo_ms,
        "hi": hi_ms,
        "back": back_ms,
        "far": MAX_INTERVAL_MS,
        "estimated": size_s * 1000,
        "line": line_id,
    }
    statement = SUMS if line_id is None else SUMS_OF_ONE
    return {row[0]: row[1:] for row in con.execute(statement, binds)}
