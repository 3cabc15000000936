"""7E/7F gates on a real pseudo-terminal: counts, health, noise, and that only the query reaches them."""

from __future__ import annotations

from typing import Any

from drivers.gate7e.family import FAMILY, GateLine, GateOptions
from gateway.driver import Device
from gateway.model import Damaged, DeviceState, Register, Status
from simulators.bus import Bus
from simulators.gate7e import Gate
from tests.patience import until
from tests.serial_rig import Ingest, Settings, Source, running


def gate(address: int, side: str = "left", **options: Any) -> Source:
    given = GateOptions.model_validate({"address": address, "timeout_s": 0.1, **options})
    line = GateLine.model_validate({"in": side})
    return Source(FAMILY.open(Device(given, {"main": line})), (str(address),))


def totals(ingest: Ingest, address: str) -> list[tuple[int | None, int | None]]:
    return [
        (item.total_in, item.total_out)
        for name, item in ingest.delivered
        if name == address and isinstance(item, Register)
    ]


async def test_each_gate_of_a_bus_is_counted_for_itself_and_told_nothing() -> None:
    gates = [Gate("1", [0x7F, 0xFFFFFF]), Gate("2", [5, 6])]
    with Bus(gates) as bus:
        async with running(Settings(bus.path), [gate(1), gate(2, "right")]) as (_, ingest):
            await until(lambda: totals(ingest, "1") and totals(ingest, "2"))
            bus.cross("1", 1, 1)
            await until(lambda: totals(ingest, "1")[-1] == (0x80, 0))
        assert set(totals(ingest, "2")) == {(6, 5)}
        assert {data[3] for _, data in bus.heard} == {0x10}
        assert not gates[0].written
        assert not gates[1].written


async def test_a_fault_and_its_end_are_told() -> None:
    one = Gate("1")
    with Bus([one]) as bus:
        async with running(Settings(bus.path), [gate(1, blocked_s=0)]) as (_, ingest):
            for fault, infrared, state in (
                (0, 0, DeviceState.OK),
                (3, 0, DeviceState.FAULT),
                (0, 1, DeviceState.DEGRADED),
                (0, 0, DeviceState.OK),
            ):
                now = {"fault": fault, "infrared": infrared}
                bus.do(lambda now=now: vars(one).update(now))
                await until(lambda state=state: states(ingest)[-1:] == [state])


def states(ingest: Ingest) -> list[DeviceState]:
    return [item.state for _, item in ingest.delivered if isinstance(item, Status)]


async def test_noise_and_spoilt_answers_are_told_and_never_counted() -> None:
    one = Gate("1", [1234, 987])
    one.faults.garbage = one.faults.noise = 0.2
    with Bus([one], seed=4) as bus:
        async with running(Settings(bus.path, poll_s=0.01), [gate(1)]) as (_, ingest):
            await until(lambda: len(totals(ingest, "1")) > 15 and ingest.has(Damaged))
        assert set(totals(ingest, "1")) == {(1234, 987)}
