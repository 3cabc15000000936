"""Alarms of lines: raised, changed and ended in revisions that stay; and what upstreams are owed of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping

from gateway.errors import StoreError
from gateway.model import Stamp, line_ref
from gateway.quality import NOT_COUNTED, Alarm, Break
from gateway.store.events import ALARM_FACTS, AlarmFacts
from gateway.store.memory import DAY_MS, Memory
from gateway.store.plan import UpstreamPlan

# ruff: noqa: S608  statements are put together from columns of ours only
OF_ITS_ZONES, ALL = 1, 2  # what an upstream is sent, in `upstreams.alarms`; 0: none
REVISED = " JOIN alarm_revisions r ON r.alarm_id=a.id AND r.revision=a.revision"
OPEN = (
    f"SELECT id, r.revision, evidence FROM alarms a{REVISED} WHERE line_id=? AND a.until_ms IS NULL"
    " AND kind=? AND since_ms=?"
)
CURRENT = f"SELECT {ALARM_FACTS} FROM alarms a{REVISED} JOIN lines l ON l.id=a.line_id"
TOLD = "EXISTS (SELECT 1 FROM alarm_outbox o WHERE o.upstream_id=u.id AND o.alarm_id=a.id)"
WANTED = (
    f"(u.alarms=2 OR u.alarms=1 AND ({TOLD} OR EXISTS (SELECT 1 FROM json_each(r.zones) j"
    " JOIN zones z ON z.zone=j.value JOIN subscriptions s ON s.zone_id=z.id"
    " WHERE s.upstream_id=u.id AND s.to_ms IS NULL)))"
)
# What is no fault (an event that draws a crowd) is kept and shown, but nobody is alarmed.
OWE = (
    "INSERT INTO alarm_outbox (upstream_id, alarm_id, revision, state)"
    " SELECT u.id, a.id, a.revision, 'pending'"
    f" FROM upstreams u JOIN alarms a{REVISED} WHERE r.severity<>'info' AND {WANTED} AND "
)
AGAIN = (
    " ON CONFLICT (upstream_id, alarm_id) DO UPDATE SET revision=excluded.revision, state='pending',"
    " reason=NULL WHERE revision<>excluded.revision"
)
# Of what was before a configuration: those that are open, and the end of those that were told.
OWE_BEFORE = OWE + f"u.name=? AND (a.until_ms IS NULL OR {TOLD})" + AGAIN
OWE_NOW = OWE + "a.id=?" + AGAIN
OVER = (
    "SELECT id FROM alarms a WHERE until_ms<? AND NOT EXISTS (SELECT 1 FROM alarm_outbox o JOIN upstreams u"
    " ON u.id=o.upstream_id WHERE o.alarm_id=a.id AND o.state='pending' AND u.alarms>0)"
)


def book(con: sqlite3.Connection, memory: Memory, line_id: int, alarm: Alarm, now_ms: int) -> None:
    """Store what a detector found: a new alarm, a change of an open one, or its end; its `since_ms` names it.

    The end keeps the evidence of the beginning. The end of one that is not open says nothing: it was ended by
    hand, or its counter was replaced.
    """
    found = con.execute(OPEN, (line_id, alarm.kind, alarm.since_ms)).fetchone()
    if found is None and alarm.until_ms is not None:
        return
    id_, revision, evidence = found or (_begin(con, line_id, alarm), 0, "{}")
    zones = json.dumps(zones_around(memory, line_id, now_ms))
    if alarm.evidence:
        evidence = json.dumps({name: _short(figure) for name, figure in alarm.evidence.items()})
    facts = (alarm.severity, alarm.until_ms, alarm.remedy, evidence, zones)
    _revise(con, id_, revision + 1, facts, now_ms)
    memory.tell(now_ms)


def _begin(con: sqlite3.Connection, line_id: int, alarm: Alarm) -> int:
    row = con.execute(
        "INSERT INTO alarms (line_id, kind, since_ms, revision) VALUES (?,?,?,0) RETURNING id",
        (line_id, alarm.kind, alarm.since_ms),
    ).fetchone()
    return int(row[0])


def _short(figure: float) -> float:
    """Evidence is for people: six digits, and whole numbers as such."""
    return int(figure) if figure == int(figure) else float(f"{figure:.6g}")


def _revise(
    con: sqlite3.Connection, id_: int, revision: int, facts: tuple[str | int | None, ...], now_ms: int
) -> None:
    """`facts`: severity, until, remedy, evidence, zones."""
    con.execute("INSERT INTO alarm_revisions VALUES (?,?,?,?,?,?,?,?)", (id_, revision, *facts, now_ms))
    con.execute("UPDATE alarms SET revision=?, until_ms=? WHERE id=?", (revision, facts[1], id_))
    con.execute(OWE_NOW, (id_,))


def zones_around(memory: Memory, line_id: int, at_ms: int) -> list[str]:
    """Ids of the configured zones that the line belongs to."""
    zones = [memory.zones[id_] for id_ in memory.zones_of.get(line_id, ())]
    return sorted(
        zone.zone
        for zone in zones
        if zone.active and any(member.line_id == line_id for member in zone.at(at_ms).members)
    )


def end(con: sqlite3.Connection, memory: Memory, line_ids: Iterable[int], now: Stamp) -> None:
    """Nobody looks at these lines any more: their open alarms end now, with what was known."""
    now_ms = memory.moment_ms(now)
    gone = json.dumps(list(line_ids))
    rows = con.execute(
        "SELECT id, r.revision, severity, since_ms, remedy, evidence, zones FROM alarms a"
        f"{REVISED} WHERE a.until_ms IS NULL AND line_id IN (SELECT value FROM json_each(?))",
        (gone,),
    ).fetchall()
    for id_, revision, severity, since_ms, *rest in rows:
        _revise(con, id_, revision + 1, (severity, max(now.wall_ms, since_ms), *rest), now_ms)
        memory.tell(now_ms)


def doubted(con: sqlite3.Connection, from_ms: int, to_ms: int) -> list[AlarmFacts]:
    """Of `alarms_between` those whose counts are not believed, and were not said to be right since."""
    rows = con.execute(
        f"{CURRENT} WHERE a.believed_ms IS NULL AND a.kind IN ({','.join('?' * len(NOT_COUNTED))})"
        " AND a.since_ms<? AND (a.until_ms IS NULL OR a.until_ms>=?) ORDER BY a.since_ms, a.id",
        (*sorted(NOT_COUNTED), to_ms, from_ms),
    )
    return [AlarmFacts(*row) for row in rows]


def believe(con: sqlite3.Connection, alarm: int, now_ms: int) -> str:
    """What was counted while it was raised is right after all; gives the line. Raises StoreError."""
    row = con.execute(
        "UPDATE alarms SET believed_ms=coalesce(believed_ms, ?) WHERE id=? RETURNING line_id", (now_ms, alarm)
    ).fetchone()
    if row is None:
        raise StoreError(f"there is no alarm {alarm}: `counter-gateway alarms` lists them")
    counter, line = con.execute("SELECT counter, line FROM lines WHERE id=?", row).fetchone()
    return line_ref(counter, line)


def breaks_between(con: sqlite3.Connection, from_ms: int, to_ms: int) -> list[Break]:
    """Breaks dated in `[from, to)` that nobody has dismissed, oldest first."""
    rows = con.execute(
        "SELECT counter, line, since_ms, factor FROM breaks JOIN lines ON id=line_id"
        " WHERE dismissed_ms IS NULL AND since_ms>=? AND since_ms<? ORDER BY since_ms, counter, line",
        (from_ms, to_ms),
    )
    return [Break(line_ref(counter, line), since_ms, factor) for counter, line, since_ms, factor in rows]


def dismiss(con: sqlite3.Connection, memory: Memory, ref: str, now_ms: int) -> int:
    """The line may be compared with its past again; returns how many breaks. Raises StoreError."""
    ids = [line.id for line in memory.by_id.values() if line.rule.ref == ref and not line.rule.till]
    if not ids:
        raise StoreError(f"no line {ref} has ever been configured here")
    return con.execute(
        "UPDATE breaks SET dismissed_ms=? WHERE dismissed_ms IS NULL AND line_id=?", (now_ms, ids[0])
    ).rowcount


def subscribe(con: sqlite3.Connection, upstreams: Mapping[str, UpstreamPlan]) -> None:
    """Who is sent alarms from now on; a newcomer, also to a zone, is sent those that are open."""
    con.execute("UPDATE upstreams SET alarms=0")
    for name, plan in upstreams.items():
        if plan.alarms:
            which = ALL if plan.zones is None else OF_ITS_ZONES
            con.execute("UPDATE upstreams SET alarms=? WHERE name=?", (which, name))
            con.execute(OWE_BEFORE, (name,))


def prune(con: sqlite3.Connection, now_ms: int, retention_days: int) -> int:
    """Remove alarms that ended long ago and that nobody waits for, and old breaks; how many alarms."""
    con.execute("DELETE FROM breaks WHERE since_ms<?", (now_ms - retention_days * DAY_MS,))
    over = con.execute(OVER, (now_ms - retention_days * DAY_MS,)).fetchall()
    for table, column in (("alarm_outbox", "alarm_id"), ("alarm_revisions", "alarm_id"), ("alarms", "id")):
        con.executemany(f"DELETE FROM {table} WHERE {column}=?", over)
    return len(over)


def open_alarms(con: sqlite3.Connection) -> list[AlarmFacts]:
    """Those that have not ended, oldest first."""
    rows = con.execute(CURRENT + " WHERE a.until_ms IS NULL ORDER BY a.since_ms, a.id")
    return [AlarmFacts(*row) for row in rows]


def alarms_between(con: sqlite3.Connection, from_ms: int, to_ms: int) -> list[AlarmFacts]:
    """Those that were open at any time of `[from, to)`, as they are known now, oldest first."""
    rows = con.execute(
        CURRENT + " WHERE a.since_ms<? AND (a.until_ms IS NULL OR a.until_ms>=?) ORDER BY a.since_ms, a.id",
        (to_ms, from_ms),
    )
    return [AlarmFacts(*row) for row in rows]
