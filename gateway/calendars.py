"""Pure: calendars of whole weeks, ISO and retail, and the stretches that reports add up over.

Dates are business dates. A retail year is named after the calendar year in which it begins when its anchor
lies in the first half of the year (4-5-4: the Saturday nearest 31 January), else after that in which it ends.
Sources: ISO 8601; the 4-5-4 calendar of the National Retail Federation.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PATTERNS = {"4-5-4": (4, 5, 4), "4-4-5": (4, 4, 5)}  # weeks in the three periods of a quarter
BY = ("day", "week", "month", "period")
LAST_PERIOD = 12
SHORT_YEAR = 52
DAY = timedelta(days=1)
_ANCHOR = re.compile(r"(mon|tue|wed|thu|fri|sat|sun) (nearest|last) (\d\d)-(\d\d)")


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a year's last week ends: on that weekday (0 is Monday) nearest to a date, or last up to it."""

    weekday: int
    nearest: bool
    month: int
    day: int

    def in_year(self, year: int) -> date:
        at = date(year, self.month, self.day)
        after = (self.weekday - at.weekday()) % 7
        return at + timedelta(days=after - 7 if after > (3 if self.nearest else 0) else after)


def parse_anchor(text: str) -> Anchor:
    """`"sat nearest 01-31"` or `"sat last 01-31"`. Raises ValueError; 29 February is not in every year."""
    match = _ANCHOR.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no end of a year like "sat nearest 01-31"')
    weekday, how, month, day = match.groups()
    try:
        date(2001, int(month), int(day))
    except ValueError:
        raise ValueError(f"{month}-{day} is no date of every year") from None
    return Anchor(WEEKDAYS.index(weekday), how == "nearest", int(month), int(day))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a date stands, all from 1; `period` is None where weeks are not gathered into periods."""

    year: int
    period: int | None
    week: int
    weekday: int


@dataclass(frozen=True, slots=True)
class Weeks:
    """Years of 52 or 53 whole weeks; week 53 belongs to period 12."""

    name: str
    anchor: Anchor
    pattern: tuple[int, int, int] | None = None

    def last(self, year: int) -> date:
        """The last day of that year."""
        return self.anchor.in_year(year + (self.anchor.month <= 6))

    def first(self, year: int) -> date:
        return self.last(year - 1) + DAY

    def weeks(self, year: int) -> int:
        return (self.last(year) - self.last(year - 1)).days // 7

    def year_of(self, day: date) -> int:
        year = day.year - 1
        while self.last(year) < day:
            year += 1
        return year

    def of(self, day: date) -> Place:
        year = self.year_of(day)
        week, weekday = divmod((day - self.first(year)).days, 7)
        return Place(year, self._period(week + 1), week + 1, weekday + 1)

    def _period(self, week: int) -> int | None:
        if self.pattern is None:
            return None
        quarter, into = divmod(min(week, SHORT_YEAR) - 1, sum(self.pattern))
        first, second, _third = self.pattern
        return quarter * 3 + (1 if into < first else 2 if into < first + second else 3)

    def comparable(self, day: date) -> date:
        """The same weekday of the same week a year before: 364 days, 371 across a 53-week year.

        Week 53 has no namesake and is compared with the last week before its year.
        """
        place = self.of(day)
        weeks = self.weeks(place.year - 1) if place.week <= SHORT_YEAR else place.week
        return day - timedelta(weeks=weeks)


ISO = Weeks("iso", Anchor(6, nearest=True, month=12, day=31))  # week 1 is the one with 4 January
NRF_END = "sat nearest 01-31"


def weeks_of(name: str, year_end: str = NRF_END) -> Weeks:
    """`iso`, or a retail calendar by its pattern and the end of its year."""
    return ISO if name == ISO.name else Weeks(name, parse_anchor(year_end), PATTERNS[name])


@dataclass(frozen=True, slots=True)
class Stretch:
    """Business days that a report adds up; `last` belongs to it."""

    label: str
    first: date
    last: date


def stretch(by: str, day: date, weeks: Weeks) -> Stretch:
    """The day, week, month or period around a date. Raises ValueError for periods of a calendar without."""
    if by == "day":
        return Stretch(day.isoformat(), day, day)
    if by == "month":
        last = day.replace(day=monthrange(day.year, day.month)[1])
        return Stretch(f"{day:%Y-%m}", day.replace(day=1), last)
    place = weeks.of(day)
    if by == "week":
        first = day - timedelta(days=place.weekday - 1)
        return Stretch(f"{place.year}-W{place.week:02}", first, first + 6 * DAY)
    if place.period is None:
        raise ValueError(f"{weeks.name} weeks are not gathered into periods")
    return _period(place.year, place.period, weeks)


def _period(year: int, period: int, weeks: Weeks) -> Stretch:
    pattern = weeks.pattern or PATTERNS["4-4-5"]
    before = sum((pattern * 4)[: period - 1])
    first = weeks.first(year) + timedelta(weeks=before)
    last = (
        weeks.last(year)
        if period == LAST_PERIOD
        else first + timedelta(weeks=pattern[(period - 1) % 3]) - DAY
    )
    return Stretch(f"{year}-P{period:02}", first, last)
