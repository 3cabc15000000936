"""Make room: readings once nothing can change their windows, aggregates once nobody waits for them."""

from __future__ import annotations

import sqlite3

from gateway.model import Stamp
from gateway.store import alarms
from gateway.store.batch import EXPIRED, LEDGER_ADD
from gateway.store.books import CURRENT_SUMS
from gateway.store.corrections import freeze
from gateway.store.entries import expire
from gateway.store.exits import LEARNT_DAYS
from gateway.store.memory import DAY_MS, FAR_MS, Memory
from gateway.store.teaching import forget
from gateway.windows import floor_ms

COARSE_S = 3600  # every window size divides it
WAITING = (
    "SELECT min(o.start_ms) FROM outbox o WHERE o.state='pending' AND EXISTS (SELECT 1 FROM subscriptions s"
    " WHERE s.upstream_id=o.upstream_id AND s.to_ms IS NULL)"
)
EXPIRE_SENT = (
    "UPDATE upstreams SET expired=expired+(SELECT count(*) FROM outbox WHERE upstream_id=id"
    " AND start_ms<:edge)"
)


def prune(con: sqlite3.Connection, memory: Memory, now: Stamp, *, short: bool = False) -> int:
    """Rows removed. The frozen edge and the deletion are one transaction.

    `short`: the card is full; readings go as soon as they can, and one more day of aggregates.
    """
    edge_ms = _freezable(con, memory, now.wall_ms - (1 if short else memory.plan.readings_days) * DAY_MS)
    removed = 0
    if edge_ms > memory.frozen_ms:
        freeze(con, memory.frozen_ms, edge_ms, memory.longest_short_ms())
        con.execute("UPDATE meta SET value=? WHERE name='frozen_ms'", (str(edge_ms),))
        removed = con.execute(
            "DELETE FROM readings WHERE start_ms<:edge AND end_ms<=:edge AND long IN (0, 1)",
            {"edge": edge_ms},
        ).rowcount
        con.execute("DELETE FROM timeless WHERE end_ms<=?", (edge_ms,))
        con.execute("DELETE FROM coverage WHERE end_ms<?", (edge_ms,))
        con.execute("DELETE FROM jumps WHERE end_ms<=?", (edge_ms,))
        memory.frozen_ms = edge_ms
        memory.load_corrections()
    removed += alarms.prune(con, now.wall_ms, memory.plan.retention_days)
    return removed + _expire(con, memory, _oldest_kept(con, memory, now, short))


def _oldest_kept(con: sqlite3.Connection, memory: Memory, now: Stamp, short: bool) -> int:
    """Aggregates before this are not wanted any more."""
    wanted_ms = now.wall_ms - memory.plan.retention_days * DAY_MS
    (oldest_ms,) = con.execute("SELECT min(start_ms) FROM zone_aggregates").fetchone()
    return wanted_ms if not short or oldest_ms is None else max(wanted_ms, oldest_ms + DAY_MS)


def _freezable(con: sqlite3.Connection, memory: Memory, wanted_ms: int) -> int:
    """The latest edge before which nothing is open, dirty, held or to be restated."""
    if memory.held or con.execute("SELECT 1 FROM held LIMIT 1").fetchone():
        return 0
    edges = con.execute(
        "SELECT (SELECT min(start_ms) FROM dirty), (SELECT min(day_ms) FROM drift), (SELECT min(next_ms)"
        " FROM recalibrate), (SELECT min(through_ms)"
        " FROM closed JOIN grids USING (size_s) WHERE to_ms IS NULL OR through_ms<to_ms)"
    ).fetchone()
    return floor_ms(min([wanted_ms, *(edge for edge in edges if edge is not None)]), COARSE_S)


def _expire(con: sqlite3.Connection, memory: Memory, wanted_ms: int) -> int:
    """Old aggregates that no configured upstream waits for; their sums stay in the books as expired."""
    (waiting,) = con.execute(WAITING).fetchone()
    edge_ms = floor_ms(min(wanted_ms, memory.frozen_ms, FAR_MS if waiting is None else waiting), COARSE_S)
    if (
        edge_ms <= 0
        or not con.execute("SELECT 1 FROM line_windows WHERE start_ms<? LIMIT 1", (edge_ms,)).fetchone()
    ):
        return 0
    for grid in memory.grids:
        if grid.base:
            span = (grid.size_s, grid.from_ms, min(grid.to_ms, edge_ms))
            rows = [(row[0], EXPIRED, *row[1:]) for row in con.execute(CURRENT_SUMS, span)]
            con.executemany(LEDGER_ADD, rows)
    con.execute(EXPIRE_SENT, {"edge": edge_ms})
    con.execute("DELETE FROM zone_days WHERE day_ms<?", (edge_ms - LEARNT_DAYS * DAY_MS,))
    tables = ("line_windows", "zone_aggregates", "outbox")
    forget(con, edge_ms)
    return expire(con, edge_ms) + sum(
        con.execute(f"DELETE FROM {table} WHERE start_ms<?", (edge_ms,)).rowcount  # noqa: S608  names of ours
        for table in tables
    )
