"""What was held while the clock was not believed: each parcel is booked or refused, once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import pytest

from gateway.model import Basis, Booking, Crossings, LineRule, Parcel, Register
from tests.unit.store.conftest import DOOR, HOUR, MINUTE, T0, Box

MakeBox = Callable[..., Awaitable[Box]]
BEAM = LineRule("door", "main", basis=Basis.EVENT, max_per_s=0)
DAY = 24 * HOUR


def event(key: str, ins: int = 4) -> Crossings:
    return Crossings("door", "main", None, None, ins, basis=Basis.EVENT, key=key)


async def test_a_held_parcel_that_is_poison_is_refused_and_the_rest_released(
    make_box: MakeBox, caplog: pytest.LogCaptureFixture
) -> None:
    box = await make_box(rules=[BEAM])
    box.trusted = False
    for number in range(3):
        await box.take_in(event(f"k{number}", 10**number))
    con = box.store._con
    con.execute("UPDATE held SET parcel=json_set(parcel, '$.bookings[0][2]', 'Unheard') WHERE id=2")
    box.trusted = True
    with caplog.at_level(logging.ERROR):
        assert await box.store.hold_release(box.now()) == 3
    assert "poison" in caplog.text
    ledger = box.ledger()
    assert (ledger["received"], ledger["counted"], ledger["refused"], ledger["held"]) == (111, 101, 10, 0)
    box.balanced()
    assert con.execute("SELECT count(*), length(digest) FROM poison").fetchone() == (1, 64)
    assert con.execute("SELECT count(*) FROM held").fetchone() == (0,)


async def test_a_held_parcel_that_cannot_even_be_read_is_refused(make_box: MakeBox) -> None:
    box = await make_box(rules=[BEAM])
    box.trusted = False
    await box.take_in(event("a"))
    box.store._con.execute("UPDATE held SET parcel='{'")
    box.trusted = True
    assert await box.store.hold_release(box.now()) == 1
    assert (box.ledger()["refused"], box.ledger()["held"]) == (4, 0)
    box.balanced()


@pytest.mark.parametrize("ins", [-1, 10**9 + 1, 2**70])
async def test_an_unsound_reading_is_noted_though_the_clock_is_unknown(box: Box, ins: int) -> None:
    box.trusted = False
    outcome = await box.delta(T0, T0 + MINUTE, ins)
    assert (outcome.result, set(outcome.refused)) == ("damaged", {"sanity"})
    assert box.ledger()["received"] == 0


async def test_an_absurd_total_waits_and_is_refused_in_its_turn(make_box: MakeBox) -> None:
    box = await make_box(rules=[LineRule("door", "main", basis=Basis.TOTAL, polled=True, expect_s=15)])
    box.trusted = False
    await box.take_in(Register("door", "main", None, total_in=2**70))
    await box.take_in(Register("door", "main", None, total_in=5))
    box.trusted = True
    await box.store.hold_release(box.now())
    box.balanced()


async def test_what_a_box_held_before_it_lay_unused_for_months_is_booked(make_box: MakeBox) -> None:
    """Its bounds would be longer than any reading may be: they are clipped, nobody is lost."""
    box = await make_box(rules=[BEAM])
    await box.take_in(event("before"))
    box.trusted = False
    await box.take_in(event("held", 7))
    box.pass_ms(100 * DAY)
    await box.restart(reboot=True)
    box.trusted = True
    await box.store.hold_release(box.now())
    ledger = box.ledger()
    assert (ledger["counted"], ledger["refused"], ledger["held"]) == (11, 0, 0)
    box.balanced()


async def test_held_persons_of_a_line_no_longer_configured_are_refused_not_forgotten(
    make_box: MakeBox,
) -> None:
    side = LineRule("side", "main", basis=Basis.EVENT, max_per_s=0)
    box = await make_box(rules=[BEAM, side])
    box.trusted = False
    await box.take_in(event("a", 3), counter="side")
    box.rules, box.trusted = [DOOR], True
    await box.restart()
    await box.store.hold_release(box.now())
    ledger = box.ledger(line="side")
    assert (ledger["received"], ledger["counted"], ledger["refused"], ledger["held"]) == (3, 0, 3, 0)
    box.balanced()


@pytest.mark.parametrize("together", [True, False])
async def test_an_odometer_first_seen_before_the_time_was_known_begins_there(
    make_box: MakeBox, together: bool
) -> None:
    """Also when its next answer comes before anybody has asked for what is held."""
    gate = LineRule("door", "main", basis=Basis.TOTAL, max_per_s=0, polled=True)
    box = await make_box(rules=[gate], wall=DAY, trusted=False)
    parcels = []
    for total, wall_ms, believed in ((100, DAY, False), (140, DAY + MINUTE, False), (150, T0, True)):
        box.wall, box.trusted = wall_ms, believed
        box.mono += MINUTE
        booking = Booking("door", "main", Register("door", "main", None, total_in=total))
        parcels.append(Parcel("link", box.now(), [booking]))
    for batch in [parcels] if together else [[parcel] for parcel in parcels]:
        await box.store.record(batch)
    assert (box.ledger()["counted"], box.ledger()["held"]) == (50, 0)
    assert await box.store.hold_release(box.now()) == 0
    box.balanced()
