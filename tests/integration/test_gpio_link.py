"""Contacts as a link: a port's modem lines and a chip's lines by stand-ins, and what a lost contact costs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import struct
import sys
import termios
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from drivers.pulse.family import Pulse, PulseOptions
from gateway.clock import Clock
from gateway.config import GpioOptions
from gateway.errors import LinkError
from gateway.links import gpio, open_link
from gateway.links.gpio import ChipLines, Contacts, Edge, GpioLink, ModemLines
from gateway.model import Crossings, Damaged, Status
from tests.patience import until
from tests.serial_rig import Ingest, Source, kept, quick

PORT = GpioOptions.model_validate({"port": "/dev/contacts", "poll_s": 0.002})


@dataclass
class Relays:
    """Contacts that a test moves. `broken`: every look raises, as after an unplugged adapter."""

    fd: int | None = None
    closed: dict[str, bool] = field(default_factory=lambda: {"cts": False, "dsr": False})
    waiting: list[Edge] = field(default_factory=list)
    broken: str = ""
    openings: int = 0
    closings: int = 0
    now_ms: Any = None

    def open(self, _settings: object, names: Sequence[str], now_ms: Any) -> Contacts:
        self.openings += 1
        assert set(names) == set(self.closed)
        self.now_ms = now_ms
        return self

    async def pulse(self, name: str, lost: int = 0) -> None:
        """It closes and opens, each for longer than bounce."""
        for closed in (True, False):
            self.closed[name] = closed
            self.waiting.append(Edge(name, closed, self.now_ms(), lost if closed else 0))
            await asyncio.sleep(0.03)

    def levels(self) -> dict[str, bool]:
        if self.broken:
            raise OSError(5, self.broken)
        return dict(self.closed)

    def edges(self) -> list[Edge]:
        if self.broken:
            raise OSError(5, self.broken)
        edges, self.waiting = self.waiting, []
        return edges

    def close(self) -> None:
        self.closings += 1


@contextlib.asynccontextmanager
async def running(relays: Relays) -> AsyncIterator[tuple[GpioLink, Ingest]]:
    driver = Pulse(PulseOptions.model_validate({"in": "cts", "out": "dsr"}))
    ingest = Ingest()
    link = GpioLink(
        "contacts",
        PORT,
        [Source(driver, ("door",))],
        Clock("always"),
        ingest,
        opener=relays.open,
        backoff=quick(),
    )
    async with kept(link):
        await until(lambda: link.state.up)
        yield link, ingest


def counted(ingest: Ingest) -> tuple[int, int]:
    crossings = [item for _, item in ingest.delivered if isinstance(item, Crossings)]
    return sum(one.ins or 0 for one in crossings), sum(one.outs or 0 for one in crossings)


def said(ingest: Ingest) -> list[str]:
    return [item.detail for _, item in ingest.delivered if isinstance(item, Status)]


async def test_every_pulse_is_delivered_and_the_contacts_are_closed_in_the_end() -> None:
    relays = Relays()
    async with running(relays) as (_, ingest):
        for _ in range(5):
            await relays.pulse("cts")
        await relays.pulse("dsr")
        await until(lambda: counted(ingest) == (5, 1))
        assert said(ingest) == [""]
    assert (relays.openings, relays.closings) == (1, 1)


async def test_what_the_kernel_could_not_keep_is_told_and_counted() -> None:
    relays = Relays()
    async with running(relays) as (_, ingest):
        await relays.pulse("cts", lost=4)
        await until(lambda: "edges lost: 4; persons may have passed uncounted" in said(ingest))
        assert ingest.has(Damaged)


async def test_a_lost_adapter_is_opened_again_and_the_gap_is_told() -> None:
    relays = Relays()
    async with running(relays) as (link, ingest):
        relays.broken = "gone"
        await until(lambda: not link.state.up)
        assert "/dev/contacts" in link.state.error
        relays.closed["cts"] = True  # somebody stands in the beam by now: he passed unseen
        relays.broken = ""
        await until(lambda: link.state.up)
        await until(lambda: any("not watched" in detail for detail in said(ingest)))
        assert counted(ingest) == (0, 0)
        assert not ingest.has(Damaged)
    assert relays.openings == relays.closings


async def test_a_descriptor_wakes_the_link_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpio, "BEAT_S", 3600.0)
    read, write = os.pipe()
    relays = Relays(fd=read)
    try:
        async with running(relays) as (_, ingest):
            await relays.pulse("dsr")
            assert relays.waiting
            os.write(write, b"x")
            await until(lambda: counted(ingest) == (0, 1))
    finally:
        os.close(read)
        os.close(write)


async def test_levels_are_looked_up_every_second_as_a_sign_of_life() -> None:
    """A contact that closes and stays is counted by the beat alone."""
    relays = Relays()
    async with running(relays) as (_, ingest):
        relays.waiting.append(Edge("cts", True, relays.now_ms()))
        relays.closed["cts"] = True
        await until(lambda: counted(ingest) == (1, 0))
        assert not ingest.has(Damaged)


# --- the modem lines of a port


@pytest.fixture
def pair() -> Iterator[str]:
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def test_a_port_without_modem_lines_is_refused_in_words(pair: str) -> None:
    with pytest.raises(LinkError, match="no modem lines"):
        ModemLines(pair, ["cts"], lambda: 0)
    with pytest.raises(LinkError, match="a port has cts, dsr, ri and dcd"):
        ModemLines(pair, ["17"], lambda: 0)
    with pytest.raises(LinkError, match="/dev/nowhere: no such port"):
        ModemLines("/dev/nowhere", ["cts"], lambda: 0)


@dataclass
class Kernel:
    """Answers the two ioctls of linux/serial.h as a port's driver does. `counts` None: it does not count."""

    bits: int = 0
    counts: list[int] | None = field(default_factory=lambda: [0, 0, 0, 0])

    def ioctl(self, _fd: int, request: int, given: bytes) -> bytes:
        if request == termios.TIOCMGET:
            return struct.pack("i", self.bits)
        assert request == termios.TIOCGICOUNT
        if self.counts is None:
            raise OSError(25, "Inappropriate ioctl for device")
        assert len(given) == 80
        return struct.pack("20i", *self.counts, *[7] * 16)

    def move(self, bit: int, place: int, times: int = 1) -> None:
        for _ in range(times):
            self.bits ^= bit
            if self.counts is not None:
                self.counts[place] += 1


