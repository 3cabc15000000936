"""`[hours.NAME]`: weekdays and ranges of them, dates and holidays that override, nights that end tomorrow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from gateway.calendars import WEEKDAYS
from gateway.config.files import Key
from gateway.config.observed import Ask, Note, Observed, Spans, look_up, read_rule
from gateway.config.wording import hint, shown
from gateway.windows import Hours, Span

KEYS = (*WEEKDAYS, "mon-fri", "sat-sun", "mon-sun", "holidays", "dates")
DAY_MIN = 24 * 60
MORNING_MIN = 8 * 60  # no night lasts longer
DAY = timedelta(days=1)
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_DATE = re.compile(r"[12]\d{3}-\d\d-\d\d")


def read_hours(table: Mapping[str, Any], at: Key, note: Note, ask: Ask) -> tuple[Hours, list[Observed]]:
    """Opening hours, and what holidays came to; what is not understood is noted and taken as closed."""
    weekly: dict[int, Spans] = {}
    keys: dict[int, Key] = {}
    for name, value in table.items():
        key = (*at, name)
        if name in ("dates", "holidays"):
            continue
        if (days := days_of(name)) is None:
            note(key, f"unknown key{hint(name, KEYS)}; days are mon ... sun and ranges like mon-fri")
            continue
        spans = _spans(value, key, note)
        for day in days:
            if day in weekly:
                note(key, f"{WEEKDAYS[day]} is named twice")
            weekly[day], keys[day] = spans, key
    week = tuple(weekly.get(day, ()) for day in range(7))
    dates = _dates(table.get("dates", {}), (*at, "dates"), note)
    observed: list[Observed] = []
    if "holidays" in table:
        key = (*at, "holidays")
        rule = read_rule(table["holidays"], key, note, _spans)
        observed = look_up(rule, key, note, ask) if rule else []
    observed = [one for one in observed if one.day not in dates]
    hours = Hours(week, {**{one.day: one.spans for one in observed}, **dates})
    _nights(hours, at, keys, set(dates), note)
    return hours, observed


def days_of(name: str) -> range | None:
    """Weekdays of a name like `sat` or `mon-fri`; None when it is none."""
    first, dash, last = name.partition("-")
    if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
        return None
    low, high = WEEKDAYS.index(first), WEEKDAYS.index(last if dash else first)
    return range(low, high + 1) if low <= high else None


def swapped(table: Mapping[str, Any]) -> Iterator[Key]:
    """Where a place is open through the night into the morning, as with "21:00-10:00": likely a mistake."""
    dates = table.get("dates")
    named: list[tuple[Key, Any]] = [
        ((name,), one) for name, one in table.items() if days_of(name) is not None
    ]
    named += [(("dates", day), value) for day, value in (dates if isinstance(dates, dict) else {}).items()]
    for key, value in named:
        spans = [
            _span(text) for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)
        ]
        if any(span and span[1] > DAY_MIN + MORNING_MIN for span in spans):
            yield key


def _spans(value: Any, key: Key, note: Note) -> Spans:
    texts = value if isinstance(value, list) else [value]
    if "closed" in texts or not texts:
        if len(texts) > 1:
            note(key, "is closed and open at once")
        elif not texts:
            note(key, 'must be "closed" or times, not an empty list')
        return ()
    spans: list[Span] = []
    for text in texts:
        span = _span(text) if isinstance(text, str) else None
        if span is None:
            note(key, f'must be "HH:MM-HH:MM", a list of these, or "closed", not {shown(text)}')
        else:
            spans.append(span)
    spans.sort()
    if any(before[1] > after[0] for before, after in pairwise(spans)):
        note(key, "the times overlap")
    return tuple(spans)


def _span(text: str) -> Span | None:
    """Local minutes; a close at or before the opening is on the next day."""
    match = _SPAN.fullmatch(text)
    if not match:
        return None
    opens, closes = (int(match[i]) * 60 + int(match[i + 1]) for i in (1, 3))
    if closes > DAY_MIN or opens == closes:
        return None
    return opens, closes if closes > opens else closes + DAY_MIN


def _dates(value: Any, key: Key, note: Note) -> dict[date, Spans]:
    if not isinstance(value, dict):
        note(key, f"must be a table of dates, not {shown(value)}")
        return {}
    dates: dict[date, Spans] = {}
    for name, spans in value.items():
        try:
            day = date.fromisoformat(name if _DATE.fullmatch(name) else "")
        except ValueError:
            note((*key, name), "not a date like 2026-12-24")
        else:
            dates[day] = _spans(spans, (*key, name), note)
    return dates


def _nights(hours: Hours, at: Key, keys: Mapping[int, Key], dates: set[date], note: Note) -> None:
    """Nobody is open twice: not a night that lasts until after the next day has opened."""
    for day in range(7):
        after = (day + 1) % 7
        if _crosses(hours.weekly[day], hours.weekly[after]):
            note(keys[after], f"{WEEKDAYS[after]} opens while {WEEKDAYS[day]} is still open")
    for morning in sorted({*hours.dates, *(one + DAY for one in hours.dates)}):
        evening = morning - DAY
        if _crosses(hours.of(evening), hours.of(morning)):
            own = next((one for one in (morning, evening) if one in dates), None)
            key = (*at, "holidays") if own is None else (*at, "dates", own.isoformat())
            note(key, f"{morning} opens while {evening} is still open")


def _crosses(night: Iterable[Span], day: Iterable[Span]) -> bool:
    until = max((closes for _, closes in night), default=0) - DAY_MIN
    return until > min((opens for opens, _ in day), default=DAY_MIN)
