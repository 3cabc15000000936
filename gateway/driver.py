"""The driver seam: what a counter family is, and how the core finds it.

A driver is pure: bytes or messages in, items out; for asked-and-answered devices also what to ask next. It
never opens, waits, retries or looks at a clock. Laws for every family
(`tests/contracts/test_driver_laws.py`): never raises for any bytes; the same items however a stream is cut;
held memory bounded by a named constant; the next intact frame is found after garbage; out-of-range numbers
are `damaged: sanity`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import metadata
from typing import Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict

from gateway.errors import BrokenDriver, UnknownDriver
from gateway.model import Basis, Item, Resets

ENTRY_POINTS = "counter_gateway.drivers"


class Side(StrEnum):
    """Whose bytes a tap hears."""

    DEVICE = "device"
    HOST = "host"


class Options(BaseModel):
    """Base of a family's options: unknown keys are errors; every field has a description and a unit."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class LineOptions(Options):
    """Base of the options of one line of a counter."""


@dataclass(frozen=True, slots=True)
class Site:
    """What a driver may know about the place: device-local times are read in this zone."""

    timezone: str = "UTC"
    currency: str = "XXX"


@dataclass(frozen=True, slots=True)
class Device:
    """One configured counter or till as its driver sees it. Without a configuration: all defaults.

    `lines` maps our line names to the family's LineOptions; it is empty when nothing is configured, and
    then the driver reports every line it finds under the device's own name.
    """

    options: Options
    lines: Mapping[str, LineOptions] = field(default_factory=dict)
    site: Site = Site()
    shared: Mapping[str, Mapping[str, object]] = field(
        default_factory=dict
    )  # top-level tables, e.g. [mapping]
    over: str = ""  # the kind of link that carries it


@dataclass(frozen=True, slots=True)
class Message:
    """One payload at a time: MQTT, HTTP push."""

    payload: bytes
    at_ms: int  # receipt; for disambiguating local times, never a count's own time
    topic: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    retained: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What to say to a bus. `end` tells from the bytes received so far whether the reply is whole.

    `named`: the reply itself tells whose it is and what it answers, and `end` waits past all others; a late
    reply to something else then does no harm, and the link need not ask twice to find out.
    """

    payload: bytes
    timeout_ms: int
    end: Callable[[bytes], bool]
    named: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """What to ask over HTTP; `path` is relative to the link's `url` and may carry a query."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_ms: int = 10_000

    @property
    def line(self) -> bytes:
        """How transcripts and `Pull.answer` write it: `GET /path`."""
        return f"{self.method} {self.path}".encode()


@dataclass(frozen=True, slots=True)
class Response:
    """`data` is None when nothing whole came within the time-out, nor, over HTTP, an answer of use.

    Over HTTP `status` is what was answered (0: nothing; 304: as before) and `headers` have lower-case names.
    """

    data: bytes | None
    at_ms: int
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)


class Stream(Protocol):
    """Unsolicited bytes: serial, TCP; a tap on a line has two sides.

    One that could take the halves of two telegrams for one may also offer `reopened(side)`: that port is
    opened anew, and what is held of a telegram has no end.
    """

    def feed(self, data: bytes, at_ms: int, side: Side = Side.DEVICE) -> Iterable[Item]: ...


class Messages(Protocol):
    def decode(self, message: Message) -> Iterable[Item]: ...


class Exchange(Protocol):
    """Ask and answer. `poll` yields requests and returns items; `answer` reads one pair (transcripts)."""

    def poll(self, now_ms: int) -> Generator[Request, Response, Iterable[Item]]: ...

    def answer(self, request: bytes, response: Response) -> Iterable[Item]: ...


class Pull(Protocol):
    """As an Exchange, over HTTP; `answer` gets the question as `GET /path`."""

    def poll(self, now_ms: int) -> Generator[Fetch, Response, Iterable[Item]]: ...

    def answer(self, request: bytes, response: Response) -> Iterable[Item]: ...


