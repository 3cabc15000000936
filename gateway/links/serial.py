"""A serial line: a bus of devices that are asked in turn, or a device that speaks unasked."""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from gateway.clock import Clock
from gateway.driver import Driver, Exchange, Request, Response, Stream
from gateway.errors import LinkError
from gateway.links.port import Port, SerialSettings
from gateway.links.supervise import Backoff, LinkState, keep
from gateway.model import Item, Stamp

LONGEST_SILENT_S = 60.0  # a silent address is asked at least this often
GUARD_S = 0.2  # after a time-out the bus is left alone at least this long, and what comes is late
DOUBT_S = 5.0  # so long after a time-out a reply may be a late one: ask twice, believe equal answers only
RESYNC_S = 1.0  # two answers that differ: leave the bus alone until it has been quiet so long
LONGEST_RESYNC_S = 5.0  # a device that never stops talking must not silence the others

log = logging.getLogger(__name__)


class Source(Protocol):
    """One decoder on one link, as the roster hands it out."""

    @property
    def driver(self) -> Driver: ...
    @property
    def counters(self) -> Sequence[str]: ...


class Ingest(Protocol):
    """What the link needs of the core."""

    async def wait_room(self) -> None: ...
    def deliver(
        self, link: str, source: Any, items: Iterable[Item], stamp: Stamp, *, patient: bool = False
    ) -> None: ...


@dataclass(slots=True)
class _Device:
    """One asked-and-answered device and when it is asked next, on a grid that does not drift."""

    source: Source
    driver: Exchange
    every_s: float
    due_at: float
    missed: int = 0  # polls in a row without any answer

    def schedule(self, now: float, answered: bool) -> None:
        """The next point of the grid that is not past; twice as far after each silent poll."""
        self.missed = 0 if answered else min(self.missed + 1, 30)
        pause_s = max(self.every_s, min(LONGEST_SILENT_S, self.every_s * 2.0**self.missed))
        self.due_at += math.floor(pause_s / self.every_s) * self.every_s
        if self.due_at < now:
            self.due_at += math.ceil((now - self.due_at) / self.every_s) * self.every_s


class SerialLink:
    """`run` keeps the port open until `stop`; `state` is what health shows."""

    def __init__(
        self,
        id: str,  # noqa: A002
        options: SerialSettings,
        sources: Sequence[Source],
        clock: Clock,
        ingest: Ingest,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self.id, self.options = id, options
        self.state = LinkState()
        self._clock, self._ingest, self._backoff = clock, ingest, backoff
        self._asked = [source for source in sources if hasattr(source.driver, "poll")]
        self._heard = [source for source in sources if hasattr(source.driver, "feed")]
        self._guard_until = self._doubt_until = self._quiet_at_latest = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set; every failure in between is retried with back-off."""
        await keep(
            lambda: self._attempt(stop),
            self.state,
            self._clock,
            stop,
            name=self.id,
            backoff=self._backoff,
        )

    async def _attempt(self, stop: asyncio.Event) -> None:
        """From opening the port to losing it. Raises LinkError."""
        port = Port(self.options, self._unasked)
        stopper = asyncio.get_running_loop().create_task(stop.wait())
        stopper.add_done_callback(lambda _: port.lose("stopped"))
        try:
            self.state.opened(self._clock.wall_ms())
            await self._ask_in_turn(port)
        except LinkError:
            if not stop.is_set():
                raise
        finally:
            stopper.cancel()
            port.close()

    async def _ask_in_turn(self, port: Port) -> None:
        loop = asyncio.get_running_loop()
        self._guard_until = self._doubt_until = self._quiet_at_latest = 0.0
        devices = [
            _Device(source, cast("Exchange", source.driver), self.options.poll_s, loop.time())
            for source in self._asked
        ]
        queue = [(device.due_at, number) for number, device in enumerate(devices)]
        while True:
            due_at = queue[0][0] if queue else math.inf
            await self._rest(port, due_at - loop.time())
            if not queue:
                continue
            _, number = queue[0]
            device = devices[number]
            await self._ingest.wait_room()
            answered = await self._poll(port, device)
            device.schedule(loop.time(), answered)
            heapq.heapreplace(queue, (device.due_at, number))

    async def _rest(self, port: Port, seconds: float) -> None:
        if seconds > 0 or port.error:
            await port.wait(min(seconds, 3600.0))

    async def _poll(self, port: Port, device: _Device) -> bool:
        """One round with one device; delivers what it told. True if it answered at all."""
        answered = False
        talk = device.driver.poll(self._clock.wall_ms())
        try:
            request = next(talk)
            while True:
                data = await self._exchange(port, request)
                answered = answered or data is not None
                request = talk.send(Response(data, self._clock.wall_ms()))
        except StopIteration as end:
            items: Iterable[Item] = end.value
        finally:
            talk.close()
        if items:
            self._ingest.deliver(self.id, device.source, items, self._clock.stamp(), patient=True)
        if answered is (device.missed > 0):
            self._tell(device, answered)
        return answered

    def _tell(self, device: _Device, answered: bool) -> None:
        names = ", ".join(device.source.counters)
        if answered:
            log.info("link %s: %s answers again", self.id, names)
        elif not device.missed:
            log.warning("link %s: %s does not answer", self.id, names)

    async def _exchange(self, port: Port, request: Request) -> bytes | None:
        """The reply to this request, or None; b"" when it may as well be a late reply to an earlier one."""
        loop = asyncio.get_running_loop()
        data = await self._ask(port, request)
        if data is None or loop.time() >= self._doubt_until:
            return data
        again = await self._ask(port, request)
        if again == data:
            return data
        self._resync(loop.time())
        return b""

    def _resync(self, now: float) -> None:
        """Late replies are about, and perhaps two alike: let them pass."""
        self._quiet_at_latest = now + LONGEST_RESYNC_S
        self._guard_until = max(self._guard_until, now + RESYNC_S)
        self._doubt_until = self._quiet_at_latest + DOUBT_S

    async def _ask(self, port: Port, request: Request) -> bytes | None:
        loop = asyncio.get_running_loop()
        while (left_s := self._guard_until - loop.time()) > 0:
            await port.wait(left_s)
        port.drain()
        port.write(request.payload)
        data = await port.wait(request.timeout_ms / 1000, self._end_of(request))
        if data is None:
            self._guard_until = loop.time() + max(GUARD_S, request.timeout_ms / 1000)
            self._doubt_until = max(self._doubt_until, self._guard_until + DOUBT_S)
            return None
        return data.removeprefix(request.payload) if self.options.echo else data

    def _end_of(self, request: Request) -> Any:
        if not self.options.echo:
            return request.end
        payload = request.payload

        def end(received: bytes) -> bool:
            """Our own words come back first and are no reply."""
            if payload.startswith(received):
                return False
            return request.end(received.removeprefix(payload))

        return end

    def _unasked(self, data: bytes) -> None:
        """Bytes nobody waits for: of devices that speak unasked, or late and of no use."""
        now = asyncio.get_running_loop().time()
        if now < self._guard_until and now < self._quiet_at_latest:
            self._guard_until = max(self._guard_until, min(now + RESYNC_S, self._quiet_at_latest))
        if not self._heard:
            return
        stamp = self._clock.stamp()
        for source in self._heard:
            items = list(cast("Stream", source.driver).feed(data, stamp.wall_ms))
            if items:
                self._ingest.deliver(self.id, source, items, stamp)
