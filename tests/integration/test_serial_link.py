"""A serial bus on real pseudo-terminals: what is asked, what is booked to whom, what a lost port costs."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
import serial

from drivers.dcon.family import FAMILY, DconLine, DconOptions
from gateway.driver import Device
from gateway.links.turns import Turn
from gateway.model import Damaged, DeviceState, Register, Status
from simulators.bus import Bus
from simulators.dcon import Module
from tests.patience import until
from tests.serial_rig import Settings, Source, running


def beam(address: str, **options: Any) -> Source:
    """A module whose channel 0 is a beam without direction."""
    given = DconOptions.model_validate({"address": address, "timeout_s": 0.1, **options})
    driver = FAMILY.open(Device(given, {"main": DconLine.model_validate({"both": 0})}))
    return Source(driver, (address,))


async def test_each_module_of_a_bus_is_counted_for_itself() -> None:
    with Bus([Module("01"), Module("0A"), Module("FF")]) as bus:
        for persons, address in enumerate(bus.devices, 1):
            bus.cross(address, persons)
        async with running(Settings(bus.path), [beam(address) for address in bus.devices]) as (link, ingest):
            await until(lambda: all(ingest.totals(address)[2:] for address in bus.devices))
            bus.cross("0A", 40)
            await until(lambda: ingest.totals("0A")[-1] == 42)
            assert link.state.up
        assert set(ingest.totals("01")) == {1}
        assert set(ingest.totals("FF")) == {3}


@pytest.mark.parametrize("late_s", [0.12, 0.28, 0.33, 0.45])
async def test_a_late_reply_is_never_booked_to_the_next_address(late_s: float) -> None:
    """The second module takes its time too, so that the first one's late word comes before its own."""
    modules = [Module("01", totals=[4711, 0]), Module("02", totals=[5000, 0])]
    modules[1].faults.late_s = 0.06
    with Bus(modules) as bus:
        async with running(Settings(bus.path), [beam("01"), beam("02")]) as (_, ingest):
            await until(lambda: ingest.totals("01") and ingest.totals("02"))
            bus.do(lambda: setattr(modules[0].faults, "late_s", late_s))
            asked, heard = bus.asked(b"#010\r"), len(ingest.totals("02"))
            await until(lambda: bus.asked(b"#010\r") > asked)
            await until(lambda: len(ingest.totals("02")) > heard + 3)
        assert set(ingest.totals("01")) == {4711}
        assert set(ingest.totals("02")) == {5000}


@pytest.mark.parametrize("late_s", [0.15, 0.35, 0.6])
async def test_a_converter_that_delays_everything_mixes_nothing_up(late_s: float) -> None:
    modules = [Module(f"0{number}", totals=[1000 * number, 0]) for number in range(1, 6)]
    names = [module.address for module in modules]
    with Bus(modules) as bus:
        async with running(Settings(bus.path), [beam(name) for name in names]) as (_, ingest):
            await until(lambda: all(ingest.totals(name) for name in names))
            for module in modules:
                bus.do(lambda module=module: setattr(module.faults, "late_s", late_s))
            asked = len(bus.heard)
            await until(lambda: len(bus.heard) > asked + 10)
            for module in modules:
                bus.do(lambda module=module: setattr(module.faults, "late_s", 0.0))
            heard = [len(ingest.totals(name)) for name in names]
            await until(lambda: any(len(ingest.totals(n)) > h for n, h in zip(names, heard, strict=True)))
        assert {name: set(ingest.totals(name)) for name in names} == {
            name: {1000 * number} for number, name in enumerate(names, 1)
        }


async def test_a_silent_module_is_asked_less_and_less_and_slows_nobody() -> None:
    modules = [Module("01"), Module("02")]
    modules[0].faults.silent = True
    with Bus(modules) as bus:
        async with running(Settings(bus.path, poll_s=0.2), [beam("01"), beam("02")]) as (_, ingest):
            await until(lambda: bus.asked(b"$012\r") >= 4)
            assert len(ingest.totals("02")) >= 6  # 14 without the silence of the other, on a machine at rest
            times = [at for at, request in bus.heard if request == b"$012\r"]
            gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
            assert gaps[2] > 1.5 * gaps[1]
            assert gaps[2] > 1.1
            bus.do(lambda: setattr(modules[0].faults, "silent", False))
            await until(lambda: ingest.totals("01"))


async def test_an_adapter_pulled_out_in_mid_frame_comes_back_under_another_name(tmp_path: Path) -> None:
    module = Module("01", totals=[100, 0])
    with Bus([module], link=tmp_path / "port") as bus:
        async with running(Settings(tmp_path / "port"), [beam("01", timeout_s=5)]) as (link, ingest):
            await until(lambda: ingest.totals("01"))
            bus.do(lambda: setattr(module.faults, "silent", True))
            asked = bus.asked(b"#010\r")
            await until(lambda: bus.asked(b"#010\r") > asked)
            bus.say(b">0000")
            bus.unplug()
            await until(lambda: not link.state.up)
            assert "unplugged" in link.state.error or "no such port" in link.state.error
            module.faults.silent = False
            module.cross(7)
            bus.plug()
            await until(lambda: ingest.totals("01")[-1] == 107)
            assert link.state.up
            assert link.state.error == ""
        assert set(ingest.totals("01")) == {100, 107}


