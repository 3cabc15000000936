"""Sums over days are the sums of their parts: counts, imputed persons, variance, days by tier."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.calendars import ISO
from gateway.health.history import Place
from gateway.health.stretches import Report
from gateway.model import Role
from gateway.reports.gaps import Cell, Door, Doors, Usual, usual
from gateway.windows import Hours, Span, day_bounds, minute_of, open_ms

TIMEZONE = "Europe/Oslo"
HOUR_MS = 3_600_000
FIRST, DAYS = date(2026, 10, 1), 32  # with the night to winter time, at two o'clock open
HOURS = Hours(((), ((0, 1440),), ((600, 1200),), ((600, 1200),), ((600, 1200),), ((600, 900),), ((0, 1440),)))
SHARES = st.sampled_from([1.0, 1.0, 1.0, 1.0, 0.985, 0.9, 0.5, 0.0, None])
COUNTED = ("ins", "outs", "passersby", "sales", "open_s")
Row = dict[str, Any]


def bounds(first: date, last: date) -> Span:
    return day_bounds(first, TIMEZONE)[0], day_bounds(last, TIMEZONE)[1]


def open_of(_zone: str, low_ms: int, high_ms: int) -> int:
    return open_ms(HOURS, TIMEZONE, low_ms, high_ms) or 0


class Buffer:
    """Windows of two zones, each of one line; a day's share of watched hours is drawn."""

    def __init__(self, shares: list[float | None], seed: int) -> None:
        dice = Random(seed)
        self.rows: list[Row] = []
        for n, share in enumerate(shares):
            day = FIRST + timedelta(days=n)
            low_ms, high_ms = bounds(day, day)
            for start_ms in range(low_ms, high_ms, HOUR_MS):
                for zone in ("a", "b"):
                    self.rows.append(window(zone, day, start_ms, share, dice))

    def doors(self, zone: str, span: Span) -> Doors:
        cells = [
            cell(row) for row in self.rows if row["zone"] == zone and span[0] <= row["start_ms"] < span[1]
        ]
        return {zone: Door(f"door-{zone}", "entrance", cells)} if cells else {}

    def usual(self, zone: str, day: date) -> Usual | None:
        span = bounds(day, day)
        return usual(self.doors(zone, span), open_of(zone, *span))

    def tills_heard(self, zone: str, span: Span) -> bool:
        return True

    def report(self, by: str, rows: list[Row] | None = None) -> list[Row]:
        return list(self.asked(by).rows(rows or self.rows))

    def asked(self, by: str) -> Report:
        span = bounds(FIRST, FIRST + timedelta(days=DAYS - 1))
        place = Place("s", "NOK", 0.8)
        return Report(by, ISO, span, bounds, open_of, dict.fromkeys("ab", span[1]), place, self)


def window(zone: str, day: date, start_ms: int, share: float | None, dice: Random) -> Row:
    open_here = open_ms(HOURS, TIMEZONE, start_ms, start_ms + HOUR_MS)
    watched = share is not None and dice.random() < share
    ins = dice.randrange(20) if watched else 0
    return {
        "zone": zone,
        "kind": "store",
        "business_date": day.isoformat(),
        "start_ms": start_ms,
        "size_s": 3600,
        **dict.fromkeys(("passersby", "staff", "returns", "estimated_ins", "estimated_outs"), 0),
        "ins": ins,
        "outs": ins // 2,
        "sales": 1,
        "amount_minor": 250,
        "phi_day": 2.0,
        "roles": frozenset({Role.ENTRANCE, Role.TILL}),
        "base_ms": open_here,
        "watched_ms": None if share is None else open_here if watched and open_here else 0,
        "time_quality": "device",
        "flags": [],
    }


def cell(row: Row) -> Cell:
    minute = minute_of(row["start_ms"], TIMEZONE)
    persons = (row["ins"], row["outs"], 0)
    return Cell(row["start_ms"], 3600, minute, row["base_ms"] or 0, row["watched_ms"], persons)


drawn = st.lists(SHARES, min_size=DAYS, max_size=DAYS)


@settings(max_examples=25, deadline=None)
@given(drawn, st.integers(0, 1000), st.sampled_from(["week", "month"]))
def test_a_stretch_is_the_sum_of_its_days(shares: list[float | None], seed: int, by: str) -> None:
    buffer = Buffer(shares, seed)
    days = buffer.report("day")
    for stretch in buffer.report(by):
        inside = [
            day
            for day in days
            if day["zone"] == stretch["zone"] and stretch["first"] <= day["first"] <= stretch["last"]
        ]
        for name in COUNTED:
            assert stretch[name] == sum(day[name] for day in inside)
        for tier in ("measured", "estimated", "unknown", "closed"):
            assert stretch[f"days_{tier}"] == sum(day["tier"] == tier for day in inside)
        told = [day for day in inside if day["imputed_ins"] is not None]
        assert bool(told) == (stretch["imputed_ins"] is not None)
        if told:
            imputed = sum(day["imputed_ins"] for day in told)
            assert stretch["imputed_ins"] == pytest.approx(imputed, abs=1e-4)
            variance = sum(day["imputed_error"] ** 2 for day in told)
            assert stretch["imputed_error"] ** 2 == pytest.approx(variance, abs=1e-3)
        assert (stretch["why"] == "") == all(day["why"] == "" for day in inside)


