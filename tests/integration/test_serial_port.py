"""A serial port on real pseudo-terminals: hang-ups, echoes, taps, framings, several families on one bus."""

from __future__ import annotations

import itertools
import os
import pty
import socket
import termios
import tty
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import pytest

from drivers.dcon.family import FAMILY, DconLine, DconOptions
from drivers.gate7e import family as gate7e
from drivers.lines.family import Lines as BoardLines
from drivers.lines.family import LinesOptions
from gateway.clock import Clock
from gateway.driver import Device, Request, Response, Side, Site
from gateway.errors import LinkError
from gateway.links.bytelink import ByteLink
from gateway.links.port import Opened, Port
from gateway.model import Damaged, Ignored, Item, Register
from simulators.bus import Bus, Faults
from simulators.dcon import Module
from simulators.gate7e import Gate
from tests.integration.test_serial_link import beam
from tests.patience import until
from tests.serial_rig import Ingest, Lines, Settings, Source, kept, quick, running


def door(address: str, **options: Any) -> Source:
    """A module whose channels count in and out."""
    given = DconOptions.model_validate({"address": address, **options})
    driver = FAMILY.open(Device(given, {"main": DconLine.model_validate({"in": 0, "out": 1})}))
    return Source(driver, (address,))


async def test_what_a_speaking_device_said_before_it_was_unplugged_is_kept() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    async with running(Settings(path), [Source(Lines(), ("beam",))]) as (link, ingest):
        await until(lambda: link.state.up)
        os.write(master, b"one\ntw")
        await until(lambda: ingest.delivered)
        os.write(master, b"o\nthree\nfo")
        await until(lambda: len(ingest.delivered) == 3)
        os.close(master)
        os.close(slave)
        await until(lambda: not link.state.up)
        assert [item for _, item in ingest.delivered] == [Ignored("one"), Ignored("two"), Ignored("three")]


class Hasty(ByteLink):
    """A port that speaks while it is being opened, and is lost then."""

    says: tuple[bytes, ...] = (b"12", b"45\n")

    async def _open(self) -> Port:
        said, self.says = self.says[:1], self.says[1:]
        self._unasked(b"".join(said))
        raise LinkError("lost")


async def test_what_a_port_says_while_it_is_opened_is_not_glued_to_what_it_said_before() -> None:
    pattern = LinesOptions.model_validate({"pattern": r"(?P<total_in>\d+)"})
    source, ingest = Source(BoardLines(pattern, Site()), ("board",)), Ingest()
    link = Hasty("bus", [source], Clock("always"), ingest, poll_s=1.0, backoff=quick())
    async with kept(link):
        await until(lambda: ingest.has(Register))
    totals = [item.total_in for _, item in ingest.delivered if isinstance(item, Register)]
    assert totals == [45]


async def test_bytes_that_have_arrived_are_heard_before_a_question_and_before_the_end() -> None:
    here, there = socket.socketpair()
    here.setblocking(False)
    heard: list[bytes] = []
    port = Port(Opened("socket://pair", here.fileno(), here.close), heard.append)
    with there:
        there.send(b"one")
        port.drain()
        assert heard == [b"one"]
        there.send(b"two")
        port.close()
    assert heard == [b"one", b"two"]


class HalfDeaf(Module):
    """Never tells its second total."""

    def answer(self, request: bytes) -> bytes | None:
        return None if request.startswith(b"#011") else super().answer(request)


async def test_what_was_answered_before_the_plug_was_pulled_is_kept() -> None:
    with Bus([HalfDeaf("01", totals=[107, 50])]) as bus:
        async with running(Settings(bus.path), [door("01", timeout_s=5)]) as (link, ingest):
            await until(lambda: bus.asked(b"#011\r"))
            bus.unplug()
            await until(lambda: not link.state.up)
        registers = [item for _, item in ingest.delivered if isinstance(item, Register)]
        assert [(item.total_in, item.total_out) for item in registers] == [(107, None)]


async def test_two_families_share_a_bus() -> None:
    devices = [Module("01", totals=[5, 0]), Gate("2"), Module("03", totals=[7, 0])]
    devices[1].cross(11, 3)
    options = gate7e.GateOptions.model_validate({"address": 2})
    sides = {"main": gate7e.GateLine.model_validate({"in": "left"})}
    gate = Source(gate7e.FAMILY.open(Device(options, sides)), ("gate",))
    with Bus[Any](devices) as bus:
        async with running(Settings(bus.path), [beam("01"), gate, beam("03")]) as (_, ingest):
            await until(lambda: ingest.totals("01")[2:] and ingest.totals("03")[2:])
            await until(lambda: [item for name, item in ingest.delivered if name == "gate"][2:])
        assert not ingest.has(Damaged)
        registers = [item for name, item in ingest.delivered if name == "gate" and isinstance(item, Register)]
        assert {item.total_in for item in registers} == {11}


