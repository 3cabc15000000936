"""`[hours.NAME]`: weekdays and ranges of them, dates that override, spans that may cross midnight."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from itertools import pairwise
from typing import Any

from gateway.config.files import Key
from gateway.config.wording import hint, shown
from gateway.windows import Hours, Span

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
KEYS = (*DAYS, "mon-fri", "sat-sun", "mon-sun", "holidays", "dates")
DAY_MIN = 24 * 60
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
Note = Callable[[Key, str], None]


def read_hours(table: Mapping[str, Any], at: Key, note: Note) -> Hours:
    """Opening hours; what cannot be understood is noted and taken as closed."""
    weekly: dict[int, tuple[Span, ...]] = {}
    dates: dict[date, tuple[Span, ...]] = {}
    for name, value in table.items():
        key = (*at, name)
        if name == "dates":
            dates = _dates(value, key, note)
        elif name == "holidays":
            _holidays(value, key, note)
        elif (days := _days(name)) is None:
            note(key, f"unknown key{hint(name, KEYS)}; days are mon ... sun and ranges like mon-fri")
        else:
            for day in days:
                if day in weekly:
                    note(key, f"{DAYS[day]} is named twice")
                weekly[day] = _spans(value, key, note)
    return Hours(tuple(weekly.get(day, ()) for day in range(7)), dates)


def _days(name: str) -> range | None:
    first, dash, last = name.partition("-")
    if first not in DAYS or (dash and last not in DAYS):
        return None
    low, high = DAYS.index(first), DAYS.index(last if dash else first)
    return range(low, high + 1) if low <= high else None


def _spans(value: Any, key: Key, note: Note) -> tuple[Span, ...]:
    texts = value if isinstance(value, list) else [value]
    spans: list[Span] = []
    for text in texts:
        if text == "closed" and len(texts) == 1:
            return ()
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


def _dates(value: Any, key: Key, note: Note) -> dict[date, tuple[Span, ...]]:
    if not isinstance(value, dict):
        note(key, f"must be a table of dates, not {shown(value)}")
        return {}
    dates: dict[date, tuple[Span, ...]] = {}
    for name, spans in value.items():
        try:
            dates[date.fromisoformat(name)] = _spans(spans, (*key, name), note)
        except ValueError:
            note((*key, name), "not a date like 2026-12-24")
    return dates


def _holidays(value: Any, key: Key, note: Note) -> None:
    if not isinstance(value, dict):
        note(key, f"must be a table, not {shown(value)}")
        return
    for name, given in value.items():
        if name not in ("country", "open"):
            note((*key, name), f"unknown key{hint(name, ('country', 'open'))}")
        elif name == "open":
            _spans(given, (*key, name), note)
        elif not isinstance(given, str) or not re.fullmatch("[A-Z]{2}", given):
            note((*key, name), f"must be a country code of two capital letters, not {shown(given)}")
    if "country" not in value:
        note((*key, "country"), "missing")
