"""`export --by`: sums of business days, weeks and periods, ratios of the sums, honest completeness."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway import config
from gateway.commands import export
from gateway.model import (
    Basis,
    Booking,
    Crossings,
    LineRule,
    Member,
    Parcel,
    Role,
    Stamp,
    Transactions,
    ZoneSpec,
)
from gateway.store import Grid, Store

HOUR = 3_600_000
RULES = [
    LineRule("door", "main", basis=Basis.DELTA, max_per_s=0, expect_s=3600),
    LineRule("pos", "main", till=True, max_per_s=0, expect_s=3600),
]
ZONE = ZoneSpec("shop", "store", (Member("door", "main", Role.ENTRANCE), Member("pos", "main", Role.TILL)))
CONFIG = """
[gateway]
id = "box"
data_dir = "data"
[site]
id = "s"
timezone = "Europe/Oslo"
currency = "NOK"
day_start = "06:00"
hours = "c"
week = "{week}"
[hours.c]
{hours}
[windows]
size_s = 3600
[zone.shop]
kind = "store"
"""
LATE = 'mon-sun = "10:00-02:00"'
ALWAYS = 'mon-sun = "00:00-24:00"'


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


class Shop:
    """A store on a card and the configuration beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.hours, self.week = folder, LATE, "iso"

    async def open(self, wall: str) -> None:
        self.wall = ms(wall)
        self.write()
        self.store = await Store.open(self.folder / "data", now=self.now())
        await self.configure()

    def write(self) -> None:
        (self.folder / "gateway.toml").write_text(CONFIG.format(week=self.week, hours=self.hours))

    async def configure(self, size_s: int = 3600, zone: ZoneSpec = ZONE) -> None:
        self.write()
        loaded = config.load(self.folder / "gateway.toml")
        grid = Grid(size_s=size_s, timezone="Europe/Oslo", day_start_min=360, currency="NOK")
        await self.store.configure(RULES, [zone], {}, [], grid, self.now(), loaded.open_hours())

    def now(self) -> Stamp:
        return Stamp("boot", self.wall, self.wall)

    async def hours_of(self, start: str, end: str, ins: int, sales: int = 0) -> None:
        """Every hour of `[start, end)` is watched; so many came in, give or take one, and bought in each.

        The same count each hour is what a stuck counter says, and is not believed.
        """
        for at in range(ms(start), ms(end), HOUR):
            self.wall = max(self.wall, at + HOUR)
            n = ins + (0, 1, -1)[(at - ms(start)) // HOUR % 3]
            bookings = [Booking("door", "main", Crossings("door", "main", at, at + HOUR, n, n))]
            if sales:
                receipts = Transactions("pos", at, at + HOUR, sales, 0, sales * 100, key=str(at))
                bookings.append(Booking("pos", "main", receipts))
            await self.store.record([Parcel("link", self.now(), bookings)])

    async def close(self, wall: str) -> None:
        self.wall = ms(wall)
        while (await self.store.close(self.now())).more:
            pass

    def export(self, *args: str) -> Result:
        path = str(self.folder / "gateway.toml")
        return CliRunner().invoke(export.command, ["-c", path, *args])

    def rows(self, by: str, first: str, after: str, *more: str) -> list[dict[str, Any]]:
        done = self.export("--by", by, "--from", first, "--to", after, "--format", "jsonl", *more)
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.output.splitlines()]


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    made = Shop(tmp_path)
    yield made
    await made.store.aclose()


async def test_a_week_is_the_sum_of_its_business_days(shop: Shop) -> None:
    """Nights until two belong to the day they began on; ratios are of sums."""
    await shop.open("2026-11-23T06:00+01:00")  # a Monday
    await shop.hours_of("2026-11-23T06:00+01:00", "2026-11-24T06:00+01:00", 100, 10)
    await shop.hours_of("2026-11-24T06:00+01:00", "2026-11-30T06:00+01:00", 10, 5)
    await shop.close("2026-11-30T12:00+01:00")
    days = shop.rows("day", "2026-11-23", "2026-11-30")
    assert [(row["label"], row["ins"], row["sales"], row["open_s"]) for row in days] == [
        ("2026-11-23", 2400, 240, 16 * 3600),
        *((f"2026-11-{day}", 240, 120, 16 * 3600) for day in range(24, 30)),
    ]
    assert {row["whole"] for row in days} == {True}
    [week] = shop.rows("week", "2026-11-23", "2026-11-30")
    assert (week["label"], week["calendar"], week["first"], week["last"]) == (
        "2026-W48",
        "iso",
        "2026-11-23",
        "2026-11-29",
    )
    assert (week["ins"], week["outs"], week["sales"], week["amount_minor"]) == (3840, 3840, 960, 96_000)
    assert week["conversion"]["value"] == 0.25  # 960 / 3840; the mean of the days' rates would be 0.442857
    assert (week["open_s"], week["completeness"], week["whole"]) == (7 * 16 * 3600, 1.0, True)
    assert week["compares_with"] == "2025-W48"
    assert sum(row["ins"] for row in days) == week["ins"]


