"""Terabee sensors on a real pseudo-terminal: heard unasked, cut in mid-frame, without power for a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.terabee.family import FAMILY, TerabeeOptions
from gateway.driver import Device
from gateway.model import Damaged, Register, Status
from simulators.bus import Bus
from simulators.terabee import Sensor
from tests.patience import until
from tests.serial_rig import Ingest, Settings, Source, running


def sensor() -> Source:
    return Source(FAMILY.open(Device(TerabeeOptions())), ("evo",))


def totals(ingest: Ingest) -> list[tuple[int | None, int | None]]:
    return [(item.total_in, item.total_out) for _, item in ingest.delivered if isinstance(item, Register)]


@pytest.mark.parametrize("number", [4711, None])
async def test_every_passage_is_heard_and_nothing_is_said(number: int | None) -> None:
    evo = Sensor(number, [65530, 65530])
    with Bus([evo]) as bus:
        async with running(Settings(bus.path), [sensor()]) as (link, ingest):
            await until(lambda: link.state.up)
            bus.say(evo.distances())
            await until(lambda: ingest.has(Status))
            bus.cross("0", 10, 3)
            await until(lambda: totals(ingest)[-1:] == [(4, 65533)])
            assert len(totals(ingest)) <= 13  # of those heard in one breath the last is told
        assert not ingest.has(Damaged)
        assert not bus.heard


async def test_a_passage_cut_by_a_pulled_plug_costs_only_itself(tmp_path: Path) -> None:
    evo = Sensor(4711)
    with Bus([evo], link=tmp_path / "port") as bus:
        async with running(Settings(str(tmp_path / "port")), [sensor()]) as (link, ingest):
            await until(lambda: link.state.up)
            bus.cross("0", 1)
            await until(lambda: totals(ingest) == [(1, 0)])
            bus.say(bytes(11) + evo.cross(1)[0][:9])
            await until(lambda: ingest.has(Damaged))
            bus.unplug()
            await until(lambda: not link.state.up)
            bus.plug()
            await until(lambda: link.state.up)
            bus.cross("0", 1)
            await until(lambda: totals(ingest)[-1] == (3, 0))
        assert totals(ingest) == [(1, 0), (3, 0)]


async def test_power_loss_begins_at_zero_and_an_answer_to_a_reset_is_no_passage() -> None:
    evo = Sensor(4711, [57, 57])
    with Bus([evo]) as bus:
        async with running(Settings(bus.path), [sensor()]) as (link, ingest):
            await until(lambda: link.state.up)
            bus.cross("0", 1)
            bus.reset("0")
            bus.cross("0", 0, 1)
            for answer in evo.hear(bytes.fromhex("00 55 08 00 00 00 00 7c")):
                bus.say(answer)
            await until(lambda: len(totals(ingest)) == 3)
        assert totals(ingest) == [(58, 57), (0, 1), (0, 0)]


async def test_a_power_loss_heard_in_one_breath_is_not_taken_for_totals_that_came_round() -> None:
    """The last of a rise is told, but how the rise began is not forgotten."""
    evo = Sensor(4711, [60_000, 59_000], 1_000)
    with Bus([evo]) as bus:
        async with running(Settings(bus.path), [sensor()]) as (link, ingest):
            await until(lambda: link.state.up)
            bus.cross("0", 1)
            await until(lambda: totals(ingest) == [(60_001, 59_000)])
            evo.reset()
            bus.say(b"".join(evo.cross(3)))
            await until(lambda: totals(ingest)[-1] == (3, 0))
    heard = [item for _, item in ingest.delivered if isinstance(item, Register)]
    assert heard[1].modulus is None
