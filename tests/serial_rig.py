"""A serial link on a simulated bus, and what it delivers: for the tests of links and of serial families."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.clock import Clock
from gateway.config import SerialOptions
from gateway.driver import Driver, Side
from gateway.links import Link
from gateway.links.serial import SerialLink, Tap
from gateway.links.supervise import Backoff
from gateway.model import Ignored, Item, Register, Stamp
from tests.patience import SOON_S


class Settings(SerialOptions):
    """Of a bus that is asked twenty times a second; `port=None` for a tap."""

    def __init__(self, port: object = None, poll_s: float = 0.05, **options: Any) -> None:
        super().__init__(port=None if port is None else str(port), poll_s=poll_s, **options)


@dataclass(frozen=True)
class Source:
    driver: Driver
    counters: Sequence[str]


@dataclass
class Ingest:
    """Keeps what is delivered."""

    delivered: list[tuple[str, Item]] = field(default_factory=list)
    room: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.room.set()

    async def wait_room(self) -> None:
        await self.room.wait()

    def deliver(
        self,
        link: str,
        source: Any,
        items: Iterable[Item],
        stamp: Stamp,
        *,
        patient: bool = False,
        payload: bytes = b"",
    ) -> None:
        self.delivered += [(source.counters[0], item) for item in items]

    def totals(self, counter: str) -> list[int | None]:
        return [
            item.total_passes
            for name, item in self.delivered
            if name == counter and isinstance(item, Register)
        ]

    def has(self, kind: type) -> bool:
        return any(isinstance(item, kind) for _, item in self.delivered)


class Lines:
    """A device that speaks unasked: each line is an item."""

    def __init__(self) -> None:
        self.heard = b""
        self.sides: set[Side] = set()
        self._rest = b""

    def feed(self, data: bytes, at_ms: int, side: Side = Side.DEVICE) -> Iterable[Item]:
        self.heard += data
        self.sides.add(side)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [Ignored(line.decode("latin-1")) for line in lines]


def quick() -> Backoff:
    """Pauses of hundredths of a second."""
    return Backoff(chance=lambda: 0.02)


@contextlib.asynccontextmanager
async def running(options: SerialOptions, sources: Sequence[Source]) -> AsyncIterator[tuple[Link, Ingest]]:
    ingest, clock = Ingest(), Clock("always")
    link: Link
    if options.port:
        link = SerialLink("bus", options, sources, clock, ingest, backoff=quick())
    else:
        link = Tap("tap", options, sources, clock, ingest, backoff=quick)
    async with kept(link):
        yield link, ingest


@contextlib.asynccontextmanager
async def kept(link: Link) -> AsyncIterator[None]:
    """The link runs, and stops in time."""
    stop = asyncio.Event()
    task = asyncio.create_task(link.run(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(SOON_S):
            await task
