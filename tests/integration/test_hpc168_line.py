"""HPC168 counters on a real pseudo-terminal: beside each other, in noise, and reset by somebody else."""

from __future__ import annotations

from typing import Any

from drivers.hpc168.family import FAMILY, HpcOptions
from gateway.driver import Device
from gateway.model import Damaged, Register, Status
from simulators.bus import Bus
from simulators.hpc168 import Counter
from tests.patience import until
from tests.serial_rig import Ingest, Settings, Source, running

READS = {b"13", b"66"}


def door(address: str, **options: Any) -> Source:
    given = HpcOptions.model_validate({"address": address, "timeout_s": 0.1, **options})
    return Source(FAMILY.open(Device(given)), (address,))


def totals(ingest: Ingest, address: str) -> list[tuple[int | None, int | None]]:
    return [
        (item.total_in, item.total_out)
        for name, item in ingest.delivered
        if name == address and isinstance(item, Register)
    ]


async def test_each_counter_of_a_line_is_counted_for_itself() -> None:
    counters = [Counter("0001", [65535, 7]), Counter("0002", [3, 2**32 - 1])]
    with Bus(counters) as bus:
        async with running(Settings(bus.path), [door("0001"), door("0002", door=True)]) as (_, ingest):
            await until(lambda: totals(ingest, "0001") and totals(ingest, "0002"))
            bus.cross("0001", 2, 1)
            bus.cross("0002", 0, 1)
            await until(lambda: totals(ingest, "0001")[-1] == (65537, 8))
            await until(lambda: totals(ingest, "0002")[-1] == (3, 0))
            bus.do(lambda: setattr(counters[1], "door_open", False))
            await until(lambda: ("0002", "door closed") in told(ingest))
        assert {data[5:7] for _, data in bus.heard} == READS
        assert not counters[0].written
        assert set(totals(ingest, "0001")) == {(65535, 7), (65537, 8)}


def told(ingest: Ingest) -> list[tuple[str, str]]:
    return [(name, item.detail) for name, item in ingest.delivered if isinstance(item, Status)]


async def test_noise_and_spoilt_answers_are_told_and_never_counted() -> None:
    counter = Counter("0001", [1234, 987])
    counter.faults.garbage = counter.faults.noise = 0.2
    with Bus([counter], seed=4) as bus:
        async with running(Settings(bus.path, poll_s=0.01), [door("0001")]) as (_, ingest):
            await until(lambda: len(totals(ingest, "0001")) > 15 and ingest.has(Damaged))
        assert set(totals(ingest, "0001")) == {(1234, 987)}


async def test_another_masters_reset_and_the_echo_of_its_words_are_borne() -> None:
    counter = Counter("0001", [300, 287])
    with Bus([counter], echo=True) as bus:
        async with running(Settings(bus.path, echo=False), [door("0001")]) as (_, ingest):
            await until(lambda: totals(ingest, "0001"))
            bus.reset("0001")
            bus.cross("0001", 5, 0)
            await until(lambda: totals(ingest, "0001")[-1] == (5, 0))
        assert not ingest.has(Damaged)
