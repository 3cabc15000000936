"""`[hours.NAME] holidays = { ... }`: what a place does on holidays and on the days before them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from gateway.config.almanac import Holiday, UnknownPlace
from gateway.config.files import Key
from gateway.config.wording import hint, shown
from gateway.windows import Span

KEYS = ("country", "subdiv", "open", "names", "eves")
MANY = 20  # words that are not all named
DAY = timedelta(days=1)
Spans = tuple[Span, ...]
Note = Callable[[Key, str], None]
ReadSpans = Callable[[Any, Key, Note], Spans]
Ask = Callable[[str, "str | None"], Sequence[Holiday]]


@dataclass(frozen=True, slots=True)
class Observed:
    """A date whose hours a holiday decides, and its name."""

    day: date
    name: str
    spans: Spans


@dataclass(slots=True)
class Rule:
    """`spans` on public holidays; `names` on those called so, public or not; `eves` on the days before."""

    country: str
    subdiv: str | None
    spans: Spans = ()
    names: dict[str, Spans] = field(default_factory=dict)
    eves: dict[str, Spans] = field(default_factory=dict)


def read_rule(value: Any, at: Key, note: Note, read_spans: ReadSpans) -> Rule | None:
    """The table; None when it cannot be asked for."""
    if not isinstance(value, dict):
        note(at, f"must be a table, not {shown(value)}")
        return None
    for name in value:
        if name not in KEYS:
            note((*at, name), f"unknown key{hint(name, KEYS)}; known: {', '.join(KEYS)}")
    country, subdiv = value.get("country"), value.get("subdiv")
    rule = Rule(country, subdiv) if isinstance(country, str) else Rule("", None)
    if country is None:
        note((*at, "country"), "missing")
    elif not re.fullmatch("[A-Z]{2}", rule.country):
        note((*at, "country"), f"must be a country code of two capital letters, not {shown(country)}")
        rule.country = ""
    if subdiv is not None and not (isinstance(subdiv, str) and re.fullmatch("[A-Za-z0-9-]{1,10}", subdiv)):
        note((*at, "subdiv"), f"must be the code of a part of the country, not {shown(subdiv)}")
        rule.country = ""
    rule.spans = read_spans(value.get("open", "closed"), (*at, "open"), note)
    for key in ("names", "eves"):
        setattr(rule, key, _named(value.get(key, {}), (*at, key), note, read_spans))
    return rule if rule.country else None


def _named(value: Any, at: Key, note: Note, read_spans: ReadSpans) -> dict[str, Spans]:
    if not isinstance(value, dict):
        note(at, f"must be a table of holidays, not {shown(value)}")
        return {}
    return {name: read_spans(one, (*at, name), note) for name, one in value.items()}


def look_up(rule: Rule, at: Key, note: Note, ask: Ask) -> list[Observed]:
    """The dates that the rule decides, in order; nothing is said of names while no holidays are known."""
    try:
        holidays = ask(rule.country, rule.subdiv)
    except UnknownPlace as error:
        given = rule.country if error.key == "country" else rule.subdiv
        few = f"; known: {', '.join(error.known) or 'none'}" if len(error.known) <= MANY else ""
        note((*at, error.key), f'no holidays are known of "{given}"{few}')
        return []
    called = sorted({one.name for one in holidays})
    for key, names in (("names", rule.names), ("eves", rule.eves)):
        for name in names if called else ():
            if name not in called:
                there = f"{hint(name, called)}; there are {', '.join(called)}"
                note((*at, key, name), f"no holiday of {rule.country} is called so{there}")
    return observe(rule, holidays)


def observe(rule: Rule, holidays: Sequence[Holiday]) -> list[Observed]:
    """A named holiday goes before any public one, and a holiday before the eve of another.

    Of two that fall on one day the one with the fewest open hours decides.
    """
    found: dict[date, Observed] = {}
    for given, shift in ((rule.names, 0), (None, 0), (rule.eves, 1)):
        taken = set(found)
        for one in holidays:
            spans = _spans(rule, given, one)
            day = one.day - shift * DAY
            if spans is None or day in taken:
                continue
            other = found.get(day)
            if other is None or _open_min(spans) < _open_min(other.spans):
                found[day] = Observed(day, f"day before {one.name}" if shift else one.name, spans)
    return [found[day] for day in sorted(found)]


def _spans(rule: Rule, given: Mapping[str, Spans] | None, one: Holiday) -> Spans | None:
    if given is not None:
        return given.get(one.name)
    return rule.spans if one.public else None


def _open_min(spans: Spans) -> int:
    return sum(closes - opens for opens, closes in spans)
