"""The port that counters push to: one for all push links, open to others, and so with limits of its own.

Bounded are connections (beyond, the oldest that serves nobody is cut), bytes of unanswered bodies, the time a
request may take to arrive, and how long a connection may be silent. Nothing is read of a body before its
sender has shown who it is; where the body's signature shows that, nothing is done with a body before.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Protocol

from aiohttp import hdrs, web

from gateway.clock import Clock
from gateway.errors import LinkError
from gateway.links.credentials import Asked, Guard
from gateway.links.refusals import Refusal, not_now
from gateway.links.supervise import Backoff, LinkState, keep
from gateway.links.unpack import check_kind, too_large, unpack

MAX_CONNECTIONS = 400  # a service may have 1024 files open by default
HELD_BYTES = 32 << 20  # of bodies that are not whole or not answered yet; one alone may be longer
STRANGE_BYTES = 8 << 20  # of these, from senders whom only the whole body will show
SHORT_BYTES = 1 << 15  # a body that may be read however much strangers hold
READ_BYTES = 1 << 14
HEADERS, HEADER_BYTES = 48, 4096  # of one request
IDLE_S = 75.0  # counters that speak every minute may keep their connection
ARRIVE_S = 30.0  # from the head of a request to the end of its body
LINGER_S = 5.0  # what comes after a refusal is read and dropped, so that the refusal is heard
STOP_S = 2.0
MAX_HEARD = 256  # refusals already told to the log
GONE = (web.RequestPayloadError, ConnectionError, RuntimeError)  # the last is said of what we cut ourselves
PATH = "/push/"
METHODS = ("POST", "PUT")
KINDS = {b"{": "application/json", b"<": "application/xml"}  # of an answer, by how it begins

log = logging.getLogger(__name__)
NOISE = logging.getLogger(f"{__name__}.noise")  # what is no HTTP at all: answered with 400, and no news
NOISE.setLevel(logging.CRITICAL)


class Settings(Protocol):
    """[push] of the configuration."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def allow(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Push:
    """One body, unpacked. `path`: what followed the link's name. `connected`: can it still be answered?"""

    payload: bytes
    peer: str
    path: str
    headers: Mapping[str, str]
    connected: Callable[[], bool]


class Door(Protocol):
    """A link that counters push to."""

    guard: Guard
    limit_bytes: int

    def check_room(self) -> None:
        """Raises Refusal(503) when nothing can be taken in now."""

    async def take(self, push: Push) -> bytes:
        """The body of our answer, once the push is stored. Raises Refusal."""

    def insists(self, peer: str, body: bytes) -> bool:
        """Has this damaged body been refused often enough?"""

    def count(self, result: str) -> None:
        """One more telegram that no driver saw."""


