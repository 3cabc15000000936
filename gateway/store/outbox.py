"""Pointers to what must be delivered: a row per upstream and window or alarm, never a copy (semantics 5)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.errors import StoreError
from gateway.model import Event, Receipt
from gateway.store.events import ALARM_FACTS, FACTS, AlarmFacts, Facts, Place, render, render_alarm
from gateway.store.memory import Memory
from gateway.store.plan import Pending

# ruff: noqa: S608  statements are put together from columns of ours only
ENQUEUE = (
    "INSERT INTO outbox (upstream_id, zone_id, size_s, start_ms, revision, state, closed_ms)"
    " SELECT upstream_id, zone_id, size_s, :start, :revision, 'pending', :closed FROM subscriptions"
    " WHERE zone_id=:zone AND size_s=:size AND from_ms<=:start AND (to_ms IS NULL OR to_ms>:start)"
    " ON CONFLICT (upstream_id, zone_id, size_s, start_ms) DO UPDATE SET revision=excluded.revision,"
    " state='pending', closed_ms=excluded.closed_ms, reason=NULL"
)
# Windows that were closed before the upstream asked for them.
BACKLOG = (
    "INSERT OR IGNORE INTO outbox (upstream_id, zone_id, size_s, start_ms, revision, state, closed_ms)"
    " SELECT :upstream, zone_id, size_s, start_ms, max(revision), 'pending', closed_ms FROM zone_aggregates"
    " WHERE zone_id=:zone AND size_s=:size AND start_ms>=:from GROUP BY start_ms"
)
TAKE = (
    f"SELECT {FACTS} FROM outbox o JOIN zone_aggregates a USING (zone_id, size_s, start_ms, revision)"
    " JOIN zones z ON z.id=o.zone_id JOIN upstreams u ON u.id=o.upstream_id"
    " WHERE u.name=:upstream AND o.state='pending'"
)
# An answer to revision 1 must never settle revision 2.
SETTLE = (
    "UPDATE outbox SET state=:state, delivered_revision=CASE WHEN :state='delivered' THEN :sent"
    " ELSE delivered_revision END, attempts=attempts+1, reason=:reason, settled_ms=:now"
    " WHERE upstream_id=(SELECT id FROM upstreams WHERE name=:upstream)"
    " AND zone_id=(SELECT id FROM zones WHERE zone=:zone) AND size_s=:size AND start_ms=:start"
)
ONLY_SENT = " AND revision=:sent AND state='pending'"
TAKE_ALARMS = (
    f"SELECT {ALARM_FACTS} FROM alarm_outbox o JOIN alarms a ON a.id=o.alarm_id JOIN alarm_revisions r"
    " ON r.alarm_id=o.alarm_id AND r.revision=o.revision JOIN lines l ON l.id=a.line_id"
    " JOIN upstreams u ON u.id=o.upstream_id"
    " WHERE u.name=? AND u.alarms>0 AND o.state='pending' ORDER BY o.alarm_id LIMIT ?"
)
SETTLE_ALARM = (
    "UPDATE alarm_outbox SET state=:state, delivered_revision=CASE WHEN :state='delivered' THEN :sent"
    " ELSE delivered_revision END, attempts=attempts+1, reason=:reason, settled_ms=:now"
    " WHERE upstream_id=(SELECT id FROM upstreams WHERE name=:upstream) AND alarm_id=:alarm"
)


def enqueue(
    con: sqlite3.Connection,
    zone_id: int,
    size_s: int,
    start_ms: int,
    revision: int,
    closed_ms: int,
    _reason: str,
) -> None:
    """The window's newest revision is to be delivered to every upstream that wants it."""
    con.execute(
        ENQUEUE,
        {"zone": zone_id, "size": size_s, "start": start_ms, "revision": revision, "closed": closed_ms},
    )


