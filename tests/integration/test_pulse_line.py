"""A box that watches contacts, at the end of a serial line."""

from __future__ import annotations

from drivers.pulse.family import Pulse, PulseOptions
from gateway.model import Crossings, Damaged, Status
from simulators.bus import Bus
from simulators.pulse import Box
from tests.patience import until
from tests.serial_rig import Ingest, Settings, Source, running


def beam(**options: object) -> Source:
    return Source(Pulse(PulseOptions.model_validate({"in": "in", "out": "out", **options})), ("door",))


def counted(ingest: Ingest) -> tuple[int, int]:
    crossings = [item for _, item in ingest.delivered if isinstance(item, Crossings)]
    return sum(one.ins or 0 for one in crossings), sum(one.outs or 0 for one in crossings)


async def test_every_pulse_of_a_bouncing_box_is_one_person() -> None:
    with Bus([Box(bounces=3)], baudrate=9600) as bus:
        async with running(Settings(bus.path), [beam()]) as (link, ingest):
            await until(lambda: link.state.up)
            bus.reset("0")
            bus.cross("0", 9, 4)
            await until(lambda: counted(ingest) == (9, 4))
            assert not ingest.has(Damaged)
            assert {item.detail for _, item in ingest.delivered if isinstance(item, Status)} == {""}


async def test_noise_on_the_line_is_damage_and_nobody() -> None:
    box = Box()
    with Bus([box], seed=3) as bus:
        async with running(Settings(bus.path), [beam()]) as (link, ingest):
            await until(lambda: link.state.up)
            bus.reset("0")
            bus.cross("0", 1)
            await until(lambda: counted(ingest) == (1, 0))
            bus.say(b"in 1 \xff\xfe\nin\nout 7 7\n")
            await until(lambda: ingest.has(Damaged))
            bus.cross("0", 0, 1)
            await until(lambda: counted(ingest) == (1, 1))
