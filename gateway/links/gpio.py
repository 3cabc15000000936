"""Dry contacts: lines of a GPIO chip, or the modem lines of a serial port, told to drivers as text.

The text is that of `drivers/pulse`: `CONTACT WHAT MS`, a line for each edge, level and loss. Contacts have no
memory, so the first word after each opening is that nobody watched until now.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import serial

from gateway.clock import Clock
from gateway.driver import Stream
from gateway.errors import LinkError
from gateway.links.ingest import Ingest
from gateway.links.serial import exclude_others
from gateway.links.supervise import Backoff, LinkState, keep
from gateway.links.turns import Source

BEAT_S = 1.0  # levels are looked up this often: a sign of life, and the end of the last pulse
KERNEL_EVENTS = 1024  # edges the kernel keeps for us
MODEM = {
    "cts": (termios.TIOCM_CTS, 0),
    "dsr": (termios.TIOCM_DSR, 1),
    "ri": (termios.TIOCM_RI, 2),
    "dcd": (termios.TIOCM_CD, 3),
}  # contact → its bit of TIOCMGET, its place among the counts of TIOCGICOUNT (linux/serial.h)
COUNTS = struct.Struct("20i")
MOST_AHEAD = 2  # edges of one pulse


class GpioSettings(Protocol):
    """Either a chip or a port. `poll_s`: how often modem lines are looked at."""

    @property
    def chip(self) -> str | None: ...
    @property
    def port(self) -> str | None: ...
    @property
    def bias(self) -> Literal["pull-up", "pull-down", "none"] | None: ...
    @property
    def poll_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Edge:
    """`lost`: edges of this contact before this one that were not seen; then this is but a level."""

    contact: str
    closed: bool
    at_ms: int
    lost: int = 0


class Contacts(Protocol):
    """Opened contacts. Every method raises OSError when they are gone."""

    fd: int | None  # readable when there are edges; None: look every `poll_s`

    def levels(self) -> dict[str, bool]: ...
    def edges(self) -> list[Edge]:
        """Those since the last call, oldest first; never waits."""

    def close(self) -> None: ...


Now = Callable[[], int]  # ms of the clock that dates edges
Opener = Callable[[GpioSettings, Sequence[str], Now], Contacts]


def open_contacts(settings: GpioSettings, names: Sequence[str], now_ms: Now) -> Contacts:
    """Raises LinkError or OSError."""
    if settings.port is not None:
        return ModemLines(settings.port, names, now_ms)
    return ChipLines(settings.chip or "", settings.bias, names)


class GpioLink:
    """`run` keeps the contacts open until `stop`; `state` is what health shows."""

    def __init__(
        self,
        id: str,  # noqa: A002
        options: GpioSettings,
        sources: Sequence[Source],
        clock: Clock,
        ingest: Ingest,
        *,
        opener: Opener = open_contacts,
        backoff: Backoff | None = None,
    ) -> None:
        self.id, self.options = id, options
        self.state = LinkState()
        self._clock, self._ingest, self._backoff, self._open = clock, ingest, backoff, opener
        self._sources = sources
        wanted = (name for source in sources for name in getattr(source.driver, "contacts", ()))
        self._names = tuple(dict.fromkeys(wanted))

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set; every failure in between is retried with back-off."""
        await keep(
            lambda: self._attempt(stop), self.state, self._clock, stop, name=self.id, backoff=self._backoff
        )

    async def _attempt(self, stop: asyncio.Event) -> None:
        """From opening the contacts to losing them. Raises LinkError."""
        contacts = self._open(self.options, self._names, _now_ms)
        try:
            self._tell([f"{name} !0 {_now_ms()}" for name in self._names] + _beat(contacts))
            self.state.opened(self._clock.wall_ms())
            await self._watch(contacts, stop)
        except OSError as error:
            raise LinkError(f"{self.options.port or self.options.chip}: {error}") from None
        finally:
            with suppress(OSError):
                contacts.close()

    async def _watch(self, contacts: Contacts, stop: asyncio.Event) -> None:
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        stopper = loop.create_task(stop.wait())
        stopper.add_done_callback(lambda _: woken.set())
        if contacts.fd is not None:
            loop.add_reader(contacts.fd, woken.set)
        beat_at = loop.time() + BEAT_S
        try:
            while not stop.is_set():
                look_at = beat_at if contacts.fd is not None else loop.time() + self.options.poll_s
                timer = loop.call_at(look_at, woken.set)
                await woken.wait()
                timer.cancel()
                woken.clear()
                lines = _edges(contacts)
                if not lines and loop.time() >= beat_at:
                    lines = _beat(contacts)
                    beat_at = loop.time() + BEAT_S
                self._tell(lines)
        finally:
            stopper.cancel()
            if contacts.fd is not None:
                loop.remove_reader(contacts.fd)

    def _tell(self, lines: Iterable[str]) -> None:
        data = "".join(f"{line}\n" for line in lines).encode()
        if not data:
            return
        stamp = self._clock.stamp()
        for source in self._sources:
            items = list(cast("Stream", source.driver).feed(data, stamp.wall_ms))
            if items:
                self._ingest.deliver(self.id, source, items, stamp)


def _now_ms() -> int:
    """Of the loop's clock, which is the one that the kernel dates edges by."""
    return int(asyncio.get_running_loop().time() * 1000)


def _levels(contacts: Contacts) -> list[str]:
    return [f"{name} ={int(closed)} {_now_ms()}" for name, closed in contacts.levels().items()]


def _edges(contacts: Contacts) -> list[str]:
    """What was lost is told first, and then the level is no edge but looked up."""
    lines = []
    for edge in contacts.edges():
        if edge.lost:
            lines.append(f"{edge.contact} !{edge.lost} {edge.at_ms}")
        lines.append(f"{edge.contact} {'=' if edge.lost else ''}{int(edge.closed)} {edge.at_ms}")
    return lines


