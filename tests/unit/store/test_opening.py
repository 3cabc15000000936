"""Opening hours at closing: nights that end tomorrow, nights an hour short or long, hours that change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from random import Random

import pytest

from gateway.model import LineRule, Member, Role, ZoneSpec
from gateway.store import Grid
from gateway.windows import Hours, open_ms
from tests.unit.store.conftest import DOOR, HOUR, MINUTE, T0, ZONE, Box

MakeBox = Callable[..., Awaitable[Box]]
OSLO = Grid(size_s=3600, timezone="Europe/Oslo", day_start_min=360)
SIDE = LineRule("side", "main", max_per_s=0, expect_s=60)
BAR = ZoneSpec("bar", "store", (Member("side", "main", Role.ENTRANCE),))
ALWAYS_CLOSED = Hours(((),) * 7)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def hours(*spans: tuple[int, int], **dates: tuple[tuple[int, int], ...]) -> Hours:
    return Hours(
        (spans,) * 7,
        {date.fromisoformat(day.strip("d").replace("_", "-")): one for day, one in dates.items()},
    )


async def watched(box: Box, low: int, high: int, counter: str = "door") -> None:
    """Watched on `[low, high)`, nobody came."""
    for start in range(low, high, HOUR):
        await box.delta(start, min(start + HOUR, high), 0, counter=counter)


def rows(
    box: Box, low: int, high: int, zone: str = "shop", size_s: int = 3600
) -> dict[str, tuple[int | None, float | None]]:
    """UTC day and time → (open minutes, completeness) of the current revisions."""
    reader = box.store.reader()
    try:
        found = reader.aggregates(zone, low, high, size_s)
    finally:
        reader.close_file()
    return {
        f"{datetime.fromtimestamp(row['start_ms'] / 1000, UTC):%d %H:%M}": (
            None if row["base_ms"] is None else row["base_ms"] // MINUTE,
            row["completeness"],
        )
        for row in found
    }


@pytest.mark.parametrize(
    ("evening", "closes_min", "opens"),
    [
        # Saturday 20:00 to 03:00 by the clock on the wall; minutes open in each UTC hour from 19:00 on
        ("2026-03-28T19:00+00:00", 1620, [60] * 6),
        ("2026-10-24T18:00+00:00", 1620, [60] * 8),
        ("2026-03-28T19:00+00:00", 1590, [60] * 6),  # until 02:30, which that night does not have
        ("2026-10-24T18:00+00:00", 1590, [60] * 6 + [30]),  # until the first 02:30
        ("2026-06-20T18:00+00:00", 1620, [60] * 7),
    ],
)
async def test_the_night_of_the_change_has_the_open_time_it_has(
    make_box: MakeBox, evening: str, closes_min: int, opens: list[int]
) -> None:
    start = ms(evening)
    saturday = Hours(((),) * 5 + (((1200, closes_min),), ()))
    box = await make_box(grid=OSLO, hours={"shop": saturday}, wall=start - HOUR)
    box.at(start + 12 * HOUR)
    await watched(box, start - HOUR, start + 12 * HOUR)
    box.pass_ms(2 * HOUR)
    await box.close()
    found = [base for base, _ in rows(box, start, start + 12 * HOUR).values()]
    assert found == [*opens, *[None] * (12 - len(opens))]
    complete = {share for base, share in rows(box, start, start + 12 * HOUR).values() if base}
    assert complete == {1.0}


async def test_a_night_belongs_to_the_business_day_it_began_on(make_box: MakeBox) -> None:
    """Friday 10:00 to 02:00, the business day from 06:00: nothing of it is Saturday's."""
    friday = Hours(((),) * 4 + (((600, 1560),), (), ()))
    morning = ms("2026-11-27T06:00+01:00")
    box = await make_box(grid=OSLO, hours={"shop": friday}, wall=morning)
    box.at(morning + 48 * HOUR)
    await watched(box, morning, morning + 40 * HOUR)
    await box.close()
    reader = box.store.reader()
    found = reader.aggregates("shop", morning, morning + 48 * HOUR, 3600)
    reader.close_file()
    opened: dict[str, int] = {}
    for row in found:
        opened[row["business_date"]] = opened.get(row["business_date"], 0) + (row["base_ms"] or 0) // MINUTE
    assert opened == {"2026-11-27": 16 * 60, "2026-11-28": 0}


