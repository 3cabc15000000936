"""A running box is configured anew, or configured before it knows the time: counts stay what they were."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.model import Basis, Crossings, LineRule, Member, Register, Role
from gateway.store import Grid, UpstreamPlan
from tests.unit.store.conftest import DOOR, HOUR, HQ, MINUTE, T0, ZONE, Box

MakeBox = Callable[..., Awaitable[Box]]
BEAM = LineRule("door", "main", basis=Basis.EVENT, max_per_s=0)
Q = 15 * MINUTE
DAY = 24 * HOUR


def event(key: str, ins: int = 1) -> Crossings:
    return Crossings("door", "main", None, None, ins, basis=Basis.EVENT, key=key)


async def test_a_new_box_without_a_clock_begins_when_it_knows_the_time(make_box: MakeBox) -> None:
    """Windows since 1970 would fill the card, and its generation would lose against the old card's."""
    box = await make_box(rules=[BEAM], trusted=False, wall=5_000, mono=5_000)
    await box.take_in(event("a", 3))
    await box.store.close(box.now())
    box.pass_ms(MINUTE)
    box.wall, box.trusted = T0 + MINUTE, True
    assert await box.store.hold_release(box.now()) == 1
    assert box.store.generation == (T0 + MINUTE) // 1000
    box.at(T0 + HOUR + 2 * MINUTE)
    assert await box.close() == 4
    await box.drain()
    assert box.delivered() == 3
    box.balanced()


async def test_a_count_can_be_the_first_to_know_the_time(make_box: MakeBox) -> None:
    box = await make_box(trusted=False, wall=5_000, mono=5_000)
    box.wall, box.trusted = T0 + 20 * MINUTE, True
    await box.delta(T0, T0 + MINUTE, 3)  # of a window before the one in which the time became known
    box.balanced()
    await box.drain()
    assert box.delivered() == 3
    box.balanced()


async def test_a_clock_gone_back_undoes_no_window_size(make_box: MakeBox) -> None:
    box = await make_box()
    box.grid = Grid(size_s=3600)
    await box.configure()
    box.pass_ms(2 * DAY)
    await box.close()
    before = box.store._con.execute("SELECT * FROM grids ORDER BY 1").fetchall()
    wall, box.wall, box.trusted = box.wall, 5_000, False
    await box.restart(reboot=True)
    box.wall, box.trusted = wall + HOUR, True
    await box.close()
    assert box.store._con.execute("SELECT * FROM grids ORDER BY 1").fetchall() == before
    box.balanced()


async def test_a_clock_ahead_closes_nothing_early_and_keeps_nothing_waiting(make_box: MakeBox) -> None:
    box = await make_box()
    wall, box.wall, box.trusted = box.wall, box.wall + 4000 * DAY, False
    box.upstreams = {**HQ, "owner": UpstreamPlan()}
    await box.restart(reboot=True)
    box.wall, box.trusted = wall + HOUR, True
    await box.close()
    box.pass_ms(HOUR)
    await box.close()
    box.upstream = "owner"
    assert len(await box.everything()) >= 2
    box.balanced()


SIDE = LineRule("side", "main", max_per_s=0, expect_s=60)
TWO = (Member("door", "main", Role.ENTRANCE), Member("side", "main", Role.ENTRANCE))


async def test_a_removed_zone_keeps_the_windows_that_had_begun(make_box: MakeBox) -> None:
    box = await make_box()
    box.at(T0 + 20 * MINUTE)
    await box.delta(T0 + 16 * MINUTE, T0 + 17 * MINUTE, 5)
    box.zones = []
    await box.configure()
    box.balanced()
    box.at(T0 + 25 * MINUTE)
    await box.delta(T0 + 21 * MINUTE, T0 + 22 * MINUTE, 6)
    box.at(T0 + 35 * MINUTE)
    await box.delta(T0 + 31 * MINUTE, T0 + 32 * MINUTE, 7)  # after the edge: of no zone any more
    await box.drain()
    assert (box.delivered(), box.ledger()["counted"]) == (11, 18)
    box.balanced()


