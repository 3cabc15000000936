"""Weeks, periods, business days and open time against published figures, and what holds for all dates."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import calendars, windows
from gateway.calendars import BY, ISO, Weeks, parse_anchor, stretch, weeks_of
from gateway.health.opening import opening
from gateway.windows import Hours

ORACLES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors/calendar_oracles.json").read_text()
)
OSLO = "Europe/Oslo"
# the last four change their clocks at midnight, by half an hour, with an odd offset, and not at all
ZONES = st.sampled_from(
    [OSLO, "Atlantic/Reykjavik", "America/Santiago", "Australia/Lord_Howe", "Asia/Kolkata"]
)
INSTANTS = st.integers(1_577_836_800_000, 2_051_222_400_000)  # 2020 to 2034
DAYS = st.dates(date(1995, 1, 1), date(2040, 12, 31))
NRF = ORACLES["O17_nrf"]
CALENDARS = [ISO, weeks_of("4-5-4"), weeks_of("4-4-5"), weeks_of("4-4-5", "sun last 08-31")]
CALENDAR = st.sampled_from(CALENDARS)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


# -- figures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "expected"), [pair for pair in ORACLES["O15_dst_oslo"].items() if pair[0].startswith("202")]
)
def test_o15_days_of_23_24_and_25_hours(day: str, expected: list[Any]) -> None:
    seconds, start, end = expected
    assert windows.day_bounds(date.fromisoformat(day), OSLO) == (ms(start), ms(end))
    assert ms(end) - ms(start) == seconds * 1000


def test_o15_two_equal_stamps_and_one_that_never_was() -> None:
    fold = ORACLES["O15_dst_oslo"]["fold"]
    assert windows.local_ms(date(2026, 10, 25), 150, OSLO) == ms(fold["2026-10-25T02:30 fold0"])
    assert windows.local_ms(date(2026, 3, 29), 150, OSLO) == ms(fold["2026-03-29T02:30 gap"])


@pytest.mark.parametrize(("instant", "expected"), ORACLES["O16_business_day"].items())
def test_o16_business_days(instant: str, expected: str) -> None:
    assert windows.business_date(ms(instant), OSLO, 360).isoformat() == expected


@pytest.mark.parametrize(("day", "expected"), ORACLES["O17_iso"].items())
def test_o17_iso_weeks_are_named_with_their_own_year(day: str, expected: str) -> None:
    place = ISO.of(date.fromisoformat(day))
    assert f"{place.year}-W{place.week:02}-{place.weekday}" == expected


@pytest.mark.parametrize(("year", "start"), NRF["starts"].items())
def test_o17_retail_years_begin_when_the_federation_says(year: str, start: str) -> None:
    assert weeks_of("4-5-4").first(int(year)).isoformat() == start


def test_o17_years_of_53_weeks() -> None:
    calendar = weeks_of("4-5-4")
    long = [year for year in range(1995, 2031) if calendar.weeks(year) == 53]
    assert long == NRF["years_with_53_weeks_1995_2030"]


@pytest.mark.parametrize("pattern", ["454", "445"])
def test_o17_year_period_and_week(pattern: str) -> None:
    calendar = weeks_of("-".join(pattern))
    for day, expected in NRF[f"year_period_week_{pattern}"].items():
        place = calendar.of(date.fromisoformat(day))
        assert [place.year, place.period, place.week] == expected, day


# -- what holds for every date -----------------------------------------------------------------------------


@given(DAYS)
def test_iso_is_the_week_calendar_that_ends_on_the_sunday_nearest_new_year(day: date) -> None:
    place = ISO.of(day)
    assert (place.year, place.week, place.weekday) == tuple(day.isocalendar())


@given(CALENDAR, st.integers(1990, 2060))
def test_weeks_and_periods_partition_every_year(calendar: Weeks, year: int) -> None:
    assert calendar.weeks(year) in (52, 53)
    days = [calendar.first(year) + timedelta(days=n) for n in range(7 * calendar.weeks(year))]
    places = [calendar.of(day) for day in days]
    assert all((one.week, one.weekday) == (n // 7 + 1, n % 7 + 1) for n, one in enumerate(places))
    assert {one.year for one in places} == {year}
    assert days[-1] == calendar.last(year)
    assert calendar.of(days[-1] + timedelta(days=1)).year == year + 1
    if calendar.pattern is not None:
        periods = [one.period for one in places]
        assert periods == sorted(periods, key=int)  # type: ignore[arg-type]
        lengths = [periods.count(number) // 7 for number in range(1, 13)]
        assert lengths[:11] == list(calendar.pattern * 4)[:11]
        assert lengths[11] == calendar.pattern[2] + calendar.weeks(year) - 52


@given(CALENDAR, DAYS, st.sampled_from(BY))
def test_every_day_is_in_exactly_one_stretch(calendar: Weeks, day: date, by: str) -> None:
    if by == "period" and calendar.pattern is None:
        with pytest.raises(ValueError, match="iso weeks are not gathered into periods"):
            stretch(by, day, calendar)
        return
    found = stretch(by, day, calendar)
    assert found.first <= day <= found.last
    assert stretch(by, found.first, calendar) == stretch(by, found.last, calendar) == found
    before = stretch(by, found.first - timedelta(days=1), calendar)
    assert before.last == found.first - timedelta(days=1)
    assert before.label != found.label


@given(CALENDAR, DAYS)
def test_a_day_is_compared_with_its_weekday_a_year_before(calendar: Weeks, day: date) -> None:
    before = calendar.comparable(day)
    assert (day - before).days in (364, 371)
    assert before.weekday() == day.weekday()
    place, other = calendar.of(day), calendar.of(before)
    assert (other.year, other.week) == (place.year - 1, min(place.week, calendar.weeks(place.year - 1)))


def test_after_a_year_of_53_weeks_a_day_is_compared_371_days_back() -> None:
    retail = weeks_of("4-5-4")
    assert retail.comparable(date(2024, 2, 4)) == date(2023, 1, 29)  # weeks 1; 2023 had 53
    assert retail.comparable(date(2026, 11, 27)) == date(2025, 11, 28)  # Black Friday
    assert ISO.comparable(date(2027, 1, 4)) == date(2025, 12, 29)  # 2026 has 53
    assert ISO.comparable(date(2027, 6, 7)) == date(2026, 6, 1)
    assert ISO.comparable(date(2026, 12, 28)) == date(2025, 12, 22)  # week 53 has no namesake


@pytest.mark.parametrize(
    "text", ["", "sat", "sat near 01-31", "sat nearest 02-29", "sat nearest 13-01", "Sat nearest 01-31"]
)
def test_an_end_of_the_year_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_anchor(text)


def test_a_year_ending_in_summer_is_named_after_its_end() -> None:
    place = weeks_of("4-4-5", "sun last 08-31").of(date(2026, 8, 30))
    assert (place.year, place.period, place.week) == (2026, 12, 52)


def test_labels() -> None:
    day = date(2024, 12, 30)
    assert [stretch(by, day, weeks_of("4-5-4")).label for by in BY] == [
        "2024-12-30",
        "2024-W48",
        "2024-12",
        "2024-P11",
    ]
    assert stretch("week", day, ISO).label == "2025-W01"


# -- business days and opening hours ------------------------------------------------------------------------


@given(INSTANTS, ZONES, st.integers(0, 1439))
def test_every_instant_belongs_to_exactly_one_business_day(at: int, zone: str, day_start: int) -> None:
    day = windows.business_date(at, zone, day_start)
    low, high = windows.day_bounds(day, zone, day_start)
    assert low <= at < high
    assert windows.day_of(at, zone, day_start) == (low, high)
    assert windows.day_bounds(day + timedelta(days=1), zone, day_start)[0] == high


@pytest.mark.parametrize("minute", range(115, 190, 5))
@pytest.mark.parametrize("day_start", [120, 150, 179, 180])
@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_a_day_that_begins_in_the_hour_of_the_change_begins_once(
    day: date, day_start: int, minute: int
) -> None:
    for fold in (0, 1):
        clock = time(minute // 60, minute % 60, fold=fold)
        at = round(datetime.combine(day, clock, windows.zone_of(OSLO)).timestamp() * 1000)
        low, high = windows.day_bounds(windows.business_date(at, OSLO, day_start), OSLO, day_start)
        assert low <= at < high


SPANS = st.lists(st.integers(0, 1440), min_size=0, max_size=6, unique=True).map(
    lambda edges: tuple(pairwise(sorted(edges)))[::2]
)
LATE = st.tuples(SPANS, st.integers(0, 300)).map(
    lambda given: (*given[0][:-1], (given[0][-1][0], 1440 + given[1])) if given[0] else ()
)
MIDNIGHTS = st.sampled_from(
    [date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 24), date(2026, 10, 25), date(2026, 6, 1)]
)


@given(st.tuples(*[LATE] * 7), MIDNIGHTS, st.integers(0, 48), st.integers(1, 72), ZONES)
def test_open_spans_never_overlap_and_add_up(
    weekly: tuple[tuple[tuple[int, int], ...], ...], day: date, after_h: int, length_h: int, zone: str
) -> None:
    hours = Hours(weekly)
    low = windows.local_ms(day, 0, zone) + after_h * 3_600_000
    high = low + length_h * 3_600_000
    spans = list(windows.open_spans(hours, zone, low, high))
    assert all(low <= start < end <= high for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert (windows.open_ms(hours, zone, low, high) or 0) == sum(end - start for start, end in spans)
    cut = low + (high - low) // 3
    parts = [windows.open_ms(hours, zone, *part) or 0 for part in ((low, cut), (cut, high))]
    assert sum(parts) == (windows.open_ms(hours, zone, low, high) or 0)
    for minute in range(low // 60_000, high // 60_000, 17):
        inside = any(start <= minute * 60_000 < end for start, end in spans)
        assert inside == _stands_open(hours, zone, minute * 60_000)


def _stands_open(hours: Hours, zone: str, at: int) -> bool:
    """As a person at the door would judge it who only sees the clock, but for hours that it shows twice."""
    local = datetime.fromtimestamp(at / 1000, UTC).astimezone(windows.zone_of(zone))
    minute = local.hour * 60 + local.minute
    today, yesterday = hours.of(local.date()), hours.of(local.date() - timedelta(days=1))
    if local.fold or local.utcoffset() != local.replace(fold=1).utcoffset():
        return any(low <= at < high for low, high in windows.open_spans(hours, zone, at, at + 1))
    late = [(low - 1440, high - 1440) for low, high in yesterday]
    return any(low <= minute < high for low, high in (*today, *late))


@pytest.mark.parametrize(
    ("day", "spans", "open_h"),
    [
        (date(2026, 3, 28), ((600, 1560),), 16.0),  # 10:00-02:00: over before the change
        (date(2026, 3, 28), ((1200, 1620),), 6.0),  # 20:00-03:00: the hour from two does not happen
        (date(2026, 3, 28), ((1200, 1590),), 6.0),  # 20:00-02:30: half past two is never shown
        (date(2026, 10, 24), ((1200, 1620),), 8.0),  # 20:00-03:00: it happens twice
        (date(2026, 10, 24), ((1200, 1590),), 6.5),  # 20:00-02:30: the first half past two
        (date(2026, 3, 29), ((0, 1440),), 23.0),
        (date(2026, 10, 25), ((0, 1440),), 25.0),
        (date(2026, 3, 29), ((120, 180),), 0.0),  # the hour that is skipped
        (date(2026, 3, 29), ((150, 195), (200, 210)), 0.25 + 1 / 6),
        (date(2026, 10, 25), ((120, 180),), 2.0),  # 02:00-03:00 by the clock: both of them
    ],
)
def test_nights_of_23_and_25_hours(day: date, spans: tuple[tuple[int, int], ...], open_h: float) -> None:
    hours = Hours(((),) * 7, {day: spans})
    low = windows.local_ms(day, 0, OSLO)
    found = windows.open_ms(hours, OSLO, low - 86_400_000, low + 3 * 86_400_000) or 0
    assert found / 3_600_000 == pytest.approx(open_h, abs=1e-9)


NIGHTS = Hours(((),) * 4 + (((600, 1560),), (), ()), {date(2026, 12, 25): ()})  # Friday 10:00-02:00


@pytest.mark.parametrize(
    ("now", "is_open", "until"),
    [
        ("2026-11-27T09:00+01:00", False, "2026-11-27T10:00+01:00"),
        ("2026-11-27T10:00+01:00", True, "2026-11-28T02:00+01:00"),
        ("2026-11-28T01:59+01:00", True, "2026-11-28T02:00+01:00"),
        ("2026-11-28T02:00+01:00", False, "2026-12-04T10:00+01:00"),
        ("2026-12-20T12:00+01:00", False, None),  # closed on Christmas Day
    ],
)
def test_open_until_and_opens_at(now: str, is_open: bool, until: str | None) -> None:
    at = ms(now)
    found = opening(NIGHTS, OSLO, at, windows.day_of(at, OSLO, 360))
    assert (found.open, found.until_ms) == (is_open, until and ms(until))


def test_who_never_closes_is_open_without_end() -> None:
    at = ms("2026-11-27T09:00+01:00")
    found = opening(Hours((((0, 1440),),) * 7), OSLO, at, windows.day_of(at, OSLO))
    assert (found.open, found.until_ms, len(found.today)) == (True, None, 1)


def test_patterns_are_four_quarters_of_a_year() -> None:
    assert all(4 * sum(pattern) == 52 for pattern in calendars.PATTERNS.values())
