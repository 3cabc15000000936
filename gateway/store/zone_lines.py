"""The lines of a zone in each of its windows: what each of them counted, and was it watched?"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.model import Role
from gateway.store.memory import ZoneMember
from gateway.store.sums import LineWindow, ZoneSum

# Of the current revision (as of an instant), with the revision of each line that it was made of.
WINDOWS = (
    "WITH a AS (SELECT *, max(revision) FROM zone_aggregates WHERE zone_id=:zone AND start_ms>=:from"
    " AND start_ms<:to AND (:as_of IS NULL OR closed_ms<=:as_of)"
    " AND size_s IN (SELECT size_s FROM grids WHERE size_s=:size OR :size IS NULL AND base=1)"
    " AND (:size IS NOT NULL OR EXISTS (SELECT 1 FROM grids g WHERE g.base=1"
    " AND g.size_s=zone_aggregates.size_s AND g.from_ms<=start_ms"
    " AND (g.to_ms IS NULL OR g.to_ms>start_ms))) GROUP BY size_s, start_ms)"
    " SELECT a.start_ms, a.size_s, a.base_ms, j.value, coalesce(w.ins, 0), coalesce(w.outs, 0),"
    " coalesce(w.passes, 0), coalesce(w.odd_before, 0), iif(w.revision IS NULL, 0, w.watched_ms)"
    " FROM a, json_each(a.lines) j LEFT JOIN line_windows w ON w.line_id=json_extract(j.value, '$[0]')"
    " AND w.size_s=a.size_s AND w.start_ms=a.start_ms AND w.revision=json_extract(j.value, '$[1]')"
    " ORDER BY a.start_ms"
)


@dataclass(frozen=True, slots=True)
class ZoneLine:
    """One line in one window of a zone, in as the zone sees it.

    `base_ms` None: closed. `watched_ms`, of the open time, None: nobody can say.
    """

    line: str
    role: Role
    start_ms: int
    size_s: int
    base_ms: int | None
    watched_ms: int | None
    ins: int
    outs: int
    passersby: int


def zone_lines(
    con: sqlite3.Connection,
    refs: Mapping[int, str],
    zone_id: int,
    span: tuple[int, int],
    size_s: int | None,
    as_of_ms: int | None,
) -> Iterator[ZoneLine]:
    """By time; tills are not among them.

    `refs`: line id → the line as zones write it. `size_s` None: of the configured size of their time.
    """
    binds = {"zone": zone_id, "from": span[0], "to": span[1], "size": size_s, "as_of": as_of_ms}
    known: dict[str, ZoneMember] = {}  # most windows name their lines in the same words
    for start_ms, size, base, text, *counts, watched in con.execute(WINDOWS, binds):
        member = known.get(text) or known.setdefault(text, _member(text))
        if member.role is Role.TILL:
            continue
        ins, outs, passes, odd = counts
        total = ZoneSum()
        total.add(member, LineWindow(1, ins, outs, passes, odd_before=odd))
        yield ZoneLine(
            refs[member.line_id],
            member.role,
            start_ms,
            size,
            base,
            watched if base is None or watched is None else min(watched, base),
            total.ins,
            total.outs,
            total.passersby,
        )


def _member(text: str) -> ZoneMember:
    """Of a line as an aggregate names it: id, revision, sign, role."""
    line_id, _revision, sign, role = json.loads(text)
    return ZoneMember(line_id, sign, Role(role))
