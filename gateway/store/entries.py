"""What people enter: kept under their client's id, withdrawn but never deleted (taps age with aggregates)."""

from __future__ import annotations

import json
import sqlite3

from gateway.errors import EntryConflict, EntryRefused
from gateway.model import Entry, EntryKind

COLUMNS = "kind, id, subject, start_ms, end_ms, content, by, entered_ms, withdrawn_ms"
MAX_TAPS_A_DAY = 50_000  # of one zone: a phone that taps by itself must not fill the card
DAY_MS = 86_400_000

# ruff: noqa: S608  statements are put together from parts of this file only
ONE = f"SELECT {COLUMNS} FROM entries WHERE kind=? AND id=?"
SOME = (
    f"SELECT {COLUMNS} FROM entries WHERE kind=:kind AND (:subject IS NULL OR subject=:subject)"
    " AND start_ms<:to AND end_ms>:from AND (:all OR withdrawn_ms IS NULL) ORDER BY start_ms, id"
)
TAPS = (
    "SELECT subject, count(*), sum(content->>'bag') FROM entries WHERE kind='tap' AND start_ms>=:from"
    " AND start_ms<:to AND withdrawn_ms IS NULL GROUP BY subject"
)
TAPS_AROUND = "SELECT count(*) FROM entries WHERE kind='tap' AND subject=? AND start_ms>? AND start_ms<=?"


def enter(con: sqlite3.Connection, entries: list[Entry]) -> list[tuple[Entry, bool]]:
    """Each as it is kept, and whether it is new. All or none. Raises EntryConflict, EntryRefused."""
    return [_enter(con, entry) for entry in entries]


def _enter(con: sqlite3.Connection, entry: Entry) -> tuple[Entry, bool]:
    known = con.execute(ONE, (entry.kind, entry.id)).fetchone()
    if known:
        kept = _entry(known)
        if _said(kept) != _said(entry):
            raise EntryConflict(f"id: {entry.id} was used before for another {entry.kind}")
        return kept, False
    if entry.kind is EntryKind.TAP:
        around = (entry.subject, entry.start_ms - DAY_MS, entry.start_ms)
        if con.execute(TAPS_AROUND, around).fetchone()[0] >= MAX_TAPS_A_DAY:
            raise EntryRefused(f"zone: more than {MAX_TAPS_A_DAY} taps of {entry.subject} within a day")
    content = json.dumps(dict(entry.content), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    row = (entry.kind, entry.id, entry.subject, entry.start_ms, entry.end_ms, content)
    con.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,NULL)", (*row, entry.by, entry.entered_ms))
    return entry, True


def _said(entry: Entry) -> tuple[object, ...]:
    """What makes two entries the same: not who sent it, nor, for a tap whose time is its receipt, when."""
    span = () if entry.kind is EntryKind.TAP else (entry.start_ms, entry.end_ms)
    return entry.subject, *span, dict(entry.content)


def withdraw(con: sqlite3.Connection, kind: EntryKind, id_: str, now_ms: int) -> Entry:
    """It no longer counts; it stays to be seen. Raises EntryRefused."""
    con.execute(
        "UPDATE entries SET withdrawn_ms=? WHERE kind=? AND id=? AND withdrawn_ms IS NULL",
        (now_ms, kind, id_),
    )
    row = con.execute(ONE, (kind, id_)).fetchone()
    if row is None:
        raise EntryRefused(f"id: there is no {kind} {id_}")
    return _entry(row)


def listed(
    con: sqlite3.Connection,
    kind: EntryKind,
    subject: str | None,
    from_ms: int,
    to_ms: int,
    *,
    withdrawn: bool,
) -> list[Entry]:
    """Entries that touch `[from, to)`, oldest first."""
    binds = {"kind": kind, "subject": subject, "from": from_ms, "to": to_ms, "all": withdrawn}
    return [_entry(row) for row in con.execute(SOME, binds)]


def taps(con: sqlite3.Connection, from_ms: int, to_ms: int) -> dict[str, tuple[int, int]]:
    """Zone → (taps, of them with a bag)."""
    rows = con.execute(TAPS, {"from": from_ms, "to": to_ms})
    return {zone: (n, bags or 0) for zone, n, bags in rows}


def expire(con: sqlite3.Connection, edge_ms: int) -> int:
    """Taps of before `edge_ms` go with the aggregates they belong to."""
    return con.execute("DELETE FROM entries WHERE kind='tap' AND start_ms<?", (edge_ms,)).rowcount


def _entry(row: tuple[str, str, str, int, int, str, str, int, int | None]) -> Entry:
    kind, id_, subject, start_ms, end_ms, content, by, entered_ms, withdrawn_ms = row
    span = (start_ms, end_ms)
    return Entry(EntryKind(kind), id_, subject, *span, json.loads(content), by, entered_ms, withdrawn_ms)