class Parrot:
    """Asks for a command whose acknowledgement is the command itself, as Modbus functions 5 and 6 do."""

    def poll(self, now_ms: int) -> Generator[Request, Response, Iterable[Item]]:
        response = yield Request(b"set 1\r", 200, lambda data: data.endswith(b"\r"))
        return [Ignored(repr(response.data))]

    def answer(self, request: bytes, response: Response) -> Iterable[Item]:
        return []


class Mirror:
    """Says what it hears."""

    def __init__(self) -> None:
        self.faults = Faults()

    def hear(self, data: bytes) -> list[bytes]:
        return [data]

    def cross(self, ins: int, outs: int) -> list[bytes]:
        return []

    def reset(self) -> list[bytes]:
        return []


@pytest.mark.parametrize("echo", [True, False])
async def test_a_reply_like_the_question_is_told_from_its_echo(echo: bool) -> None:
    mirror = Mirror()
    with Bus([mirror], echo=echo) as bus:
        async with running(Settings(bus.path, echo=echo), [Source(Parrot(), ("parrot",))]) as (_, ingest):
            await until(lambda: len(ingest.delivered) > 2)
            assert {item for _, item in ingest.delivered} == {Ignored(repr(b"set 1\r"))}
            if echo:
                bus.do(lambda: setattr(mirror.faults, "silent", True))
                await until(lambda: ingest.delivered[-1][1] == Ignored("None"))


async def test_a_tap_hears_each_side_for_itself(tmp_path: Path) -> None:
    lines = Lines()
    with Bus([Mirror()], link=tmp_path / "till") as till, Bus([Mirror()], link=tmp_path / "unit") as unit:
        options = Settings(port_till=str(tmp_path / "till"), port_unit=str(tmp_path / "unit"))
        async with running(options, [Source(lines, ("pos",))]) as (link, ingest):
            await until(lambda: link.state.up)
            till.say(b"sale\n")
            await until(lambda: ingest.delivered)
            assert lines.sides == {Side.HOST}
            unit.say(b"fine\n")
            await until(lambda: len(ingest.delivered) == 2)
            assert lines.sides == {Side.HOST, Side.DEVICE}
            unit.unplug()
            await until(lambda: not link.state.up)
            till.say(b"another\n")
            await until(lambda: len(ingest.delivered) == 3)
            assert str(tmp_path / "unit") in link.state.error
            unit.plug()
            await until(lambda: link.state.up)
            assert link.state.error == ""


async def test_a_framing_that_the_port_cannot_do_is_told() -> None:
    """A pseudo-terminal takes 7E1 in silence at first and refuses it later: neither is an open port."""
    with Bus([Module("01")]) as bus:
        async with running(Settings(bus.path, bytesize=7, parity="E"), [beam("01")]) as (link, _):
            for attempts in (1, 2, 3):
                await until(lambda attempts=attempts: link.state.attempts > attempts)
                assert f"{bus.path}: this port does not do 7E1" in link.state.error
        assert not bus.heard


async def test_a_device_that_never_stops_talking_does_not_stop_the_asking() -> None:
    with Bus([Module("01", totals=[9, 0])]) as bus:
        async with running(Settings(bus.path), [beam("01")]) as (_, ingest):
            for at in range(200):
                bus.say(b"\xa5\x5a", at * 0.01)
            await until(lambda: bus.asked(b"#010\r") > 5)
        assert set(ingest.totals("01")) <= {9}


async def test_a_garbling_and_a_silent_module_do_not_silence_a_third() -> None:
    modules = [Module("01", totals=[5, 0]), Module("02", totals=[6, 0]), Module("03", totals=[7, 0])]
    modules[0].faults.garbage, modules[1].faults.silent = 1.0, True
    with Bus(modules, seed=5) as bus:
        async with running(Settings(bus.path), [beam("01"), beam("02"), beam("03")]) as (_, ingest):
            await until(lambda: len(ingest.totals("03")) > 60)
            bus.cross("03", 1)
            await until(lambda: ingest.totals("03")[-1] == 8)
        assert set(ingest.totals("03")) == {7, 8}
        assert ingest.totals("01") == ingest.totals("02") == []


async def test_a_bus_is_quiet_before_each_question() -> None:
    with Bus([Module("01"), Module("02")]) as bus:
        async with running(Settings(bus.path, poll_s=0.01, quiet_s=0.03), [beam("01"), beam("02")]) as (
            _,
            ingest,
        ):
            await until(lambda: len(ingest.totals("02")) > 3)
        times = [at for at, _ in bus.heard]
        assert min(later - earlier for earlier, later in itertools.pairwise(times)) > 0.025


async def test_a_board_that_resets_on_open_keeps_its_line_up_when_closed() -> None:
    with Bus([Module("01")]) as bus:
        async with running(Settings(bus.path, resets_on_open=True), [beam("01")]) as (_, ingest):
            await until(lambda: ingest.totals("01")[2:])
            fd = os.open(bus.path, os.O_RDWR | os.O_NOCTTY)
            assert not termios.tcgetattr(fd)[2] & termios.HUPCL
            os.close(fd)
        registers = [item for _, item in ingest.delivered if isinstance(item, Register)]
        assert [item.modulus for item in registers[:2]] == [None, 1 << 32]