async def test_a_day_of_25_hours_has_25_hours(shop: Shop) -> None:
    shop.hours = ALWAYS
    await shop.open("2026-10-24T06:00+02:00")
    await shop.hours_of("2026-10-24T06:00+02:00", "2026-10-26T06:00+01:00", 1)
    await shop.close("2026-10-26T12:00+01:00")
    rows = shop.rows("day", "2026-10-24", "2026-10-26")
    assert [(row["label"], row["ins"], row["open_s"]) for row in rows] == [
        ("2026-10-24", 25, 90_000),  # from six to six: the change is in its night
        ("2026-10-25", 24, 86_400),
    ]


async def test_what_was_not_watched_is_missing_by_its_open_time(shop: Shop) -> None:
    """Off from Thursday noon to Friday noon, and again for a whole day that the box did not live to see."""
    await shop.open("2026-11-26T06:00+01:00")
    await shop.hours_of("2026-11-26T06:00+01:00", "2026-11-26T12:00+01:00", 1)
    await shop.hours_of("2026-11-27T12:00+01:00", "2026-11-28T06:00+01:00", 1, sales=1)
    await shop.close("2026-11-28T09:30+01:00")
    thursday, friday = shop.rows("day", "2026-11-26", "2026-11-28")
    assert thursday["completeness"] == 0.125  # 2 of 16 open hours
    assert friday["completeness"] == 0.875  # 14 of 16
    assert (thursday["conversion"], friday["conversion"]["value"]) == (
        {"value": None, "why": "completeness"},
        1.0,
    )
    [week] = shop.rows("week", "2026-11-23", "2026-11-30")
    assert week["completeness"] == 0.2  # Monday to Wednesday there was no box: 16 of 80 open hours
    assert week["whole"] is False


async def test_a_week_that_is_not_over_is_not_whole_and_not_incomplete(shop: Shop) -> None:
    await shop.open("2026-11-23T06:00+01:00")
    await shop.hours_of("2026-11-23T06:00+01:00", "2026-11-25T06:00+01:00", 1)
    await shop.close("2026-11-25T06:30+01:00")
    [week] = shop.rows("week", "2026-11-23", "2026-11-30")
    assert (week["completeness"], week["whole"], week["open_s"]) == (1.0, False, 32 * 3600)
    [part] = shop.rows("week", "2026-11-23", "2026-11-24")
    assert (part["completeness"], part["whole"], part["ins"]) == (1.0, False, 24)


async def test_windows_that_are_gone_are_missing(shop: Shop) -> None:
    """Pruned, or the box was replaced: a sum over the rest must not look like all of it."""
    await shop.open("2026-11-23T06:00+01:00")
    await shop.hours_of("2026-11-23T06:00+01:00", "2026-11-24T06:00+01:00", 1)
    await shop.close("2026-11-24T12:00+01:00")
    noon = ms("2026-11-23T12:00+01:00")
    shop.store._con.execute(
        "DELETE FROM zone_aggregates WHERE start_ms>=? AND start_ms<?", (noon, noon + 4 * HOUR)
    )
    [day] = shop.rows("day", "2026-11-23", "2026-11-24")
    assert (day["ins"], day["completeness"], day["whole"]) == (20, 0.75, False)


async def test_another_window_size_in_the_middle_counts_nobody_twice(shop: Shop) -> None:
    await shop.open("2026-11-23T06:00+01:00")
    await shop.hours_of("2026-11-23T06:00+01:00", "2026-11-24T00:00+01:00", 1)
    await shop.configure(900)  # from the next business day
    await shop.hours_of("2026-11-24T00:00+01:00", "2026-11-25T06:00+01:00", 1)
    await shop.close("2026-11-25T12:00+01:00")
    rows = shop.rows("day", "2026-11-23", "2026-11-25")
    assert [(row["ins"], row["completeness"], row["whole"]) for row in rows] == [(24, 1.0, True)] * 2
    hours_only = shop.rows("day", "2026-11-23", "2026-11-25", "--size", "3600")
    assert [row["ins"] for row in hours_only] == [24]


