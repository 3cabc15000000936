"""Sharing out, the tiling of time by windows, opening hours."""

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
from gateway.windows import SHARE_SQL, Hours, open_share

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


@given(
    st.integers(0, 10_000),
    st.lists(st.integers(0, 1000), min_size=2, max_size=8, unique=True),
    st.lists(st.integers(0, 1000), max_size=6, unique=True),
)
def test_the_parts_of_a_roster_add_up_for_every_partition(
    count: int, edges: list[int], cuts: list[int]
) -> None:
    edges = sorted(edges)[: len(edges) // 2 * 2]
    opened = list(zip(edges[::2], edges[1::2], strict=True))
    bounds = [0, *sorted(cuts), 1001]
    parts = [open_share(count, opened, low, high) for low, high in pairwise(bounds)]
    assert sum(parts) == count
    assert min(parts) >= 0
    closed = [(low, high) for low, high in pairwise([0, *edges, 1001])][::2]
    assert all(open_share(count, opened, low, high) == 0 for low, high in closed)


def test_a_day_without_hours_has_no_staff_to_share() -> None:
    assert open_share(12, [], 0, 1000) == 0