async def test_a_gap_after_closing_time_is_no_gap_and_one_before_it_is(make_box: MakeBox) -> None:
    """The line was watched from 10:10 to 10:20; the shop is open until 10:20, then until 10:40."""
    box = await make_box(grid=Grid(size_s=3600), hours={"shop": hours((610, 620))})
    box.at(T0 + HOUR)
    await box.delta(T0 + 10 * MINUTE, T0 + 20 * MINUTE, 4)
    box.at(T0 + HOUR + 30 * MINUTE)
    await box.close()
    assert rows(box, T0, T0 + HOUR) == {"25 10:00": (10, 1.0)}
    later = await box.store.close(box.now())
    assert not later.revisions


async def test_zones_of_other_hours_share_a_line(make_box: MakeBox) -> None:
    """One door, two zones: each is judged by its own hours."""
    other = ZoneSpec("arcade", "mall", ZONE.members)
    box = await make_box(
        zones=[ZONE, other],
        grid=Grid(size_s=3600),
        hours={"shop": hours((600, 630)), "arcade": hours((630, 660))},
    )
    box.at(T0 + HOUR)
    await box.delta(T0, T0 + 30 * MINUTE, 4)
    box.at(T0 + 3 * HOUR)
    await box.close()
    assert rows(box, T0, T0 + HOUR) == {"25 10:00": (30, 1.0)}
    assert rows(box, T0, T0 + HOUR, "arcade") == {"25 10:00": (30, 0.0)}


async def test_people_who_come_while_closed_are_counted_and_the_share_is_unknown(make_box: MakeBox) -> None:
    box = await make_box(grid=Grid(size_s=3600), hours={"shop": ALWAYS_CLOSED})
    box.at(T0 + HOUR)
    await box.delta(T0, T0 + HOUR, 4)
    await box.drain()
    assert rows(box, T0, T0 + HOUR) == {"25 10:00": (None, None)}
    assert box.delivered(size_s=3600) == 4
    box.balanced()


async def test_a_zone_is_as_complete_as_its_worst_line_in_open_time(make_box: MakeBox) -> None:
    both = ZoneSpec("shop", "store", (*ZONE.members, *BAR.members))
    box = await make_box(
        rules=[DOOR, SIDE], zones=[both], grid=Grid(size_s=3600), hours={"shop": hours((600, 640))}
    )
    box.at(T0 + HOUR)
    await box.delta(T0, T0 + HOUR, 4)
    await box.delta(T0 + 30 * MINUTE, T0 + HOUR, 4, counter="side")  # 10 of its 30 minutes are open ones
    box.at(T0 + 3 * HOUR)
    await box.close()
    assert rows(box, T0, T0 + HOUR) == {"25 10:00": (40, 0.25)}


# -- hours that change ---------------------------------------------------------------------------------------


async def close_a_day(box: Box) -> None:
    box.at(T0 + 4 * HOUR)
    await watched(box, T0, T0 + 4 * HOUR)
    box.pass_ms(2 * HOUR)  # a window waits for a line that reports once an hour
    await box.close()


@pytest.mark.parametrize("how", ["other hours", "a holiday more", "no hours", "another timezone"])
async def test_changed_hours_restate_nothing_that_is_closed(make_box: MakeBox, how: str) -> None:
    """Next year's holidays, a longer Thursday, a shop that never closes: none of it is said of yesterday."""
    box = await make_box(grid=Grid(size_s=3600), hours={"shop": hours((600, 720))})
    box.at(T0 + 6 * HOUR)
    await box.delta(T0, T0 + HOUR, 1)
    await box.close()
    before = rows(box, T0, T0 + 4 * HOUR)
    assert [base for base, _ in before.values()] == [60, 60, None, None]
    if how == "other hours":
        box.hours = {"shop": hours((0, 1440))}
    elif how == "a holiday more":
        box.hours = {"shop": hours((600, 720), d2026_11_25=(), d2027_11_25=())}
    elif how == "no hours":
        box.hours = {}
    else:
        box.grid = Grid(size_s=3600, timezone="Asia/Tokyo")
    await box.restart()
    await box.delta(T0 + HOUR, T0 + 3 * HOUR, 5)  # late: its windows are restated, by the hours they had
    box.pass_ms(5_000)
    assert await box.close() >= 2
    after = rows(box, T0, T0 + 4 * HOUR)
    assert {hour: base for hour, (base, _) in after.items()} == {
        hour: base for hour, (base, _) in before.items()
    }
    assert after["25 11:00"] == (60, 1.0)
    box.balanced()


