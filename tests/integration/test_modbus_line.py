"""Modbus on a real pseudo-terminal and over TCP: side by side, in noise, late, with people always passing."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from drivers.modbus.family import FAMILY, ModbusOptions
from drivers.modbus.lines import ModbusLine
from gateway.clock import Clock
from gateway.config import TcpOptions
from gateway.driver import Device
from gateway.links.tcp import TcpLink
from gateway.model import Damaged, DeviceState, Register, Status
from simulators.bus import Bus
from simulators.modbus import TcpServer, Unit
from tests.patience import until
from tests.serial_rig import Ingest, Settings, Source, kept, quick, running

READS = {1, 2, 3, 4}
BOTH = {"in": 0, "out": 1}


def door(address: str, map_: str = "lot", line: dict[str, int] | None = None, **options: Any) -> Source:
    given = ModbusOptions.model_validate({"address": int(address), "map": map_, "timeout_s": 0.2, **options})
    lines = {"main": ModbusLine.model_validate(line)} if line else {}
    return Source(FAMILY.open(Device(given, lines)), (address,))


def totals(ingest: Ingest, address: str) -> list[tuple[int | None, int | None]]:
    return [
        (item.total_in, item.total_out)
        for name, item in ingest.delivered
        if name == address and isinstance(item, Register)
    ]


def told(ingest: Ingest) -> list[tuple[str, DeviceState, str]]:
    return [(name, item.state, item.detail) for name, item in ingest.delivered if isinstance(item, Status)]


async def test_devices_of_three_makers_on_one_bus_are_counted_each_for_itself() -> None:
    units = [
        Unit("7", "lot", [70_000, 3]),
        Unit("8", "m-7084", [12, 65_535]),
        Unit("9", "iologik-r1212", [5, 6]),
    ]
    sources = [door("7"), door("8", "m-7084", BOTH), door("9", "iologik-r1212", BOTH)]
    with Bus(units) as bus:
        async with running(Settings(bus.path), sources) as (_, ingest):
            await until(lambda: all(totals(ingest, unit.address) for unit in units))
            for unit in units:
                bus.cross(unit.address, 1, 2)
            await until(lambda: totals(ingest, "7")[-1] == (70_001, 5))
            await until(lambda: totals(ingest, "8")[-1] == (13, 65_537))
            await until(lambda: totals(ingest, "9")[-1] == (6, 8))
            bus.do(lambda: setattr(units[2], "running", [True, False]))
            await until(lambda: ("9", DeviceState.DEGRADED, "counter stopped: DI 1") in told(ingest))
        assert {data[1] for _, data in bus.heard} <= READS
        assert not any(unit.written for unit in units)
        assert set(totals(ingest, "7")) == {(70_000, 3), (70_001, 5)}


async def test_a_total_at_the_edge_of_its_low_word_is_never_torn() -> None:
    """Somebody passes between any two replies; halves of two moments would jump by 65 536."""
    unit = Unit("7", "lot", [0xFFF0, 0x1_FFF0], restless=1)
    with Bus([unit]) as bus:
        async with running(Settings(bus.path, poll_s=0.01), [door("7")]) as (_, ingest):
            await until(lambda: len(totals(ingest, "7")) > 40)
    ins = [total or 0 for total, _ in totals(ingest, "7")]
    assert ins[0] < 0x1_0000 < ins[-1]
    assert all(0 < later - earlier < 10 for earlier, later in pairwise(ins))


async def test_noise_and_spoilt_replies_are_never_counted() -> None:
    unit = Unit("7", totals=[70_000, 3])
    unit.faults.garbage = unit.faults.noise = 0.2
    with Bus([unit], seed=4) as bus:
        async with running(Settings(bus.path, poll_s=0.01), [door("7", timeout_s=0.05)]) as (_, ingest):
            await until(lambda: len(totals(ingest, "7")) > 15 and ingest.has(Damaged))
        assert set(totals(ingest, "7")) == {(70_000, 3)}


@pytest.mark.parametrize("late_s", [0.12, 0.3])
async def test_a_late_reply_is_never_booked_to_the_next_device(late_s: float) -> None:
    units = [Unit("7", totals=[1, 1]), Unit("8", totals=[2, 2])]
    units[0].faults.late_s = late_s
    with Bus(units) as bus:
        sources = [door("7", timeout_s=0.1), door("8", timeout_s=0.1)]
        async with running(Settings(bus.path), sources) as (_, ingest):
            await until(lambda: len(totals(ingest, "8")) > 5)
        assert set(totals(ingest, "7")) <= {(1, 1)}
        assert set(totals(ingest, "8")) == {(2, 2)}


async def test_an_echoing_adapter_is_told_until_it_is_configured() -> None:
    with Bus([Unit("7", totals=[5, 6])], echo=True) as bus:
        async with running(Settings(bus.path), [door("7")]) as (_, ingest):
            words = "hears our own questions: set echo on its link"
            await until(lambda: ("7", DeviceState.DEGRADED, words) in told(ingest))
        async with running(Settings(bus.path, echo=True), [door("7")]) as (_, ingest):
            await until(lambda: totals(ingest, "7"))
            assert ("7", DeviceState.OK, "") in told(ingest)


@pytest.mark.parametrize("stale", [False, True])
async def test_units_behind_a_tcp_gateway_are_told_apart_and_late_answers_dropped(stale: bool) -> None:
    units = [Unit("7", totals=[70_000, 3]), Unit("255", "hardwario-gauger", [40, 7])]
    with TcpServer(units, stale=stale) as server:
        sources = [
            door("7", framing="tcp"),
            door("255", "hardwario-gauger", {"in": 1, "out": 2}, framing="tcp"),
            door("9", framing="tcp"),
        ]
        ingest = Ingest()
        options = TcpOptions(host="127.0.0.1", port=server.port, poll_s=0.05)
        link = TcpLink("lan", options, sources, Clock("always"), ingest, backoff=quick())
        async with kept(link):
            await until(lambda: len(totals(ingest, "7")) > 3 and len(totals(ingest, "255")) > 3)
            units[0].cross(1, 0)
            await until(lambda: totals(ingest, "7")[-1] == (70_001, 3))
            nobody = "refused: no answer from the device behind the gateway (11)"
            await until(lambda: ("9", DeviceState.DEGRADED, nobody) in told(ingest))
        assert set(totals(ingest, "7")) == {(70_000, 3), (70_001, 3)}
        assert set(totals(ingest, "255")) == {(40, 7)}
        assert {pdu[0] for pdu in server.heard} <= READS
