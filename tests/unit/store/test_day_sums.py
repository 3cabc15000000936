"""Business days out of closed windows: the sums that every report begins with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import StoreError
from gateway.model import Crossings, LineRule, Member, Role, ZoneSpec
from gateway.store import Grid
from gateway.store.plan import DaySum
from gateway.windows import Hours, day_of
from tests.unit.store.conftest import DOOR, HOUR, MINUTE, T0, Box

SIDE = LineRule("side", "main", max_per_s=0, expect_s=60)
DOORS = ZoneSpec(
    "shop",
    "store",
    (Member("door", "main", Role.ENTRANCE), Member("side", "main", Role.ENTRANCE, sign=-1)),
)
DAY = 24 * HOUR
MakeBox = Callable[..., Awaitable[Box]]


@pytest.fixture
async def shop(make_box: MakeBox) -> Box:
    """A day that begins with the buffer: two doors, one seen from the other side, in half-hours of both."""
    box = await make_box(rules=[DOOR, SIDE], zones=[DOORS], grid=Grid(size_s=900, day_start_min=600))
    box.at(T0 + DAY)
    for n in range(48):
        start = T0 + n * HOUR // 2
        await box.delta(start, start + HOUR // 2, 3, 1)
        await box.take_in(_of_side(start, 2, 5), counter="side")
    box.at(T0 + DAY + HOUR)
    await box.close()
    return box


def _of_side(start: int, ins: int, outs: int) -> Crossings:
    return Crossings("side", "main", start, start + HOUR // 2, ins, outs)


def days(box: Box, zone: str = "shop") -> list[DaySum | None]:
    reader = box.store.reader()
    try:
        return reader.zone_days(zone, [day_of(T0, "UTC", 600), day_of(T0 + DAY, "UTC", 600)])
    finally:
        reader.close_file()


async def test_a_zones_day_is_the_sum_of_its_windows(shop: Box) -> None:
    today, tomorrow = days(shop)
    assert today is not None
    assert (today.ins, today.outs) == (48 * (3 + 5), 48 * (1 + 2))
    assert (today.watched_ms, today.base_ms) == (DAY, DAY)
    assert tomorrow is None, "a day that is not over is not there"


async def test_each_door_has_its_own_day_as_the_zone_sees_it(shop: Box) -> None:
    reader = shop.store.reader()
    doors = reader.door_days("shop", [day_of(T0, "UTC", 600)])
    reader.close_file()
    sums = {line: (one.ins, one.outs) for line, [one] in doors.items() if one}
    assert sums == {"door": (144, 48), "side": (240, 96)}


async def test_a_history_that_was_told_afterwards_has_gaps_and_is_a_day_all_the_same(shop: Box) -> None:
    """Nothing of that day but what was told has a window: an hour of the side door is missing."""
    before = T0 - 3 * DAY
    for n in range(48):
        start = before + n * HOUR // 2
        if n not in (20, 21):
            await shop.delta(start, start + HOUR // 2, 3, 1)
        if n not in (20, 21, 30):
            await shop.take_in(_of_side(start, 2, 5), counter="side")
    shop.pass_ms(MINUTE)
    await shop.close()
    reader = shop.store.reader()
    span = day_of(before, "UTC", 600)
    [zone], doors = reader.zone_days("shop", [span]), reader.door_days("shop", [span])
    reader.close_file()
    for sums, missed in ((zone, 3), (doors["door"][0], 2), (doors["side"][0], 3)):
        assert sums is not None
        assert (sums.base_ms, sums.watched_ms) == (DAY, DAY - missed * HOUR // 2)


async def test_late_data_change_the_day_by_their_newest_revision_only(shop: Box) -> None:
    await shop.delta(T0, T0 + HOUR // 2, 13, 1)
    shop.pass_ms(MINUTE)
    await shop.close()
    [today, _] = days(shop)
    assert today is not None
    assert today.ins == 48 * 8 + 10


async def test_an_unknown_zone_is_named(shop: Box) -> None:
    with pytest.raises(StoreError, match="no zone nowhere"):
        days(shop, "nowhere")


async def test_closed_hours_are_not_missing(make_box: MakeBox) -> None:
    hours = Hours(tuple(((11 * 60, 12 * 60),) for _ in range(7)))
    box = await make_box(
        zones=[ZoneSpec("shop", "store", (Member("door", "main", Role.ENTRANCE),))],
        grid=Grid(size_s=900, day_start_min=600),
        hours={"shop": hours},
    )
    box.at(T0 + DAY)
    await box.delta(T0 + HOUR, T0 + 2 * HOUR, 7, 7)
    box.at(T0 + DAY + 2 * HOUR)
    await box.close()
    [today, _] = days(box)
    assert today is not None
    assert (today.ins, today.watched_ms, today.base_ms) == (7, HOUR, HOUR)
