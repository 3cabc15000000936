"""The nouns everything else is made of.

Instants are `int` milliseconds since the Unix epoch, UTC (`_ms`). Counts are `int` persons, never negative.
A driver's item names the *device's own* id and line; the roster turns them into configured ones.
An instant of `None` means that the device gave no time: the core stamps the moment of receipt.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

MAX_COUNT = 10**9  # persons in one reading; more is damage, and products stay below 2**63
MAX_MONEY_MINOR = 10**12
MAX_INTERVAL_MS = 2_678_400_000  # 31 days
MAX_MS = 253_402_300_800_000  # the year 10000: no instant that is entered or asked for lies there
SIZES_S = (60, 300, 900, 1800, 3600)  # lengths a window may have
MAIN_LINE = "main"
UNKNOWN_CURRENCY = "XXX"  # of ISO 4217: none was named
DEVICE = "device"  # the counter's name when a device has no id of its own


# what becomes of a telegram: the `result` label of footfall_telegrams_total
RESULTS = (
    "ok",
    "damaged",
    "ignored",
    "unknown_counter",
    "duplicate",
    "future",
    "ancient",
    "too_large",
    "unsigned",
    "poison",
)


def line_ref(counter: str, line: str) -> str:
    """A line as zones write it: `counter` for the main one, else `counter/line`."""
    return counter if line == MAIN_LINE else f"{counter}/{line}"


class Basis(StrEnum):
    """What a line counts by; the other kinds a device sends are checks and never counted."""

    DELTA = "delta"
    TOTAL = "total"
    EVENT = "event"


class TimeQuality(StrEnum):
    """Where a reading's time comes from, best first."""

    DEVICE = "device"
    GATEWAY = "gateway"
    RESTAMPED = "restamped"
    BOUNDED = "bounded"
    UNTRUSTED = "untrusted"

    @property
    def rank(self) -> int:
        """0 is the best; a window has the worst rank of its readings."""
        return list(TimeQuality).index(self)


@dataclass(frozen=True, slots=True)
class Interval:
    """Half-open `[start_ms, end_ms)`."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Crossings:
    """A delta over an interval, or an event at an instant: persons that crossed one line.

    `start_ms`/`end_ms` both `None`: no device time (an event at receipt). For an event `end_ms` is
    `start_ms + 1`. One of `ins`/`outs` may be absent; `passes` where the device knows no direction.
    """

    counter: str
    line: str
    start_ms: int | None
    end_ms: int | None
    ins: int | None = None
    outs: int | None = None
    passes: int | None = None
    key: str | None = None
    basis: Basis = Basis.DELTA
    growing: bool = False  # a running interval whose later, longer copies replace the earlier ones
    unwatched: bool = False  # zeros that the device makes up for a time when it did not look


@dataclass(frozen=True, slots=True)
class Register:
    """An odometer. `modulus` is the value at which it returns to `restart` (None: not known)."""

    counter: str
    line: str
    at_ms: int | None
    total_in: int | None = None
    total_out: int | None = None
    total_passes: int | None = None
    key: str | None = None
    epoch: str = ""  # changes with the device's serial number, address, channel or width
    modulus: int | None = None
    restart: int = 0


@dataclass(frozen=True, slots=True)
class Transactions:
    """Receipts of one till. `start_ms` + 1 = `end_ms` for a single sale; both None: no device time."""

    till: str
    start_ms: int | None
    end_ms: int | None
    sales: int = 0
    returns: int = 0
    amount_minor: int = 0
    currency: str | None = None
    key: str | None = None
    basis: Basis = Basis.DELTA
    growing: bool = False
    once: bool = False  # its key alone names it: told again with another time, it keeps the first


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Persons inside, from a device that only knows a level."""

    counter: str
    line: str
    at_ms: int | None
    persons: int


