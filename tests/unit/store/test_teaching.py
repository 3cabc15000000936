"""Staff is no visitor, and what closed days teach is kept with its moment: what was sent never changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.amendments import LineFactor
from gateway.learning import NOTHING, Learnt
from gateway.model import Crossings, LineRule, Member, Role, Transactions, ZoneSpec
from gateway.store import Grid
from gateway.store.memory import FAR_MS
from gateway.store.teaching import learnt_at
from gateway.windows import Hours
from tests.unit.store.conftest import DOOR, HOUR, T0, Box

MakeBox = Callable[..., Awaitable[Box]]
DAY, QUARTER = 24 * HOUR, HOUR // 4
BADGE = LineRule("badge", "main", max_per_s=0, expect_s=60)
TILL = LineRule("pos", "main", till=True)
MEMBERS = (
    Member("door", "main", Role.ENTRANCE),
    Member("badge", "main", Role.STAFF),
    Member("pos", "main", Role.TILL),
)
ALWAYS = Grid(size_s=900, allowed_lateness_s=60, day_start_min=600)  # T0 is 10:00, where its day begins
OPEN = Hours(tuple(((10 * 60, 20 * 60),) for _ in range(7)))


def data(box: Box, at: int = 0) -> dict[str, Any]:
    [(_, _, found)] = [row for key, row in box.office.items() if key[2] == T0 + at]
    return found


async def busy_day(box: Box, day: int, rate: int = 5) -> None:
    """Ten hours: twenty persons a quarter, of whom one in `rate` pays a quarter later."""
    start = T0 + day * DAY
    box.at(start + 11 * HOUR)
    for n in range(40):
        at = start + n * QUARTER
        await box.delta(at, at + QUARTER, 20, 20)
        paid = Transactions("pos", at + QUARTER, at + 2 * QUARTER, 20 // rate, 0, 1000)
        await box.take_in(paid, counter="pos")
    box.at(start + DAY + HOUR)
    await box.close()


async def test_entries_that_a_line_of_staff_saw_are_no_visitors(make_box: MakeBox) -> None:
    box = await make_box(rules=[DOOR, BADGE, TILL], zones=[ZoneSpec("shop", "store", MEMBERS)])
    box.at(T0 + QUARTER)
    await box.delta(T0, T0 + QUARTER, 30, 20)
    await box.take_in(Crossings("badge", "main", T0, T0 + QUARTER, 5, 4), counter="badge")
    await box.take_in(Transactions("pos", T0, T0 + QUARTER, 5, 0, 500), counter="pos")
    await box.drain()
    told = data(box)
    assert (told["ins"], told["staff"], told["sales"]) == (30, 5, 5)
    assert told["conversion"]["value"] == 0.2
    box.balanced()


async def test_a_roster_spreads_a_days_staff_over_its_open_hours(make_box: MakeBox) -> None:
    zone = ZoneSpec("shop", "store", MEMBERS[:1] + MEMBERS[2:], staff_a_day=(8,) * 7)
    box = await make_box(rules=[DOOR, TILL], zones=[zone], grid=ALWAYS, hours={"shop": OPEN})
    await busy_day(box, 0)
    await box.drain()
    told = [row[2]["staff"] for key, row in sorted(box.office.items(), key=lambda one: one[0][2])]
    assert sum(told[:96]) == 8
    assert sum(told[:20]) == 4, "half of the day's staff by half-time"
    assert told[40:96] == [0] * 56, "nobody comes to work in a closed shop"


async def test_a_closed_day_teaches_the_next(make_box: MakeBox) -> None:
    zone = ZoneSpec("shop", "store", MEMBERS[:1] + MEMBERS[2:])
    box = await make_box(rules=[DOOR, TILL], zones=[zone], grid=ALWAYS, hours={"shop": OPEN})
    for day in range(3):
        await busy_day(box, day)
    learnt = known(box)
    assert learnt.days == 3
    assert learnt.lag_s == pytest.approx(QUARTER / 1000, abs=1)
    assert learnt.phi_at(12) < NOTHING.phi_at(12), "receipts that never vary make the band narrower"
    assert learnt.prior_of(2) is not None


def known(box: Box, at: int | None = None) -> Learnt:
    con = sqlite3.connect(box.path / "buffer.db")
    try:
        return learnt_at(con, 1, FAR_MS if at is None else at)
    finally:
        con.close()


async def test_what_was_closed_before_is_still_told_as_it_was(make_box: MakeBox) -> None:
    zone = ZoneSpec("shop", "store", MEMBERS[:1] + MEMBERS[2:])
    box = await make_box(rules=[DOOR, TILL], zones=[zone], grid=ALWAYS, hours={"shop": OPEN})
    await busy_day(box, 0)
    first = {event.id: event.body for event in await box.everything() if event.start_ms < T0 + 10 * HOUR}
    for day in range(1, 4):
        await busy_day(box, day)
    again = {event.id: event.body for event in await box.everything()}
    kept = [id_ for id_ in first if id_ in again]
    assert kept
    assert all(again[id_] == first[id_] for id_ in kept)
    assert known(box).days == 4
    assert known(box, T0) is NOTHING or known(box, T0) == NOTHING


async def test_it_is_learnt_once_a_day_whatever_is_killed(make_box: MakeBox) -> None:
    zone = ZoneSpec("shop", "store", MEMBERS[:1] + MEMBERS[2:])
    box = await make_box(rules=[DOOR, TILL], zones=[zone], grid=ALWAYS, hours={"shop": OPEN})
    await busy_day(box, 0)
    await box.restart()
    await box.close()
    box.pass_ms(HOUR)
    await box.close()
    con = sqlite3.connect(box.path / "buffer.db")
    assert con.execute("SELECT count(*) FROM learnt").fetchone() == (1,)
    con.close()


async def three_quarters_each(box: Box) -> None:
    """Twenty persons a quarter for ten hours, who leave three quarters later."""
    box.at(T0 + 11 * HOUR)
    for n in range(43):
        at = T0 + n * QUARTER
        await box.delta(at, at + QUARTER, 20 if n < 40 else 0, 20 if n >= 3 else 0)
    box.at(T0 + DAY + HOUR)
    await box.close()


async def test_a_zone_without_tills_learns_how_long_people_stay(make_box: MakeBox) -> None:
    zone = ZoneSpec("mall", "mall", MEMBERS[:1])
    box = await make_box(rules=[DOOR], zones=[zone], grid=ALWAYS, hours={"mall": OPEN})
    await three_quarters_each(box)
    assert known(box).dwell.value == 45
    assert known(box).days == 0, "of receipts it has learnt nothing"


async def test_a_door_that_is_calibrated_on_both_sides_is_not_out_of_balance(make_box: MakeBox) -> None:
    zone = ZoneSpec("mall", "mall", MEMBERS[:1])
    box = await make_box(rules=[DOOR], zones=[zone], grid=ALWAYS, hours={"mall": OPEN})
    for side in ("in", "out"):
        await box.store.calibrate(LineFactor("door", side, 1.2, 0.01, from_ms=T0), box.now())
    await three_quarters_each(box)
    assert known(box).dwell.value == pytest.approx(45, abs=0.5)


async def test_the_day_on_which_another_size_was_chosen_teaches_too(make_box: MakeBox) -> None:
    zone = ZoneSpec("shop", "store", MEMBERS[:1] + MEMBERS[2:])
    box = await make_box(rules=[DOOR, TILL], zones=[zone], grid=ALWAYS, hours={"shop": OPEN})
    await busy_day(box, 0)
    box.grid = replace(ALWAYS, size_s=3600)
    await box.configure()
    await busy_day(box, 1)
    assert (known(box).days, known(box).dwell.why) == (2, "too_coarse"), "who comes leaves within a window"
