"""Did a campaign show? Its week against the four clean weeks before, beside control zones, and beside what
the place does by itself in weeks without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from gateway.measures.campaign import (
    BASE_WEEKS,
    CANNOT_TELL,
    UP,
    Placebo,
    Uplift,
    Verdict,
    against_control,
    matched,
    placebo,
    placebo_of_shares,
    verdict,
    verdict_of_shares,
)
from gateway.measures.converting import PHI_START, conversion_difference
from gateway.measures.ratios import NO_DENOMINATOR, unknown
from gateway.model import Entry
from gateway.reports.days import Days, DaySum, between, bounds, whole
from gateway.windows import business_date

WEEK = 7
HISTORY_WEEKS = 57  # 400 days: as long as aggregates are kept
LOOK_BACK_WEEKS = 12  # for clean weeks: what was a quarter of a year ago is another season
TOO_EARLY, OVERLAP = "too_early", "overlap"
Counts = Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where its days begin and which campaigns there are."""

    timezone: str
    day_start_min: int


@dataclass(frozen=True, slots=True)
class _Span:
    """A campaign in business days."""

    id: str
    first: date
    last: date
    zones: frozenset[str]

    def touches(self, first: date, last: date, zones: frozenset[str]) -> bool:
        return self.first <= last and first <= self.last and bool(self.zones & zones)


def report(days: Days, campaign: Entry, others: Sequence[Entry], place: Place, now_ms: int) -> dict[str, Any]:
    """The verdict as plain data. `others`: the campaigns that are in force, itself included or not."""
    span = _span(campaign, place)
    today = business_date(now_ms, place.timezone, place.day_start_min)
    last = min(span.last, today - timedelta(days=1))
    rivals = [_span(other, place) for other in others if other.id != campaign.id]
    shown: dict[str, Any] = {
        "id": campaign.id,
        "measure": campaign.content["measure"],
        "from": span.first.isoformat(),
        "to": span.last.isoformat(),
        "zones": sorted(span.zones),
        "controls": list(campaign.content["controls"]),
        "purpose": campaign.content["purpose"],
        "goal": campaign.content["goal"],
        "over": span.last < today,
    }
    if last < span.first:
        return shown | _told(Verdict(CANNOT_TELL, matched([], []).ratio, None, TOO_EARLY))
    both = [rival.id for rival in rivals if rival.touches(span.first, last, span.zones)]
    if both:
        nothing = Verdict(CANNOT_TELL, matched([], []).ratio, None, OVERLAP)
        return shown | _told(nothing) | {"overlaps": both}
    return shown | _judged(days, campaign, span, last, rivals, place)


def _judged(
    days: Days, campaign: Entry, span: _Span, last: date, rivals: Sequence[_Span], place: Place
) -> dict[str, Any]:
    history = between(span.first - timedelta(days=WEEK * HISTORY_WEEKS), last)
    clean = _clean_weeks(span, rivals)
    measure = campaign.content["measure"]
    if measure == "conversion":
        return _of_conversion(days, campaign, span, last, clean, place)
    treated = _Series(history, _added(days, sorted(span.zones), history, measure, place))
    effect, usual = _uplift(treated, span, last, clean), placebo(treated.weeks(clean))
    weeks = _base(treated, clean)
    controls = list(campaign.content["controls"])
    if controls:
        beside = _Series(history, _added(days, controls, history, measure, place))
        effect = against_control(effect, _uplift(beside, span, last, clean))
        usual = placebo(treated.weeks(clean), beside.weeks(clean))
    found = verdict(effect, usual)
    return {
        **_told(found),
        "days": treated.known(span.first, last),
        "base_weeks": [first.isoformat() for first in weeks],
        "phi": round(effect.phi, 6),
        "placebo": _placebo(usual),
        "goal_met": _goal(campaign.content["goal"], found),
    }


def _of_conversion(
    days: Days, campaign: Entry, span: _Span, last: date, clean: Sequence[date | None], place: Place
) -> dict[str, Any]:
    """Receipts per visitor of the campaign's days less that of the same weekdays in the base weeks."""
    history = between(span.first - timedelta(days=WEEK * HISTORY_WEEKS), last)
    zones = sorted(span.zones)
    came, sold = (
        _Series(history, _added(days, zones, history, measure, place)) for measure in ("customers", "sales")
    )
    weeks = _base(came, clean)
    weekdays = {day.weekday() for day in between(span.first, last)}
    base_days = [
        first + timedelta(days=at)
        for first in weeks
        for at in range(WEEK)
        if (first + timedelta(days=at)).weekday() in weekdays
    ]
    now, before = (_rate(came, sold, some) for some in (between(span.first, last), base_days))
    shares = [None if first is None else _share(came, sold, first) for first in clean]
    usual = placebo_of_shares(shares)
    if now[0] and before[0]:
        found = verdict_of_shares(conversion_difference(now, before, PHI_START), usual)
    else:  # no receipt at all is a till that is dead or not there, and not a change to or from nothing
        found = verdict_of_shares(unknown(NO_DENOMINATOR), usual)
    return {
        **_told(found),
        "days": came.known(span.first, last),
        "base_weeks": [first.isoformat() for first in weeks],
        "phi": PHI_START,
        "placebo": _placebo(usual),
        "goal_met": _goal(campaign.content["goal"], found),
    }


