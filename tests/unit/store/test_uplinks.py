"""LoRaWAN and JSON sensors into the store: frames lost, late, twice and stored ones sent again count once."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.driver import Device, Family, Message, load_family
from gateway.model import Basis, Crossings, LineRule, Register
from simulators.lorawan import ImbuildingsVoice, Vs125Voice, Vs350Voice
from simulators.mqtt import Counter, Record
from tests.unit.store.conftest import HOUR, T0, Box

MakeBox = Callable[..., Awaitable[Box]]
Q = 900_000
ROUNDS = 40


def rule(basis: Basis) -> LineRule:
    return LineRule("door", "main", basis=basis, max_per_s=5, expect_s=1800)


async def hear(box: Box, family: Family, driver: Any, payload: bytes) -> None:
    items = [
        item
        for item in driver.decode(Message(payload, box.wall, "a/b"))
        if isinstance(item, Crossings | Register)
    ]
    if items:
        await box.take_in(*items)


async def live_through(
    box: Box, family: str, voice: Any, *, basis: Basis, lost: float, **options: Any
) -> None:
    """Ten hours of quarters with all the troubles there are; then the office must have every one of them.

    The first report only begins a register. What is lost comes back with the last frame's stored records.
    """
    found = load_family(family)
    driver = found.open(Device(found.options.model_validate(options)))
    counter, chance = Counter("door", 3, voice, trouble=0.3), random.Random(5)
    records: list[Record] = [counter.saw(T0 + at * Q, T0 + (at + 1) * Q) for at in range(ROUNDS)]
    for number, record in enumerate(records):
        box.at(record[1] + 1000)
        if number in (0, ROUNDS - 1):
            await hear(box, found, driver, counter.tell([record]))
            continue
        for payload in counter.payloads(record):
            if chance.random() >= lost:
                await hear(box, found, driver, payload)
    for payload in [*counter.release(1000), *stored_again(counter, records, lost)]:
        await hear(box, found, driver, payload)
    await box.drain()
    box.balanced()
    begins = 0 if basis is Basis.DELTA else 1
    truth = {start_ms: (ins, outs) for start_ms, _, ins, outs in records[begins:]}
    told = {
        start_ms: (int(str(data["ins"])), int(str(data["outs"])))
        for (_, _, start_ms), (_, _, data) in box.office.items()
    }
    assert {start_ms: told[start_ms] for start_ms in truth} == truth
    assert sum(ins + outs for ins, outs in truth.values()) > 500


def stored_again(counter: Counter, records: list[Record], lost: float) -> list[bytes]:
    """The sensor's memory, from the last known good point on: it overlaps with what had arrived."""
    if not lost:
        return []
    return [counter.tell(records[at : at + 12]) for at in range(0, len(records), 9)]


@pytest.mark.parametrize(("basis", "lost"), [(Basis.TOTAL, 0.0), (Basis.TOTAL, 0.4), (Basis.DELTA, 0.4)])
async def test_a_vs350_whose_frames_are_lost_and_stored(make_box: MakeBox, basis: Basis, lost: float) -> None:
    box = await make_box(rules=[rule(basis)])
    await live_through(
        box, "milesight", Vs350Voice("door"), basis=basis, lost=lost, model="vs350", report_s=900
    )


async def test_totals_that_lost_frames_leave_behind_lose_nobody(make_box: MakeBox) -> None:
    """Nothing is stored at the sensor: the totals alone hold what was lost, and came round meanwhile."""
    box = await make_box(rules=[rule(Basis.TOTAL)])
    family = load_family("imbuildings")
    driver, voice = family.open(Device(family.options())), ImbuildingsVoice("door")
    counter, chance = Counter("door", 4, voice), random.Random(6)
    records = [counter.saw(T0 + at * Q, T0 + (at + 1) * Q) for at in range(ROUNDS)]
    for number, record in enumerate(records):
        payload = counter.tell([record])
        box.at(record[1] + 1000)
        if number in (0, ROUNDS - 1) or chance.random() > 0.5:
            await hear(box, family, driver, payload)
            await hear(box, family, driver, payload)
    assert box.ledger()["counted"] == sum(record[2] for record in records[1:])
    assert box.ledger("outs")["counted"] == sum(record[3] for record in records[1:])
    assert voice.odometer.last[0] < 60_000, "the total did not come round"
    box.balanced()


async def test_an_imbuildings_counter_late_and_twice(make_box: MakeBox) -> None:
    box = await make_box(rules=[rule(Basis.TOTAL)])
    family = load_family("imbuildings")
    driver = family.open(Device(family.options()))
    counter = Counter("door", 3, ImbuildingsVoice("door"), trouble=0.3)
    records = [counter.saw(T0 + at * Q, T0 + (at + 1) * Q) for at in range(ROUNDS)]
    box.at(records[0][1] + 1000)
    await hear(box, family, driver, counter.tell(records[:1]))
    for record in records[1:]:
        box.at(record[1] + 1000)
        for payload in counter.payloads(record):
            await hear(box, family, driver, payload)
    for payload in counter.release(1000):
        await hear(box, family, driver, payload)
    assert box.ledger()["counted"] == sum(record[2] for record in records[1:])
    box.balanced()


async def test_a_camera_that_sends_periods_late_and_twice(make_box: MakeBox) -> None:
    box = await make_box(rules=[rule(Basis.DELTA)])
    await live_through(box, "milesight", Vs125Voice("door"), basis=Basis.DELTA, lost=0.0)


async def test_an_hour_of_the_wrong_year_is_refused_and_counted(make_box: MakeBox) -> None:
    box = await make_box(rules=[rule(Basis.DELTA)])
    family = load_family("milesight")
    driver = family.open(Device(family.options()))
    box.at(T0 + HOUR)
    past, ahead = T0 - 20 * 365 * 24 * HOUR, T0 + 24 * HOUR
    for start_ms in (past, ahead):
        await hear(box, family, driver, Vs125Voice("door").tell(1, [(start_ms, start_ms + Q, 3, 2)]))
    ledger = box.ledger()
    assert (ledger["counted"], ledger["refused"]) == (0, 6)
    box.balanced()
