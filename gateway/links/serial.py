"""Serial ports: on this machine by their device, behind a server on the network by `socket://` or `rfc2217://`."""

from __future__ import annotations

import asyncio
import fcntl
import os
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import serial

from gateway.clock import Clock
from gateway.driver import Side
from gateway.errors import LinkError
from gateway.links.bytelink import ByteLink
from gateway.links.ingest import Ingest
from gateway.links.port import Opened, Port
from gateway.links.rfc2217 import Rfc2217
from gateway.links.supervise import Backoff, LinkState
from gateway.links.tcp import dial
from gateway.links.turns import Source

PTY_MAJORS = range(136, 144)  # Linux, devices.txt
QUIET_CHARACTERS = 4  # Modbus tells frames apart by 3.5
AGREE_S = 5.0  # a server must have accepted our settings by then
SIZES = {5: termios.CS5, 6: termios.CS6, 7: termios.CS7, 8: termios.CS8}
_CFLAG, _CC = 2, 6  # places in what tcgetattr gives


class SerialSettings(Protocol):
    """What a serial link is told: one `port`, or the two sides of a tap."""

    @property
    def port(self) -> str | None: ...
    @property
    def port_till(self) -> str | None: ...
    @property
    def port_unit(self) -> str | None: ...
    @property
    def baudrate(self) -> int: ...
    @property
    def bytesize(self) -> int: ...
    @property
    def parity(self) -> str: ...
    @property
    def stopbits(self) -> float: ...
    @property
    def poll_s(self) -> float: ...
    @property
    def quiet_s(self) -> float | None: ...  # None: four characters
    @property
    def echo(self) -> bool: ...
    @property
    def resets_on_open(self) -> bool: ...


class SerialLink(ByteLink):
    """One port, by default `options.port`, resolved anew at each opening."""

    def __init__(
        self,
        id: str,  # noqa: A002
        options: SerialSettings,
        sources: Sequence[Source],
        clock: Clock,
        ingest: Ingest,
        *,
        port: str | None = None,
        side: Side = Side.DEVICE,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(
            id,
            sources,
            clock,
            ingest,
            poll_s=options.poll_s,
            quiet_s=_quiet_s(options),
            echo=options.echo,
            resets_on_open=options.resets_on_open,
            side=side,
            backoff=backoff,
        )
        self._options, self._path = options, port or options.port or ""

    async def _open(self) -> Port:
        port = Port(await _opened(self._path, self._options), self._unasked)
        try:
            await port.agree(AGREE_S)
        except BaseException:
            port.close()
            raise
        return port


class Tap:
    """Two ears on one line, till and unit, each kept open by itself; both feed the same drivers."""

    def __init__(
        self,
        id: str,  # noqa: A002
        options: SerialSettings,
        sources: Sequence[Source],
        clock: Clock,
        ingest: Ingest,
        *,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self.id = id
        ears = ((options.port_till, Side.HOST), (options.port_unit, Side.DEVICE))
        self._links = [
            SerialLink(id, options, sources, clock, ingest, port=port, side=side, backoff=backoff())
            for port, side in ears
            if port
        ]

    @property
    def state(self) -> LinkState:
        """Up when both are; the error is the first one's that has any."""
        states = [link.state for link in self._links]
        return LinkState(
            up=all(state.up for state in states),
            since_ms=max(state.since_ms for state in states),
            error=next((state.error for state in states if state.error), ""),
            attempts=max(state.attempts for state in states),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set."""
        await asyncio.gather(*(link.run(stop) for link in self._links))


def _quiet_s(options: SerialSettings) -> float:
    """As configured, or so many characters' time."""
    if options.quiet_s is not None:
        return options.quiet_s
    bits = 1 + options.bytesize + (options.parity != "N") + options.stopbits
    return QUIET_CHARACTERS * bits / options.baudrate


async def _opened(path: str, settings: SerialSettings) -> Opened:
    """Raises LinkError in words."""
    if "://" not in path:
        port = _device(path, settings)
        return Opened(path, port.fileno(), port.close)
    url = urlsplit(path)
    sock = await dial(url.hostname or "", url.port or 0)
    envelope = Rfc2217(settings) if url.scheme == "rfc2217" else None
    return Opened(path, sock.fileno(), sock.close, envelope)


def _device(path: str, settings: SerialSettings) -> serial.Serial:
    try:
        port = serial.Serial(
            os.path.realpath(path),
            baudrate=settings.baudrate,
            bytesize=settings.bytesize,
            parity=settings.parity,
            stopbits=settings.stopbits,
            timeout=0,
            exclusive=True,
        )
    except (OSError, ValueError, termios.error) as error:
        raise LinkError(_why(path, settings, error)) from None
    try:
        _tune(port.fileno(), path, settings)
    except (OSError, termios.error) as error:
        port.close()
        raise LinkError(_why(path, settings, error)) from None
    except LinkError:
        port.close()
        raise
    return port


def _tune(fd: int, path: str, settings: SerialSettings) -> None:
    """What pyserial leaves: reading nothing means the end, others are kept out, settings did take effect."""
    attributes = termios.tcgetattr(fd)
    attributes[_CC][termios.VMIN], attributes[_CC][termios.VTIME] = 1, 0
    if settings.resets_on_open:
        attributes[_CFLAG] &= ~termios.HUPCL  # closing leaves DTR alone, so that the next opening is no edge
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    parity = bool(attributes[_CFLAG] & termios.PARENB)
    if parity is (settings.parity == "N") or attributes[_CFLAG] & termios.CSIZE != SIZES[settings.bytesize]:
        raise LinkError(_unable(path, settings))
    exclude_others(fd)


def exclude_others(fd: int) -> None:
    """flock stops the polite only; TIOCEXCL the kernel enforces.

    A pseudo-terminal would keep it after our death, for as long as its other end is open, and shut us out.
    """
    if os.major(os.fstat(fd).st_rdev) not in PTY_MAJORS:
        with suppress(OSError):
            fcntl.ioctl(fd, termios.TIOCEXCL)


def _unable(path: str, settings: SerialSettings) -> str:
    framing = f"{settings.bytesize}{settings.parity}{settings.stopbits:g}"
    return f"{path}: this port does not do {framing} (a pseudo-terminal does 8N1 only)"


def _why(path: str, settings: SerialSettings, error: Exception) -> str:
    if not Path(path).exists():
        return f"{path}: no such port"
    if error.args[:1] == (22,) and isinstance(error, termios.error):
        return _unable(path, settings)
    busy = getattr(error, "errno", None) in (11, 16) or "exclusively lock" in str(error)
    return f"{path}: in use by another program" if busy else f"{path}: {error}"