async def test_hours_that_changed_count_as_they_were(shop: Shop) -> None:
    await shop.open("2026-11-23T06:00+01:00")
    await shop.hours_of("2026-11-23T06:00+01:00", "2026-11-24T06:00+01:00", 1)
    shop.hours = 'mon-sun = "10:00-14:00"'
    await shop.configure()
    await shop.hours_of("2026-11-24T06:00+01:00", "2026-11-25T06:00+01:00", 1)
    await shop.close("2026-11-25T12:00+01:00")
    [week] = shop.rows("week", "2026-11-23", "2026-11-25")
    assert (week["open_s"], week["completeness"]) == (20 * 3600, 1.0)


async def test_periods_are_those_of_the_retail_calendar(shop: Shop) -> None:
    shop.week = "4-4-5"
    await shop.open("2026-11-28T06:00+01:00")  # a Saturday: the end of period 10, week 43
    await shop.hours_of("2026-11-28T06:00+01:00", "2026-11-30T06:00+01:00", 1)
    await shop.close("2026-11-30T12:00+01:00")
    periods = shop.rows("period", "2026-11-28", "2026-11-30")
    assert [(row["label"], row["first"], row["last"], row["ins"]) for row in periods] == [
        ("2026-P10", "2026-11-01", "2026-11-28", 24),
        ("2026-P11", "2026-11-29", "2026-12-26", 24),
    ]
    weeks = shop.rows("week", "2026-11-28", "2026-11-30")
    assert [row["label"] for row in weeks] == ["2026-W43", "2026-W44"]
    [month] = shop.rows("month", "2026-11-01", "2026-12-01")
    assert (month["label"], month["ins"], month["compares_with"]) == ("2026-11", 48, None)


async def test_a_till_that_is_taken_out_keeps_its_past(shop: Shop) -> None:
    await shop.open("2026-11-23T06:00+01:00")
    await shop.hours_of("2026-11-23T10:00+01:00", "2026-11-24T02:00+01:00", 12, 3)
    await shop.close("2026-11-24T09:00+01:00")
    span = ("2026-11-23", "2026-11-24")
    at = ("--from", "2026-11-23T12:00:00Z", "--to", "2026-11-23T13:00:00Z", "--format", "jsonl")
    before = shop.rows("day", *span), shop.export(*at).output
    assert before[0][0]["conversion"]["value"] == 0.25
    await shop.configure(zone=replace(ZONE, members=ZONE.members[:1]))
    await shop.close("2026-11-24T12:00+01:00")
    assert (shop.rows("day", *span), shop.export(*at).output) == before


async def test_csv_has_the_same_figures(shop: Shop) -> None:
    await shop.open("2026-11-23T06:00+01:00")
    await shop.hours_of("2026-11-23T06:00+01:00", "2026-11-24T06:00+01:00", 10, 4)
    await shop.close("2026-11-24T12:00+01:00")
    done = shop.export("--by", "day", "--from", "2026-11-23", "--to", "2026-11-24")
    [row] = csv.DictReader(done.output.splitlines())
    assert (row["label"], row["ins"], row["conversion"], row["whole"]) == ("2026-11-23", "240", "0.4", "true")


async def test_as_it_stood_before_the_late_counts(shop: Shop) -> None:
    await shop.open("2026-11-23T06:00+01:00")
    await shop.hours_of("2026-11-23T06:00+01:00", "2026-11-23T12:00+01:00", 1)
    await shop.close("2026-11-23T14:00+01:00")
    await shop.hours_of("2026-11-23T12:00+01:00", "2026-11-24T06:00+01:00", 1)
    await shop.close("2026-11-24T12:00+01:00")
    [then] = shop.rows("day", "2026-11-23", "2026-11-24", "--as-of", "2026-11-23T14:00:00+01:00")
    assert (then["ins"], then["completeness"], then["whole"]) == (6, 1.0, False)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--by", "period"), '[site] week = "iso" has none'),
        (("--by", "day", "--readings"), "not --readings"),
        (("--by", "year"), "'year' is not one of"),
    ],
)
async def test_what_cannot_be_added_up_is_wrong_usage(shop: Shop, args: tuple[str, ...], said: str) -> None:
    await shop.open("2026-11-23T06:00+01:00")
    done = shop.export("--from", "2026-11-23", "--to", "2026-11-24", *args)
    assert done.exit_code == 2
    assert said in done.output