async def test_a_zone_that_comes_back_has_a_gap_and_no_empty_windows_in_it(make_box: MakeBox) -> None:
    box = await make_box()
    box.at(T0 + 20 * MINUTE)
    box.zones = []
    await box.configure()
    await box.delta(T0 + 50 * MINUTE, T0 + 51 * MINUTE, 6)
    box.at(T0 + 100 * MINUTE)
    box.zones = [ZONE]
    await box.configure()
    box.balanced()
    await box.delta(T0 + 51 * MINUTE, T0 + 52 * MINUTE, 7)  # late, in the gap
    box.at(T0 + 106 * MINUTE)
    await box.delta(T0 + 105 * MINUTE, T0 + 106 * MINUTE, 1)
    box.at(T0 + 125 * MINUTE)
    await box.close()
    events = sorted((event.start_ms - T0) // Q for event in await box.everything())
    assert events == [0, 1, 7]
    box.balanced()


async def test_a_day_of_a_removed_zone_does_not_hold_back_for_ever(make_box: MakeBox) -> None:
    box = await make_box(grid=Grid(size_s=900, readings_days=1))
    await box.delta(T0, T0 + MINUTE, 3)
    box.at(T0 + HOUR)
    await box.close()
    await box.delta(T0 + MINUTE, T0 + 2 * MINUTE, 4)
    box.zones = []
    await box.configure()
    await box.drain()
    box.pass_ms(3 * DAY)
    await box.drain()
    await box.store.prune(box.now())
    assert box.store._memory.frozen_ms > T0 + DAY
    box.balanced()


async def test_a_line_no_zone_wanted_for_a_while_loses_no_window_of_an_older_size(make_box: MakeBox) -> None:
    box = await make_box(rules=[DOOR, SIDE])
    await box.take_in(Crossings("side", "main", T0, T0 + MINUTE, 9), counter="side")
    for size_s in (3600, 900):  # off while both changes happen
        box.grid = Grid(size_s=size_s)
        await box.configure()
        box.pass_ms(2 * DAY)
    await box.drain()
    box.balanced()
    assert box.ledger(line="side")["closed"] == 9


async def test_a_new_size_and_another_timezone_cut_no_window(make_box: MakeBox) -> None:
    """Midnight in Kolkata is half past an hour: the old hour is not counted in two sizes."""
    box = await make_box(grid=Grid(size_s=3600))
    box.grid = Grid(size_s=900, timezone="Asia/Kolkata")
    await box.configure()
    midnight = T0 + 8 * HOUR + 30 * MINUTE
    box.at(midnight + 20 * MINUTE)
    await box.delta(midnight + MINUTE, midnight + 2 * MINUTE, 5)
    await box.drain()
    box.balanced()
    assert box.delivered(size_s=3600) + box.delivered() == 5


async def test_what_one_basis_has_counted_another_does_not_count_again(make_box: MakeBox) -> None:
    box = await make_box()
    for basis, expected in ((Basis.TOTAL, 5), (Basis.EVENT, 8), (Basis.TOTAL, 8), (Basis.DELTA, 11)):
        box.pass_ms(10 * MINUTE)
        start = box.wall - 5 * MINUTE
        await box.delta(start, start + MINUTE, 5)
        await box.take_in(Register("door", "main", start, total_in=start // MINUTE % 1000 * 5))
        await box.take_in(Register("door", "main", start + MINUTE, total_in=start // MINUTE % 1000 * 5 + 3))
        box.rules = [LineRule("door", "main", basis=basis, max_per_s=0, expect_s=60)]
        await box.configure()
        await box.delta(start + 1000, start + MINUTE, 4)  # late: its minute has been counted
        box.balanced()
        assert box.ledger()["counted"] == expected


async def test_a_size_that_ends_is_sent_until_the_next_one_begins(make_box: MakeBox) -> None:
    """Else head office would hear nothing for the rest of the day."""
    box = await make_box()
    for at, grid in ((20, Grid(size_s=3600)), (25, Grid(size_s=900)), (30, Grid(size_s=3600))):
        box.at(T0 + at * MINUTE)
        box.grid = grid
        await box.configure()
        box.balanced()
    midnight = T0 + 14 * HOUR
    for start in range(T0 + 30 * MINUTE, midnight + 2 * HOUR, Q):
        box.at(start + MINUTE)
        await box.delta(start, start + MINUTE, 1)
    await box.drain()
    assert (box.delivered(), box.delivered(size_s=3600)) == (54, 8)
    box.balanced()


async def test_an_event_says_what_was_so_when_its_window_was_closed(make_box: MakeBox) -> None:
    """A revision once sent never changes: not its currency, not its business day."""
    box = await make_box(grid=Grid(size_s=900, currency="NOK", timezone="Europe/Oslo"))
    box.at(T0 + 16 * MINUTE)
    await box.close()
    before = [event.body for event in await box.everything()]
    box.pass_ms(1_000)
    box.grid = Grid(size_s=900, currency="EUR", timezone="Pacific/Kiritimati", gateway="other")
    await box.restart()
    assert [event.body for event in await box.everything()] == before
    box.at(T0 + 31 * MINUTE)
    await box.close()
    bodies = {event.start_ms: event.body["data"] for event in await box.everything()}
    dates = [(data["currency"], data["business_date"]) for _, data in sorted(bodies.items())]  # type: ignore[index]
    assert dates == [("NOK", "2026-11-25"), ("EUR", "2026-11-26")]


async def test_today_is_not_all_that_ever_was_when_the_clock_has_gone_back(make_box: MakeBox) -> None:
    box = await make_box()
    for _ in range(4):
        await box.delta(box.wall - MINUTE, box.wall, 5)
        box.pass_ms(DAY)
        await box.close()
    reader = box.store.reader()
    [now] = reader.live(box.wall)
    [gone_back] = reader.live(5_000)
    reader.close_file()
    assert gone_back == now


async def test_a_size_that_begins_tomorrow_does_not_turn_today_into_tomorrow(make_box: MakeBox) -> None:
    """Live figures stood at nothing until midnight, and the evening was missing in reports before it was."""
    box = await make_box()
    box.at(T0 + 20 * MINUTE)
    await box.delta(T0, T0 + MINUTE, 5)
    await box.close()
    box.grid = Grid(size_s=3600)
    await box.configure()
    box.at(T0 + 40 * MINUTE)
    await box.delta(T0 + 35 * MINUTE, T0 + 36 * MINUTE, 4)
    reader = box.store.reader()
    [zone] = reader.live(box.wall)
    kept = reader.kept()["shop"].through_ms
    reader.close_file()
    assert (zone.ins, zone.day_start_ms, kept) == (9, T0 // DAY * DAY, T0 + Q)


async def test_an_odd_pass_turns_pairs_only_where_its_window_size_was_kept(make_box: MakeBox) -> None:
    """No window of that size is made of the days that had another one."""
    box = await make_box()
    for size_s in (3600, 900):
        box.grid = Grid(size_s=size_s)
        await box.configure()
        box.pass_ms(30 * HOUR)
        await box.close()
    back = T0 + 38 * HOUR
    await box.take_in(Crossings("door", "main", T0, T0 + MINUTE, passes=1))
    await box.take_in(Crossings("door", "main", back, back + MINUTE, passes=1))
    box.pass_ms(3_000)
    await box.close()
    reader = box.store.reader()
    quarters = reader.aggregates("shop", 0, back + Q, 900)
    reader.close_file()
    assert not [row for row in quarters if T0 + 14 * HOUR <= row["start_ms"] < back]
    assert (sum(row["ins"] for row in quarters), sum(row["outs"] for row in quarters)) == (1, 1)
    box.balanced()


async def test_a_zone_has_no_window_of_before_it_while_one_of_its_lines_is_still_waited_for(
    make_box: MakeBox,
) -> None:
    """Its fast line is late for a window that the mall keeps open for the slow one."""
    slow = Member("slow", "main", Role.ENTRANCE)
    mall, twin = (replace(ZONE, id=name, members=(*ZONE.members, slow)) for name in ("mall", "twin"))
    box = await make_box(rules=[DOOR, LineRule("slow", "main", max_per_s=0)], zones=[ZONE, mall])
    await box.take_in(Crossings("slow", "main", T0 - HOUR, T0, 0), counter="slow")
    box.at(T0 + 17 * MINUTE)
    await box.close()
    box.zones = [ZONE, mall, twin]
    await box.configure()
    await box.delta(T0, T0 + MINUTE, 5)
    box.pass_ms(3_000)
    await box.close()
    box.at(T0 + HOUR)
    await box.take_in(Crossings("slow", "main", T0, T0 + HOUR, 40), counter="slow")
    box.at(T0 + 3 * HOUR)
    await box.close()
    reader = box.store.reader()
    sums = {
        zone: [row["ins"] for row in reader.aggregates(zone, T0, T0 + HOUR, 900)] for zone in ("mall", "twin")
    }
    reader.close_file()
    assert sums == {"mall": [15, 10, 10, 10], "twin": [10, 10, 10]}


async def test_what_was_configured_before_the_time_was_known_is_not_put_back(make_box: MakeBox) -> None:
    box = await make_box(trusted=False)
    box.trusted = True
    box.zones = [replace(ZONE, id="other")]
    await box.configure()
    await box.delta(T0 - MINUTE, T0, 5)
    box.at(T0 + 20 * MINUTE)
    await box.close()
    assert {event.zone for event in await box.everything()} == {"other"}


async def test_pairs_told_late_and_worked_in_bit_by_bit_turn_all_that_follow(make_box: MakeBox) -> None:
    """Windows of before the box was there are made while those after them are closed."""
    box = await make_box(rules=[DOOR])
    start = T0 - 105 * MINUTE
    box.at(T0 + 40 * MINUTE)
    await box.take_in(Crossings("door", "main", start, T0 - 15 * MINUTE, passes=66))
    await box.take_in(Crossings("door", "main", T0, T0 + MINUTE, passes=1))
    await box.take_in(Crossings("door", "main", T0 + 15 * MINUTE, T0 + 16 * MINUTE, passes=1))
    box.at(T0 + 7 * HOUR)
    await box.close(3)
    box.pass_ms(31_000)
    await box.close(3)
    reader = box.store.reader()
    rows = reader.aggregates("shop", start, T0 + HOUR, 900)
    reader.close_file()
    assert [(row["ins"], row["outs"]) for row in rows if row["start_ms"] >= T0] == [
        (0, 1),
        (1, 0),
        (0, 0),
        (0, 0),
    ]
    assert (sum(row["ins"] for row in rows), sum(row["outs"] for row in rows)) == (34, 34)


async def test_live_pairs_begin_with_those_of_windows_that_are_not_yet_closed(make_box: MakeBox) -> None:
    """The first pass of a day was shown as an exit until yesterday was closed, then as an entrance."""
    box = await make_box(grid=Grid(size_s=900, allowed_lateness_s=3600))
    midnight = T0 // DAY * DAY + DAY
    box.at(midnight + 5 * MINUTE)
    for start in (midnight - 5 * MINUTE, midnight):
        await box.take_in(Crossings("door", "main", start, start + MINUTE, passes=1))
    reader = box.store.reader()
    [zone] = reader.live(box.wall)
    reader.close_file()
    assert (zone.ins, zone.outs) == (1, 0)


async def test_a_removed_zone_is_sent_to_its_end_when_a_window_size_is_taken_back(make_box: MakeBox) -> None:
    """It counts until the edge of the hour that was waited for; head office must have those windows too."""
    box = await make_box()
    box.zones = [ZONE, replace(ZONE, id="annex")]
    box.grid = Grid(size_s=3600)
    await box.configure()
    box.at(T0 + 5 * MINUTE)
    box.zones = [ZONE]
    await box.configure()
    box.grid = Grid(size_s=900)
    await box.configure()
    box.at(T0 + 50 * MINUTE)
    await box.delta(T0 + 40 * MINUTE, T0 + 41 * MINUTE, 7)
    await box.drain()
    assert box.delivered(zone="annex") == box.delivered() == 7
    box.balanced()


async def test_a_zone_that_comes_and_goes_before_it_begins_has_no_windows(make_box: MakeBox) -> None:
    box = await make_box()
    annex = replace(ZONE, id="annex")
    for zones in ([ZONE, annex], [ZONE]):
        box.zones = zones
        await box.configure()
    box.pass_ms(2 * HOUR)
    await box.close()
    kept = "SELECT count(*) FROM zone_aggregates JOIN zones ON id=zone_id WHERE zone='annex'"
    before = box.store._con.execute(kept).fetchone()
    for zones in ([ZONE, annex], [ZONE]):
        box.zones = zones
        await box.configure()
    await box.drain()
    assert box.store._con.execute(kept).fetchone() == before