def _beat(contacts: Contacts) -> list[str]:
    """The levels, unless something moved while they were looked up: then that comes first."""
    levels = _levels(contacts)
    return _edges(contacts) or levels


class ChipLines:
    """Lines of a GPIO character device, through gpiod. A contact is an offset or the name of a line."""

    def __init__(self, chip: str, bias: str | None, names: Sequence[str]) -> None:
        gpiod = _gpiod()
        line = gpiod.line
        biases = {
            None: line.Bias.AS_IS,
            "pull-up": line.Bias.PULL_UP,
            "pull-down": line.Bias.PULL_DOWN,
            "none": line.Bias.DISABLED,
        }
        settings = gpiod.LineSettings(
            direction=line.Direction.INPUT,
            edge_detection=line.Edge.BOTH,
            bias=biases[bias],
            debounce_period=timedelta(0),
            event_clock=line.Clock.MONOTONIC,
        )
        self._active, self._rising = line.Value.ACTIVE, gpiod.EdgeEvent.Type.RISING_EDGE
        with gpiod.Chip(chip) as opened:
            self._names = {_offset(opened, chip, name): name for name in names}
            self._request = opened.request_lines(
                config=dict.fromkeys(self._names, settings),
                consumer="counter-gateway",
                event_buffer_size=KERNEL_EVENTS,
            )
        self._told = dict.fromkeys(self._names, 0)  # offset → number of the last edge
        self.fd: int | None = self._request.fd

    def levels(self) -> dict[str, bool]:
        values = self._request.get_values(list(self._names))
        return {name: value == self._active for name, value in zip(self._names.values(), values, strict=True)}

    def edges(self) -> list[Edge]:
        if not self._request.wait_edge_events(timedelta(0)):
            return []
        return [self._edge(event) for event in self._request.read_edge_events()]

    def _edge(self, event: Any) -> Edge:
        """The kernel numbers the edges of each line from 1: a hole is what its queue could not hold."""
        lost = event.line_seqno - self._told[event.line_offset] - 1
        self._told[event.line_offset] = event.line_seqno
        closed = event.event_type is self._rising
        return Edge(self._names[event.line_offset], closed, event.timestamp_ns // 1_000_000, max(0, lost))

    def close(self) -> None:
        self._request.release()


def _gpiod() -> Any:
    try:
        import gpiod
    except ImportError:
        raise LinkError(
            "lines of a chip need the package gpiod: venv/bin/pip install 'gpiod>=2.1,<3'"
        ) from None
    return gpiod


def _offset(chip: Any, path: str, name: str) -> int:
    try:
        return int(chip.line_offset_from_id(int(name) if name.isdecimal() else name))
    except (OSError, ValueError):
        raise LinkError(f"{path}: no line {name}") from None


class ModemLines:
    """CTS, DSR, RI and DCD of a serial port; RTS and DTR are raised to feed the contacts.

    The kernel counts edges where the port's driver can (TIOCGICOUNT): more of them than the level shows were
    too short to be seen. Where it cannot, a pulse shorter than `poll_s` is not noticed. Of RI it counts one
    direction only, and USB adapters tell their counts after their levels: counts prove losses, never rest.
    """

    fd: int | None = None

    def __init__(self, port: str, names: Sequence[str], now_ms: Now) -> None:
        strange = [name for name in names if name not in MODEM]
        if strange:
            raise LinkError(f"{port}: no contact {strange[0]}: a port has cts, dsr, ri and dcd")
        self._names, self._now_ms = names, now_ms
        try:
            self._port = serial.Serial(port, timeout=0, exclusive=True)
        except (OSError, ValueError, termios.error) as error:
            gone = not Path(port).exists()
            raise LinkError(f"{port}: {'no such port' if gone else error}") from None
        exclude_others(self._port.fileno())
        try:
            self._was = self.levels()
        except OSError:
            self._port.close()
            raise LinkError(f"{port}: this port has no modem lines") from None
        self._counted = self._counts()
        self._ahead = dict.fromkeys(names, 0)  # edges seen that the kernel has not counted (yet)

    def levels(self) -> dict[str, bool]:
        bits = struct.unpack("i", fcntl.ioctl(self._port.fileno(), termios.TIOCMGET, bytes(4)))[0]
        return {name: bool(bits & MODEM[name][0]) for name in self._names}

    def edges(self) -> list[Edge]:
        counted, levels, now_ms = self._counts(), self.levels(), self._now_ms()
        edges = [
            edge
            for name in self._names
            if (edge := self._edge(name, levels[name], counted, now_ms)) is not None
        ]
        self._was, self._counted = levels, counted
        return edges

    def _edge(self, name: str, closed: bool, counted: tuple[int, ...] | None, now_ms: int) -> Edge | None:
        changed = closed is not self._was[name]
        place = MODEM[name][1]
        told = counted[place] - self._counted[place] if counted and self._counted else 0
        ahead = self._ahead[name] + changed - told
        self._ahead[name] = min(max(ahead, 0), MOST_AHEAD)
        return Edge(name, closed, now_ms, told if ahead < 0 else 0) if changed or ahead < 0 else None

    def _counts(self) -> tuple[int, ...] | None:
        """Edges since the port came up, by place; None where its driver does not count."""
        try:
            raw = fcntl.ioctl(self._port.fileno(), termios.TIOCGICOUNT, bytes(COUNTS.size))
        except OSError:
            return None
        return COUNTS.unpack(raw)[:4]

    def close(self) -> None:
        with suppress(OSError, termios.error):
            self._port.close()
