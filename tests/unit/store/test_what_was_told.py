"""What was once sent never changes, what is closed keeps what was so in its time: whatever comes after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.amendments import Correction
from gateway.model import Crossings, LineRule, Member, Role, Transactions, ZoneSpec
from gateway.store import Grid
from gateway.windows import Hours
from tests.unit.store.conftest import DOOR, HOUR, MINUTE, T0, ZONE, Box
from tests.unit.store.test_teaching import ALWAYS, DAY, MEMBERS, OPEN, QUARTER, TILL

MakeBox = Callable[..., Awaitable[Box]]


class Listener:
    """Who asks for everything again and again, as after lost answers, and compares."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.heard: dict[str, object] = {}

    async def listen(self) -> None:
        for event in await self.box.everything():
            assert self.heard.setdefault(event.id, event.body) == event.body, event.id


async def trading_day(box: Box, start: int) -> None:
    """Three persons are still inside in the evening, so that the night restates the day."""
    box.at(start + 11 * HOUR)
    for n in range(40):
        at = start + n * QUARTER
        await box.delta(at, at + QUARTER, 20, 20 if n else 17)
        paid = Transactions("pos", at + QUARTER, at + 2 * QUARTER, 2 + n % 3, 0, 1000)
        await box.take_in(paid, counter="pos")


def shops(n: int) -> dict[str, object]:
    """Zones with the same door and till."""
    zones = [ZoneSpec(f"shop{i}", "store", MEMBERS[:1] + MEMBERS[2:]) for i in range(n)]
    hours: dict[str, Hours] = {zone.id: OPEN for zone in zones}
    return {"rules": [DOOR, TILL], "zones": zones, "grid": ALWAYS, "hours": hours}


async def test_a_day_that_teaches_in_several_steps_changes_nothing_sent_between_them(
    make_box: MakeBox,
) -> None:
    """Steps of one look bore one moment: a later one taught what an earlier one had sent already."""
    box = await make_box(**shops(6))
    listener = Listener(box)
    for day in range(3):
        await trading_day(box, T0 + day * DAY)
        box.at(T0 + (day + 1) * DAY + 2 * MINUTE)
        now, more = box.now(), True
        while more:
            more = (await box.store.close(now, 100)).more
            await listener.listen()
        await box.settle(await box.everything())


async def test_a_clock_set_back_teaches_nothing_to_what_was_sent(make_box: MakeBox) -> None:
    box = await make_box(**shops(1))
    listener = Listener(box)
    for day in range(2):
        await trading_day(box, T0 + day * DAY)
        await box.close()
    box.at(T0 + 2 * DAY - MINUTE)
    await box.close()
    box.wall -= 3 * HOUR
    await listener.listen()
    box.store._con.execute("DELETE FROM learnt")
    await box.restart()
    await box.close()
    assert box.store._con.execute("SELECT count(*) FROM learnt").fetchone() == (1,)
    await listener.listen()


async def test_a_clock_set_back_before_a_change_of_currency_changes_nothing_sent(make_box: MakeBox) -> None:
    box = await make_box()
    box.at(T0 + 20 * MINUTE)
    await box.close()
    listener = Listener(box)
    await listener.listen()
    box.wall -= 10 * MINUTE
    box.grid = Grid(size_s=900, currency="NOK")
    await box.configure()
    await listener.listen()
    box.at(T0 + 32 * MINUTE)
    await box.close()
    await listener.listen()
    told = [event.body["data"]["currency"] for event in await box.everything()]  # type: ignore[index]
    assert told == ["NOK", "XXX"]


async def test_an_export_as_of_an_instant_is_the_same_after_the_clock_was_set_back(make_box: MakeBox) -> None:
    box = await make_box()
    box.at(T0 + 20 * MINUTE)
    await box.delta(T0, T0 + MINUTE, 5)
    await box.close()
    as_of_ms = box.wall
    box.wall -= 3 * MINUTE
    await box.delta(T0 + MINUTE, T0 + 2 * MINUTE, 2)
    box.mono += 30_000
    assert await box.close() == 1
    reader = box.store.reader()
    [then] = reader.aggregates("shop", T0, T0 + QUARTER, 900, as_of_ms)
    [newest] = reader.aggregates("shop", T0, T0 + QUARTER, 900)
    reader.close_file()
    assert (then["ins"], newest["ins"]) == (5, 7)


