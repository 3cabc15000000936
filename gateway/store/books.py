"""The books: R, C, Z and U of semantics 6, by recomputation, in one read transaction."""

from __future__ import annotations

import sqlite3
from collections import defaultdict

from gateway.model import line_ref
from gateway.store.batch import COUNTED, EXPIRED, HELD, RECEIVED, REFUSED, REPLACED
from gateway.store.corrections import effect, whole_effect, window_sums
from gateway.store.in_force import ByLine, in_force
from gateway.store.memory import FAR_MS
from gateway.store.plan import COLUMNS, NOTHING, Books, Figures, LineBooks, UpstreamBooks, plus
from gateway.windows import SHARE_SQL

PerLine = dict[int, Figures]
GridRow = tuple[int, int, int]  # size, from, to

CURRENT_SUMS = (
    "SELECT line_id, sum(ins), sum(outs), sum(passes), sum(sales), sum(returns), sum(amount) FROM"
    " (SELECT *, max(revision) FROM line_windows WHERE size_s=? AND start_ms>=? AND start_ms<?"
    " GROUP BY line_id, start_ms) GROUP BY line_id"
)
ONE_CURRENT = (
    "SELECT ins, outs, passes, sales, returns, amount FROM line_windows"
    " WHERE line_id=? AND size_s=? AND start_ms=? ORDER BY revision DESC LIMIT 1"
)
# Each aggregate against the line windows it names; written apart from how closing adds them up.
ZONE_SUMS = """
WITH current AS (
  SELECT zone_id, size_s, start_ms, ins, outs, passersby, sales, returns, amount, lines, max(revision)
  FROM zone_aggregates WHERE start_ms>=:since GROUP BY zone_id, size_s, start_ms),
parts AS (
  SELECT c.zone_id, c.size_s, c.start_ms, j.value->>2 AS sign, j.value->>3 AS role, w.*,
    (w.odd_before+w.passes)/2 AS half
  FROM current c, json_each(c.lines) j JOIN line_windows w
  ON w.line_id=j.value->>0 AND w.size_s=c.size_s AND w.start_ms=c.start_ms AND w.revision=j.value->>1),
sums AS (
  SELECT zone_id, size_s, start_ms,
    sum(CASE WHEN role<>'entrance' THEN 0 WHEN sign>0 THEN ins+half ELSE outs+passes-half END) AS ins,
    sum(CASE WHEN role<>'entrance' THEN 0 WHEN sign>0 THEN outs+passes-half ELSE ins+half END) AS outs,
    sum(CASE WHEN role='passing' THEN ins+outs+passes ELSE 0 END) AS passersby,
    sum(CASE WHEN role='till' THEN sales ELSE 0 END) AS sales,
    sum(CASE WHEN role='till' THEN returns ELSE 0 END) AS returns,
    sum(CASE WHEN role='till' THEN amount ELSE 0 END) AS amount
  FROM parts GROUP BY zone_id, size_s, start_ms)
SELECT z.zone, abs(c.ins-coalesce(s.ins,0))+abs(c.outs-coalesce(s.outs,0))
  +abs(c.passersby-coalesce(s.passersby,0))+abs(c.sales-coalesce(s.sales,0))
  +abs(c.returns-coalesce(s.returns,0))+abs(c.amount-coalesce(s.amount,0)) AS off
FROM current c LEFT JOIN sums s USING (zone_id, size_s, start_ms) JOIN zones z ON z.id=c.zone_id WHERE off<>0
"""


def books(con: sqlite3.Connection, *, since_ms: int = 0) -> Books:
    """All four balances. `since_ms` bounds the zone check, which reads every aggregate."""
    con.execute("BEGIN")
    try:
        lines = _line_books(con)
        wrong = con.execute(ZONE_SUMS, {"since": since_ms}).fetchall()
        upstreams = _upstream_books(con)
    finally:
        con.execute("ROLLBACK")
    off = sum(row[1] for row in wrong)
    imbalance = sum(row.imbalance for row in lines) + sum(row.imbalance for row in upstreams) + off
    zones = tuple(sorted({row[0] for row in wrong}))
    return Books(imbalance == 0, imbalance, tuple(lines), tuple(upstreams), off, zones)


def _line_books(con: sqlite3.Connection) -> list[LineBooks]:
    accounts: dict[tuple[int, str], Figures] = {
        (row[0], row[1]): tuple(row[2:]) for row in con.execute("SELECT * FROM ledger")
    }
    corrections = in_force(con)
    (back_ms,) = con.execute("SELECT coalesce(max(longest_ms), 1) FROM pulse").fetchone()
    closed, restating, open_ = _where_counted(con, corrections, back_ms)
    corrected = _corrected(con, corrections, back_ms)
    rows: list[LineBooks] = []
    names = con.execute("SELECT id, counter, line FROM lines ORDER BY till, counter, line").fetchall()
    for line_id, counter, line in names:
        refused = NOTHING
        for (owner, account), figures in accounts.items():
            if owner == line_id and account.startswith(REFUSED):
                refused = plus(refused, figures)
        parts = [accounts.get((line_id, account), NOTHING) for account in (RECEIVED, COUNTED, REPLACED)]
        parts += [refused, *(per.get(line_id, NOTHING) for per in (closed, restating, open_))]
        parts += [accounts.get((line_id, account), NOTHING) for account in (HELD, EXPIRED)]
        parts.append(corrected.get(line_id, NOTHING))
        for index, column in enumerate(COLUMNS):
            values = [part[index] for part in parts]
            if any(values):
                rows.append(LineBooks(line_ref(counter, line), column, *values))
    return rows


