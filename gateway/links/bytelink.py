"""A link that carries bytes: devices are asked in turn, or speak unasked. How it is opened is elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from gateway.clock import Clock
from gateway.driver import Exchange, Request, Response, Side, Stream
from gateway.errors import LinkError
from gateway.links.ingest import Ingest
from gateway.links.port import Port
from gateway.links.supervise import Backoff, LinkState, keep
from gateway.links.turns import Source, Turn, Turns
from gateway.model import Item, Register

GUARD_S = 0.2  # after silence the bus is left alone so long, and what comes is late
DOUBT_S = 5.0  # so long after a time-out a nameless reply may be a late one: ask twice, believe equal ones
DEAD = 3  # silent polls in a row after which nobody else has to wait, and only its own family to doubt
RESYNC_S = 1.0  # two answers that differ: leave the bus alone until it has been quiet so long
GARBLED = 3  # devices that never say the same twice get no more such breaks
LONGEST_RESYNC_S = 5.0  # a device that never stops talking must not silence the others
LONGEST_QUIET_S = 0.05  # nor keep us from asking for longer than this
MAX_SEEN = 4096  # registers whose first total since the opening is known

log = logging.getLogger(__name__)


class ByteLink:
    """`run` keeps the port open until `stop`; `state` is what health shows.

    `poll_s`: from one poll of a device to the next. `quiet_s`: silence before each question. `echo`: our own
    words come back first. `resets_on_open`: a lower total right after an opening is a fresh start.
    """

    def __init__(
        self,
        id: str,  # noqa: A002
        sources: Sequence[Source],
        clock: Clock,
        ingest: Ingest,
        *,
        poll_s: float,
        quiet_s: float = 0.0,
        echo: bool = False,
        resets_on_open: bool = False,
        side: Side = Side.DEVICE,
        backoff: Backoff | None = None,
    ) -> None:
        self.id, self.state = id, LinkState()
        self._clock, self._ingest, self._backoff = clock, ingest, backoff
        self._poll_s, self._quiet_s, self._echo, self._side = poll_s, quiet_s, echo, side
        self._resets_on_open = resets_on_open
        self._seen: set[tuple[str, str]] = set()  # registers heard since the opening
        self._asked = [source for source in sources if hasattr(source.driver, "poll")]
        self._heard = [source for source in sources if hasattr(source.driver, "feed")]
        self._guard_until = self._quiet_at_latest = 0.0
        self._doubt_until: dict[type, float] = {}
        self._said: dict[bytes, bytes] = {}  # nameless question → the last reply that was believed

    async def _open(self) -> Port:
        """Raises LinkError; bytes nobody waits for go to `_unasked`."""
        raise NotImplementedError

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
        loop = asyncio.get_running_loop()
        self._begin_anew()
        stopper, opening = loop.create_task(stop.wait()), loop.create_task(self._open())
        try:
            await asyncio.wait((stopper, opening), return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                await self._use(opening.result(), stopper)
        except LinkError:
            if not stop.is_set():
                raise
        finally:
            stopper.cancel()
            opening.cancel()

    def _begin_anew(self) -> None:
        """Before the port is opened: it may speak while it still is."""
        self._seen.clear()
        self.state.unanswered.clear()
        for source in self._heard:
            getattr(source.driver, "reopened", _nothing)(self._side)

    async def _use(self, port: Port, stopper: asyncio.Task[Any]) -> None:
        stopper.add_done_callback(lambda _: port.lose("stopped"))
        self.state.opened(self._clock.wall_ms())
        try:
            await self._ask_in_turn(port)
        finally:
            port.close()

    async def _ask_in_turn(self, port: Port) -> None:
        loop = asyncio.get_running_loop()
        self._guard_until = self._quiet_at_latest = 0.0
        self._doubt_until.clear()
        self._said.clear()
        asked = [(source, cast("Exchange", source.driver)) for source in self._asked]
        turns = Turns(asked, self._poll_s, loop.time())
        while True:
            await self._rest(port, turns.due_at - loop.time())
            if self._asked:
                await self._ingest.wait_room()
                turns.settle(loop.time(), await self._poll(port, turns.next))

    async def _rest(self, port: Port, seconds: float) -> None:
        if seconds > 0 or port.error:
            await port.wait(min(seconds, 3600.0))

    async def _poll(self, port: Port, turn: Turn[Exchange]) -> bool:
        """One round with one device; delivers what it told. True if it answered at all."""
        answered = False
        talk = turn.driver.poll(self._clock.wall_ms())
        try:
            request = next(talk)
            while True:
                data = None
                with suppress(LinkError):  # what was told before the port was lost is still delivered
                    data = await self._exchange(port, turn, request)
                answered = answered or data is not None
                request = talk.send(Response(data, self._clock.wall_ms()))
        except StopIteration as end:
            items: Sequence[Item] = list(end.value)
        finally:
            talk.close()
        if items:
            self._deliver(turn.source, items, patient=True)
        if port.error:
            raise LinkError(port.error)
        self._tell(turn, answered)
        return answered

    def _deliver(self, source: Source, items: Sequence[Item], *, patient: bool, payload: bytes = b"") -> None:
        if self._resets_on_open:
            items = [self._first_since_open(item) for item in items]
        self._ingest.deliver(self.id, source, items, self._clock.stamp(), patient=patient, payload=payload)

    def _first_since_open(self, item: Item) -> Item:
        """A lower total now means that the board began anew, not that it came round."""
        if not isinstance(item, Register) or (item.counter, item.line) in self._seen:
            return item
        if len(self._seen) < MAX_SEEN:
            self._seen.add((item.counter, item.line))
        return replace(item, modulus=None)

    def _tell(self, turn: Turn[Exchange], answered: bool) -> None:
        names = ", ".join(turn.source.counters)
        if answered:
            self.state.unanswered.difference_update(turn.source.counters)
        elif turn.missed + 1 >= DEAD:
            self.state.unanswered.update(turn.source.counters)
        if answered and turn.missed:
            log.info("link %s: %s answers again", self.id, names)
        elif not answered and not turn.missed:
            log.warning("link %s: %s does not answer", self.id, names)

    async def _exchange(self, port: Port, turn: Turn[Exchange], request: Request) -> bytes | None:
        """The reply to this request, or None; b"" when it may as well be a late reply to an earlier one."""
        loop = asyncio.get_running_loop()
        data = await self._ask(port, turn, request)
        if data is None or request.named:
            return data
        if loop.time() < self._doubt_until.get(turn.family, 0.0) and data != self._said.get(request.payload):
            data = await self._confirmed(port, turn, request, data)
        if data and len(self._said) < MAX_SEEN:
            self._said[request.payload] = data  # the same once more brings nothing new, whoever said it
        return data

    async def _confirmed(self, port: Port, turn: Turn[Exchange], request: Request, data: bytes) -> bytes:
        """Asked again: the same reply, or b"" if it differs."""
        again = await self._ask(port, turn, request)
        if again is not None and (again.endswith(data) or data.endswith(again)):  # but for noise before it
            turn.garbled = 0
            return min(data, again, key=len)
        turn.garbled = min(turn.garbled + 1, GARBLED)
        if turn.garbled < GARBLED:
            self._resync(asyncio.get_running_loop().time())
        return b""

    def _resync(self, now: float) -> None:
        """Late replies are about, and perhaps two alike: let them pass."""
        self._quiet_at_latest = now + LONGEST_RESYNC_S
        self._guard_until = max(self._guard_until, now + RESYNC_S)
        self._doubt(self._quiet_at_latest + DOUBT_S)

    def _doubt(self, until: float, family: type | None = None) -> None:
        """Until then a reply to this family, or to any, may be a late one."""
        for one in {family} if family else {type(source.driver) for source in self._asked}:
            self._doubt_until[one] = max(self._doubt_until.get(one, 0.0), until)

    async def _ask(self, port: Port, turn: Turn[Exchange], request: Request) -> bytes | None:
        loop = asyncio.get_running_loop()
        await self._hush(port)
        port.drain()
        port.write(request.payload)
        data = await port.wait(request.timeout_ms / 1000, self._end_of(request))
        if data is None:
            dead = turn.missed >= DEAD
            self._guard_until = loop.time() + (0.0 if dead or port.received else GUARD_S)
            self._doubt(self._guard_until + DOUBT_S, turn.family if dead else None)
            return None
        return data.removeprefix(request.payload) if self._echo else data

    async def _hush(self, port: Port) -> None:
        """Nobody is spoken to while a late reply may come, nor in the tail of another's words."""
        loop = asyncio.get_running_loop()
        while (left_s := self._guard_until - loop.time()) > 0:
            await port.wait(left_s)
        patience_ends = loop.time() + max(LONGEST_QUIET_S, 2 * self._quiet_s)
        while (left_s := min(port.busy_at + self._quiet_s, patience_ends) - loop.time()) > 0:
            await port.wait(left_s)

    def _end_of(self, request: Request) -> Any:
        if not self._echo:
            return request.end
        payload = request.payload

        def end(received: bytes) -> bool:
            """Our own words come back first and are no reply, though a reply may look like them."""
            if payload.startswith(received):
                return False
            return request.end(received.removeprefix(payload))

        return end

    def _unasked(self, data: bytes) -> None:
        """Bytes nobody waits for: of devices that speak unasked, or late and of no use."""
        now = asyncio.get_running_loop().time()
        if now < self._guard_until and now < self._quiet_at_latest:
            self._guard_until = max(self._guard_until, min(now + RESYNC_S, self._quiet_at_latest))
        for source in self._heard:
            at_ms = self._clock.wall_ms()
            items = _ends_of_rises(cast("Stream", source.driver).feed(data, at_ms, self._side))
            if items:
                self._deliver(source, items, patient=False, payload=data)


def _nothing(_side: Side) -> None:
    """What most drivers do when their port was opened anew."""


def _ends_of_rises(items: Iterable[Item]) -> list[Item]:
    """Totals heard in one breath share their instant: of those that rise only the last can be booked."""
    kept: list[Item] = []
    places: dict[tuple[str, str, str], int] = {}
    for item in items:
        if isinstance(item, Register) and item.at_ms is None:
            place = places.setdefault((item.counter, item.line, item.epoch), len(kept))
            if place < len(kept) and _risen(earlier := kept[place], item):
                kept[place] = replace(item, modulus=cast("Register", earlier).modulus)  # as the rise began
                continue
            places[item.counter, item.line, item.epoch] = len(kept)
        kept.append(item)
    return kept


def _risen(earlier: Item, later: Register) -> bool:
    """Has no side of it fallen, and is none missing?"""
    sides = ("total_in", "total_out", "total_passes")
    pairs = [(getattr(earlier, side), getattr(later, side)) for side in sides]
    return all((low is None) == (high is None) and (low or 0) <= (high or 0) for low, high in pairs)
