"""Counters judged through misfortunes of the box: outages, data that come late, lines that come and go."""

from __future__ import annotations

import zlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.model import Basis, Booking, Crossings, LineRule, Parcel, Register
from gateway.quality import Detectors
from gateway.quality.detectors import Today
from gateway.windows import day_bounds
from tests.doors import DAY, DOORS, MONDAY, TODAY, Q, live, outfit, people
from tests.unit.store.conftest import HOUR, Box
from tests.unit.store.test_quality import alarms, mall, rows, taught  # noqa: F401


async def test_the_morning_before_a_line_was_taken_out_is_no_part_of_the_day_it_comes_back(mall: Box) -> None:  # noqa: F811
    """Who came that morning left while nobody looked: no imbalance of an evening nine days later."""
    await live(mall, TODAY + 12 * HOUR)
    assert today(mall)["south"].ins > 100
    rules, zones = mall.rules, mall.zones
    mall.rules = [rule for rule in rules if rule.counter != "south"]
    members = tuple(one for one in zones[0].members if one.counter != "south")
    mall.zones = [replace(zones[0], members=members)]
    await mall.configure()
    await live(mall, TODAY + 9 * DAY + 22 * HOUR, silent=frozenset({"south"}))
    mall.rules, mall.zones = rules, zones
    await mall.configure()
    await live(mall, TODAY + 9 * DAY + 23 * HOUR)
    assert today(mall)["south"].ins == 0
    await live(mall, TODAY + 10 * DAY + 20 * HOUR)
    assert alarms(mall) == []
    assert today(mall)["south"].ins > 100


def today(box: Box) -> dict[str, Today]:
    found = rows(box, "SELECT counter, state FROM detectors JOIN lines ON id=line_id")
    return {name: Detectors.decode(zlib.decompress(state)).today for name, state in found}


async def test_data_that_come_an_hour_late_are_no_silence(mall: Box) -> None:  # noqa: F811
    """A gateway of the counter lost its uplink and sent everything at once: nobody was dead."""
    await live(mall, TODAY + 12 * HOUR)
    await live(mall, TODAY + 14 * HOUR, silent=frozenset({"south"}))
    parcels = []
    for start_ms in range(TODAY + 12 * HOUR, TODAY + 14 * HOUR, Q):
        came = people("south", start_ms, frozenset(), 1.0)
        reading = Crossings("south", "main", start_ms, start_ms + Q, *came)
        parcels.append(Parcel("lan", mall.now(), [Booking("south", "main", reading)]))
    await mall.store.record(parcels)
    await live(mall, TODAY + DAY + 12 * HOUR)
    assert alarms(mall) == []


async def test_a_totals_line_that_is_reset_in_the_night_is_well(tmp_path: Path) -> None:
    """Registers that begin again at 0 each midnight, polled each quarter of an hour."""
    box = Box(tmp_path)
    outfit(box)
    box.rules = [LineRule(name, "main", basis=Basis.TOTAL, max_per_s=5, expect_s=1800) for name in DOORS]
    await box.open()
    await box.configure()
    totals = dict.fromkeys(DOORS, (0, 0))
    for start_ms in range(MONDAY, MONDAY + 16 * DAY, Q):
        box.at(start_ms + Q)
        parcels = []
        for name in DOORS:
            before = totals[name] if (start_ms % DAY) else (0, 0)
            came = people(name, start_ms, frozenset(), 1.0)
            totals[name] = before[0] + came[0], before[1] + came[1]
            reading = Register(name, "main", box.wall, *totals[name])
            parcels.append(Parcel("lan", box.now(), [Booking(name, "main", reading)]))
        await box.store.record(parcels)
        box.pass_ms(5_000)
        await box.close()
    assert alarms(box) == []
    await box.store.aclose()


@pytest.mark.parametrize("change", ["2026-10-25", "2027-03-28"])
async def test_nights_of_23_and_25_hours_raise_nothing(tmp_path: Path, change: str) -> None:
    box = Box(tmp_path)
    outfit(box)
    box.grid = replace(box.grid, timezone="Europe/Oslo")
    night_ms = round(datetime.fromisoformat(change).replace(tzinfo=UTC).timestamp() * 1000)
    box.wall = night_ms - 9 * DAY
    await box.open()
    await box.configure()
    await live(box, night_ms + 3 * DAY, local=ZoneInfo("Europe/Oslo"))
    assert alarms(box) == []
    for size_h, day in ((25 if change == "2026-10-25" else 23, 0), (24, 1)):
        low_ms, high_ms = day_bounds(date.fromisoformat(change) + timedelta(days=day), "Europe/Oslo")
        assert high_ms - low_ms == size_h * HOUR
        assert len(rows(box, f"SELECT line_id FROM day_levels WHERE day_ms={high_ms}")) == len(DOORS)
    await box.store.aclose()
