"""Taps on real pseudo-terminals: two ears on till and unit, one ear on both, one on a receipt printer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.config import SerialOptions
from gateway.driver import Device, Site, load_family
from gateway.links.serial import SerialLink, Tap
from gateway.model import Damaged, Ignored, Status, Transactions
from simulators import cleancash, escpos, skattedosan
from simulators.bus import Bus
from simulators.bus import Device as Simulated
from simulators.cashier import PRICE_MINOR, Cashier, ControlUnit, Counter
from tests.patience import SOON_S, until
from tests.serial_rig import Ingest, Source

ANSWER_S = 0.02
UNITS = pytest.mark.parametrize(
    ("family", "till", "unit", "refusal"),
    [
        ("cleancash", cleancash.Till(), cleancash.Unit(), "006"),
        ("cleancash", cleancash.Till(version=1), cleancash.Unit(), "008"),
        ("skattedosan", skattedosan.Till(), skattedosan.Unit(), "23"),
    ],
    ids=["cleancash 2", "cleancash 1", "skattedosan"],
)


def source(family: str) -> Source:
    made = load_family(family)
    return Source(made.open(Device(made.options(), site=Site(currency="SEK"))), ("pos-09",))


@contextlib.asynccontextmanager
async def running(link: Any, ingest: Ingest) -> AsyncIterator[Ingest]:
    stop = asyncio.Event()
    task = asyncio.create_task(link.run(stop))
    try:
        await until(lambda: link.state.up)
        yield ingest
    finally:
        stop.set()
        async with asyncio.timeout(SOON_S):
            await task


def tap(family: str, ingest: Ingest, **ports: str) -> Tap | SerialLink:
    options = SerialOptions.model_validate(ports)
    made = SerialLink if "port" in ports else Tap
    return made("tap-9", options, [source(family)], Clock("always"), ingest)


def sums(ingest: Ingest) -> tuple[int, int, int]:
    """What the books hold: of receipts with one key the last."""
    kept = {item.key or number: item for number, item in enumerate(items(ingest))}
    return (
        sum(item.sales for item in kept.values()),
        sum(item.returns for item in kept.values()),
        sum(item.amount_minor for item in kept.values()),
    )


def items(ingest: Ingest) -> list[Transactions]:
    return [item for _, item in ingest.delivered if isinstance(item, Transactions)]


@dataclass
class Shop:
    """Till and unit on two wires; what one says, the other hears a moment later."""

    till: Cashier
    unit: ControlUnit
    till_wire: Bus[Simulated]
    unit_wire: Bus[Simulated]

    def sell(self, frames: Sequence[bytes]) -> None:
        at_s = 0.0
        while frames:
            answers = []
            for frame in frames:
                self.till_wire.say(frame, at_s)
                answers += self.unit.hear(frame)
            frames = []
            for answer in answers:
                self.unit_wire.say(answer, at_s + ANSWER_S)
                frames += self.till.hear(answer)
            at_s += 2 * ANSWER_S


@UNITS
async def test_with_two_ears_only_what_the_unit_accepted_is_sold(
    family: str, till: Cashier, unit: ControlUnit, refusal: str
) -> None:
    ingest = Ingest()
    with Bus[Simulated]([]) as till_wire, Bus[Simulated]([]) as unit_wire:
        ears = {"port_till": till_wire.path, "port_unit": unit_wire.path}
        async with running(tap(family, ingest, **ears), ingest):
            shop = Shop(till, unit, till_wire, unit_wire)
            shop.sell(till.cross(3, 1))
            await until(lambda: sums(ingest) == (3, 1, 3 * PRICE_MINOR))
            unit.refuse = refusal
            shop.sell(till.cross(1))
            await until(lambda: sum("refused" in str(item) for _, item in ingest.delivered) >= 3)
            unit.refuse = ""
            shop.sell(till.cross(2))
            await until(lambda: sums(ingest) == (5, 1, 5 * PRICE_MINOR))
        assert not till_wire.heard
        assert not unit_wire.heard
    assert till.signed == [5, 1]
    assert not ingest.has(Damaged)


@UNITS
async def test_with_one_ear_on_both_directions_the_answers_are_told_apart(
    family: str, till: Cashier, unit: ControlUnit, refusal: str
) -> None:
    ingest = Ingest()
    before = list(till.signed)
    with Bus([Counter(till, unit)]) as bus:
        async with running(tap(family, ingest, port=bus.path), ingest):
            bus.cross("7", 4, 2)
            await until(lambda: sums(ingest) == (4, 2, 4 * PRICE_MINOR))
            bus.do(lambda: setattr(bus.devices["7"], "refuse", refusal))
            bus.cross("7", 1)
            await until(lambda: any("refused" in str(item) for _, item in ingest.delivered))
    assert sums(ingest) == (4, 2, 4 * PRICE_MINOR)
    assert [now - then for now, then in zip(till.signed, before, strict=True)] == [4, 2]
    assert not ingest.has(Damaged)


@pytest.mark.parametrize("family", ["cleancash", "skattedosan"])
async def test_with_one_ear_on_the_till_receipts_are_unconfirmed(family: str) -> None:
    ingest = Ingest()
    alone = (cleancash if family == "cleancash" else skattedosan).Till()
    with Bus[Simulated]([]) as bus:
        async with running(tap(family, ingest, port_till=bus.path), ingest):
            for frame in alone.steps(cleancash.Slip(1, 500)) + alone.steps(cleancash.Slip(2, 700)):
                bus.say(frame)
            await until(lambda: sums(ingest) == (2, 0, 1200))
            await until(lambda: ingest.has(Status))
    assert [item.detail for _, item in ingest.delivered if isinstance(item, Status)][-1].startswith(
        "unconfirmed"
    )


async def test_receipts_are_counted_at_the_printer_and_not_its_cuts() -> None:
    ingest, till = Ingest(), escpos.Till()
    with Bus([till]) as bus:
        async with running(tap("escpos", ingest, port_till=bus.path), ingest):
            bus.say(escpos.KICK)
            bus.cross("7", 7, 2)
            bus.say(escpos.report())
            left_out = Ignored("copy, training or report")
            await until(lambda: ("pos-09", left_out) in ingest.delivered)
    assert sums(ingest) == (7, 2, 7 * PRICE_MINOR)
    assert till.printed == [7, 2]
    assert not ingest.has(Damaged)