class Recall(Protocol):
    """A driver whose device remembers: what it counted on `[from, to)`, asked over HTTP.

    One whose device tells only whole pieces also has `told_at(end_ms)`: the end of the piece in which a gap
    ends. Earlier the gap is not asked for.
    """

    def recall(self, from_ms: int, to_ms: int) -> Generator[Fetch, Response, Iterable[Item]]: ...


Driver: TypeAlias = Stream | Messages | Exchange | Pull


class Kind(StrEnum):
    STREAM = "stream"
    MESSAGES = "messages"
    EXCHANGE = "exchange"


@dataclass(frozen=True, slots=True)
class Match:
    """Which of a family's lines belongs to which configured line, when the payload itself must tell.

    `counter`: the device id a payload must carry (None: any). `lines`: device line name → our line name
    (empty: the counter has one line and adopts the first device line it hears).
    """

    counter: str | None = None
    lines: Mapping[str, str] = field(default_factory=dict)


def own_topic(device: Device) -> Sequence[str]:
    """The filter that the device's options name as its `topic`, if they do."""
    topic = getattr(device.options, "topic", None)
    return (topic,) if topic else ()


@dataclass(frozen=True, slots=True)
class Family:
    """A counter family: everything the core knows about a kind of device."""

    name: str
    summary: str
    kind: Kind
    over: frozenset[str]  # links that can carry it: serial, tcp, mqtt, push, pull, folder
    options: type[Options]
    line_options: type[LineOptions]
    open: Callable[[Device], Driver]
    match: Callable[[Device], Match]
    basis: Basis
    resets: Resets = Resets.POWER
    topics: Callable[[Device], Sequence[str]] = own_topic  # MQTT filters this device needs
    explain: Callable[[Device, Message], Iterable[tuple[str, str, bool]]] | None = None  # path, value, used
    # What is wrong with a body that did damage or was passed over: (path, why), and no value of it.
    faults: Callable[[Device, Message], Iterable[tuple[str, str]]] | None = None
    # Of a body that nobody understands: its format, and each path (`[*]` for lists) with its first value.
    outline: Callable[[bytes], tuple[str, Iterable[tuple[str, object]]] | None] | None = None
    basis_of: Callable[[Device], Basis] | None = None  # where the options decide it (mapping)
    resets_of: Callable[[Device], Resets] | None = None
    answer: bytes = b""  # the body of "stored" to a push, where the maker's document demands one
    reads_lines: bool = False  # its decoder looks at the lines: only counters of equal lines share one
    # What only the whole device can tell (a mapping named that is not there): `key: sentence`, at check time.
    problems: Callable[[Device], Sequence[str]] = lambda _device: ()

    def basis_for(self, device: Device) -> Basis:
        """What a line of this device counts by unless its `basis` says otherwise."""
        return self.basis_of(device) if self.basis_of else self.basis

    def resets_for(self, device: Device) -> Resets:
        """When this device's registers restart by themselves."""
        return self.resets_of(device) if self.resets_of else self.resets


@cache
def _installed() -> Mapping[str, metadata.EntryPoint]:
    """Where each family is found. A look reads what every installed package says of itself: one is enough."""
    return {point.name: point for point in metadata.entry_points(group=ENTRY_POINTS)}


def family_names() -> list[str]:
    """Names of all installed families, sorted."""
    return sorted(_installed())


def load_family(name: str) -> Family:
    """The family `name`. Raises UnknownDriver, naming the known ones, and BrokenDriver."""
    point = _installed().get(name)
    if point is None:
        raise UnknownDriver(f"unknown driver {name!r}; known: {', '.join(family_names())}")
    try:
        family: Family = point.load()
    except Exception as error:  # somebody else's package: whatever it raises is its own
        raise BrokenDriver(f"driver {name} cannot be loaded: {type(error).__name__}: {error}") from error
    return family


def families() -> tuple[list[Family], list[str]]:
    """All installed families by name; and of those that cannot be loaded, why."""
    sound, broken = [], []
    for name in family_names():
        try:
            sound.append(load_family(name))
        except BrokenDriver as error:
            broken.append(str(error))
    return sound, broken