def _corrected(con: sqlite3.Connection, corrections: ByLine, back_ms: int) -> PerLine:
    """What corrections in force put in place, less what they mask."""
    (frozen_ms,) = con.execute("SELECT CAST(value AS INTEGER) FROM meta WHERE name='frozen_ms'").fetchone()
    corrected: PerLine = defaultdict(lambda: NOTHING)
    for line_id, ones in corrections.items():
        for one in ones:
            corrected[line_id] = plus(corrected[line_id], whole_effect(con, one, frozen_ms, back_ms))
    return corrected


def _where_counted(
    con: sqlite3.Connection, corrections: ByLine, back_ms: int
) -> tuple[PerLine, PerLine, PerLine]:
    """(closed, restating, open) per line, over the stretches of the configured window size."""
    closed: PerLine = defaultdict(lambda: NOTHING)
    restating: PerLine = defaultdict(lambda: NOTHING)
    open_: PerLine = defaultdict(lambda: NOTHING)
    grids = con.execute(
        "SELECT size_s, from_ms, coalesce(to_ms, ?) FROM grids WHERE base=1", (FAR_MS,)
    ).fetchall()
    for size_s, from_ms, to_ms in grids:
        for row in con.execute(CURRENT_SUMS, (size_s, from_ms, to_ms)):
            closed[row[0]] = plus(closed[row[0]], row[1:])
        grid = (size_s, from_ms, to_ms)
        _add_restating(con, restating, grid, corrections, back_ms)
        _add_open(con, open_, grid, corrections, back_ms)
    return closed, restating, open_


def _add_restating(
    con: sqlite3.Connection, restating: PerLine, grid: GridRow, corrections: ByLine, back_ms: int
) -> None:
    """Recomputed minus current, for each dirty window."""
    size_s, from_ms, to_ms = grid
    rows = con.execute(
        "SELECT start_ms, line_id FROM dirty WHERE size_s=? AND start_ms>=? AND start_ms<? ORDER BY start_ms",
        (size_s, from_ms, to_ms),
    ).fetchall()
    at_ms, sums = None, {}
    for start_ms, line_id in rows:
        if start_ms != at_ms:
            end_ms = start_ms + size_s * 1000
            at_ms, sums = start_ms, window_sums(con, start_ms, end_ms, size_s, back_ms, corrections)
        fresh: Figures = tuple(sums[line_id][:6]) if line_id in sums else NOTHING  # type: ignore[assignment]
        stored: Figures = con.execute(ONE_CURRENT, (line_id, size_s, start_ms)).fetchone() or NOTHING
        restating[line_id] = plus(restating[line_id], plus(fresh, stored, -1))


def _add_open(
    con: sqlite3.Connection, open_: PerLine, grid: GridRow, corrections: ByLine, back_ms: int
) -> None:
    """What lies at or after each line's closed edge, within this grid."""
    size_s, from_ms, to_ms = grid
    shares = ", ".join(
        f"sum({SHARE_SQL.format(c=column).replace(':lo', 'lo').replace(':hi', 'hi')})" for column in COLUMNS
    )
    rows = con.execute(
        f"SELECT line_id, {shares} FROM (SELECT r.*, min(max(c.through_ms, :from), :to) AS lo, :to AS hi"  # noqa: S608
        " FROM readings r JOIN closed c ON c.line_id=r.line_id AND c.size_s=:size WHERE"
        " r.end_ms>c.through_ms)"
        " GROUP BY line_id",
        {"size": size_s, "from": from_ms, "to": to_ms},
    )
    for line_id, *figures in rows:
        open_[line_id] = plus(open_[line_id], tuple(figures))
    edges = con.execute("SELECT line_id, through_ms FROM closed WHERE size_s=?", (size_s,)).fetchall()
    for line_id, through_ms in edges:
        for one in corrections.get(line_id, ()):
            added = effect(con, one, min(max(through_ms, from_ms), to_ms), to_ms, back_ms)
            open_[line_id] = plus(open_[line_id], added)


def _upstream_books(con: sqlite3.Connection) -> list[UpstreamBooks]:
    """Closed windows since the upstream was added, by the state of the current revision."""
    closed = dict(
        con.execute(
            "SELECT upstream_id, count(*) FROM (SELECT DISTINCT s.upstream_id, a.zone_id, a.size_s,"
            " a.start_ms"
            " FROM subscriptions s JOIN zone_aggregates a ON a.zone_id=s.zone_id AND a.size_s=s.size_s"
            " AND a.start_ms>=s.from_ms AND (s.to_ms IS NULL OR a.start_ms<s.to_ms)) GROUP BY upstream_id"
        )
    )
    states = {
        (upstream, state): n
        for upstream, state, n in con.execute(
            "SELECT o.upstream_id, o.state, count(*) FROM outbox o WHERE o.revision=(SELECT max(revision)"
            " FROM zone_aggregates a WHERE a.zone_id=o.zone_id AND a.size_s=o.size_s AND"
            " a.start_ms=o.start_ms)"
            " AND (o.state<>'delivered' OR o.delivered_revision=o.revision) GROUP BY 1, 2"
        )
    }
    rows = con.execute("SELECT id, name, expired FROM upstreams ORDER BY name").fetchall()
    return [
        UpstreamBooks(
            name,
            closed.get(id_, 0) + expired,
            states.get((id_, "delivered"), 0),
            states.get((id_, "pending"), 0),
            states.get((id_, "rejected"), 0),
            expired,
        )
        for id_, name, expired in rows
    ]