@settings(max_examples=25, deadline=None)
@given(drawn, st.integers(0, 1000))
def test_every_day_is_said_to_be_as_good_as_it_was(shares: list[float | None], seed: int) -> None:
    for day in Buffer(shares, seed).report("day"):
        complete = day["completeness"]
        if not day["open_s"]:
            assert (day["tier"], complete, day["imputed_ins"]) == ("closed", None, 0)
        elif complete is None or complete < 0.8:
            assert (day["tier"], day["imputed_ins"], day["why"]) == ("unknown", None, "completeness")
        elif complete >= 0.98:
            assert (day["tier"], day["imputed_ins"], day["why"]) == ("measured", 0, "")
        else:
            assert (day["tier"], day["why"] in ("", "no_history")) == ("estimated", True)
            assert (day["imputed_ins"] is None) == bool(day["why"])
        if day["conversion"]["value"] and day["atv"]["value"]:
            assert day["spv"]["value"] == pytest.approx(
                day["conversion"]["value"] * day["atv"]["value"], rel=1e-4
            )


@settings(max_examples=10, deadline=None)
@given(drawn, st.integers(0, 1000))
def test_zones_may_come_in_any_order(shares: list[float | None], seed: int) -> None:
    """By time, all zones together, or zone by zone."""
    buffer = Buffer(shares, seed)
    by_zone: Mapping[str, list[Row]] = {
        zone: [row for row in buffer.rows if row["zone"] == zone] for zone in ("b", "a")
    }
    assert buffer.report("week") == buffer.report("week", [*by_zone["b"], *by_zone["a"]])


def test_days_of_23_and_25_hours_are_as_long_as_they_are() -> None:
    buffer = Buffer([1.0] * DAYS, 1)
    winter = next(day for day in buffer.report("day") if day["label"] == "2026-10-25")
    assert (winter["open_s"], winter["tier"]) == (25 * 3600, "measured")


def test_an_hour_lost_in_the_night_to_winter_time_is_imputed_once() -> None:
    """The hour that comes twice is judged by the one hour of other Sundays."""
    shares: list[float | None] = [1.0] * DAYS
    buffer = Buffer(shares, 1)
    for row in buffer.rows:
        if row["base_ms"]:
            row["ins"] = row["outs"] = 10
    second = day_bounds(date(2026, 10, 25), TIMEZONE)[0] + 3 * HOUR_MS  # 02:00 for the second time
    for row in buffer.rows:
        if row["start_ms"] == second:
            row["watched_ms"], row["ins"], row["outs"] = 0, 0, 0
    day = next(one for one in buffer.report("day") if one["label"] == "2026-10-25")
    assert (day["ins"], day["tier"], day["imputed_ins"]) == (240, "estimated", pytest.approx(10))
    assert day["missing"] == [{"from": "2026-10-25T01:00:00Z", "to": "2026-10-25T02:00:00Z"}]


def test_a_day_is_as_uncertain_as_its_zone_has_learnt_that_days_are() -> None:
    buffer = Buffer([1.0] * DAYS, 1)
    for row in buffer.rows:
        row["phi_day"] = 8.0 if row["business_date"] == FIRST.isoformat() else 4.0
    for by, phi in (("day", 8.0), ("week", 5.0)):  # of the four days of its first week
        row = buffer.report(by)[0]
        share = row["sales"] / row["ins"]
        for name, relative in (
            ("conversion", phi * (1 - share)),
            ("conversion_crude", phi * (1 - share)),
            ("spv", phi * (1 - share) + 1.119**2),
        ):
            seen = math.log(row[name]["high"] / row[name]["value"]) / 1.959964
            assert seen == pytest.approx(math.sqrt(relative / row["sales"]), rel=1e-3), (by, name)


def test_how_long_people_stayed_is_told_of_whole_days_alone() -> None:
    buffer = Buffer([1.0] * DAYS, 1)
    for row in buffer.rows:
        hour = (row["start_ms"] - bounds(FIRST, FIRST)[0]) // HOUR_MS % 24
        row["ins"], row["outs"] = (10, 0) if hour == 12 else (0, 10) if hour == 15 else (0, 0)
    first, second, *_ = (row for row in buffer.report("day") if row["zone"] == "a")
    assert first["dwell"] == {"value": 180.0, "low": None, "high": None, "formula": "little-windows/1"}
    assert buffer.report("week")[0]["dwell"] == first["dwell"]
    gone = [row for row in buffer.rows if row["start_ms"] != bounds(FIRST, FIRST)[0] + 14 * HOUR_MS]
    assert buffer.report("day", gone)[0]["dwell"] == {"value": None, "why": "completeness"}
    assert second["turn_in_rate"] == {"value": None, "why": "not_configured"}


def test_windows_that_counted_to_another_day_are_not_lost() -> None:
    """The day's start was moved: a window keeps the date under which it was closed."""
    buffer = Buffer([1.0] * DAYS, 1)
    low_ms, _ = bounds(FIRST, FIRST)
    rows = [row for row in buffer.rows if row["business_date"] == "2026-10-01"]
    rows[-1]["business_date"] = rows[-2]["business_date"] = "2026-10-02"
    report = replace(buffer.asked("day"), span=(low_ms, low_ms + 24 * HOUR_MS))
    found = list(report.rows(rows))
    assert [(day["label"], day["zone"]) for day in found] == [
        (day, zone) for day in ("2026-10-01", "2026-10-02") for zone in "ab"
    ]
    assert sum(day["ins"] for day in found) == sum(row["ins"] for row in rows)
