"""Like-for-like growth of a zone's doors: each day against the same weekday a year before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any

from gateway.measures.growth import Door, like_for_like, suspected_breaks
from gateway.measures.ratios import Ratio, unknown
from gateway.reports.days import Days, DaySum, between, bounds

MOST_DAYS = 371


def growth(
    days: Days,
    zone: str,
    first: date,
    last: date,
    reference: Callable[[date], date],
    broken: Collection[str],
    timezone: str,
    day_start_min: int,
) -> dict[str, Any]:
    """The report as plain data. `broken`: lines with a break between the two periods."""
    now = between(first, last)
    before = [reference(day) for day in now]
    spans = bounds([*now, *before], timezone, day_start_min)
    doors = [
        _door(name, sums, len(now), name in broken) for name, sums in days.door_days(zone, spans).items()
    ]
    found = like_for_like(doors)
    return {
        "zone": zone,
        "from": first.isoformat(),
        "to": last.isoformat(),
        "reference_from": min(before).isoformat(),
        "reference_to": max(before).isoformat(),
        "like_for_like": found.ratio.to_json(),
        "total": _total(doors).to_json(),
        "doors": len(found.doors),
        "of_doors": found.of_doors,
        "share_now": None if found.share_now is None else round(found.share_now, 6),
        "each": [_told(door, door.name in found.doors) for door in doors],
        "suspected_breaks": list(suspected_breaks(doors)),
    }


def _door(name: str, sums: Sequence[DaySum | None], split: int, broken: bool) -> Door:
    now, before = sums[:split], sums[split:]
    return Door(name, _ins(now), _ins(before), _coverage(now), _coverage(before), broken)


def _ins(sums: Sequence[DaySum | None]) -> int | None:
    """None unless every day is there: half a period is no period."""
    known = [day.ins for day in sums if day is not None]
    return sum(known) if len(known) == len(sums) else None


def _coverage(sums: Sequence[DaySum | None]) -> float | None:
    """Of all open time of the period; None where on some day nobody can say."""
    base = watched = 0
    for day in sums:
        if day is None or (day.base_ms and day.watched_ms is None):
            return None
        if day.base_ms:
            base += day.base_ms
            watched += min(day.watched_ms or 0, day.base_ms)
    return watched / base if base else None


def _total(doors: Sequence[Door]) -> Ratio:
    """Of all doors whatever they were: the headline that like-for-like is there to correct."""
    now, before = sum(door.now or 0 for door in doors), sum(door.reference or 0 for door in doors)
    if not before or any(door.reference is None and door.now is None for door in doors):
        return unknown("no_denominator")
    return Ratio(now / before - 1, formula="total/1")


def _told(door: Door, compared: bool) -> Mapping[str, Any]:
    shares = {"coverage_now": door.coverage_now, "coverage_reference": door.coverage_reference}
    return {
        "line": door.name,
        "now": door.now,
        "reference": door.reference,
        **{name: None if share is None else round(share, 6) for name, share in shares.items()},
        "broken": door.broken,
        "compared": compared,
    }
