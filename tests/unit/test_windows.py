"""Sharing out, the business day, days of 23 and 25 hours, opening hours."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime
from fractions import Fraction
from itertools import pairwise
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import windows
from gateway.model import MAX_COUNT, MAX_INTERVAL_MS, MAX_MONEY_MINOR
from gateway.windows import SHARE_SQL, Hours

OSLO = "Europe/Oslo"
SQL = sqlite3.connect(":memory:", check_same_thread=False)
ROW = "(SELECT :c AS c, :s AS start_ms, :e AS end_ms)"
SHARE = f"SELECT typeof(x), x FROM (SELECT {SHARE_SQL.format(c='c')} AS x FROM {ROW})"


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def in_sql(count: int, start: int, end: int, lo: int, hi: int) -> int:
    kind, value = SQL.execute(SHARE, {"c": count, "s": start, "e": end, "lo": lo, "hi": hi}).fetchone()
    assert kind == "integer"
    return int(value)


@given(
    st.integers(0, max(MAX_COUNT, MAX_MONEY_MINOR)),
    st.integers(0, 4 * 10**12),
    st.integers(1, MAX_INTERVAL_MS),
    st.sets(st.integers(1, MAX_INTERVAL_MS), max_size=6),
)
def test_parts_add_up_for_every_partition(count: int, start: int, length: int, cuts: set[int]) -> None:
    end = start + length
    edges = sorted({start, end} | {start + cut for cut in cuts if cut < length})
    parts = [in_sql(count, start, end, lo, hi) for lo, hi in pairwise(edges)]
    assert sum(parts) == count
    for part, lo, hi in zip(parts, edges, edges[1:], strict=False):
        exact = floor(Fraction(count * (hi - start), length)) - floor(Fraction(count * (lo - start), length))
        assert part == exact == windows.share(count, start, end, lo, hi)


@given(st.integers(0, MAX_MONEY_MINOR), st.integers(1, MAX_INTERVAL_MS))
def test_nothing_is_shared_outside_the_reading(count: int, length: int) -> None:
    start, end = 10**12, 10**12 + length
    assert in_sql(count, start, end, start - 10**9, end + 10**9) == count
    assert in_sql(count, start, end, end, end + 5) == in_sql(count, start, end, start - 5, start) == 0


@pytest.mark.parametrize(
    ("day", "hours", "start"),
    [
        (date(2026, 3, 28), 24, "2026-03-27T23:00+00:00"),
        (date(2026, 3, 29), 23, "2026-03-28T23:00+00:00"),
        (date(2026, 10, 25), 25, "2026-10-24T22:00+00:00"),
        (date(2027, 3, 28), 23, "2027-03-27T23:00+00:00"),
    ],
)
def test_o15_days_of_23_24_and_25_hours(day: date, hours: int, start: str) -> None:
    low, high = windows.day_bounds(day, OSLO)
    assert low == ms(start)
    assert high - low == hours * 3_600_000


def test_o15_a_skipped_local_minute_maps_forward() -> None:
    assert windows.local_ms(date(2026, 3, 29), 150, OSLO) == ms("2026-03-29T01:30+00:00")
    assert windows.local_ms(date(2026, 10, 25), 150, OSLO) == ms("2026-10-25T00:30+00:00")


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2026-06-20T22:30:00+00:00", "2026-06-20"),
        ("2026-06-21T03:59:59+00:00", "2026-06-20"),
        ("2026-06-21T04:00:00+00:00", "2026-06-21"),
        ("2026-10-25T04:59:00+00:00", "2026-10-24"),
        ("2026-10-25T05:00:00+00:00", "2026-10-25"),
    ],
)
def test_o16_business_date_is_judged_on_the_local_clock(instant: str, expected: str) -> None:
    assert windows.business_date(ms(instant), OSLO, 360).isoformat() == expected


@given(st.integers(1_577_836_800_000, 2_051_222_400_000), st.integers(0, 23))
def test_every_instant_lies_in_its_business_day(instant: int, start_hour: int) -> None:
    low, high = windows.day_of(instant, OSLO, start_hour * 60)
    assert low <= instant < high
    assert (low, high) == windows.day_bounds(
        windows.business_date(instant, OSLO, start_hour * 60), OSLO, start_hour * 60
    ) or windows.business_date(low, OSLO, start_hour * 60) == windows.business_date(
        instant, OSLO, start_hour * 60
    )


@given(st.integers(0, 4 * 10**12), st.integers(1, 10**8), st.sampled_from([60, 300, 900, 1800, 3600]))
def test_windows_tile_what_they_touch(start: int, length: int, size_s: int) -> None:
    edges = windows.starts(start, start + length, size_s)
    assert edges[0] <= start < edges[0] + size_s * 1000
    assert edges[-1] < start + length <= edges[-1] + size_s * 1000
    assert all(edge % (size_s * 1000) == 0 for edge in (edges[0], edges[-1]))


WEEK = Hours(
    weekly=(*[((600, 1260),)] * 5, ((600, 1080),), ()),
    dates={date(2026, 12, 24): ((540, 780),), date(2026, 12, 25): ()},
)


@pytest.mark.parametrize(
    ("low", "high", "minutes"),
    [
        ("2026-11-23T08:45+00:00", "2026-11-23T09:00+00:00", None),  # Monday, opens 10:00 local
        ("2026-11-23T08:45+00:00", "2026-11-23T09:15+00:00", 15),
        ("2026-11-28T00:00+01:00", "2026-11-29T00:00+01:00", 480),
        ("2026-11-29T00:00+01:00", "2026-11-30T00:00+01:00", None),
        ("2026-12-24T00:00+01:00", "2026-12-25T00:00+01:00", 240),
        ("2026-12-25T00:00+01:00", "2026-12-26T00:00+01:00", None),
    ],
)
def test_open_time_follows_week_and_dates(low: str, high: str, minutes: int | None) -> None:
    expected = None if minutes is None else minutes * 60_000
    assert windows.open_ms(WEEK, OSLO, ms(low), ms(high)) == expected


def test_hours_past_midnight_belong_to_the_date_they_open() -> None:
    late = Hours(weekly=(*[()] * 4, ((600, 1560),), (), ()))  # Friday 10:00-02:00
    assert (
        windows.open_ms(late, OSLO, ms("2026-11-28T00:00+01:00"), ms("2026-11-28T12:00+01:00"))
        == 2 * 3_600_000
    )
    assert windows.open_ms(late, OSLO, ms("2026-11-29T00:00+01:00"), ms("2026-11-29T12:00+01:00")) is None


def test_without_hours_a_window_is_its_own_base() -> None:
    assert windows.open_ms(None, OSLO, 0, 900_000) == 900_000