def take(
    con: sqlite3.Connection, memory: Memory, upstream: str, limit: int, *, live: bool, live_from_ms: int
) -> list[Event]:
    """Pending events: alarms, then live windows newest first; or the backlog oldest first. Writes nothing."""
    simulated = memory.meta["simulated"] != ""

    def place(told_ms: int) -> Place:
        return Place(memory.plans.at(told_ms), memory.generation, simulated)

    events = []
    if live:
        alarms = [AlarmFacts(*row) for row in con.execute(TAKE_ALARMS, (upstream, limit))]
        events = [render_alarm(facts, place(facts.written_ms)) for facts in alarms]
    order = (
        " AND o.start_ms>=:from ORDER BY o.start_ms DESC LIMIT :limit"
        if live
        else " AND o.start_ms<:from ORDER BY o.start_ms LIMIT :limit"
    )
    binds = {"upstream": upstream, "from": live_from_ms, "limit": limit - len(events)}
    windows = [Facts(*row) for row in con.execute(TAKE + order, binds)]
    return events + [render(facts, place(facts.closed_ms), replayed=not live) for facts in windows]


def settle(
    con: sqlite3.Connection,
    upstream: str,
    events: Sequence[Event],
    receipt: Receipt,
    now_ms: int,
    *,
    any_revision: bool = False,
) -> None:
    """Stored and rejected events leave the queue; the rest is kept."""
    guard = "" if any_revision else ONLY_SENT
    for event in events:
        if event.id in receipt.rejected:
            state, reason = "rejected", receipt.rejected[event.id][:200]
        elif event.id in receipt.accepted:
            state, reason = "delivered", None
        else:
            continue
        con.execute(
            (SETTLE if event.alarm is None else SETTLE_ALARM) + guard,
            {
                "state": state,
                "sent": event.revision,
                "reason": reason,
                "now": now_ms,
                "upstream": upstream,
                "zone": event.zone,
                "size": event.size_s,
                "start": event.start_ms,
                "alarm": event.alarm,
            },
        )


def queue_backlog(con: sqlite3.Connection, upstream_id: int, zone_id: int, size_s: int, from_ms: int) -> None:
    """What was closed from an instant on is to be delivered to a newcomer too."""
    con.execute(BACKLOG, {"upstream": upstream_id, "zone": zone_id, "size": size_s, "from": from_ms})


def release(con: sqlite3.Connection, upstream: str) -> int:
    """Rejected events are pending again. Raises StoreError for an unknown upstream."""
    id_ = _id(con, upstream)
    return sum(
        con.execute(
            f"UPDATE {table} SET state='pending', reason=NULL WHERE state='rejected' AND upstream_id=?",
            (id_,),
        ).rowcount
        for table in ("outbox", "alarm_outbox")
    )


def forget(con: sqlite3.Connection, upstream: str) -> int:
    """Take a removed upstream out of the books; returns windows it never got. Raises StoreError."""
    id_ = _id(con, upstream)
    (owed,) = con.execute(
        "SELECT count(*) FROM outbox WHERE upstream_id=? AND state<>'delivered'", (id_,)
    ).fetchone()
    for table in ("outbox", "alarm_outbox", "subscriptions"):
        con.execute(f"DELETE FROM {table} WHERE upstream_id=?", (id_,))
    con.execute("DELETE FROM upstreams WHERE id=?", (id_,))
    return int(owed)


def _id(con: sqlite3.Connection, upstream: str) -> int:
    row = con.execute("SELECT id FROM upstreams WHERE name=?", (upstream,)).fetchone()
    if row is None:
        raise StoreError(f"the buffer knows no upstream {upstream}")
    return int(row[0])


def pending(con: sqlite3.Connection) -> list[Pending]:
    """Each upstream's queue."""
    rows = con.execute(
        "SELECT name, (SELECT count(*) FROM outbox WHERE upstream_id=u.id AND state='pending'),"
        " (SELECT min(start_ms) FROM outbox WHERE upstream_id=u.id AND state='pending'),"
        " (SELECT count(*) FROM outbox WHERE upstream_id=u.id AND state='rejected')"
        " + (SELECT count(*) FROM alarm_outbox WHERE upstream_id=u.id AND state='rejected'),"
        " (SELECT count(*) FROM alarm_outbox WHERE upstream_id=u.id AND state='pending' AND u.alarms>0)"
        " FROM upstreams u ORDER BY name"
    )
    return [Pending(*row) for row in rows]