class Listener:
    """`doors` by link id. `run` keeps the port open until `stop`; `state` is what its links show."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        arrive_s: float = ARRIVE_S,
        idle_s: float = IDLE_S,
        connections: int = MAX_CONNECTIONS,
        backoff: Backoff | None = None,
    ) -> None:
        self.doors: dict[str, Door] = {}
        self.state = LinkState()
        self.address: tuple[str, int] | None = None  # as bound
        pace = clock.simulation.speed if clock.simulation else 1.0  # counters live in real time
        self._arrive_s, self._idle_s, self._connections = arrive_s * pace, idle_s * pace, connections
        self._linger_s = LINGER_S * pace
        self._settings, self._clock, self._backoff = settings, clock, backoff
        self._networks = [ip_network(one) for one in settings.allow]
        self._held = self._strange = 0
        self._running = False
        self._heard: set[tuple[str, str, int, str]] = set()
        self._guests = _Guests()

    async def run(self, stop: asyncio.Event) -> None:
        """For each link; the first opens the port. They stop together."""
        if self._running:
            await stop.wait()
            return
        self._running = True
        await keep(
            lambda: self._attempt(stop), self.state, self._clock, stop, name="push", backoff=self._backoff
        )

    async def _attempt(self, stop: asyncio.Event) -> None:
        """From opening the port to stopping. Raises LinkError."""
        server = _Server(self._respond, self._guests, self._connections, self._idle_s)
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=STOP_S)
        await runner.setup()
        host, port = self._settings.host, self._settings.port
        try:
            await web.TCPSite(runner, host, port, backlog=self._connections).start()
            self.address = runner.addresses[0][:2]
            self.state.opened(self._clock.wall_ms())
            await stop.wait()
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise LinkError(f"{host}:{port}: {'in use by another program' if taken else error}") from None
        finally:
            await runner.cleanup()

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._admit(request)
        except Refusal as refusal:
            self._note(request, refusal.status, refusal.why)
            return await self._refuse(request, refusal)
        except Exception:
            log.exception("a push to %r failed", request.path[:80])
            return await self._refuse(request, Refusal(500, "see the log"))

    async def _refuse(self, request: web.BaseRequest, refusal: Refusal) -> web.Response:
        """Whoever still sends hears it only if we go on reading for a while."""
        response = refusal.response()
        if not request.content.is_eof():
            response.force_close()
            with suppress(TimeoutError, *GONE):
                await response.prepare(request)
                await response.write_eof()
                async with asyncio.timeout(self._linger_s):
                    async for _ in request.content.iter_any():
                        pass
        return response

    async def _admit(self, request: web.BaseRequest) -> web.StreamResponse:
        peer = _address(request)
        if peer is None or (self._networks and not any(peer in one for one in self._networks)):
            raise Refusal(403, "not from your network")
        link, _, path = request.path.removeprefix(PATH).strip("/").partition("/")
        door = self.doors.get(link) if request.path.startswith(PATH) else None
        if door is None:
            raise Refusal(404, "no such link: counters push to /push/LINK")
        if request.method not in METHODS:
            raise Refusal(405, "counters push by POST or PUT", headers={"Allow": ", ".join(METHODS)})
        try:
            door.guard.check(_asked(request))
            return await self._let_in(door, request, str(peer), path)
        except Refusal as refusal:
            if refusal.counted:
                door.count(refusal.counted)
            raise

    async def _let_in(self, door: Door, request: web.BaseRequest, peer: str, path: str) -> web.Response:
        kind = request.headers.get(hdrs.CONTENT_TYPE, "")
        packing = request.headers.get(hdrs.CONTENT_ENCODING, "")
        door.check_room()
        check_kind(kind, packing)
        body = await self._read(request, door)
        door.guard.check_body(_asked(request), body)
        protocol = request.protocol
        try:
            payload = unpack(body, kind, packing, door.limit_bytes)
            headers = {name: value for name, value in request.headers.items() if name.lower() not in SECRET}
            push = Push(payload, peer, path, headers, lambda: protocol.transport is not None)
            self._guests.waiting.add(protocol)
            with self._holding(len(payload)):
                answer = await door.take(push)
        except Refusal as refusal:
            if refusal.status != 422 or not door.insists(peer, body):
                raise
            if refusal.counted:
                door.count(refusal.counted)
            answer = b""
        finally:
            self._guests.served(protocol)
        return web.Response(body=answer, content_type=KINDS.get(answer[:1], "text/plain"))

    @contextmanager
    def _holding(self, size: int) -> Iterator[None]:
        """Raises Refusal(503) when others hold too much already."""
        self._held += size
        try:
            self._check_held(size)
            yield
        finally:
            self._held -= size

    def _check_held(self, own: int) -> None:
        if self._held > HELD_BYTES and self._held > own:
            raise not_now("too much is under way")

    async def _read(self, request: web.BaseRequest, door: Door) -> bytes:
        limit, strange = door.limit_bytes, door.guard.by_body
        if (request.content_length or 0) > limit:
            raise too_large(limit)
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        try:
            async with asyncio.timeout(self._arrive_s):
                async for chunk in request.content.iter_any():
                    body += chunk
                    self._held += len(chunk)
                    self._strange += len(chunk) * strange
                    if len(body) > limit:
                        raise too_large(limit)
                    self._check_held(len(body))
                    if strange and len(body) > SHORT_BYTES and self._strange > STRANGE_BYTES:
                        raise not_now("too much of unknown senders is under way")
        except TimeoutError:
            raise Refusal(408, "the body did not come in time") from None
        except GONE:
            raise Refusal(400, "the body was cut off") from None
        finally:
            self._held -= len(body)
            self._strange -= len(body) * strange
        return bytes(body)

    def _note(self, request: web.BaseRequest, status: int, why: str) -> None:
        """First WARNING, repeats DEBUG: a counter with a wrong password asks every minute.

        Of each link, and of each way not to be known, since behind a proxy all come from one address.
        """
        address = _address(request)
        if address is None:  # it has gone, and our refusal is no news
            return
        peer = str(address)
        link = request.path.removeprefix(PATH).strip("/").partition("/")[0]
        fact = (peer, link if link in self.doors else "", status, why if status == 401 else "")
        log.log(
            logging.DEBUG if fact in self._heard else logging.WARNING,
            "a push from %s to %r is refused: %d %s",
            peer,
            request.path[:80],
            status,
            why,
        )
        if len(self._heard) >= MAX_HEARD:
            self._heard.clear()
        self._heard.add(fact)


SECRET = frozenset({"authorization", "authentication", "proxy-authorization", "cookie"})


def _address(request: web.BaseRequest) -> IPv4Address | IPv6Address | None:
    """Of the other side; None when it has gone."""
    peer = request.protocol.peername
    if not isinstance(peer, tuple):
        return None
    address = ip_address(str(peer[0]).partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _asked(request: web.BaseRequest) -> Asked:
    return Asked(
        request.method,
        request.raw_path,
        request.headers.get(hdrs.AUTHORIZATION, ""),
        request.query,
        request.headers.get("Authentication", ""),
        request.headers,
    )


@dataclass(slots=True)
class _Guests:
    """`waiting` for a commit: never cut. `known`: have brought something before."""

    waiting: set[web.RequestHandler] = field(default_factory=set)
    known: set[web.RequestHandler] = field(default_factory=set)

    def served(self, guest: web.RequestHandler) -> None:
        self.waiting.discard(guest)
        if guest.transport is not None:
            self.known.add(guest)

    def left(self, guest: web.RequestHandler) -> None:
        self.waiting.discard(guest)
        self.known.discard(guest)


class _Server(web.Server):
    """Holds no more connections than it can bear."""

    def __init__(self, respond: Any, guests: _Guests, most: int, idle_s: float) -> None:
        super().__init__(
            respond,
            keepalive_timeout=idle_s,
            lingering_time=0,
            read_bufsize=READ_BYTES,
            max_headers=HEADERS,
            max_field_size=HEADER_BYTES,
            auto_decompress=False,
            access_log=None,
            logger=NOISE,
        )
        self._guests, self._most = guests, most

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Beyond the bound the oldest goes that has brought nothing yet; then the oldest of the others."""
        super().connection_made(handler, transport)
        held = [one for one in self.connections if one.transport is not None]
        if len(held) > self._most:
            idle = [one for one in held if one not in self._guests.waiting]
            min(idle, key=self._guests.known.__contains__, default=handler).force_close()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._guests.left(handler)