async def test_changed_hours_hold_from_the_next_edge_of_the_longest_window(make_box: MakeBox) -> None:
    box = await make_box(grid=Grid(size_s=900), hours={"shop": hours((600, 1200))})
    box.at(T0 + 20 * MINUTE)
    box.hours = {"shop": ALWAYS_CLOSED}
    await box.configure()
    await close_a_day(box)
    found = [base for base, _ in rows(box, T0, T0 + 2 * HOUR, size_s=900).values()]
    assert found == [15, 15, *[None] * 6]


async def test_a_change_that_is_taken_back_before_it_holds_leaves_no_trace(make_box: MakeBox) -> None:
    box = await make_box(grid=Grid(size_s=3600), hours={"shop": hours((600, 1200))})
    for wanted in (ALWAYS_CLOSED, hours((600, 1200))):
        box.pass_ms(MINUTE)
        box.hours = {"shop": wanted}
        await box.configure()
    await close_a_day(box)
    assert {base for base, _ in rows(box, T0, T0 + 3 * HOUR).values()} == {60}
    assert len(box.store._con.execute("SELECT * FROM zone_hours").fetchall()) == 1


async def test_starting_again_and_again_with_the_same_hours_writes_nothing(make_box: MakeBox) -> None:
    box = await make_box(hours={"shop": hours((600, 1560), d2026_12_24=((540, 780),))})
    before = box.store._con.execute("SELECT * FROM zone_hours").fetchall()
    for _ in range(3):
        box.pass_ms(HOUR)
        await box.restart(reboot=True)
    assert box.store._con.execute("SELECT * FROM zone_hours").fetchall() == before


async def test_a_buffer_from_before_hours_were_kept_goes_on(make_box: MakeBox) -> None:
    """An update of a box: the hours it was configured with hold for what was closed before, too."""
    box = await make_box(grid=Grid(size_s=3600), hours={"shop": hours((600, 660))})
    await close_a_day(box)
    box.store._con.execute("DELETE FROM zone_hours")
    before = rows(box, T0, T0 + 3 * HOUR)
    assert len(before) == 3
    box.pass_ms(HOUR)
    await box.restart()
    await box.delta(T0 + 4 * HOUR, T0 + 5 * HOUR, 0)
    await box.close()
    assert rows(box, T0, T0 + 3 * HOUR) == before
    assert len(box.store._con.execute("SELECT * FROM zone_hours WHERE from_ms=0").fetchall()) == 1


async def test_a_box_without_a_clock_takes_its_hours_when_it_knows_the_time(make_box: MakeBox) -> None:
    box = await make_box(
        trusted=False, wall=5_000, mono=5_000, hours={"shop": hours((600, 630))}, grid=Grid(size_s=3600)
    )
    box.wall, box.trusted = T0, True
    await box.close()
    await close_a_day(box)
    assert rows(box, T0, T0 + HOUR)["25 10:00"][0] == 30


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_changes_a_window_keeps_the_hours_it_began_with(make_box: MakeBox, seed: int) -> None:
    """Hours change at any moment, counts come late, the box restarts; judged by what was said when."""
    random = Random(seed)
    said: list[tuple[int, Hours | None]] = []  # from when, which
    box = await make_box(grid=Grid(size_s=900), wall=T0, hours={"shop": hours((600, 1200))})
    said.append((0, box.hours["shop"]))
    for _ in range(40):
        box.pass_ms(random.randrange(1, 40) * MINUTE)
        match random.randrange(4):
            case 0:
                box.hours = random.choice([{}, {"shop": hours((random.randrange(0, 1200), 1439))}])
                await box.configure()
                edge = box.wall // (15 * MINUTE) * 15 * MINUTE + 15 * MINUTE
                said.append((edge, box.hours.get("shop")))
            case 1:
                await box.restart(reboot=random.random() < 0.5)
            case 2:
                start = box.wall - random.randrange(5, 300) * MINUTE
                await box.delta(start, start + MINUTE, 1)
            case _:
                await box.close()
    box.pass_ms(3 * HOUR)
    await box.close()
    box.pass_ms(5_000)
    await box.close()
    found = box.store._con.execute("SELECT start_ms, base_ms FROM zone_aggregates").fetchall()
    assert len({start for start, _ in found}) > 20
    for start, base in found:
        [*_, wanted] = [one for edge, one in said if edge <= start]
        assert base == open_ms(wanted, "UTC", start, start + 15 * MINUTE), start
    box.balanced()
