"""Opening hours as they were: which ones hold for a window, and how they are written down."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Any

from gateway.windows import Hours, Span, open_ms, open_spans

NEWEST = "SELECT hours FROM zone_hours WHERE zone_id=? ORDER BY from_ms DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Opening:
    """The hours of a zone by the clock of its place; without hours it never closes.

    `staff_a_day`: entries of staff by weekday from Monday, made while it is open; (): no roster.
    """

    timezone: str
    hours: Hours | None = None
    staff_a_day: tuple[int, ...] = ()

    def base_ms(self, low_ms: int, high_ms: int) -> int | None:
        """Open milliseconds of `[low, high)`; None when none is open."""
        return open_ms(self.hours, self.timezone, low_ms, high_ms)

    def spans(self, low_ms: int, high_ms: int) -> list[Span]:
        if self.hours is None:
            return [(low_ms, high_ms)]
        return list(open_spans(self.hours, self.timezone, low_ms, high_ms))


@dataclass(slots=True)
class Openings:
    """All that ever held for one zone, by the moment from which they did."""

    since_ms: list[int] = field(default_factory=list)
    each: list[Opening] = field(default_factory=list)

    def at(self, start_ms: int) -> Opening:
        """Those of a window's start; the first for all before."""
        return self.each[max(0, bisect_right(self.since_ms, start_ms) - 1)]

    def base_ms(self, low_ms: int, high_ms: int) -> int:
        """Open milliseconds of `[low, high)`, each part by the hours of its time."""
        edges = [low_ms, *(one for one in self.since_ms if low_ms < one < high_ms), high_ms]
        return sum(self.at(low).base_ms(low, high) or 0 for low, high in pairwise(edges))


def load_openings(con: sqlite3.Connection) -> dict[int, Openings]:
    """By zone id; zones of a buffer that was last configured before it kept hours are absent."""
    found: dict[int, Openings] = {}
    for zone_id, from_ms, text in con.execute("SELECT zone_id, from_ms, hours FROM zone_hours ORDER BY 1, 2"):
        zone = found.setdefault(zone_id, Openings())
        zone.since_ms.append(from_ms)
        zone.each.append(_read(text))
    return found


def set_opening(con: sqlite3.Connection, zone_id: int, opening: Opening, change_ms: int) -> None:
    """The first hold for all before too; a change from `change_ms` on, and nothing later is kept."""
    text = _written(opening)
    con.execute("DELETE FROM zone_hours WHERE zone_id=? AND from_ms>=?", (zone_id, change_ms))
    row = con.execute(NEWEST, (zone_id,)).fetchone()
    if row is None or row[0] != text:
        from_ms = 0 if row is None else change_ms
        con.execute("INSERT INTO zone_hours VALUES (?,?,?)", (zone_id, from_ms, text))


def _written(opening: Opening) -> str:
    found: dict[str, Any] = {"timezone": opening.timezone}
    if opening.hours is not None:
        found["weekly"] = opening.hours.weekly
        found["dates"] = {day.isoformat(): opening.hours.dates[day] for day in sorted(opening.hours.dates)}
    if opening.staff_a_day:
        found["staff_a_day"] = opening.staff_a_day
    return json.dumps(found, separators=(",", ":"))


@lru_cache(maxsize=64)  # most zones share a text, and live figures load all of them several times a second
def _read(text: str) -> Opening:
    found = json.loads(text)
    hours = None
    if "weekly" in found:
        dates = {date.fromisoformat(day): _spans(spans) for day, spans in found["dates"].items()}
        hours = Hours(tuple(map(_spans, found["weekly"])), dates)
    return Opening(found["timezone"], hours, tuple(found.get("staff_a_day", ())))


def _spans(listed: list[list[int]]) -> tuple[Span, ...]:
    return tuple((opens, closes) for opens, closes in listed)