def modem(port: str, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> ModemLines:
    monkeypatch.setattr(gpio, "fcntl", SimpleNamespace(ioctl=kernel.ioctl))
    return ModemLines(port, ["cts", "dsr", "ri", "dcd"], lambda: 4711)


@pytest.mark.parametrize(
    ("name", "bit", "place"),
    [
        ("cts", termios.TIOCM_CTS, 0),
        ("dsr", termios.TIOCM_DSR, 1),
        ("ri", termios.TIOCM_RI, 2),
        ("dcd", termios.TIOCM_CD, 3),
    ],
)
@pytest.mark.parametrize("counts", [True, False])
def test_each_modem_line_is_a_contact(
    pair: str, monkeypatch: pytest.MonkeyPatch, name: str, bit: int, place: int, counts: bool
) -> None:
    kernel = Kernel(counts=[3, 3, 3, 3] if counts else None)
    contacts = modem(pair, kernel, monkeypatch)
    assert contacts.edges() == []
    kernel.move(bit, place)
    assert contacts.levels()[name]
    assert contacts.edges() == [Edge(name, True, 4711)]
    kernel.move(bit, place)
    assert contacts.edges() == [Edge(name, False, 4711)]
    assert contacts.edges() == []
    contacts.close()


def test_pulses_too_short_for_a_look_are_counted_as_lost(pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel()
    contacts = modem(pair, kernel, monkeypatch)
    kernel.move(termios.TIOCM_CTS, 0, times=2)
    assert contacts.edges() == [Edge("cts", False, 4711, lost=2)]
    kernel.move(termios.TIOCM_CTS, 0, times=3)
    assert contacts.edges() == [Edge("cts", True, 4711, lost=3)]
    contacts.close()


@pytest.mark.parametrize("counted_at", [{True}, {False}, set()], ids=["closing", "opening", "never"])
def test_edges_that_the_kernel_does_not_count_are_seen_and_not_lost(
    pair: str, monkeypatch: pytest.MonkeyPatch, counted_at: set[bool]
) -> None:
    """RI is counted in one direction only (TIOCGICOUNT(2const)), by some drivers not at all."""
    kernel = Kernel(counts=[0, 0, 0, 0])
    contacts = modem(pair, kernel, monkeypatch)
    for closed in (True, False) * 3:
        kernel.bits ^= termios.TIOCM_RI
        kernel.counts = [0, 0, (kernel.counts or [0] * 4)[2] + (closed in counted_at), 0]
        assert contacts.edges() == [Edge("ri", closed, 4711)]
        assert contacts.edges() == []
    contacts.close()


def test_a_count_that_comes_after_its_level_is_no_lost_edge(
    pair: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """USB adapters are asked for their levels, and tell their counts by themselves later."""
    kernel = Kernel()
    contacts = modem(pair, kernel, monkeypatch)
    for number, closed in enumerate((True, False) * 3, 1):
        kernel.bits ^= termios.TIOCM_CTS
        assert contacts.edges() == [Edge("cts", closed, 4711)]
        kernel.counts = [number, 0, 0, 0]
        assert contacts.edges() == []
    contacts.close()


# --- the lines of a chip


class Chip:
    """What gpiod 2 offers of a chip with two named lines; `events` are what the kernel has kept."""

    names: ClassVar = {"DOOR": 17, "OTHER": 18}
    requested: ClassVar[dict[str, Any]] = {}
    events: ClassVar[list[Any]] = []

    def __init__(self, path: str) -> None:
        if path != "/dev/gpiochip0":
            raise FileNotFoundError(2, "No such file or directory", path)

    def __enter__(self) -> Chip:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def line_offset_from_id(self, name: str | int) -> int:
        if isinstance(name, int):
            if name > 53:
                raise ValueError("line offset of out range")
            return name
        if name not in self.names:
            raise FileNotFoundError(2, "No such file or directory")
        return self.names[name]

    def request_lines(self, **given: Any) -> Any:
        Chip.requested = given
        return SimpleNamespace(
            fd=9,
            get_values=lambda lines: [("active" if line == 17 else "inactive") for line in lines],
            wait_edge_events=lambda _timeout: bool(Chip.events),
            read_edge_events=lambda: [Chip.events.pop(0) for _ in range(len(Chip.events))],
            release=lambda: None,
        )


def event(rising: bool, offset: int, number: int, at_ns: int) -> Any:
    kind = "rising" if rising else "falling"
    return SimpleNamespace(event_type=kind, timestamp_ns=at_ns, line_offset=offset, line_seqno=number)


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> type[Chip]:
    line = SimpleNamespace(
        Bias=SimpleNamespace(AS_IS="as-is", PULL_UP="up", PULL_DOWN="down", DISABLED="off"),
        Direction=SimpleNamespace(INPUT="input"),
        Edge=SimpleNamespace(BOTH="both"),
        Clock=SimpleNamespace(MONOTONIC="monotonic"),
        Value=SimpleNamespace(ACTIVE="active", INACTIVE="inactive"),
    )
    kinds = SimpleNamespace(RISING_EDGE="rising", FALLING_EDGE="falling")
    package = SimpleNamespace(line=line, Chip=Chip, LineSettings=dict, EdgeEvent=SimpleNamespace(Type=kinds))
    monkeypatch.setitem(sys.modules, "gpiod", package)
    Chip.events = []
    return Chip


def test_lines_of_a_chip_by_number_and_by_name(chip: type[Chip]) -> None:
    contacts = ChipLines("/dev/gpiochip0", "pull-up", ["DOOR", "22"])
    assert contacts.fd == 9
    assert set(chip.requested["config"]) == {17, 22}
    assert chip.requested["config"][17]["bias"] == "up"
    assert chip.requested["config"][17]["edge_detection"] == "both"
    assert contacts.levels() == {"DOOR": True, "22": False}
    chip.events += [event(True, 17, 1, 5_000_000_000), event(False, 17, 2, 5_120_999_999)]
    assert contacts.edges() == [Edge("DOOR", True, 5000), Edge("DOOR", False, 5120)]
    assert contacts.edges() == []


def test_a_hole_in_the_kernels_numbers_is_lost_edges(chip: type[Chip]) -> None:
    contacts = ChipLines("/dev/gpiochip0", None, ["17", "18"])
    chip.events += [event(True, 17, 1, 0), event(True, 18, 1, 0), event(False, 17, 6, 0)]
    assert [edge.lost for edge in contacts.edges()] == [0, 0, 4]


def test_a_line_that_is_not_there_is_told_by_its_name(chip: type[Chip]) -> None:
    for name in ("NOBODY", "54"):
        with pytest.raises(LinkError, match=f"/dev/gpiochip0: no line {name}"):
            ChipLines("/dev/gpiochip0", None, [name])


async def test_a_chip_without_its_package_keeps_trying_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    options = SimpleNamespace(chip="/dev/gpiochip0", port=None, bias=None, poll_s=0.02)
    source = Source(Pulse(PulseOptions.model_validate({"in": "17"})), ("door",))
    configured: Any = SimpleNamespace(over="gpio", options=options)
    link = open_link("contacts", configured, [source], Clock("always"), Ingest(), "g", None)
    async with kept(link):
        await until(lambda: "venv/bin/pip install 'gpiod>=2.1,<3'" in link.state.error)
