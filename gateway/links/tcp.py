"""Devices behind a TCP port: they are asked in turn or speak unasked, as on a serial line."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import LinkError, unreached
from gateway.links.bytelink import ByteLink
from gateway.links.ingest import Ingest
from gateway.links.port import Opened, Port
from gateway.links.supervise import Backoff
from gateway.links.turns import Source

DIAL_S = 10.0
IDLE_S, PROBE_S, PROBES = 30, 10, 3  # a silent connection is probed, and given up after a minute
UNHEARD_MS = 30_000  # what the other side has not acknowledged by then it will never hear


class TcpSettings(Protocol):
    """Where to, and how often a device there is asked."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def poll_s(self) -> float: ...


class TcpLink(ByteLink):
    """One connection, dialled anew when it is lost."""

    def __init__(
        self,
        id: str,  # noqa: A002
        options: TcpSettings,
        sources: Sequence[Source],
        clock: Clock,
        ingest: Ingest,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(id, sources, clock, ingest, poll_s=options.poll_s, backoff=backoff)
        self._options = options

    async def _open(self) -> Port:
        host, port = self._options.host, self._options.port
        sock = await dial(host, port)
        return Port(Opened(f"tcp://{host}:{port}", sock.fileno(), sock.close), self._unasked)


async def dial(host: str, port: int) -> socket.socket:
    """A connected, non-blocking socket that notices when the other side vanishes. Raises LinkError."""
    loop = asyncio.get_running_loop()
    problem: Exception = OSError("no address")
    try:
        async with asyncio.timeout(DIAL_S):
            for family, kind, number, _, address in await loop.getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            ):
                try:
                    return await _connected(socket.socket(family, kind, number), address)
                except OSError as error:
                    problem = error
    except OSError as error:
        problem = error if str(error) else TimeoutError(f"no answer for {DIAL_S:g} s")
    raise LinkError(unreached(host, port, problem))


async def _connected(sock: socket.socket, address: tuple[object, ...]) -> socket.socket:
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            ("TCP_KEEPIDLE", IDLE_S),
            ("TCP_KEEPINTVL", PROBE_S),
            ("TCP_KEEPCNT", PROBES),
            ("TCP_USER_TIMEOUT", UNHEARD_MS),
        ):
            with suppress(AttributeError, OSError):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    except BaseException:
        sock.close()
        raise
    return sock