def _rate(came: _Series, sold: _Series, days: Sequence[date]) -> tuple[int, int]:
    """(receipts, visitors) of the days that count for both."""
    pairs = [(sold.at(day), came.at(day)) for day in days]
    known = [(sales, visitors) for sales, visitors in pairs if sales is not None and visitors is not None]
    return sum(sales for sales, _ in known), sum(visitors for _, visitors in known)


def _share(came: _Series, sold: _Series, first: date) -> float | None:
    sales, visitors = _rate(came, sold, between(first, first + timedelta(days=WEEK - 1)))
    return sales / visitors if visitors else None


def _told(found: Verdict) -> dict[str, Any]:
    return {
        "verdict": found.word,
        "effect": found.effect.to_json(),
        "detectable": None if found.detectable is None else round(found.detectable, 6),
        "why": found.why,
    }


def _placebo(usual: Placebo | None) -> dict[str, Any] | None:
    if usual is None:
        return None
    figures = {"deviation": usual.deviation, "low": usual.low, "high": usual.high}
    return {**{name: round(value, 6) for name, value in figures.items()}, "weeks": usual.weeks}


def _goal(goal: float | None, found: Verdict) -> str | None:
    """Whether what was hoped for lies within what was found: yes, no, or nobody can tell."""
    low, high = found.effect.low, found.effect.high
    if goal is None:
        return None
    if found.why or low is None or high is None:
        return CANNOT_TELL
    if found.word == UP and low >= goal:
        return "yes"
    return "no" if high < goal else CANNOT_TELL


def _span(campaign: Entry, place: Place) -> _Span:
    first = business_date(campaign.start_ms, place.timezone, place.day_start_min)
    last = business_date(campaign.end_ms - 1, place.timezone, place.day_start_min)
    return _Span(campaign.id, first, last, frozenset(campaign.content["zones"]))


def _clean_weeks(span: _Span, rivals: Sequence[_Span]) -> list[date | None]:
    """First days of the weeks before the campaign, oldest first; None for one that a campaign touches."""
    firsts = [span.first - timedelta(days=WEEK * n) for n in range(HISTORY_WEEKS, 0, -1)]
    return [
        None
        if any(rival.touches(first, first + timedelta(days=6), span.zones) for rival in rivals)
        else first
        for first in firsts
    ]


class _Series:
    """One count for each day; None: closed, not watched, or not closed yet."""

    def __init__(self, days: Sequence[date], counts: Counts) -> None:
        self._of = dict(zip(days, counts, strict=True))

    def at(self, day: date) -> int | None:
        return self._of.get(day)

    def week(self, first: date) -> Counts:
        return [self._of.get(first + timedelta(days=at)) for at in range(WEEK)]

    def weeks(self, firsts: Sequence[date | None]) -> list[int | None]:
        """Sums of whole weeks; None where one is not whole or not clean. A weekday never open is no gap."""
        closed = {at for at in range(WEEK) if not any(self._known(first, at) for first in firsts)}
        return [None if first is None else self._total(first, closed) for first in firsts]

    def _known(self, first: date | None, at: int) -> bool:
        return first is not None and self._of.get(first + timedelta(days=at)) is not None

    def _total(self, first: date, closed: set[int]) -> int | None:
        counts = [count for at, count in enumerate(self.week(first)) if at not in closed]
        known = [count for count in counts if count is not None]
        return sum(known) if counts and len(known) == len(counts) else None

    def known(self, first: date, last: date) -> int:
        """Days that count."""
        return sum(self._of.get(day) is not None for day in between(first, last))

    def mean_week(self, first: date, last: date) -> list[int | None]:
        """Of a campaign longer than a week the mean of each weekday: chance is then never understated."""
        found: list[int | None] = []
        for at in range(WEEK):
            days = range((last - first).days + 1)[at::WEEK]
            counts = [count for n in days if (count := self._of.get(first + timedelta(days=n))) is not None]
            found.append(round(sum(counts) / len(counts)) if counts else None)
        return found


def _base(series: _Series, clean: Sequence[date | None]) -> list[date]:
    """The last four clean weeks of the quarter before in which anybody was counted."""
    recent = [first for first in clean[-LOOK_BACK_WEEKS:] if first is not None]
    return [first for first in recent if any(count for count in series.week(first))][-BASE_WEEKS:]


def _uplift(series: _Series, span: _Span, last: date, clean: Sequence[date | None]) -> Uplift:
    base = [series.week(first) for first in _base(series, clean)]
    return matched(base, series.mean_week(span.first, last))


def _added(
    days: Days, zones: Sequence[str], dates: Sequence[date], measure: str, place: Place
) -> list[int | None]:
    """Zones added up, day by day; None where one of them is."""
    spans = bounds(dates, place.timezone, place.day_start_min)
    each = [list(_counts(days.zone_days(zone, spans), measure)) for zone in zones]
    return [None if None in row else sum(count or 0 for count in row) for row in zip(*each, strict=True)]


def _counts(sums: Sequence[DaySum | None], measure: str) -> Iterator[int | None]:
    for day in sums:
        if day is None or not whole(day):
            yield None
        else:
            yield {"sales": day.sales, "customers": max(0, day.ins - day.staff)}.get(measure, day.ins)