async def test_a_zone_that_becomes_another_kind_of_place_was_what_it_was(make_box: MakeBox) -> None:
    box = await make_box()
    box.at(T0 + 20 * MINUTE)
    await box.close()
    listener = Listener(box)
    await listener.listen()
    box.zones = [replace(ZONE, kind="area")]
    await box.configure()
    await listener.listen()
    box.at(T0 + 2 * HOUR)
    await box.close()
    await listener.listen()
    kinds = [event.body["data"]["kind"] for event in reversed(await box.everything())]  # type: ignore[index]
    assert kinds == ["store"] * 2 + ["area"] * 5


async def test_a_clock_set_back_before_a_change_of_lines_restates_nothing_by_them(make_box: MakeBox) -> None:
    """What is closed keeps its lines and its opening hours, also when they are changed at an earlier hour."""
    side = LineRule("side", "main", max_per_s=0, expect_s=60)
    box = await make_box(rules=[DOOR, side])
    box.at(T0 + 2 * HOUR)
    await box.delta(T0 + HOUR, T0 + HOUR + MINUTE, 5)
    await box.take_in(Crossings("side", "main", T0 + HOUR, T0 + HOUR + MINUTE, 70), counter="side")
    await box.close()
    box.wall -= 90 * MINUTE
    box.zones = [replace(ZONE, members=(Member("side", "main", Role.ENTRANCE),))]
    box.hours = {"shop": Hours(tuple(() for _ in range(7)))}
    await box.configure()
    box.at(T0 + 2 * HOUR)
    await box.delta(T0 + HOUR + MINUTE, T0 + HOUR + 2 * MINUTE, 4)
    await box.drain()
    [told] = [row[2] for key, row in box.office.items() if key[2] == T0 + HOUR]
    assert (told["ins"], told["completeness"]) == (9, 0.133333)


async def test_another_roster_is_for_the_days_to_come(make_box: MakeBox) -> None:
    """A correction of last week's counts must not give that week the staff of today's roster."""
    [shop] = shops(1)["zones"]  # type: ignore[misc]
    shop = replace(shop, staff_a_day=(8,) * 7)
    box = await make_box(**{**shops(1), "zones": [shop]})
    await trading_day(box, T0)
    await box.drain()
    box.zones = [replace(shop, staff_a_day=(80,) * 7)]
    await box.configure()
    await box.store.correct(Correction("c", "door", T0, T0 + 10 * HOUR, 900, reason="by hand"), box.now())
    await trading_day(box, T0 + DAY)
    await box.drain()
    staff = [row[2]["staff"] for _, row in sorted(box.office.items(), key=lambda one: one[0][2])]
    assert (sum(staff[:96]), sum(staff[96:192])) == (8, 80)  # type: ignore[arg-type]


async def test_a_day_half_of_which_is_frozen_is_restated_in_its_other_half(make_box: MakeBox) -> None:
    """What is frozen never changes, nor what it says of people inside."""
    box = await make_box(grid=Grid(size_s=900, allowed_lateness_s=60, readings_days=1, retention_days=5))
    first = T0 // DAY * DAY + DAY
    for at in range(first, first + DAY, QUARTER):
        box.at(at + QUARTER)
        await box.delta(at, at + QUARTER, 10, 9)
    box.at(first + DAY + 12 * HOUR)
    await box.close()
    await box.store.prune(box.now())
    frozen_ms = box.store._memory.frozen_ms
    assert frozen_ms > first + 6 * HOUR
    before = revisions(box, 0, frozen_ms)
    evening = first + 20 * HOUR
    await box.store.correct(Correction("c", "door", evening, evening + HOUR, 60, reason="by hand"), box.now())
    box.pass_ms(5_000)
    await box.close()
    assert revisions(box, 0, frozen_ms) == before
    assert revisions(box, evening, evening + HOUR) == [4] * 4, "closed, the day over, corrected, restated"
    box.balanced()


def revisions(box: Box, from_ms: int, to_ms: int) -> list[int]:
    rows = box.store._con.execute(
        "SELECT max(revision) FROM zone_aggregates WHERE start_ms>=? AND start_ms<? GROUP BY start_ms",
        (from_ms, to_ms),
    )
    return [revision for (revision,) in rows]
