"""A till that says nothing all day is not a day without sales, live and afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.health.snapshot import ZoneHealth
from gateway.measures import INCOMPLETE, Ratio
from gateway.model import Basis, Booking, Crossings, LineRule, Parcel, Reading, Stamp, Transactions
from gateway.store import Grid, Store
from tests.integration import test_days, test_health
from tests.integration.test_days import HOUR, Centre, ms
from tests.integration.test_health import QUARTER, T0, Box

WEDNESDAY, THURSDAY = "2026-11-25", "2026-11-26"
OF_RECEIPTS = ("conversion", "conversion_crude", "conversion_units", "spv")
UNKNOWN = {"value": None, "why": INCOMPLETE}


@pytest.fixture(params=[3600.0, None], ids=["watched", "assumed"])
async def centre(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Centre]:
    """A shop of one door and one till, whose silence may or may not say that it is dead."""
    basis = Basis.DELTA if request.param else Basis.EVENT
    pos = LineRule("pos", "main", till=True, basis=basis, max_per_s=0, expect_s=request.param)
    monkeypatch.setattr(test_days, "RULES", [*test_days.RULES[:-1], pos])
    made = Centre(tmp_path)
    await made.open("2026-11-25T00:00+01:00")
    yield made
    made.reader.close_file()
    await made.store.aclose()


async def doors_only(centre: Centre, day: str, *more: Transactions) -> None:
    """Ten to eight; the till says no more than it is told to."""
    for hour in range(10, 20):
        at = ms(f"{day}T{hour:02}:00+01:00")
        centre.wall = at + HOUR
        bookings = [
            Booking(name, "main", Crossings(name, "main", at, at + HOUR, 10, 10)) for name in test_days.DOORS
        ]
        await centre.store.record([Parcel("link", centre.now(), bookings)])
    said = [Booking("pos", "main", one) for one in more]
    await centre.store.record([Parcel("link", centre.now(), said)])


def shop(centre: Centre, by: str, day: str, days: int = 1) -> dict[str, Any]:
    after = date.fromisoformat(day) + timedelta(days=days)
    return centre.rows(by, day, after.isoformat(), "shop")[0]


async def test_a_day_of_which_no_till_said_anything_has_no_conversion(centre: Centre) -> None:
    await centre.day(WEDNESDAY)
    await doors_only(centre, THURSDAY)
    await centre.close("2026-11-27T12:00+01:00")
    day = shop(centre, "day", THURSDAY)
    assert (day["sales"], day["completeness"], day["ins"]) == (0, 1.0, 100)
    assert {name: day[name] for name in OF_RECEIPTS} == dict.fromkeys(OF_RECEIPTS, UNKNOWN)
    assert day["atv"]["value"] is None
    assert (day["capture_rate"]["value"], day["turn_in_rate"]["value"]) == (0.5, 0.333333)
    assert shop(centre, "day", WEDNESDAY)["conversion"]["value"] == 0.2
    week = shop(centre, "week", WEDNESDAY, 2)
    assert week["conversion"]["value"] == 0.1, "of the whole stretch it does not hold"
    rows = centre.reader.aggregates(
        "shop", ms(f"{THURSDAY}T12:00+01:00"), ms(f"{THURSDAY}T13:00+01:00"), 3600
    )
    assert "tills_heard" not in rows[0], "a window without receipts stays as it is"


async def test_a_till_that_told_of_no_sale_was_heard(centre: Centre) -> None:
    noon = ms(f"{THURSDAY}T12:00+01:00")
    await doors_only(centre, THURSDAY, Transactions("pos", noon, noon + HOUR))
    await centre.close("2026-11-27T12:00+01:00")
    day = shop(centre, "day", THURSDAY)
    assert [day[name]["value"] for name in OF_RECEIPTS] == [0.0] * len(OF_RECEIPTS)


@pytest.mark.parametrize("centre", [3600.0], indirect=True, ids=["watched"])
async def test_that_it_was_heard_outlives_its_readings(centre: Centre) -> None:
    noon = ms(f"{THURSDAY}T12:00+01:00")
    await doors_only(centre, THURSDAY, Transactions("pos", noon, noon + HOUR))
    await centre.close("2026-11-27T12:00+01:00")
    centre.store._con.execute("DELETE FROM readings")
    centre.store._con.execute("DELETE FROM coverage")
    centre.store._con.execute("UPDATE pulse SET watch_start_ms=NULL, watch_end_ms=NULL")
    assert shop(centre, "day", THURSDAY)["conversion"]["value"] == 0.0


async def test_a_last_receipt_of_nothing_is_heard_too(centre: Centre) -> None:
    noon = ms(f"{THURSDAY}T12:00+01:00")
    await doors_only(centre, THURSDAY, Transactions("pos", noon, noon + 1, key="void", basis=Basis.EVENT))
    await centre.close("2026-11-27T12:00+01:00")
    assert shop(centre, "day", THURSDAY)["conversion"]["value"] == 0.0


async def test_an_hour_of_a_day_is_judged_by_its_day(centre: Centre) -> None:
    """Many tills say nothing for hours."""
    noon = ms(f"{THURSDAY}T12:00+01:00")
    await doors_only(centre, THURSDAY, Transactions("pos", noon, noon + HOUR, 3, 0, 900))
    await centre.close("2026-11-27T12:00+01:00")
    span = (noon + HOUR, noon + 2 * HOUR)
    asked = test_days.Asked("day", span, ("shop",), undecided={})
    [row] = test_days.added_up(centre.config, centre.reader, asked)
    assert (row["sales"], row["conversion"]["value"]) == (0, 0.0)


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    store = await Store.open(tmp_path, now=Stamp("boot", 1, T0))
    grid = Grid(size_s=900, timezone="Europe/Oslo", day_start_min=240, currency="NOK")
    rules, zones = test_health.RULES, test_health.ZONES
    await store.configure(rules, zones, {}, [900], grid, Stamp("boot", 1, T0))
    made = Box(tmp_path, store)
    yield made
    made.reader.close_file()
    await store.aclose()


async def said(box: Box, number: int, *readings: Reading) -> None:
    """A quarter of the door, and what else came in it."""
    start = T0 + number * QUARTER
    box.wall = max(box.wall, start + QUARTER)
    door: Reading = Crossings("d", "l", start, start + QUARTER, 50, 50)
    front: Reading = Crossings("f", "l", start, start + QUARTER, 50, 50)
    each = (("door", door), ("front", front), *(("pos", one) for one in readings))
    bookings = [Booking(name, "main", one) for name, one in each]
    await box.store.record([Parcel("bus", box.now(), bookings)])


async def today(box: Box) -> ZoneHealth:
    return (await box.look()).zones[0]


async def test_today_has_no_conversion_before_a_till_is_heard(box: Box) -> None:
    for number in range(4):
        await said(box, number)
    await box.close()
    zone = await today(box)
    assert (zone.sales, zone.completeness, zone.conversion) == (0, 1.0, Ratio(why=INCOMPLETE))
    assert {zone.figures[name].why for name in ("conversion_crude", "spv")} == {INCOMPLETE}
    assert zone.capture_rate.value == 0.5
    start = T0 + 4 * QUARTER
    await said(box, 4, Transactions("t", start, start + QUARTER))
    zone = await today(box)
    assert (zone.conversion.value, zone.figures["conversion_crude"].value) == (0.0, 0.0)


async def test_what_a_till_said_yesterday_is_not_of_today(box: Box) -> None:
    await said(box, 0, Transactions("t", T0, T0 + QUARTER))
    for number in range(96, 100):
        await said(box, number)
    await box.close()
    assert (await today(box)).conversion == Ratio(why=INCOMPLETE)