class DeviceState(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Status:
    """What a device says of itself: a blocked beam looks like "no customers"."""

    counter: str
    at_ms: int | None
    state: DeviceState
    detail: str = ""


class DamageReason(StrEnum):
    LENGTH = "length"
    CHECKSUM = "checksum"
    SYNTAX = "syntax"
    SANITY = "sanity"


@dataclass(frozen=True, slots=True)
class Damaged:
    """Bytes that were noise: a value, not an exception."""

    reason: DamageReason
    bytes: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that is well-formed and not a count: a test, a heartbeat, an unknown record."""

    reason: str


Reading: TypeAlias = Crossings | Register | Transactions | Occupancy
Item: TypeAlias = Reading | Status | Damaged | Ignored


@dataclass(frozen=True, slots=True)
class Stamp:
    """The moment of receipt: which boot, its monotonic clock, the wall clock and whether to believe it."""

    boot: str
    mono_ms: int
    wall_ms: int
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """One rendered upstream event; `body` is the CloudEvent.

    It tells of the window (zone, size_s, start_ms), or of the alarm of that number, begun at `start_ms`.
    """

    zone: str
    size_s: int
    start_ms: int
    revision: int
    id: str
    body: dict[str, object]
    replayed: bool = False
    alarm: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receiver's answer. Ids in neither set were kept: they go again later."""

    accepted: frozenset[str] = frozenset()
    rejected: dict[str, str] = field(default_factory=dict)  # id → reason
    retry_after_s: float | None = None
    why_kept: str = ""  # "" when nothing was kept
    misconfigured: bool = False  # the operator must act: slow retry, alarm
    suspects: frozenset[str] = frozenset()  # kept: refused alone, but nothing else was accepted to show why


class Resets(StrEnum):
    """When a register returns to its restart value by itself."""

    NEVER = "never"
    POWER = "power"
    DAILY = "daily"


@dataclass(frozen=True, slots=True)
class LineRule:
    """How one configured line (or till) is counted. A till is a line of kind "till" named "main"."""

    counter: str  # counter id or till id
    line: str
    till: bool = False
    basis: Basis = Basis.DELTA
    max_per_s: float = 5.0  # physical limit of a register's difference; 0 = off
    down: bool = False  # counts = "down"
    resets: Resets = Resets.POWER
    polled: bool = False  # ordered by (boot, monotonic) and stamped by us
    expect_s: float | None = None  # longest silence that still counts as watched; None: nothing watches

    @property
    def ref(self) -> str:
        return line_ref(self.counter, self.line)


class Role(StrEnum):
    ENTRANCE = "entrance"
    PASSING = "passing"
    TILL = "till"
    STAFF = "staff"  # who crosses inwards here works in the zone: no visitor


@dataclass(frozen=True, slots=True)
class Member:
    """One line or till of a zone; `sign` -1 is the same line seen from the other side."""

    counter: str
    line: str
    role: Role
    sign: int = 1


@dataclass(frozen=True, slots=True)
class ZoneSpec:
    """What lines enclose. `open_spans` is asked of `windows.open_ms` with these weekly hours."""

    id: str
    kind: str
    members: tuple[Member, ...]
    parent: str | None = None
    was: tuple[str, ...] = ()
    name: str = ""
    staff_a_day: tuple[int, ...] = ()  # entries of staff by weekday from Monday; (): no roster
    group: float | None = None  # persons who buy together


@dataclass(frozen=True, slots=True)
class Delivery:
    """What names one MQTT message until it is acknowledged (semantics 8).

    `round` counts the answered pings of its connection: they tell when the broker has our acknowledgement.
    """

    session: int
    mid: int
    digest: bytes
    dup: bool
    round: int = 0


@dataclass(frozen=True, slots=True)
class Booking:
    """A reading that the roster has given to a configured line, already oriented (in is in)."""

    counter: str
    line: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class Adopted:
    """The device line that became the only line of a counter whose configuration names none.

    `origin` says where the device is heard: another origin is another device, which may name its lines anew.
    """

    counter: str
    origin: str
    line: str


@dataclass(slots=True)
class Parcel:
    """One message or one poll: recorded whole or not at all."""

    link: str
    stamp: Stamp
    bookings: list[Booking]
    heard: tuple[str, ...] = ()  # counters that gave a sign of life without a count (status, heartbeat)
    delivery: Delivery | None = None
    payload_sha256: str = ""  # filled only when the parcel proves to be poison
    adopted: Sequence[Adopted] = ()


class EntryKind(StrEnum):
    """What people enter: a bag seen or not, persons counted by hand, what tallies say, a campaign."""

    TAP = "tap"
    TALLY = "tally"
    ACCEPTANCE = "acceptance"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True)
class Entry:
    """What somebody entered, under an id that their client made: the same again is the same entry.

    `subject`: the zone or line it is about ("" for a campaign, whose zones are in `content`).
    """

    kind: EntryKind
    id: str
    subject: str
    start_ms: int
    end_ms: int
    content: Mapping[str, Any]  # plain JSON values
    by: str = ""
    entered_ms: int = 0
    withdrawn_ms: int | None = None


COMMIT_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(slots=True)
class Histogram:
    """Seconds in buckets. Written by whoever measures; `counts` has one more cell than `bounds_s` (+Inf)."""

    bounds_s: tuple[float, ...] = COMMIT_BOUNDS_S
    counts: list[int] = field(default_factory=list)
    sum_s: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds_s) + 1)

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds_s, seconds)] += 1
        self.sum_s += seconds

    def cumulative(self) -> list[tuple[str, int]]:
        """(upper bound as text, observations up to it); the last is +Inf."""
        total, cells = 0, []
        for bound, count in zip((*map(str, self.bounds_s), "+Inf"), self.counts, strict=True):
            total += count
            cells.append((bound, total))
        return cells