async def test_a_port_that_is_missing_is_awaited(tmp_path: Path) -> None:
    async with running(Settings(tmp_path / "port"), [beam("01")]) as (link, ingest):
        await until(lambda: link.state.attempts > 3)
        assert link.state.error == f"{tmp_path / 'port'}: no such port"
        with Bus([Module("01")], link=tmp_path / "port"):
            await until(lambda: ingest.totals("01"))


async def test_a_port_in_use_is_awaited() -> None:
    with Bus([Module("01")]) as bus:
        other = serial.Serial(bus.path, exclusive=True)
        async with running(Settings(bus.path), [beam("01")]) as (link, ingest):
            await until(lambda: link.state.attempts > 2)
            assert link.state.error == f"{bus.path}: in use by another program"
            other.close()
            await until(lambda: ingest.totals("01"))


async def test_what_is_no_port_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with running(Settings(tmp_path / "file"), [beam("01")]) as (link, _):
        await until(lambda: link.state.attempts > 1)
        assert not link.state.up
        assert str(tmp_path / "file") in link.state.error


async def test_garbage_is_told_and_never_counted() -> None:
    module = Module("01", totals=[1234, 0])
    module.faults.garbage = module.faults.noise = 0.1
    with Bus([module], seed=1) as bus:
        async with running(Settings(bus.path, poll_s=0.01), [beam("01")]) as (_, ingest):
            await until(lambda: len(ingest.totals("01")) > 15 and ingest.has(Damaged))
        assert set(ingest.totals("01")) == {1234}


async def test_with_checksums_and_an_echoing_adapter() -> None:
    with Bus([Module("01", checksum=True, totals=[9, 0])], echo=True) as bus:
        async with running(Settings(bus.path, echo=True), [beam("01", checksum=True)]) as (_, ingest):
            await until(lambda: len(ingest.totals("01")) > 3)
        assert set(ingest.totals("01")) == {9}
        assert not ingest.has(Damaged)


async def test_bytes_nobody_asked_for_are_not_taken_for_an_answer() -> None:
    with Bus([Module("01", totals=[9, 0])]) as bus:
        async with running(Settings(bus.path, poll_s=0.2), [beam("01")]) as (_, ingest):
            for heard in range(1, 6):
                await until(lambda heard=heard: len(ingest.totals("01")) == heard)
                bus.say(b">000002FE\r")
        assert set(ingest.totals("01")) == {9}


async def test_programmed_wrap_and_restart_travel_with_the_total() -> None:
    module = Module("01", maximum=[999, 999], preset=[10, 10], totals=[995, 0])
    with Bus([module]) as bus:
        async with running(Settings(bus.path), [beam("01")]) as (_, ingest):
            await until(lambda: ingest.totals("01"))
            bus.cross("01", 8)
            await until(lambda: ingest.totals("01")[-1] == 13)
        last = ingest.delivered[-1][1]
        assert isinstance(last, Register)
        assert (last.modulus, last.restart) == (1000, 10)


async def test_a_frequency_input_is_a_fault() -> None:
    with Bus([Module("01", kind=0x51, totals=[50, 0])]) as bus:
        async with running(Settings(bus.path), [beam("01")]) as (_, ingest):
            await until(lambda: ingest.has(Status))
        assert ingest.totals("01") == []
        status = ingest.delivered[0][1]
        assert isinstance(status, Status)
        assert status.state is DeviceState.FAULT


async def test_nothing_that_writes_reaches_a_module() -> None:
    modules = [Module("01", dialect="adam"), Module("02")]
    modules[0].faults.garbage = 0.3
    with Bus(modules, seed=3) as bus:
        sources = [beam("01", dialect="adam"), beam("02")]
        async with running(Settings(bus.path, poll_s=0.01), sources) as (_, ingest):
            await until(lambda: len(ingest.totals("02")) > 30)
        assert not modules[0].written
        assert not modules[1].written
        assert {request[3:4] for _, request in bus.heard if request[:1] == b"$"} <= {b"2", b"3", b"5"}


async def test_a_full_queue_stops_the_asking() -> None:
    with Bus([Module("01")]) as bus:
        async with running(Settings(bus.path), [beam("01")]) as (_, ingest):
            await until(lambda: ingest.totals("01"))
            ingest.room.clear()
            await asyncio.sleep(0.1)
            heard = len(ingest.totals("01"))
            await asyncio.sleep(0.2)
            assert len(ingest.totals("01")) == heard
            ingest.room.set()
            await until(lambda: len(ingest.totals("01")) > heard)


def test_the_grid_of_polls_does_not_drift() -> None:
    device = Turn(beam("01"), FAMILY.open(Device(DconOptions())), 1.0, 100.0)  # type: ignore[arg-type]
    due = []
    for _ in range(1000):
        device.schedule(device.due_at + 0.013, answered=True)
        due.append(device.due_at)
    assert due[-1] == 1100.0
    device.schedule(1104.5, answered=True)
    assert device.due_at == 1105.0


def test_a_silent_device_is_asked_at_least_once_a_minute() -> None:
    device = Turn(beam("01"), FAMILY.open(Device(DconOptions())), 5.0, 0.0)  # type: ignore[arg-type]
    pauses = []
    for _ in range(8):
        before = device.due_at
        device.schedule(before + 0.3, answered=False)
        pauses.append(device.due_at - before)
    assert pauses == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 60.0, 60.0]
    before = device.due_at
    device.schedule(before + 0.1, answered=True)
    assert device.due_at - before == 5.0
